import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseCounters, type PodCounters } from './traffic/counters.ts';
import type { Reading, UplinkCounters } from './crossing.ts';
import { buildMatrix, type TrueMatrix } from './matrix.ts';
import { signal } from './processes.ts';
import { countersFile, type Lab, type LabNode, type LabPod } from './state.ts';

/** A process answers within a millisecond or two; a loaded machine may take longer. */
const ANSWER_MS = 2000;

export async function readCountersFile(lab: Lab, process: string): Promise<PodCounters | undefined> {
  try {
    return parseCounters(await readFile(countersFile(lab, process), 'utf8'));
  } catch {
    return undefined;
  }
}

/** Counters of all pods, asked for now; those of pods that are gone are their last. By pod name. */
export async function readCounters(lab: Lab): Promise<Map<string, PodCounters>> {
  const out = new Map<string, PodCounters>();
  await Promise.all([
    ...lab.state.pods.map(async (pod) => {
      const fresh = await freshCounters(lab, pod);
      if (fresh !== undefined) out.set(pod.name, fresh);
    }),
    ...lab.state.retired.map(async (pod) => {
      const last = await readCountersFile(lab, pod.name);
      if (last !== undefined) out.set(pod.name, last);
    }),
  ]);
  return out;
}

async function freshCounters(lab: Lab, pod: LabPod): Promise<PodCounters | undefined> {
  const before = await readCountersFile(lab, pod.name);
  if (pod.process === undefined || !signal(pod.process, 'SIGUSR1')) return before;
  for (let waited = 0; waited < ANSWER_MS; waited += 5) {
    await sleep(5);
    const now = await readCountersFile(lab, pod.name);
    if (now !== undefined && now.sequence > (before?.sequence ?? 0)) return now;
  }
  return before;
}

/**
 * The true matrix: exact counters of the generator, both as its clients and as its servers counted. While traffic
 * runs, the pods are read some milliseconds apart; after pauseTraffic() both views agree to the byte.
 */
export async function trueMatrix(lab: Lab): Promise<TrueMatrix> {
  return buildMatrix(lab.state, await readCounters(lab));
}

/** True matrix and uplink counters, for crossingBetween(). */
export async function readLab(lab: Lab): Promise<Reading> {
  const matrix = await trueMatrix(lab);
  const uplinks = await Promise.all(lab.state.nodes.map(readUplink));
  return { atMs: Date.now(), matrix, uplinks };
}

/** Counters of a node's uplink, from the /proc of the process that holds the node's namespace. */
export async function readUplink(node: LabNode): Promise<UplinkCounters> {
  let text = '';
  try {
    if (node.holder !== undefined) text = await readFile(`/proc/${node.holder.pid}/net/dev`, 'utf8');
  } catch {
    // The holder is gone: zeros, as for a device that is not there.
  }
  for (const line of text.split('\n')) {
    const [name, figures] = line.split(':');
    if (name?.trim() !== node.uplink || figures === undefined) continue;
    const f = figures.trim().split(/\s+/).map(Number);
    return { node: node.name, rxBytes: f[0] ?? 0, txBytes: f[8] ?? 0, txPackets: f[9] ?? 0 };
  }
  return { node: node.name, rxBytes: 0, txBytes: 0, txPackets: 0 };
}
