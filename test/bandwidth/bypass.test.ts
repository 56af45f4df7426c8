import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BypassWatch } from '../../bandwidth/status/bypass.ts';

const passage = (packets: number, bytes = packets * 1000): { packets: bigint; bytes: bigint } => ({
  packets: BigInt(packets),
  bytes: BigInt(bytes),
});

/** Looks after each step of what passed the interface and what came to the hook, starting from some history. */
function watched(...steps: [interfacePackets: number, hookPackets: number][]): BypassWatch {
  const watch = new BypassWatch();
  let [atInterface, atHook] = [123_456, 7];
  watch.add(passage(atInterface), passage(atHook));
  for (const [passed, seen] of steps) {
    atInterface += passed;
    atHook += seen;
    watch.add(passage(atInterface), passage(atHook));
  }
  return watch;
}
const state = ({ suspected, bypassed }: BypassWatch): [boolean, boolean] => [suspected, bypassed];

describe('packets that do not come to our program', () => {
  it('raise a suspicion at once, and are told the second time', () => {
    expect(state(watched())).toEqual([false, false]);
    expect(state(watched([100, 0]))).toEqual([true, false]);
    expect(state(watched([100, 0], [100, 0]))).toEqual([true, true]);
    expect(state(watched([100, 0], [100, 100]))).toEqual([false, false]);
    expect(state(watched([100, 0], [100, 0], [100, 99]))).toEqual([false, false]);
  });

  it('of before the first look do not count', () => {
    const watch = new BypassWatch();
    watch.add(passage(1_000_000), passage(0));
    expect(state(watch)).toEqual([false, false]);
  });

  it('too few of them say nothing, and change nothing', () => {
    expect(state(watched([49, 0], [49, 0], [49, 0]))).toEqual([false, false]);
    expect(state(watched([100, 0], [100, 0], [10, 10]))).toEqual([true, true]);
  });

  it('are a sign only where bytes are missing too: GRO joins packets, and super-packets are counted with all headers', () => {
    const watch = new BypassWatch();
    watch.add(passage(0), passage(0));
    watch.add(passage(44_000, 44_000 * 1514), passage(1000, 44_000 * 1500));
    watch.add(passage(88_000, 88_000 * 1514), passage(2000, 88_000 * 1500));
    expect(state(watch)).toEqual([false, false]);
  });

  it('are forgotten when who was before us is gone', () => {
    const watch = watched([100, 0], [100, 0]);
    watch.clear();
    expect(state(watch)).toEqual([false, false]);
  });

  it('where most come to us nobody is suspected', () => {
    const step = fc
      .integer({ min: 0, max: 1e6 })
      .chain((passed) => fc.tuple(fc.constant(passed), fc.integer({ min: Math.ceil(passed / 2), max: passed + 10 })));
    fc.assert(fc.property(fc.array(step), (steps) => !watched(...steps).suspected));
  });
});
