import { parseMilliQuantity, parseQuantity, roundUp } from '../../lib/quantity.ts';
import { asArray, asObject, asText, excerpt } from '../../lib/json/json-access.ts';
import type { Resources } from './model.ts';

interface Amount {
  cpu: number;
  memory: number;
}

/** Whole and exact, so that an export reads back as it was: nobody has 9 PB of memory, or as many thousandths of a CPU. */
function whole(value: number | undefined): number {
  return Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, roundUp(value ?? 0)));
}

/** Is told of a quantity that cannot be used: where it stands, what was found, what is expected. */
export type NoteQuantity = (problem: string) => void;

/** undefined: nothing is stated, or what is cannot be used, and is told. */
function quantity(
  stated: unknown,
  parse: (value: unknown) => number | undefined,
  place: string,
  note: NoteQuantity | undefined,
): number | undefined {
  if (stated === undefined || stated === null) return undefined;
  const value = parse(stated);
  if (value !== undefined && value >= 0) return value;
  note?.(`${place} is ${excerpt(stated)}, expected a quantity of 0 or more; 0 counts`);
  return undefined;
}

const NOTHING: Amount = { cpu: 0, memory: 0 };
/** What kube-scheduler's scores count for a container that asks for none (pkg/scheduler/util/pod_resources.go). */
const UNSTATED: Amount = { cpu: 100, memory: 200 * 2 ** 20 };

/** @param unstated what counts where nothing is asked for */
function amountOf(requests: unknown, unstated: Amount, place: string, note: NoteQuantity | undefined): Amount {
  const { cpu, memory } = asObject(requests) ?? {};
  return {
    cpu: cpu === undefined ? unstated.cpu : whole(quantity(cpu, parseMilliQuantity, `${place}.cpu`, note)),
    memory: memory === undefined ? unstated.memory : whole(quantity(memory, parseQuantity, `${place}.memory`, note)),
  };
}

function requestsIn(resources: unknown): unknown {
  return asObject(resources)?.['requests'];
}

/**
 * What a pod asks of a node, as kube-scheduler counts it: the larger of (containers + sidecars) and of each init
 * container with the sidecars started before it, plus overhead; requests of the pod itself win over those of its containers
 * (KEP-753 "Resources calculation for scheduling", KEP-2837). Malformed and negative quantities count as zero.
 */
export function podRequests(spec: unknown, note?: NoteQuantity): Resources {
  return requestsOf(spec, NOTHING, note);
}

/** The same for kube-scheduler's LeastAllocated score, where a container that asks for no CPU (memory) counts as 100m (200Mi). */
export function podScoredRequests(spec: unknown): Resources {
  return requestsOf(spec, UNSTATED, undefined);
}

function requestsOf(spec: unknown, unstated: Amount, note: NoteQuantity | undefined): Resources {
  const pod = asObject(spec);
  const running: Amount = { cpu: 0, memory: 0 };
  for (const container of asArray(pod?.['containers'])) {
    const requests = requestsIn(asObject(container)?.['resources']);
    const amount = amountOf(requests, unstated, 'spec.containers.resources.requests', note);
    running.cpu += amount.cpu;
    running.memory += amount.memory;
  }
  const sidecars: Amount = { cpu: 0, memory: 0 };
  const init: Amount = { cpu: 0, memory: 0 };
  for (const entry of asArray(pod?.['initContainers'])) {
    const container = asObject(entry);
    const requests = requestsIn(container?.['resources']);
    const amount = amountOf(requests, unstated, 'spec.initContainers.resources.requests', note);
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
  const own = asObject(requestsIn(pod?.['resources']));
  const ownAmount = amountOf(own, NOTHING, 'spec.resources.requests', note);
  const overhead = amountOf(pod?.['overhead'], NOTHING, 'spec.overhead', note);
  const cpu = own?.['cpu'] === undefined ? Math.max(running.cpu + sidecars.cpu, init.cpu) : ownAmount.cpu;
  const memory =
    own?.['memory'] === undefined ? Math.max(running.memory + sidecars.memory, init.memory) : ownAmount.memory;
  return { milliCpu: whole(cpu + overhead.cpu), memoryBytes: whole(memory + overhead.memory), pods: 1 };
}

/** A node's allocatable (or, absent, capacity). `pods` is 0 where nothing is stated. */
export function nodeAllocatable(status: unknown, note?: NoteQuantity): Resources {
  const object = asObject(status);
  const stated = asObject(object?.['allocatable']);
  const place = stated === undefined ? 'status.capacity' : 'status.allocatable';
  const amount = stated ?? asObject(object?.['capacity']);
  return {
    milliCpu: whole(quantity(amount?.['cpu'], parseMilliQuantity, `${place}.cpu`, note)),
    memoryBytes: whole(quantity(amount?.['memory'], parseQuantity, `${place}.memory`, note)),
    pods: whole(quantity(amount?.['pods'], parseQuantity, `${place}.pods`, note)),
  };
}

/** What kube-scheduler's LeastAllocated score counts for a pod: without better knowledge, the pod is one container. */
export function scoredRequests(pod: { readonly requests: Resources; readonly scored?: Resources }): Resources {
  if (pod.scored !== undefined) return pod.scored;
  const { milliCpu, memoryBytes, pods } = pod.requests;
  return { milliCpu: milliCpu || UNSTATED.cpu, memoryBytes: memoryBytes || UNSTATED.memory, pods };
}
