import { chainPrograms } from '../../lib/bpf/index.ts';
import { dumpFilters, type NetlinkSocket } from '../../lib/netlink/index.ts';
import type { Direction } from '../contract/bandwidth.ts';
import type { PodInterface, Uplink } from '../interfaces/types.ts';
import { pacesAll, rootOf } from '../qdiscs/handles.ts';
import type { DeviceState } from '../qdiscs/types.ts';

/** Who else limits pods, by ifindex and direction of the pods, in words. */
export type OtherLimiters = Map<number, Partial<Record<Direction, string>>>;

/** Programs of Cilium at a device: cil_to_netdev since 1.13, before it the name of its object. */
const CILIUM = /^cil_|^bpf_(netdev|host|lxc)|cilium/;
/** Names of the ifb devices of the bandwidth plugin (containernetworking/plugins, meta/bandwidth: "bwp"). */
const CNI_IFB = /^bwp[0-9a-f]/;

/**
 * Looks for those that have the same annotations: Cilium's bandwidth manager, which paces at the uplink with an fq of its
 * own, and the CNI's bandwidth plugin, which sends what a pod sends through a token bucket on an ifb device. What it hangs on
 * the pod's interface itself (tbf, towards the pod) is seen as the root qdisc that it is.
 * @throws as NetlinkSocket.dump
 */
export function findOtherLimiters(
  socket: NetlinkSocket,
  devices: readonly DeviceState[],
  uplinks: readonly Uplink[],
  ofPods: readonly PodInterface[],
): OtherLimiters {
  const found: OtherLimiters = new Map();
  const byIndex = new Map(devices.map((device) => [device.ifindex, device]));
  for (const uplink of uplinks) {
    const paced = uplink.queueing.some(({ ifindex }) => isPacedByOther(byIndex.get(ifindex)));
    if (paced && hasProgramOf(socket, uplink.ifindex, CILIUM)) {
      found.set(uplink.ifindex, { egress: "Cilium's bandwidth manager" });
    }
  }
  if (!devices.some(({ name }) => CNI_IFB.test(name))) return found;
  for (const { ifindex } of ofPods) {
    const isRedirected = byIndex.get(ifindex)?.qdiscs.some(({ kind }) => String(kind) === 'ingress') === true;
    if (isRedirected && dumpFilters(socket, ifindex, 'ingress').some(({ kind }) => kind !== 'bpf')) {
      found.set(ifindex, { egress: "the CNI's bandwidth plugin" });
    }
  }
  return found;
}

function isPacedByOther(device: DeviceState | undefined): boolean {
  if (device === undefined) return false;
  const root = rootOf(device);
  return root.owner === 'other' && pacesAll(device, root.qdisc);
}

function hasProgramOf(socket: NetlinkSocket, ifindex: number, names: RegExp): boolean {
  const programs = (chainPrograms(ifindex, 'egress') ?? []).map(({ name }) => name ?? '');
  const filters = dumpFilters(socket, ifindex, 'egress').map(({ bpf }) => bpf?.name ?? '');
  return [...programs, ...filters].some((name) => names.test(name));
}
