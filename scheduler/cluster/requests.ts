import { parseMilliQuantity, parseQuantity, roundUp } from '../../lib/quantity.ts';
import { asArray, asObject, asText } from '../../lib/json/json-access.ts';
import type { Resources } from './model.ts';

interface Amount {
  cpu: number;
  memory: number;
}

/** Whole and exact, so that an export reads back as it was: nobody has 9 PB of memory, or as many thousandths of a CPU. */
function whole(value: number | undefined): number {
  return Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, roundUp(value ?? 0)));
}

const NOTHING: Amount = { cpu: 0, memory: 0 };
/** What kube-scheduler's scores count for a container that asks for none (pkg/scheduler/util/pod_resources.go). */
const UNSTATED: Amount = { cpu: 100, memory: 200 * 2 ** 20 };

/** @param unstated what counts where nothing is asked for */
function amountOf(resources: unknown, unstated: Amount): Amount {
  const requests = asObject(asObject(resources)?.['requests']);
  const [cpu, memory] = [requests?.['cpu'], requests?.['memory']];
  return {
    cpu: cpu === undefined ? unstated.cpu : whole(parseMilliQuantity(cpu)),
    memory: memory === undefined ? unstated.memory : whole(parseQuantity(memory)),
  };
}

/**
 * What a pod asks of a node, as kube-scheduler counts it: the larger of (containers + sidecars) and of each init
 * container with the sidecars started before it, plus overhead; requests of the pod itself win over those of its containers
 * (KEP-753 "Resources calculation for scheduling", KEP-2837). Malformed quantities count as zero.
 */
export function podRequests(spec: unknown): Resources {
  return requestsOf(spec, NOTHING);
}

/** The same for kube-scheduler's LeastAllocated score, where a container that asks for no CPU (memory) counts as 100m (200Mi). */
export function podScoredRequests(spec: unknown): Resources {
  return requestsOf(spec, UNSTATED);
}

function requestsOf(spec: unknown, unstated: Amount): Resources {
  const pod = asObject(spec);
  const running: Amount = { cpu: 0, memory: 0 };
  for (const container of asArray(pod?.['containers'])) {
    const amount = amountOf(asObject(container)?.['resources'], unstated);
    running.cpu += amount.cpu;
    running.memory += amount.memory;
  }
  const sidecars: Amount = { cpu: 0, memory: 0 };
  const init: Amount = { cpu: 0, memory: 0 };
  for (const entry of asArray(pod?.['initContainers'])) {
    const container = asObject(entry);
    const amount = amountOf(container?.['resources'], unstated);
    if (asText(container?.['restartPolicy']) === 'Always') {
      sidecars.cpu += amount.cpu;
      sidecars.memory += amount.memory;
      init.cpu = Math.max(init.cpu, sidecars.cpu);
      init.memory = Math.max(init.memory, sidecars.memory);
    } else {
      init.cpu = Math.max(init.cpu, sidecars.cpu + amount.cpu);
      init.memory = Math.max(init.memory, sidecars.memory + amount.memory);
    }
  }
  const own = asObject(asObject(pod?.['resources'])?.['requests']);
  const ownAmount = amountOf(pod?.['resources'], NOTHING);
  const overhead = amountOf({ requests: pod?.['overhead'] }, NOTHING);
  const cpu = own?.['cpu'] === undefined ? Math.max(running.cpu + sidecars.cpu, init.cpu) : ownAmount.cpu;
  const memory =
    own?.['memory'] === undefined ? Math.max(running.memory + sidecars.memory, init.memory) : ownAmount.memory;
  return { milliCpu: whole(cpu + overhead.cpu), memoryBytes: whole(memory + overhead.memory), pods: 1 };
}

/** A node's allocatable (or, absent, capacity). `pods` is 0 where nothing is stated. */
export function nodeAllocatable(status: unknown): Resources {
  const object = asObject(status);
  const amount = asObject(object?.['allocatable']) ?? asObject(object?.['capacity']);
  return {
    milliCpu: whole(parseMilliQuantity(amount?.['cpu'])),
    memoryBytes: whole(parseQuantity(amount?.['memory'])),
    pods: whole(parseQuantity(amount?.['pods'])),
  };
}

/** What kube-scheduler's LeastAllocated score counts for a pod: without better knowledge, the pod is one container. */
export function scoredRequests(pod: { readonly requests: Resources; readonly scored?: Resources }): Resources {
  if (pod.scored !== undefined) return pod.scored;
  const { milliCpu, memoryBytes, pods } = pod.requests;
  return { milliCpu: milliCpu || UNSTATED.cpu, memoryBytes: memoryBytes || UNSTATED.memory, pods };
}
