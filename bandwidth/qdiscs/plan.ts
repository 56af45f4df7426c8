import { differences, type QdiscSettings } from '../../lib/netlink/qdisc-options.ts';
import { TC_ROOT, tcHandle } from '../../lib/netlink/tc-message.ts';
import { fqSettings } from './fq-limits.ts';
import { MAJOR, ROOT_HANDLE, describeQdisc, leafHandle, leavesOf, pacesAll, rootOf } from './handles.ts';
import { wantedClasses, type WantedClass } from './htb-tree.ts';
import type { DeviceNeed, DeviceState, DeviceVerdict, Operation, QdiscPlan } from './types.ts';

/**
 * What is to be done so that the devices have the qdiscs that are needed, and those that are not needed any more have
 * none of ours. Pure.
 *
 * A root is replaced only if it is the kernel's default, and deleted only if it is ours. So the former state needs no
 * remembering: when our root goes, the kernel puts its default back, which is what was there. Anything else stays as it
 * is and is named. Detaching is the plan for no needs at all. Look, plan and do until nothing is to be done: a change of
 * mode takes two rounds, and what another process did meanwhile shows in the next.
 *
 * @param devices every device of the node's namespace, also those of which nothing is needed
 * @param needs at most one for each device
 */
export function planQdiscs(devices: readonly DeviceState[], needs: readonly DeviceNeed[]): QdiscPlan {
  const needOf = new Map(needs.map((need) => [need.ifindex, need]));
  const operations: Operation[] = [];
  const verdicts = new Map<number, DeviceVerdict>();
  for (const device of devices) {
    const need = needOf.get(device.ifindex);
    const { ops, verdict } = planDevice(device, need);
    operations.push(...ops);
    if (need !== undefined || ops.length > 0) verdicts.set(device.ifindex, verdict);
  }
  return { operations, verdicts };
}

interface DevicePlan {
  readonly ops: readonly Operation[];
  readonly verdict: DeviceVerdict;
}

function planDevice(device: DeviceState, need: DeviceNeed | undefined): DevicePlan {
  const root = rootOf(device);
  if (root.owner === 'nobody') return { ops: [], verdict: { state: need === undefined ? 'untouched' : 'not-up' } };
  if (root.owner === 'other') {
    const what = describeQdisc(root.qdisc);
    return { ops: [], verdict: { state: 'foreign', what, paces: pacesAll(device, root.qdisc) } };
  }
  if (root.owner === 'kernel') {
    if (need === undefined) return { ops: [], verdict: { state: 'untouched' } };
    const queues = root.multiQueue ? leavesOf(device, 0).map((leaf) => leaf.queue) : [];
    return { ops: buildOps(device.ifindex, need, queues), verdict: { state: 'ours' } };
  }

  const have = root.qdisc.options.kind;
  if (need?.mode === 'pace' && have === 'fq') {
    return { ops: changeOps(rootPlace(device), fqSettings(need.podRates), root.qdisc), verdict: { state: 'ours' } };
  }
  if (have === 'mq') return planMultiQueue(device, need);
  if (need?.mode === 'shape' && have === 'htb') {
    return { ops: classOps(device, need.pods.flatMap(wantedClasses)), verdict: { state: 'ours' } };
  }
  const away: Operation = { op: 'delete', place: rootPlace(device) };
  if (need === undefined) return { ops: [away], verdict: { state: 'untouched' } };
  // Another mode than before: fq came with a module, or went. How many queues there are only shows without ours.
  return { ops: [away], verdict: { state: 'changing' } };
}

/** From the kernel's default. `queues`: those of its mq root; none: there is a single one. */
function buildOps(ifindex: number, need: DeviceNeed, queues: readonly number[]): Operation[] {
  const place = rootPlace({ ifindex });
  if (need.mode === 'shape') {
    const classes = need.pods.flatMap(wantedClasses);
    return [
      { op: 'add', place, settings: { kind: 'htb', defaultMinor: 0 } },
      ...classes.flatMap((wanted) => setClass(ifindex, wanted)),
    ];
  }
  const settings = fqSettings(need.podRates);
  if (queues.length === 0) return [{ op: 'add', place, settings }];
  return [
    { op: 'add', place, settings: { kind: 'mq' } },
    ...queues.map((queue): Operation => ({ op: 'add', place: leafPlace(ifindex, queue), settings })),
  ];
}

/**
 * Under a root of ours with several queues. A qdisc that somebody hung there is his: the root then stays, for it would
 * go with it, and that queue is not paced.
 */
function planMultiQueue(device: DeviceState, need: DeviceNeed | undefined): DevicePlan {
  const { ifindex } = device;
  const leaves = leavesOf(device, ROOT_HANDLE);
  const foreign = leaves.filter((leaf) => leaf.owner === 'other');
  if (need?.mode === 'pace') {
    const settings = fqSettings(need.podRates);
    const ops = leaves.flatMap(({ owner, queue, qdisc }): Operation[] => {
      if (owner === 'kernel') return [{ op: 'add', place: leafPlace(ifindex, queue), settings }];
      return owner === 'us' ? changeOps(leafPlace(ifindex, queue), settings, qdisc) : [];
    });
    return { ops, verdict: foreign.length === 0 ? { state: 'ours' } : foreignLeaf(foreign[0]!.qdisc) };
  }
  if (foreign.length > 0) {
    const ours = leaves.filter((leaf) => leaf.owner === 'us');
    const ops = ours.map(({ queue }): Operation => ({ op: 'delete', place: leafPlace(ifindex, queue) }));
    return { ops, verdict: foreignLeaf(foreign[0]!.qdisc) };
  }
  const away: Operation = { op: 'delete', place: rootPlace(device) };
  return { ops: [away], verdict: { state: need === undefined ? 'untouched' : 'changing' } };
}

function foreignLeaf(qdisc: DeviceState['qdiscs'][number]): DeviceVerdict {
  return { state: 'foreign', what: describeQdisc(qdisc), paces: qdisc.kind === 'fq' };
}

/** Classes that are missing or differ, then those of pods that left, children first. */
function classOps(device: DeviceState, wanted: readonly WantedClass[]): Operation[] {
  const found = new Map(device.classes.map((entry) => [entry.classId, entry]));
  const leaves = new Map(device.qdiscs.map((qdisc) => [qdisc.parent, qdisc]));
  const ops = wanted.flatMap((entry): Operation[] => {
    const have = found.get(entry.classId);
    if (have === undefined || !sameSettings(have.settings, entry.settings)) return setClass(device.ifindex, entry);
    const leaf = leaves.get(entry.classId);
    const right =
      entry.leaf === undefined || (leaf !== undefined && differences(entry.leaf, leaf.options).length === 0);
    return right ? [] : setLeaf(device.ifindex, entry);
  });
  const keep = new Set(wanted.map((entry) => entry.classId));
  const left = device.classes.filter(({ classId }) => !keep.has(classId)).sort((a, b) => depth(b) - depth(a));
  return [
    ...ops,
    ...left.map(({ classId, parent }): Operation => ({
      op: 'delete-class',
      place: { ifindex: device.ifindex, classId, parent },
    })),
  ];
}

function depth({ parent }: { readonly parent: number }): number {
  return parent === TC_ROOT || parent === tcHandle(MAJOR) ? 0 : 1;
}

function setClass(ifindex: number, entry: WantedClass): Operation[] {
  const { classId, parent, settings } = entry;
  return [{ op: 'set-class', place: { ifindex, classId, parent }, settings }, ...setLeaf(ifindex, entry)];
}

function setLeaf(ifindex: number, { classId, leaf }: WantedClass): Operation[] {
  // Handle 0: the kernel chooses one; the class says whose it is.
  return leaf === undefined ? [] : [{ op: 'set-leaf', place: { ifindex, parent: classId, handle: 0 }, settings: leaf }];
}

/** Bursts come back rounded to ticks of 64 ns. */
function sameSettings(have: WantedClass['settings'], want: WantedClass['settings']): boolean {
  const near = (a: number, b: number, rate: bigint): boolean => Math.abs(a - b) <= Number(rate) * 64e-9 + 1;
  return (
    have.rateBytesPerSecond === want.rateBytesPerSecond &&
    have.ceilBytesPerSecond === want.ceilBytesPerSecond &&
    have.quantumBytes === want.quantumBytes &&
    have.priority === want.priority &&
    near(have.burstBytes, want.burstBytes, want.rateBytesPerSecond) &&
    near(have.ceilBurstBytes, want.ceilBurstBytes, want.ceilBytesPerSecond)
  );
}

function changeOps(
  place: ReturnType<typeof rootPlace>,
  settings: QdiscSettings,
  have: DeviceState['qdiscs'][number],
): Operation[] {
  return differences(settings, have.options).length === 0 ? [] : [{ op: 'change', place, settings }];
}

function rootPlace({ ifindex }: { readonly ifindex: number }): { ifindex: number; parent: number; handle: number } {
  return { ifindex, parent: TC_ROOT, handle: ROOT_HANDLE };
}

function leafPlace(ifindex: number, queue: number): { ifindex: number; parent: number; handle: number } {
  return { ifindex, parent: tcHandle(MAJOR, queue), handle: leafHandle(queue) };
}
