import {
  addQdisc,
  changeQdisc,
  deleteHtbClass,
  deleteQdisc,
  dumpHtbClasses,
  dumpLinks,
  dumpQdiscs,
  kernelHasFq,
  replaceHtbClass,
  replaceQdisc,
  type ChangeOutcome,
  type Link,
  type NetlinkSocket,
} from '../../lib/netlink/index.ts';
import { rootOf } from './handles.ts';
import { planQdiscs } from './plan.ts';
import type { DeviceNeed, DeviceState, Operation, QdiscPlan } from './types.ts';

/** An operation that could not be done: somebody was faster, or this kernel lacks the kind. */
export interface Failure {
  readonly operation: Operation;
  readonly outcome: Exclude<ChangeOutcome, { outcome: 'done' }>;
}

export interface Applied {
  /** What the last look found and said; its operations are done but for the failures. */
  readonly plan: QdiscPlan;
  readonly operations: number;
  /** ifindexes of devices at which something was done, and which were as wanted when they were looked at again. */
  readonly verified: ReadonlySet<number>;
  readonly failures: readonly Failure[];
  /** The kernel has no fq: devices that are to pace were planned as if nothing were needed of them. */
  readonly lacksFq: boolean;
}

/** A change of mode takes two rounds, a race with another process one more. */
const MAX_ROUNDS = 4;

/**
 * Every device with its qdiscs, and the classes of those that are ours.
 * @param links as they were listed a moment ago
 * @throws as NetlinkSocket.dump
 */
export function readDevices(socket: NetlinkSocket, links: readonly Link[] = dumpLinks(socket)): DeviceState[] {
  const qdiscs = Map.groupBy(dumpQdiscs(socket), (qdisc) => qdisc.ifindex);
  return links.map(({ ifindex, name, qdisc }) => {
    const device: DeviceState = { ifindex, name, qdisc, qdiscs: qdiscs.get(ifindex) ?? [], classes: [] };
    const root = rootOf(device);
    if (root.owner !== 'us' || root.qdisc.kind !== 'htb') return device;
    return { ...device, classes: dumpHtbClasses(socket, ifindex) };
  });
}

/**
 * Looks, plans and does until nothing is to be done or nothing more can be done. Needs CAP_NET_ADMIN.
 * @param devices as they were read a moment ago; default: they are read now
 * @throws NetlinkError NETLINK_REFUSED, NETLINK_NOT_PERMITTED and what NetlinkSocket.dump throws
 */
export function applyNeeds(
  socket: NetlinkSocket,
  needs: readonly DeviceNeed[],
  devices: readonly DeviceState[] = readDevices(socket),
): Applied {
  // Asked first, so that no mq of ours is left behind without the fq that it was made for.
  const lacksFq = needs.some((need) => need.mode === 'pace') && !kernelHasFq(socket);
  const possible = lacksFq ? needs.filter((need) => need.mode !== 'pace') : needs;
  let operations = 0;
  const touched = new Set<number>();
  let plan = planQdiscs(devices, possible);
  for (let round = 1; ; round++) {
    const failures: Failure[] = [];
    for (const operation of plan.operations) {
      const outcome = run(socket, operation);
      touched.add(operation.place.ifindex);
      if (outcome.outcome !== 'done') failures.push({ operation, outcome });
    }
    operations += plan.operations.length - failures.length;
    const settled = plan.operations.length === failures.length;
    if (settled || round === MAX_ROUNDS) {
      const isRight = (ifindex: number): boolean => {
        const state = plan.verdicts.get(ifindex)?.state ?? 'untouched';
        return settled && failures.length === 0 && (state === 'ours' || state === 'untouched');
      };
      return { plan, operations, verified: new Set([...touched].filter(isRight)), failures, lacksFq };
    }
    plan = planAnew(socket, plan, possible);
  }
}

/** Only devices at which something was done are looked at again: the others have all that they need. */
function planAnew(socket: NetlinkSocket, { operations, verdicts }: QdiscPlan, needs: readonly DeviceNeed[]): QdiscPlan {
  const touched = new Set(operations.map(({ place }) => place.ifindex));
  const links = dumpLinks(socket).filter(({ ifindex }) => touched.has(ifindex));
  const next = planQdiscs(readDevices(socket, links), needs);
  const untouched = [...verdicts].filter(([ifindex]) => !touched.has(ifindex));
  return { operations: next.operations, verdicts: new Map([...untouched, ...next.verdicts]) };
}

/** Leaves nothing of ours on any device. */
export function detachQdiscs(socket: NetlinkSocket): Applied {
  return applyNeeds(socket, []);
}

function run(socket: NetlinkSocket, operation: Operation): ChangeOutcome {
  switch (operation.op) {
    case 'add':
      return addQdisc(socket, operation.place, operation.settings);
    case 'change':
      return changeQdisc(socket, operation.place, operation.settings);
    case 'set-leaf':
      return replaceQdisc(socket, operation.place, operation.settings);
    case 'delete':
      return deleteQdisc(socket, operation.place);
    case 'set-class':
      return replaceHtbClass(socket, operation.place, operation.settings);
    case 'delete-class':
      return deleteHtbClass(socket, operation.place);
  }
}
