import type { AddressKey } from '../../lib/ip.ts';
import { keyOf, readSigns, type PodDevice, type SignMap, type Signs } from './signs.ts';
import type { NoInterface, NodeNetwork, NodePod, PodInterface, PodPlace, Sign } from './types.ts';

/** Pod -> namespace of its interfaces, as an earlier call found them. */
export type KnownPlaces = ReadonlyMap<string, readonly Pick<PodInterface, 'ifindex' | 'netnsid'>[]>;

/**
 * Which devices of the node are which pod's, whatever the CNI made them. Pure.
 *
 * Only the node's side of a veth or netkit pair into another namespace can be a pod's device: never an uplink, a bridge,
 * a tunnel, loopback. What speaks for a namespace being a pod's are its addresses, as signs of two kinds for each: a host
 * route of the node that leads there, and the address inside. A namespace wins that has every sign that any other one
 * has, and more; so after an address was given to another pod the old namespace loses as soon as the host route has
 * moved. Among equals the one that was known before wins, then one with a carrier, then one that the neighbour table
 * names. A namespace is of one pod at most: first come those that are known there, then the youngest pods, because an
 * address is given out anew only after its owner's network was torn down.
 *
 * A pod's earlier namespace stays its own while it exists, so a pod that changes its addresses (it may, with NET_ADMIN)
 * does not leave its limit.
 *
 * @param known what the last call found, by pod uid; empty after a restart
 * @returns an entry for each pod, by uid
 */
export function findPodInterfaces(
  network: NodeNetwork,
  pods: readonly NodePod[],
  known: KnownPlaces = new Map(),
): Map<string, PodPlace> {
  const signs = readSigns(network);
  const taken = new Map<number, NodePod>();
  const places = new Map<string, PodPlace>();
  const searches = pods.map((pod) => searchFor(pod, signs, known.get(pod.uid) ?? []));
  searches.sort(
    (a, b) =>
      Number(b.confirmed) - Number(a.confirmed) ||
      b.pod.createdMs - a.pod.createdMs ||
      (a.pod.uid < b.pod.uid ? -1 : 1),
  );
  for (const search of searches) {
    const place = settle(search, signs, taken);
    if (place.found) for (const { netnsid } of place.interfaces) taken.set(netnsid, search.pod);
    places.set(search.pod.uid, place);
  }
  return places;
}

/** What speaks for each namespace: "IP route", "IP address". */
type Evidence = Map<number, Set<string>>;

interface Search {
  readonly pod: NodePod;
  readonly keys: readonly AddressKey[];
  readonly evidence: Evidence;
  /** Namespaces in which it was before and which are still there. */
  readonly before: ReadonlySet<number>;
  /** One of these still has an address of the pod. */
  readonly confirmed: boolean;
}

function searchFor(pod: NodePod, signs: Signs, known: readonly Pick<PodInterface, 'ifindex' | 'netnsid'>[]): Search {
  const keys = pod.ips.map(keyOf).filter((key) => key !== undefined);
  const evidence: Evidence = new Map();
  if (!pod.hostNetwork && !pod.finished) {
    for (const [i, key] of keys.entries()) {
      for (const [what, map] of [
        ['route', signs.byRoute],
        ['address', signs.byAddress],
      ] as const) {
        for (const netnsid of map.get(key)?.keys() ?? []) {
          evidence.set(netnsid, (evidence.get(netnsid) ?? new Set()).add(`${i} ${what}`));
        }
      }
    }
  }
  const before = new Set(
    known
      .filter(({ ifindex, netnsid }) => signs.devices.get(netnsid)?.some((device) => device.ifindex === ifindex))
      .map(({ netnsid }) => netnsid),
  );
  return { pod, keys, evidence, before, confirmed: [...before].some((netnsid) => evidence.has(netnsid)) };
}

function settle(search: Search, signs: Signs, taken: ReadonlyMap<number, NodePod>): PodPlace {
  const { pod, keys } = search;
  if (pod.hostNetwork) return none('host-network', 'it uses the network of the node');
  if (pod.finished) return none('finished', 'its containers have ended');
  if (pod.ips.length === 0) return none('no-address', 'it has no address yet');
  if (keys.length === 0) return none('bad-address', `its address cannot be read: ${pod.ips[0]}`);

  const free = (netnsid: number): boolean => !taken.has(netnsid);
  const best = strongest(search.evidence, free);
  const winner = best.length <= 1 ? best[0] : breakTie(best, search, signs);
  // A namespace that it had and that is not another pod's by now stays limited too.
  const kept = [...search.before].filter((netnsid) => free(netnsid) && netnsid !== winner);
  if (winner !== undefined) return found(search, signs, [winner, ...kept]);
  if (kept.length > 0) return found(search, signs, kept);
  if (best.length > 1) return none('ambiguous', `namespaces ${best.join(' and ')} both have its address`);

  const heard = [...new Set(namespacesOf(keys, signs.byNeighbour))].filter(free);
  if (heard.length === 1) return found(search, signs, heard);
  return notFound(search, signs, taken);
}

/** Those that no other one beats: another beats it if it has all of its signs, and more. */
function strongest(evidence: Evidence, free: (netnsid: number) => boolean): number[] {
  const candidates = [...evidence].filter(([netnsid]) => free(netnsid)).sort(([a], [b]) => a - b);
  const beaten = (signs: Set<string>): boolean =>
    candidates.some(([, others]) => others.size > signs.size && [...signs].every((sign) => others.has(sign)));
  return candidates.filter(([, signs]) => !beaten(signs)).map(([netnsid]) => netnsid);
}

function breakTie(best: readonly number[], { before, keys }: Search, signs: Signs): number | undefined {
  const hasCarrier = (netnsid: number): boolean => signs.devices.get(netnsid)!.some((device) => device.lowerUp);
  const heard = new Set(namespacesOf(keys, signs.byNeighbour));
  let left = best;
  for (const holds of [(n: number) => before.has(n), hasCarrier, (n: number) => heard.has(n)]) {
    const kept = left.filter(holds);
    if (kept.length === 1) return kept[0];
    if (kept.length > 1) left = kept;
  }
  return undefined;
}

function found({ keys }: Search, signs: Signs, namespaces: readonly number[]): PodPlace {
  const has = (map: SignMap, device: PodDevice): boolean =>
    keys.some((key) => map.get(key)?.get(device.netnsid)?.has(device.ifindex));
  const interfaces = namespaces.flatMap((netnsid) => {
    const devices = signs.devices.get(netnsid)!;
    const signed = devices.map((device): Sign | undefined => {
      if (has(signs.byRoute, device)) return 'route';
      if (has(signs.byAddress, device)) return 'address';
      return has(signs.byNeighbour, device) ? 'neighbour' : undefined;
    });
    const anySign = signed.some((sign) => sign !== undefined) || namespacesOf(keys, signs.byAddress).includes(netnsid);
    const otherwise: Sign = anySign ? 'namespace' : 'kept';
    return devices.map((device, k) => interfaceOf(device, signed[k] ?? otherwise));
  });
  return { found: true, interfaces };
}

function interfaceOf(device: PodDevice, sign: Sign): PodInterface {
  const { ifindex, name, kind, netkitPrimary, netnsid } = device;
  const plain = { ifindex, name, kind, netnsid, sign };
  return netkitPrimary === undefined ? plain : { ...plain, netkitPrimary };
}

function notFound({ keys, evidence, pod }: Search, signs: Signs, taken: ReadonlyMap<number, NodePod>): PodPlace {
  const owners = [...evidence.keys()].map((netnsid) => taken.get(netnsid)).filter((owner) => owner !== undefined);
  if (owners.length > 0) {
    const names = [...new Set(owners.map((owner) => `${owner.namespace}/${owner.name}`))].sort().join(' and ');
    const had = new Set(owners.flatMap(({ ips }) => ips.map(keyOf)));
    return keys.some((key) => had.has(key))
      ? none('taken', `its address is that of ${names} by now`)
      : none('taken', `its address is behind the interface of ${names}: one network namespace, or one veth, for both`);
  }
  for (const key of keys) {
    const link = signs.foreign.get(key);
    if (link === undefined) continue;
    return none('foreign-device', `the node reaches it through ${link.name} (${link.kind ?? 'hardware'})`);
  }
  const unread = [...new Set(signs.unreadable)];
  const why =
    unread.length > 0 ? `; ${signs.unreadable.length} namespaces could not be looked into: ${unread.join(', ')}` : '';
  return none('not-found', `no veth or netkit of the node leads to ${pod.ips.join(', ')}${why}`);
}

function namespacesOf(keys: readonly AddressKey[], map: SignMap): number[] {
  return keys.flatMap((key) => [...(map.get(key)?.keys() ?? [])]);
}

function none(reason: NoInterface, detail: string): PodPlace {
  return { found: false, reason, detail };
}
