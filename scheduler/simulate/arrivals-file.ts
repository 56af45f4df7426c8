import { readFile } from 'node:fs/promises';
import { NetloomError } from '../../lib/errors.ts';
import { fileProblem } from '../../lib/files/file-problem.ts';
import { excerpt } from '../../lib/json/json-access.ts';
import type { SimulatedCluster } from './cluster.ts';

export interface ArrivalsFile {
  /** Pods, by index. */
  readonly order: Int32Array;
  /** Pods to place that the file does not name: they do not arrive. */
  readonly leftOut: number;
  /** Names of pods that are fixed, or at their end. */
  readonly ignored: number;
}

/**
 * Reads a JSON list of "namespace/pod" in the order of arrival.
 * @throws NetloomError ARRIVALS_INVALID
 */
export async function readArrivals(path: string, cluster: SimulatedCluster): Promise<ArrivalsFile> {
  const list = await readList(path);
  const { pods, otherPods } = cluster;
  const index = new Map(pods.names.map((name, p) => [name, p]));
  const order: number[] = [];
  const seen = new Uint8Array(pods.count);
  let ignored = 0;
  for (const [i, name] of list.entries()) {
    const place = `${path}, entry ${String(i + 1)}`;
    const pod = typeof name === 'string' ? index.get(name) : undefined;
    if (pod === undefined) {
      if (typeof name === 'string' && otherPods.has(name)) {
        ignored++;
        continue;
      }
      throw invalid('the list names a pod that the cluster does not have', place, '"namespace/pod"', excerpt(name));
    }
    if (seen[pod] === 1) throw invalid('the list names a pod twice', place, 'each pod once', excerpt(name));
    seen[pod] = 1;
    order.push(pod);
  }
  return { order: Int32Array.from(order), leftOut: pods.count - order.length, ignored };
}

async function readList(path: string): Promise<readonly unknown[]> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw invalid(
      'the list of arrivals cannot be read',
      path,
      'a JSON list of "namespace/pod"',
      fileProblem(error),
      error,
    );
  }
  if (!Array.isArray(value)) {
    throw invalid('this is no list of arrivals', path, 'a JSON list of "namespace/pod"', excerpt(value));
  }
  return value as unknown[];
}

function invalid(message: string, place: string, expected: string, found: string, cause?: unknown): NetloomError {
  return new NetloomError('ARRIVALS_INVALID', message, {
    place,
    expected,
    found,
    ...(cause === undefined ? {} : { cause }),
  });
}
