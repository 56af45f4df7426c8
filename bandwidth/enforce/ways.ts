import { TC_ROOT } from '../../lib/netlink/tc-message.ts';
import { fqSettings } from '../qdiscs/fq-limits.ts';
import { describeQdisc, pacesAll, rootOf } from '../qdiscs/handles.ts';
import { planQdiscs } from '../qdiscs/plan.ts';
import type { DeviceNeed, DeviceState, DeviceVerdict } from '../qdiscs/types.ts';
import type { LimitMode } from '../slot-config.ts';
import type { NodeView } from './types.ts';

/** How packets that leave through some devices can be limited. */
export type Way =
  | { readonly mode: LimitMode; readonly reason: string }
  /** Somebody else limits them already. */
  | { readonly mode: 'other'; readonly reason: string };

/** Who hangs a token bucket on a pod's interface is the CNI's bandwidth plugin: it has the same annotations. */
const CNI_LIMITER = 'tbf';
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
