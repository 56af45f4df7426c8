import { expect, it } from 'vitest';
import { PastPod } from '../../bandwidth/status/past-pod.ts';
import { stat } from './stat-fixture.ts';

/** Counters after so many packets that met from_pod, of which some were exempt, and so many that only an uplink saw. */
const after = (met: bigint, exempt: bigint, only: bigint, dropped = 0n): ReturnType<typeof stat> =>
  stat({
    offeredPackets: met,
    exemptPackets: exempt,
    packets: met - exempt + only - dropped,
    droppedPackets: dropped,
  });

it('packets that only an uplink sees are told from those that were counted before, and only while from_pod is bypassed', () => {
  const past = new PastPod();
  past.add(after(1000n, 10n, 5000n), true);
  expect(past.isSeenAtUplinks).toBe(false);
  past.add(after(3000n, 20n, 5009n, 500n), true);
  expect(past.isSeenAtUplinks).toBe(false);
  past.add(after(3000n, 20n, 5500n, 700n), false);
  expect(past.isSeenAtUplinks).toBe(false);
  past.add(after(3000n, 20n, 6000n, 900n), true);
  expect(past.isSeenAtUplinks).toBe(true);
  // It does not have to send all the time.
  past.add(after(3000n, 20n, 6000n, 900n), true);
  expect(past.isSeenAtUplinks).toBe(true);
  past.add(after(3000n, 20n, 6000n, 900n), false);
  past.add(after(3000n, 20n, 6000n, 900n), true);
  expect(past.isSeenAtUplinks).toBe(false);
});
