import { defineConfig } from 'vitest/config';
import { kernelTests, testAll } from './scripts/test-scope.ts';

const kernel = kernelTests();
if (!kernel.run && process.env['VITEST'] === undefined) {
  process.stderr.write(`test/kernel is skipped: ${kernel.reason}\n`);
}

/** `*.slow.test.ts` takes minutes: only `make test-all` runs it. */
const slow = testAll() ? [] : ['test/**/*.slow.test.ts'];

export default defineConfig({
  test: {
    // Most machines that build this have two cores, and agents, schedulers and namespaces run beside the tests.
    maxWorkers: 2,
    // One process per file: a fault in native code (koffi) stops one file, not the run.
    pool: 'forks',
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/kernel/**', ...slow],
          testTimeout: 20_000,
          hookTimeout: 20_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'kernel',
          include: kernel.run ? ['test/kernel/**/*.test.ts'] : [],
          exclude: slow,
          // Programs, namespaces and the sysctl that counts program runs belong to the whole machine: one file at a time.
          maxWorkers: 1,
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
