import { ACCURACY } from './accuracy.ts';
import type { Case } from './case.ts';
import { DATAGRAMS } from './datagrams.ts';
import { LATENCY, LATENCY_OF_RATES, SPARSE_AND_ECN } from './latency.ts';
import { ON_ONE_NODE } from './same-node.ts';

/** Every case, in the order in which they are run and shown. */
export const CASES: readonly Case[] = [...ACCURACY, ...LATENCY, ...LATENCY_OF_RATES, ...SPARSE_AND_ECN, ...ON_ONE_NODE, ...DATAGRAMS];
