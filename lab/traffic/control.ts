import { setTimeout as sleep } from 'node:timers/promises';
import { readCountersFile } from '../counters-read.ts';
import { signal } from '../processes.ts';
import { planFile, saveState, writeAtomically, type Lab, type LabPod } from '../state.ts';
import type { PodCounters } from './counters.ts';
import { trafficPlan } from './plan.ts';

const IN_FORCE_MS = 5000;
/** Longer than pod.c lets an unanswered request stand (REQUEST_TIMEOUT). */
const QUIET_MS = 12_000;

/** Starts or goes on with all traffic. Resolves when every pod has begun. */
export async function startTraffic(lab: Lab): Promise<void> {
  await setTraffic(lab, { paused: false });
}

/**
 * Stops all traffic, leaving connections open, and waits until no request is under way: from then on the counters of
 * clients and servers stand still and agree.
 */
export async function pauseTraffic(lab: Lab): Promise<void> {
  await setTraffic(lab, { paused: true });
  await until(lab, QUIET_MS, (c) => c.client.every((e) => e.busy === 0));
}

/** Changes the rates of all edges: `rateFactor` times those of the scenario. */
export async function setTraffic(
  lab: Lab,
  change: { readonly paused?: boolean; readonly rateFactor?: number },
): Promise<void> {
  lab.state.paused = change.paused ?? lab.state.paused;
  lab.state.rateFactor = change.rateFactor ?? lab.state.rateFactor;
  lab.state.generation++;
  await saveState(lab);
  await Promise.all(running(lab).map((pod) => writeAtomically(planFile(lab, pod.name), trafficPlan(lab.state, pod))));
  for (const pod of running(lab)) signal(pod.process!, 'SIGHUP');
  await until(lab, IN_FORCE_MS, (c) => c.generation === lab.state.generation);
}

function running(lab: Lab): LabPod[] {
  return lab.state.pods.filter((p) => p.process !== undefined);
}

/** Waits until the counters of every pod that still runs fulfil `condition`, or `ms` have gone. */
async function until(lab: Lab, ms: number, condition: (c: PodCounters) => boolean): Promise<void> {
  let waiting = running(lab);
  for (let waited = 0; waited < ms && waiting.length > 0; waited += 20) {
    const still: LabPod[] = [];
    for (const pod of waiting) {
      const counters = await readCountersFile(lab, pod.name);
      if (counters !== undefined && condition(counters)) continue;
      if (signal(pod.process!, 'SIGUSR1')) still.push(pod);
    }
    waiting = still;
    if (waiting.length > 0) await sleep(20);
  }
}
