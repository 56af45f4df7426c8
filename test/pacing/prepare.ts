/** Fetches and builds what the guests need, for the kernels that are named. */
import type { KernelName } from './guest/kernels.ts';
import { prepareGuests } from './guest/prepare.ts';

await prepareGuests(process.argv.slice(2) as KernelName[]);
