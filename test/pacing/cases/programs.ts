import { slotConfig } from '../../../bandwidth/slot-config.ts';
import { udpFrame } from '../../kernel/limit-support/frames.ts';
import { LOOPBACK, LimitObject, NEXT, monotonicNs } from '../../kernel/limit-support/limit-object.ts';
import { ALL_KERNELS, NONE, atLeast, type Case, type Figures } from './case.ts';

/** The programs on test data, as test/kernel/limit-cases.test.ts has them for this machine's kernel; case 17 needs two CPUs, and is in limit-race.test.ts. */

const SLOT = 1;
const SECOND = 1_000_000_000n;
const frame = udpFrame(1514);

async function withObject(work: (limit: LimitObject) => Figures): Promise<Figures> {
  const limit = await LimitObject.load();
  try {
    limit.setInterface(LOOPBACK, { egressSlot: SLOT });
    limit.setConfig(SLOT, slotConfig({ rateBps: 100_000_000n, mode: 'stamp', cpus: 1 }));
    return work(limit);
  } finally {
    limit.close();
  }
}

/** 1: the next packet passes without delay. */
function passesAtOnce(limit: LimitObject): number {
  const { retval, tstamp } = limit.run('from_pod', frame);
  return Number(retval === NEXT && tstamp === 0n);
}

export const PROGRAMS: readonly Case[] = [
  {
    id: '16-far-future',
    number: 16,
    what: 'far-future departure times, and a clock at 2^63, stop nobody (test run)',
    kernels: ALL_KERNELS,
    shift: 1,
    measure: () =>
      withObject((limit) => {
        limit.setClock(SLOT, { limitNs: 1n << 63n, sparseNs: 0n });
        const afterGarbage = passesAtOnce(limit);
        limit.setClock(SLOT, { limitNs: 0n, sparseNs: 0n });
        const cleared = limit.runStamped('from_pod', frame, monotonicNs() + 3600n * SECOND).tstamp;
        limit.setClock(SLOT, { limitNs: 0n, sparseNs: 0n });
        return { afterGarbage, afterStamp: passesAtOnce(limit), futureStamps: Number(cleared !== 0n) };
      }),
    expected: { afterGarbage: { min: 1 }, afterStamp: { min: 1 }, futureStamps: NONE },
  },
  {
    id: '27-old-flow',
    number: 27,
    what: 'a flow that was held back 71 minutes ago is not held back now (test run)',
    kernels: ALL_KERNELS,
    shift: 1,
    measure: () =>
      withObject((limit) => {
        const hash = limit.hashOf(frame);
        limit.setFlows(SLOT, [{ hash, departureNs: monotonicNs() - ((1n << 32n) * 1000n - SECOND) }]);
        const old = passesAtOnce(limit);
        limit.setClock(SLOT, { limitNs: 0n, sparseNs: 0n });
        const departureNs = monotonicNs() + 3_000_000_000n;
        limit.setFlows(SLOT, [{ hash, departureNs }]);
        const held = limit.run('from_pod', frame).tstamp;
        return { old, held: Number(held === departureNs) };
      }),
    expected: { old: atLeast(1), held: atLeast(1) },
  },
];
