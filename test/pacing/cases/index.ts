import { ACCURACY } from './accuracy.ts';
import type { Case } from './case.ts';
import { CHANGES } from './changes.ts';
import { DATAGRAMS } from './datagrams.ts';
import { HOSTILE } from './hostile.ts';
import { WITHOUT_FQ } from './htb.ts';
import { LATENCY, LATENCY_OF_RATES, SPARSE_AND_ECN } from './latency.ts';
import { ON_NETKIT } from './netkit.ts';
import { PATHS } from './paths.ts';
import { PROGRAMS } from './programs.ts';
import { ON_ONE_NODE } from './same-node.ts';
import { SUPER_PACKETS } from './super-packets.ts';

/** Every case, in the order in which they are run and shown. */
export const CASES: readonly Case[] = [
  ...ACCURACY,
  ...LATENCY,
  ...LATENCY_OF_RATES,
  ...SPARSE_AND_ECN,
  ...ON_ONE_NODE,
  ...ON_NETKIT,
  ...PATHS,
  ...CHANGES,
  ...DATAGRAMS,
  ...SUPER_PACKETS,
  ...PROGRAMS,
  ...WITHOUT_FQ,
  ...HOSTILE,
];
