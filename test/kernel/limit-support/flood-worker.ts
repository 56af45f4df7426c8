import koffi from 'koffi';
import { parentPort, workerData } from 'node:worker_threads';
import { Lifetime } from '../../../lib/bpf/lifetime.ts';
import { LoadedProgram } from '../../../lib/bpf/program.ts';

export interface FloodTask {
  /** Of the program; descriptors belong to the process. */
  readonly fd: number;
  readonly cpu: number;
  readonly repeat: number;
  readonly frame: Uint8Array;
  readonly ctx: Uint8Array;
  /** [0] counts the workers that are ready, [1] becomes 1 when they are to start. */
  readonly gate: Int32Array;
}

const task = workerData as FloodTask;
// Not taskset(1): the signal of a child's end would break off the run.
const setAffinity = koffi.load('libc.so.6').func('int sched_setaffinity(int pid, size_t size, const uint8_t *mask)');
if (setAffinity(0, 8, new Uint8Array(new BigUint64Array([1n << BigInt(task.cpu)]).buffer)) !== 0) {
  throw new Error(`this thread cannot be pinned to CPU ${task.cpu}`);
}

const lifetime = new Lifetime('the program of another thread', () => undefined);
const spec = { name: 'flood', section: 'tc', fd: task.fd, attachType: 0 };
const program = new LoadedProgram(spec, lifetime, () => undefined);
program.testRun(task.frame, 1000, task.ctx);

Atomics.add(task.gate, 0, 1);
while (Atomics.load(task.gate, 1) === 0);
parentPort?.postMessage(program.testRun(task.frame, task.repeat, task.ctx).durationNs);
