import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fqSettings } from '../../bandwidth/qdiscs/fq-limits.ts';
import { ROOT_HANDLE, leafHandle } from '../../bandwidth/qdiscs/handles.ts';
import { MAX_SLOT, podClasses, wantedClasses } from '../../bandwidth/qdiscs/htb-tree.ts';
import { planQdiscs } from '../../bandwidth/qdiscs/plan.ts';
import type { DeviceNeed, DeviceState, QdiscPlan } from '../../bandwidth/qdiscs/types.ts';
import { TC_ROOT, formatTcHandle, tcHandle } from '../../lib/netlink/tc-message.ts';
import { FakeKernel } from './model.ts';

const mbit = (rate: number): bigint => BigInt(rate) * 125_000n;
const pace = (ifindex: number, ...rates: number[]): DeviceNeed => ({
  ifindex,
  mode: 'pace',
  podRates: rates.map(mbit),
});
const shape = (ifindex: number, ...pods: [slot: number, rate: number][]): DeviceNeed => ({
  ifindex,
  mode: 'shape',
  pods: pods.map(([slot, rate]) => ({ slot, rateBytesPerSecond: mbit(rate) })),
});
const tbf = { kind: 'tbf', handle: tcHandle(0x8001), options: { kind: 'tbf' } } as unknown as Omit<
  DeviceState['qdiscs'][number],
  'parent'
>;

/** Plans and does until nothing is to be done. */
function settle(kernel: FakeKernel, needs: readonly DeviceNeed[]): QdiscPlan {
  for (let round = 0; round < 3; round++) {
    const plan = planQdiscs(kernel.list(), needs);
    if (plan.operations.length === 0) return plan;
    for (const operation of plan.operations) expect([kernel.run(operation), operation]).toEqual(['done', operation]);
  }
  const plan = planQdiscs(kernel.list(), needs);
  expect(plan.operations).toEqual([]);
  return plan;
}

/** "fq 4e4c: root", "mq 4e4c: root, fq 4e4d: 4e4c:1, ..." */
function show(kernel: FakeKernel, ifindex: number): string {
  const { qdiscs } = kernel.devices.get(ifindex)!;
  return qdiscs
    .map((q) => `${q.kind} ${formatTcHandle(q.handle)} ${formatTcHandle(q.parent)}`)
    .sort()
    .join(', ');
}

function node(): FakeKernel {
  const kernel = new FakeKernel();
  kernel.addDevice(2, 'mq', 2);
  kernel.addDevice(3, 'pfifo_fast');
  kernel.addDevice(10, 'noqueue');
  kernel.addDevice(11, 'noqueue');
  return kernel;
}

describe('pacing', () => {
  it('puts fq on every queue where the kernel has several, else at the root, and only where it is needed', () => {
    const kernel = node();
    const plan = settle(kernel, [pace(2, 100), pace(10, 100)]);
    expect(show(kernel, 2)).toBe('fq 4e4d: 4e4c:1, fq 4e4e: 4e4c:2, mq 4e4c: root');
    expect(show(kernel, 10)).toBe('fq 4e4c: root');
    expect([show(kernel, 3), show(kernel, 11)]).toEqual(['pfifo_fast 0: root', 'noqueue 0: root']);
    expect([...plan.verdicts]).toEqual([
      [2, { state: 'ours' }],
      [10, { state: 'ours' }],
    ]);
  });

  it('leaves a foreign root in charge and names it', () => {
    const kernel = node();
    kernel.setForeignRoot(10, tbf);
    const plan = settle(kernel, [pace(10, 100), pace(11, 100)]);
    expect(plan.verdicts.get(10)).toEqual({
      state: 'foreign',
      what: 'tbf 8001: at root',
      paces: false,
    });
    expect(show(kernel, 10)).toBe('tbf 8001: root');
    expect(show(kernel, 11)).toBe('fq 4e4c: root');
  });

  it('says of a foreign root with queues whether each of them paces', () => {
    const kernel = node();
    const fq = { kind: 'fq', options: { kind: 'fq', orphanMask: 1023 } } as const;
    kernel.setForeignRoot(2, { kind: 'mq', handle: tcHandle(0x8001), options: { kind: 'mq' } });
    kernel.setForeignLeaf(2, tcHandle(0x8001, 1), { ...fq, handle: tcHandle(0x8002) });
    const verdict = () => settle(kernel, [pace(2, 100)]).verdicts.get(2);
    expect(verdict()).toMatchObject({ state: 'foreign', paces: true });
    kernel.setForeignLeaf(2, tcHandle(0x8001, 2), { ...tbf, handle: tcHandle(0x8003) });
    expect(verdict()).toMatchObject({ state: 'foreign', paces: false });
    kernel.setForeignLeaf(2, tcHandle(0x8001, 2), { ...fq, handle: tcHandle(0x8004) });
    expect(verdict()).toMatchObject({ state: 'foreign', paces: true });
  });

  it('takes a root for ours by handle and parameters, not by handle alone', () => {
    const kernel = node();
    const strange = { kind: 'fq', handle: ROOT_HANDLE, options: { kind: 'fq', orphanMask: 1023 } } as const;
    kernel.setForeignRoot(10, strange);
    kernel.setForeignRoot(11, { ...tbf, handle: ROOT_HANDLE });
    const plan = settle(kernel, []);
    expect(plan.verdicts.size).toBe(0);
    expect(settle(kernel, [pace(10, 1)]).verdicts.get(10)).toEqual({
      state: 'foreign',
      what: 'fq 4e4c: at root',
      paces: true,
    });
    expect([show(kernel, 10), show(kernel, 11)]).toEqual(['fq 4e4c: root', 'tbf 4e4c: root']);
  });

  it('takes over what an agent before left, and changes only what a new rate asks for', () => {
    const kernel = node();
    settle(kernel, [pace(2, 100), pace(10, 100)]);
    expect(planQdiscs(kernel.list(), [pace(2, 100), pace(10, 100)]).operations).toEqual([]);
    const ops = planQdiscs(kernel.list(), [pace(2, 100), pace(10, 10_000)]).operations;
    expect(ops).toEqual([
      {
        op: 'change',
        place: { ifindex: 10, parent: TC_ROOT, handle: ROOT_HANDLE },
        settings: fqSettings([mbit(10_000)]),
      },
    ]);
  });

  it('mends a queue that lost its fq, and waits for a device that was never up', () => {
    const kernel = node();
    kernel.addDevice(12, 'noqueue', 1, false);
    settle(kernel, [pace(2, 100)]);
    kernel.run({ op: 'delete', place: { ifindex: 2, parent: tcHandle(0x4e4c, 2), handle: leafHandle(2) } });
    const plan = settle(kernel, [pace(2, 100), pace(12, 100)]);
    expect(show(kernel, 2)).toBe('fq 4e4d: 4e4c:1, fq 4e4e: 4e4c:2, mq 4e4c: root');
    expect(plan.verdicts.get(12)).toEqual({ state: 'not-up' });
  });

  it('leaves a foreign qdisc on one of our queues alone, also when the rest goes', () => {
    const kernel = node();
    settle(kernel, [pace(2, 100)]);
    kernel.setForeignLeaf(2, tcHandle(0x4e4c, 2), tbf);
    const plan = settle(kernel, [pace(2, 1000)]);
    expect(plan.verdicts.get(2)).toEqual({
      state: 'foreign',
      what: 'tbf 8001: at 4e4c:2',
      paces: false,
    });
    expect(show(kernel, 2)).toBe('fq 4e4d: 4e4c:1, mq 4e4c: root, tbf 8001: 4e4c:2');
    settle(kernel, []);
    expect(show(kernel, 2)).toBe('mq 4e4c: root, pfifo_fast 0: 4e4c:1, tbf 8001: 4e4c:2');
  });
});

describe('shaping', () => {
  it('gives each pod a class with a bulk and a sparse one in it, and takes it back', () => {
    const kernel = node();
    settle(kernel, [shape(2, [0, 20], [7, 100])]);
    const ids = kernel.devices.get(2)!.classes.map((c) => formatTcHandle(c.classId));
    expect(ids.sort()).toEqual(['4e4c:1', '4e4c:16', '4e4c:17', '4e4c:18', '4e4c:2', '4e4c:3']);
    settle(kernel, [shape(2, [7, 50])]);
    const left = kernel.devices.get(2)!.classes;
    expect(new Set(left.map((c) => c.classId))).toEqual(new Set(Object.values(podClasses(7))));
    expect(left.find((c) => c.classId === podClasses(7).pod)!.settings.ceilBytesPerSecond).toBe(mbit(50));
  });

  it('mends a class whose queue was changed', () => {
    const kernel = node();
    settle(kernel, [shape(3, [0, 20])]);
    const { bulk } = podClasses(0);
    kernel.setForeignLeaf(3, bulk, { kind: 'pfifo', handle: 1, options: { kind: 'pfifo', limit: 1 } });
    expect(planQdiscs(kernel.list(), [shape(3, [0, 20])]).operations.map((o) => o.op)).toEqual(['set-leaf']);
  });

  it('gives way to pacing once the kernel has fq, and pacing to shaping', () => {
    const kernel = node();
    settle(kernel, [shape(2, [0, 20]), shape(10, [0, 20])]);
    settle(kernel, [pace(2, 20), pace(10, 20)]);
    expect(show(kernel, 2)).toBe('fq 4e4d: 4e4c:1, fq 4e4e: 4e4c:2, mq 4e4c: root');
    settle(kernel, [shape(2, [0, 20]), shape(10, [0, 20])]);
    expect(kernel.devices.get(2)!.qdisc).toBe('htb');
    expect(kernel.devices.get(10)!.classes).toHaveLength(3);
  });

  it('has classes within what HTB takes: ids of 16 bits, children that add up to their parent', () => {
    const rate = fc.bigInt({ min: 8000n, max: 125_000_000_000n });
    fc.assert(
      fc.property(fc.nat(MAX_SLOT), rate, (slot, rateBytesPerSecond) => {
        const [pod, bulk, sparse] = wantedClasses({ slot, rateBytesPerSecond });
        for (const { classId } of [pod!, bulk!, sparse!]) {
          expect(classId >>> 16).toBe(0x4e4c);
          expect(classId & 0xffff).toBeGreaterThan(0);
        }
        expect(bulk!.settings.rateBytesPerSecond + sparse!.settings.rateBytesPerSecond).toBe(rateBytesPerSecond);
        expect([bulk!, sparse!].map((c) => c.settings.ceilBytesPerSecond)).toEqual([
          rateBytesPerSecond,
          rateBytesPerSecond,
        ]);
        expect(sparse!.settings.priority).toBeLessThan(bulk!.settings.priority);
      }),
    );
    const slots = Array.from({ length: 300 }, (_, slot) => Object.values(podClasses(slot))).flat();
    expect(new Set(slots).size).toBe(900);
  });
});

describe('limits of fq', () => {
  it('are those that were measured up to 100 Mbit/s of full packets and beyond', () => {
    expect(fqSettings([])).toEqual({ kind: 'fq', limit: 40_000, flowLimit: 4000, orphanMask: 65_535 });
    // 1.2 x 40 ms x 12.5 MB/s / 64 bytes.
    expect(fqSettings([mbit(100)]).flowLimit).toBe(9375);
  });

  it('hold what the program lets wait: full packets at any rate, small ones up to 1 Gbit/s a pod', () => {
    const rate = fc.bigInt({ min: 8000n, max: 50_000_000_000n });
    fc.assert(
      fc.property(fc.array(rate, { minLength: 1, maxLength: 110 }), (rates) => {
        const { limit, flowLimit } = fqSettings(rates);
        const waiting = (bytesPerSecond: bigint, packet: number): number => (0.04 * Number(bytesPerSecond)) / packet;
        for (const r of rates) {
          expect(flowLimit).toBeGreaterThanOrEqual(waiting(r, 1442));
          if (r <= mbit(1000)) expect(flowLimit).toBeGreaterThanOrEqual(waiting(r, 64));
        }
        expect(limit).toBeGreaterThanOrEqual(rates.reduce((sum, r) => sum + waiting(r, 1442), 0));
        expect(limit).toBeGreaterThanOrEqual(2 * flowLimit);
      }),
    );
  });
});

describe('whatever is wanted, one thing after another', () => {
  const foreignKinds = fc.constantFrom(tbf, { ...tbf, handle: ROOT_HANDLE }, {
    kind: 'fq',
    handle: tcHandle(0x8003),
    options: { kind: 'fq', orphanMask: 1023, limit: 10_000 },
  } as const);
  const need = (ifindex: number): fc.Arbitrary<DeviceNeed | undefined> =>
    fc.oneof(
      fc.constant(undefined),
      fc.array(fc.integer({ min: 1, max: 10_000 }), { maxLength: 4 }).map((rates) => pace(ifindex, ...rates)),
      fc
        .uniqueArray(fc.nat(9), { maxLength: 4 })
        .map((slots) => shape(ifindex, ...slots.map((slot): [number, number] => [slot, 10 * slot + 1]))),
    );
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.tuple(need(2), need(3), need(10), need(11)).map((needs) => ({ needs })) },
    { weight: 1, arbitrary: fc.record({ foreign: fc.constantFrom(2, 3, 10, 11), qdisc: foreignKinds }) },
  );

  it('the devices have it, the rest is as the kernel made it, foreign roots are as they were, and so it is after detaching', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 8 }), (steps) => {
        const kernel = node();
        const untouched = new Map([2, 3, 10, 11].map((ifindex) => [ifindex, show(kernel, ifindex)]));
        const foreign = new Map<number, string>();
        for (const one of steps) {
          if ('foreign' in one) {
            kernel.setForeignRoot(one.foreign, one.qdisc);
            foreign.set(one.foreign, JSON.stringify(kernel.devices.get(one.foreign)));
            continue;
          }
          const needs = one.needs.filter((n) => n !== undefined);
          const plan = settle(kernel, needs);
          for (const ifindex of [2, 3, 10, 11]) {
            const device = kernel.devices.get(ifindex)!;
            const wanted = needs.find((n) => n.ifindex === ifindex);
            if (foreign.has(ifindex)) {
              expect(JSON.stringify(device)).toBe(foreign.get(ifindex));
              if (wanted !== undefined) expect(plan.verdicts.get(ifindex)?.state).toBe('foreign');
            } else if (wanted === undefined) {
              expect(show(kernel, ifindex)).toBe(untouched.get(ifindex));
            } else if (wanted.mode === 'pace') {
              const fqs = device.qdiscs.filter((q) => q.kind === 'fq');
              expect(fqs).toHaveLength(device.queues);
              for (const fq of fqs) expect(fq.options).toMatchObject(fqSettings(wanted.podRates));
            } else {
              const classes = wanted.pods.flatMap(wantedClasses);
              expect(new Set(device.classes.map((c) => c.classId))).toEqual(new Set(classes.map((c) => c.classId)));
              for (const c of classes) {
                expect(device.classes.find((d) => d.classId === c.classId)!.settings).toEqual(c.settings);
                expect(device.qdiscs.find((q) => q.parent === c.classId)?.options).toEqual(c.leaf);
              }
            }
          }
        }
        settle(kernel, []);
        for (const [ifindex, before] of untouched) {
          if (foreign.has(ifindex)) expect(JSON.stringify(kernel.devices.get(ifindex))).toBe(foreign.get(ifindex));
          else expect(show(kernel, ifindex)).toBe(before);
        }
      }),
      { numRuns: 150 },
    );
  });
});
