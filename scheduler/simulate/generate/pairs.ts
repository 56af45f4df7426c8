import type { Random } from '../random.ts';
import { drawHistogram, interpolate, WeightedDraw } from './draw.ts';
import { DEGREES, TRAFFIC } from './m3-statistics.ts';

/** Two services that talk, with traffic as a share of all. */
export interface GeneratedPair {
  readonly a: number;
  readonly b: number;
  readonly share: number;
}

/**
 * Connected groups of services: the degrees of M3, each service attached to one with room for more peers, better
 * connected ones first (preferential attachment); what room is left is filled at random.
 * @param groups services by group; those of a group find their peers within it
 * @param degreeFactor stretches all degrees
 */
export function drawLinks(
  groups: readonly (readonly number[])[],
  degreeFactor: number,
  random: Random,
): readonly (readonly [number, number])[] {
  const count = groups.reduce((sum, group) => sum + group.length, 0);
  const degrees = drawHistogram(DEGREES, count, random).map((degree) => Math.max(1, Math.round(degree * degreeFactor)));
  // Small groups first: they take no degree that they cannot have.
  const wanted = groups.map((): number[] => []);
  const bySize = groups.map((_, g) => g).sort((x, y) => groups[x]!.length - groups[y]!.length || x - y);
  for (const g of bySize) {
    while (wanted[g]!.length < groups[g]!.length) {
      const fits = degrees.findIndex((degree) => degree < groups[g]!.length);
      wanted[g]!.push(degrees.splice(Math.max(0, fits), 1)[0]!);
    }
    wanted[g]!.sort((x, y) => y - x);
  }
  return groups.flatMap((group, g) => linkGroup(group, wanted[g]!, random));
}

/** @param wanted degrees, descending */
function linkGroup(
  services: readonly number[],
  wanted: readonly number[],
  random: Random,
): (readonly [number, number])[] {
  const links: (readonly [number, number])[] = [];
  const linked = new Set<number>();
  const room = new WeightedDraw(services.map(() => 0));
  const isLinked = (i: number, j: number): boolean => linked.has(Math.min(i, j) * services.length + Math.max(i, j));
  const link = (i: number, j: number): void => {
    linked.add(Math.min(i, j) * services.length + Math.max(i, j));
    links.push([services[i]!, services[j]!]);
    room.set(i, Math.max(0, room.get(i) - 1));
    room.set(j, Math.max(0, room.get(j) - 1));
  };
  for (let i = 0; i < services.length; i++) {
    const to = i === 0 ? -1 : Math.max(0, room.draw(random));
    room.set(i, Math.min(wanted[i]!, services.length - 1));
    if (to >= 0) link(i, to);
  }
  // A draw in vain finds a pair that is linked: after many, what is left cannot be linked.
  for (let vain = 0; vain < 20 * services.length;) {
    const i = room.draw(random);
    if (i < 0) break;
    const own = room.get(i);
    room.set(i, 0);
    const j = room.draw(random);
    room.set(i, own);
    if (j < 0) break;
    if (isLinked(i, j)) vain++;
    else link(i, j);
  }
  // Room is left at hubs that are linked with each other already. Half of it goes to services that have no room:
  // their ends count too.
  let left = 0;
  for (let i = 0; i < services.length; i++) left += room.get(i);
  for (let i = 0, more = Math.floor(left / 2), vain = 0; more > 0 && vain < 20 * services.length;) {
    const j = random.below(services.length);
    if (room.get(i) === 0) i++;
    else if (i === j || isLinked(i, j)) vain++;
    else {
      link(i, j);
      more--;
    }
    if (i >= services.length) break;
  }
  return links;
}

/**
 * Traffic for links, heaviest first: the curve of M3, of which the heaviest pairs meet at the same few services.
 * @param skew exponent: 1 as in M3, less is more even
 * @param gathering how much a service that has heavy pairs attracts more of them
 */
export function drawTraffic(
  links: readonly (readonly [number, number])[],
  serviceCount: number,
  skew: number,
  gathering: number,
  random: Random,
): GeneratedPair[] {
  const curve = TRAFFIC.map(([place, traffic]): [number, number] => [Math.log(place), Math.log(traffic)]);
  const volumes = links.map((_, rank) => Math.exp(skew * interpolate(curve, Math.log((rank + 0.5) / links.length))));
  volumes.sort((x, y) => y - x);
  const total = volumes.reduce((sum, volume) => sum + volume, 0);

  const linksOf: number[][] = Array.from({ length: serviceCount }, () => []);
  links.forEach(([a, b], l) => {
    linksOf[a]!.push(l);
    linksOf[b]!.push(l);
  });
  const volumeOf = new Float64Array(serviceCount);
  const free = new WeightedDraw(links.map(() => 1));
  const pairs: GeneratedPair[] = [];
  for (const volume of volumes) {
    const l = free.draw(random);
    free.set(l, 0);
    const [a, b] = links[l]!;
    const share = volume / total;
    pairs.push({ a, b, share });
    for (const service of [a, b]) {
      volumeOf[service]! += share;
      for (const other of linksOf[service]!) {
        if (free.get(other) === 0) continue;
        const [c, d] = links[other]!;
        free.set(other, 1 + gathering * links.length * (volumeOf[c]! + volumeOf[d]!));
      }
    }
  }
  return pairs;
}
