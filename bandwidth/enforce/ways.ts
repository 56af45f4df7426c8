import { TC_ROOT } from '../../lib/netlink/tc-message.ts';
import { fqSettings } from '../qdiscs/fq-limits.ts';
import { describeQdisc, pacesAll, rootOf } from '../qdiscs/handles.ts';
import { planQdiscs } from '../qdiscs/plan.ts';
import type { DeviceNeed, DeviceState, DeviceVerdict } from '../qdiscs/types.ts';
import type { LimitMode } from '../slot-config.ts';
import type { Uplink } from '../interfaces/types.ts';
import type { NodeView } from './types.ts';

/** How packets that leave through some devices can be limited. */
export type Way =
  | {
      readonly mode: LimitMode;
      readonly reason: string;
      /** On some of the ways nothing holds packets back: there what exceeds the limit is dropped, as the reason says. */
      readonly policedInPart?: true;
    }
  /** Somebody else limits them already. */
  | { readonly mode: 'other'; readonly reason: string };

/** Who hangs a token bucket on a pod's interface is the CNI's bandwidth plugin: it has the same annotations. */
const CNI_LIMITER = 'tbf';
const MAX_LISTED = 3;
/** How a direction stands that is held so wherever it goes. */
export const MODE_STATE = { stamp: 'enforced', htb: 'shaped-htb', police: 'policed' } as const;
const CNI_SETS_IT = 'as the CNI bandwidth plugin and Calico set it';

/**
 * What can be had of devices where packets of pods wait: pacing where the kernel has fq, a class tree where it has not,
 * and where another's qdisc stands in the way of either, a policer. The worst of the devices decides. Pure.
 * @param of whose devices: a pod's interface may have the CNI's limiter on it
 * @param pacing rates that the devices would pace, bytes a second
 */
export function wayThrough(
  view: Pick<NodeView, 'devices' | 'abilities'>,
  of: 'pod' | 'uplink',
  ifindexes: readonly number[],
  pacing: readonly bigint[],
): Way {
  const { fq, unshapable } = view.abilities;
  let way: Way = { mode: fq ? 'stamp' : 'htb', reason: '' };
  for (const ifindex of ifindexes) {
    const device = view.devices.find((candidate) => candidate.ifindex === ifindex);
    if (device === undefined) continue;
    const found = throughDevice(device, fq, pacing, unshapable.get(ifindex));
    if (of === 'pod' && isCniLimiter(device)) {
      const reason = `${describeRoot(device)} (${CNI_SETS_IT}) on ${device.name} is in charge`;
      return { mode: 'other', reason };
    }
    if (found.mode === 'police') way = found;
  }
  return way;
}

/**
 * What can be had of the ways off the node. Another's qdisc on some uplinks makes what leaves there policed, and nothing
 * else: the other uplinks hold packets back. Pure.
 * @returns holding: the uplinks that do, or would; their qdiscs are ours to set
 */
export function wayThroughUplinks(
  view: Pick<NodeView, 'uplinks' | 'devices' | 'abilities'>,
  pacing: readonly bigint[],
): { readonly way: Way; readonly holding: readonly Uplink[] } {
  const { uplinks, abilities } = view;
  const mode = abilities.fq ? 'stamp' : 'htb';
  if (uplinks.length === 0) {
    // Pods next door are reached without one.
    if (abilities.fq) return { way: { mode, reason: '' }, holding: [] };
    return { way: { mode: 'police', reason: 'the node has no uplink that could hold packets back' }, holding: [] };
  }
  const holding: Uplink[] = [];
  const policed: { readonly name: string; readonly reason: string }[] = [];
  for (const uplink of uplinks) {
    const ifindexes = abilities.fq ? uplink.queueing.map(({ ifindex }) => ifindex) : [uplink.ifindex];
    const way = wayThrough(view, 'uplink', ifindexes, pacing);
    if (way.mode === 'police') policed.push({ name: uplink.name, reason: way.reason });
    else holding.push(uplink);
  }
  if (policed.length === 0) return { way: { mode, reason: '' }, holding };
  const reasons = listed([...new Set(policed.map(({ reason }) => reason))], '; ');
  if (holding.length === 0) return { way: { mode: 'police', reason: reasons }, holding };
  const names = (of: readonly { readonly name: string }[]): string =>
    listed(
      of.map(({ name }) => name),
      ', ',
    );
  const reason = `${MODE_STATE[mode]} at ${names(holding)}, policed at ${names(policed)}: ${reasons}`;
  return { way: { mode, reason, policedInPart: true }, holding };
}

/** As many as a sentence bears. */
function listed(phrases: readonly string[], separator: string): string {
  const more = phrases.length - MAX_LISTED;
  return [...phrases.slice(0, MAX_LISTED), ...(more > 0 ? [`${more} more`] : [])].join(separator);
}

function throughDevice(device: DeviceState, fq: boolean, pacing: readonly bigint[], unshapable?: string): Way {
  const { ifindex, name } = device;
  const need: DeviceNeed = fq ? { ifindex, mode: 'pace', podRates: pacing } : { ifindex, mode: 'shape', pods: [] };
  const verdict = verdictOf(device, need);
  if (verdict.state !== 'foreign') {
    if (!fq && unshapable !== undefined) return { mode: 'police', reason: `no HTB at ${name}: ${unshapable}` };
    return { mode: fq ? 'stamp' : 'htb', reason: '' };
  }
  if (!fq || !verdict.paces) return { mode: 'police', reason: `${verdict.what} on ${name} is another's` };
  const short = tooShort(device, pacing);
  if (short === undefined) return { mode: 'stamp', reason: '' };
  return { mode: 'police', reason: `fq on ${name} is another's and would drop what waits: ${short}` };
}

function isCniLimiter(device: DeviceState): boolean {
  const root = rootOf(device);
  return root.owner === 'other' && root.qdisc.kind === CNI_LIMITER;
}

function describeRoot(device: DeviceState): string {
  const root = rootOf(device);
  return root.owner === 'other' ? describeQdisc(root.qdisc) : '';
}

function verdictOf(device: DeviceState, need: DeviceNeed): DeviceVerdict {
  return planQdiscs([device], [need]).verdicts.get(device.ifindex) ?? { state: 'untouched' };
}

/** Which limit of another's fq is below what we would set; undefined: none. */
function tooShort(device: DeviceState, pacing: readonly bigint[]): string | undefined {
  const wanted = fqSettings(pacing);
  const root = device.qdiscs.find(({ kind, parent }) => kind === 'fq' && parent === TC_ROOT);
  const queues = root !== undefined ? [root] : device.qdiscs.filter(({ kind }) => kind === 'fq');
  for (const { options } of queues) {
    if (options.kind !== 'fq') continue;
    if ((options.flowLimit ?? 0) < wanted.flowLimit) {
      return `flow_limit ${options.flowLimit}, of ${wanted.flowLimit}`;
    }
    if ((options.limit ?? 0) < wanted.limit) return `limit ${options.limit}, of ${wanted.limit}`;
  }
  return undefined;
}

/** Another's root that would let departure times pass unheeded, in words; undefined: nothing is in the way. */
export function obstacle(device: DeviceState): string | undefined {
  const root = rootOf(device);
  return root.owner === 'other' && !pacesAll(device, root.qdisc) ? describeQdisc(root.qdisc) : undefined;
}
