import type { Case } from './case.ts';
import { DATAGRAMS } from './datagrams.ts';
import { LATENCY, LATENCY_OF_RATES } from './latency.ts';

/** Case 23: cases 3, 4 and 14 where the kernel has no sch_fq, so that HTB holds packets back. */
export const WITHOUT_FQ: readonly Case[] = [...LATENCY, ...LATENCY_OF_RATES, ...DATAGRAMS]
  .filter(({ number, shift }) => [3, 4, 14].includes(number) && shift === 1)
  .map((entry): Case => {
    const { ci: _ci, ...rest } = entry;
    return { ...rest, id: `23-${entry.id}`, number: 23, what: `by HTB: ${entry.what}`, without: ['sch_fq'] };
  });
