import { defineConfig } from 'vitest/config';
import { controlPlaneTests, kernelTests, pacingTests, testAll } from './scripts/test-scope.ts';

const kernel = kernelTests();
const controlPlane = controlPlaneTests();
const pacing = pacingTests();
if (process.env['VITEST'] === undefined) {
  if (!kernel.run) process.stderr.write(`test/kernel is skipped: ${kernel.reason}\n`);
  if (!controlPlane.run) process.stderr.write(`test/control-plane is skipped: ${controlPlane.reason}\n`);
  if (!pacing.run) process.stderr.write(`test/pacing is skipped: ${pacing.reason}\n`);
}

/** `*.slow.test.ts` takes minutes: only `make test-all` runs it. */
const slow = testAll() ? [] : ['test/**/*.slow.test.ts'];

/** Half of the files of test/kernel by their time. Each has namespaces of its own, and mostly waits for traffic. */
const limits = ['test/kernel/limits-{agent,detach,hooks,pins,random,ways}.test.ts'];

export default defineConfig({
  test: {
    // Most machines that build this have two cores, and agents, schedulers and namespaces run beside the tests.
    maxWorkers: 2,
    // One process per file: a fault in native code (koffi) stops one file, not the run.
    pool: 'forks',
    // By default a second, for which a busy machine may stop a process.
    expect: { poll: { timeout: 30_000 } },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/kernel/**', 'test/control-plane/**', 'test/pacing/*.test.ts', ...slow],
          // On a busy machine a start of Node takes seconds.
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'kernel',
          include: kernel.run ? ['test/kernel/**/*.test.ts'] : [],
          exclude: [...slow, ...limits],
          // Collectors see the whole machine: one file at a time.
          maxWorkers: 1,
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'limits',
          include: kernel.run ? limits : [],
          exclude: slow,
          // What they measure is the time that packets take: one file at a time.
          maxWorkers: 1,
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: 'control-plane',
          include: controlPlane.run ? ['test/control-plane/**/*.test.ts'] : [],
          exclude: slow,
          // Each file starts a control plane of its own: 1 GB, and half a core on average, for much of the time is waiting.
          maxWorkers: 2,
          // Several restarts of an API server, each of which clients notice after up to half a minute.
          testTimeout: 300_000,
          hookTimeout: 240_000,
          sequence: { groupOrder: 3 },
        },
      },
      {
        extends: true,
        test: {
          name: 'pacing',
          include: pacing.run ? ['test/pacing/*.test.ts'] : [],
          exclude: slow,
          // Each file runs two guests, which take a core each.
          maxWorkers: 1,
          fileParallelism: false,
          // Kernels may have to be fetched, and QEMU installed.
          hookTimeout: 600_000,
          sequence: { groupOrder: 4 },
        },
      },
    ],
  },
});
