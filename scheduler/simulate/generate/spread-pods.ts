import type { Resources } from '../../cluster/model.ts';
import { shuffle } from '../../../lib/shuffle.ts';
import type { Random } from '../random.ts';

/** Nodes looked at for a pod: of so many the one with fewest of its replicas, then with most free CPU. */
const CHOICES = 12;

/**
 * Puts pods where a scheduler that spreads would, roughly and in constant time a pod: all in random order, each on
 * the best of a few random nodes that have room; of all nodes, where none of these has.
 * @returns node index by service and replica, -1: no node has room
 */
export function spreadPods(
  services: readonly { readonly replicas: number; readonly requests: Resources }[],
  room: readonly { milliCpu: number; memoryBytes: number; pods: number }[],
  random: Random,
): number[][] {
  const capacity = room.map((node) => node.milliCpu);
  const nodesOf = services.map((): number[] => []);
  const order = services.flatMap((service, s) => Array.from({ length: service.replicas }, () => s));
  shuffle(order, random);
  for (const s of order) {
    const { requests } = services[s]!;
    const own = nodesOf[s]!;
    const fits = (n: number): boolean =>
      room[n]!.milliCpu >= requests.milliCpu && room[n]!.memoryBytes >= requests.memoryBytes && room[n]!.pods >= 1;
    const worse = (n: number): number =>
      own.filter((node) => node === n).length * 10 - room[n]!.milliCpu / capacity[n]!;
    let best = -1;
    const offer = (n: number): void => {
      if (fits(n) && (best < 0 || worse(n) < worse(best))) best = n;
    };
    for (let i = 0; i < CHOICES; i++) offer(random.below(room.length));
    if (best < 0) for (let n = 0; n < room.length; n++) offer(n);
    own.push(best);
    if (best < 0) continue;
    room[best]!.milliCpu -= requests.milliCpu;
    room[best]!.memoryBytes -= requests.memoryBytes;
    room[best]!.pods -= 1;
  }
  return nodesOf;
}
