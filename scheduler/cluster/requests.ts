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

function amountOf(resources: unknown): Amount {
  const requests = asObject(asObject(resources)?.['requests']);
  return {
    cpu: whole(parseMilliQuantity(requests?.['cpu'])),
    memory: whole(parseQuantity(requests?.['memory'])),
  };
}

/**
 * What a pod asks of a node, as kube-scheduler counts it: the larger of (containers + sidecars) and of each init
 * container with the sidecars started before it, plus overhead; requests of the pod itself win over those of its containers
 * (KEP-753 "Resources calculation for scheduling", KEP-2837). Malformed quantities count as zero.
 */
export function podRequests(spec: unknown): Resources {
  const pod = asObject(spec);
  const running: Amount = { cpu: 0, memory: 0 };
  for (const container of asArray(pod?.['containers'])) {
    const amount = amountOf(asObject(container)?.['resources']);
    running.cpu += amount.cpu;
    running.memory += amount.memory;
  }
  const sidecars: Amount = { cpu: 0, memory: 0 };
  const init: Amount = { cpu: 0, memory: 0 };
  for (const entry of asArray(pod?.['initContainers'])) {
    const container = asObject(entry);
    const amount = amountOf(container?.['resources']);
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
  const ownAmount = amountOf(pod?.['resources']);
  const overhead = amountOf({ requests: pod?.['overhead'] });
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
