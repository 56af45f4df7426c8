import type { Link, NetlinkSocket } from '../../lib/netlink/index.ts';
import { findPodInterfaces, type KnownPlaces } from '../interfaces/find.ts';
import { readNodeNetwork } from '../interfaces/read.ts';
import type { NodeNetwork } from '../interfaces/types.ts';
import { findUplinks, namedUplinks } from '../interfaces/uplinks.ts';
import type { Left } from '../kernel/left.ts';
import { readDevices } from '../qdiscs/apply.ts';
import { findOtherLimiters } from './other-limiters.ts';
import { ownerOf } from './slots.ts';
import type { NodeView, WishingPod } from './types.ts';

export interface LookOptions extends Pick<NodeView, 'pods' | 'abilities'> {
  /** Where pods were found before. */
  readonly known: (network: NodeNetwork) => KnownPlaces;
  /** Names of the uplinks, of whatever kind. Default: those that routes lead to. */
  readonly uplinks: readonly string[] | undefined;
}

/** All that a decision is made of, as it is now. @throws as readNodeNetwork, readDevices */
export function lookAtNode(socket: NetlinkSocket, { pods, known, uplinks: names, abilities }: LookOptions): NodeView {
  const network = readNodeNetwork(socket);
  const places = findPodInterfaces(network, pods, known(network));
  const ofPods = [...places.values()].flatMap((place) => (place.found ? place.interfaces : []));
  const ifindexesOfPods = new Set(ofPods.map(({ ifindex }) => ifindex));
  const { uplinks, warnings } =
    names === undefined
      ? { uplinks: findUplinks(network.links, network.routes, ifindexesOfPods), warnings: [] }
      : namedUplinks(names, network.links, network.routes, ifindexesOfPods);
  const devices = readDevices(socket, network.links);
  return {
    pods,
    places,
    uplinks,
    warnings,
    devices,
    neighbours: findOtherLimiters(socket, devices, uplinks, ofPods),
    headerless: headerless(network.links),
    abilities,
  };
}

/** After a restart: the interfaces of a slot are those of its pod. Pure. */
export function placesLeft(left: Left, network: NodeNetwork, pods: readonly WishingPod[]): KnownPlaces {
  const uidOf = new Map(
    pods.flatMap(({ uid }) => [
      [ownerOf(uid, 'egress'), uid],
      [ownerOf(uid, 'ingress'), uid],
    ]),
  );
  const links = new Map(network.links.map((link) => [link.ifindex, link]));
  const known = new Map<string, { ifindex: number; netnsid: number }[]>();
  for (const [ifindex, { owners }] of left.interfaces) {
    const netnsid = links.get(ifindex)?.linkNetnsid;
    const uids = new Set(owners.map((owner) => uidOf.get(owner)));
    const [uid] = uids;
    if (netnsid === undefined || uid === undefined || uids.size > 1) continue;
    known.set(uid, [...(known.get(uid) ?? []), { ifindex, netnsid }]);
  }
  return known;
}

function headerless(links: readonly Link[]): ReadonlySet<number> {
  return new Set(links.filter(({ kind, mac }) => kind === 'netkit' && mac === undefined).map(({ ifindex }) => ifindex));
}
