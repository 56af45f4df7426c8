/** Fetches and builds what the guests need, for the kernels that are named. Exit status 3: it cannot be had here. */
import type { KernelName } from './guest/kernels.ts';
import { NotPossible } from './guest/not-possible.ts';
import { prepareGuests } from './guest/prepare.ts';

try {
  await prepareGuests(process.argv.slice(2) as KernelName[]);
} catch (error) {
  if (!(error instanceof NotPossible)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 3;
}
