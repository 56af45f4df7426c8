import type { Case } from './case.ts';
import { DATAGRAMS } from './datagrams.ts';
import { LATENCY, LATENCY_OF_RATES } from './latency.ts';

/**
 * A single flow of BBR (the first version) with a round trip of 50 us takes its losses for a policer's, sends at less than
 * the limit, and is then misled by the speed at which packets pass an empty queue: 61 to 97 % were seen. What is judged is that the
 * limit holds.
 */
const BBR_ALONE = { min: 50, max: 101 };

/** Case 23: cases 3, 4 and 14 where the kernel has no sch_fq, so that HTB holds packets back. */
export const WITHOUT_FQ: readonly Case[] = [...LATENCY, ...LATENCY_OF_RATES, ...DATAGRAMS]
  .filter(({ number, shift }) => [3, 4, 14].includes(number) && shift === 1)
  .map((entry): Case => {
    const { ci: _ci, ...rest } = entry;
    const expected = entry.id === '4-bbr-1-10' ? { ...entry.expected, wirePercent: BBR_ALONE } : entry.expected;
    return { ...rest, expected, id: `23-${entry.id}`, number: 23, what: `by HTB: ${entry.what}`, without: ['sch_fq'] };
  });
