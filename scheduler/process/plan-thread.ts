// Entry of the planner's thread: one plan, then it ends, and its memory with it.
import { parentPort, workerData } from 'node:worker_threads';
import { lowerThreadPriority } from '../../lib/thread-priority.ts';
import { planPlacement } from '../plan/plan.ts';
import type { FromPlanner, PlanJob } from './plan-messages.ts';

lowerThreadPriority();
const port = parentPort!;
const post = (message: FromPlanner): void => port.postMessage(message);

const { problem, options } = workerData as PlanJob;
const from = process.threadCpuUsage();
const plan = planPlacement(problem, options, (progress) => post({ type: 'progress', progress }));
const { user, system } = process.threadCpuUsage(from);
post({ type: 'plan', plan, cpuSeconds: (user + system) / 1e6 });
