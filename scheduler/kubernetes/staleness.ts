import { DEFAULT_REFLECTOR_LIMITS } from '../../lib/kube/reflector.ts';
import { humanDuration } from '../../lib/output/index.ts';
import type { KubeSourceStatus } from './kube-source.ts';

/** Ages are told in steps, so that the sentence changes now and then, not all the time. */
const STEP_MS = 10_000;

/**
 * For people: how old what is known of the cluster is, and why; undefined: it is the API server's state of now. A quiet
 * watch brings a bookmark a minute; what is silent for two is old even before the watch itself is given up. Pure.
 */
export function staleSentence({ ageMs, faults }: Pick<KubeSourceStatus, 'ageMs' | 'faults'>): string | undefined {
  if (faults.length === 0 && (ageMs === undefined || ageMs < DEFAULT_REFLECTOR_LIMITS.idleMs)) return undefined;
  const age =
    ageMs === undefined
      ? 'of unknown age'
      : ageMs < STEP_MS
        ? 'some seconds old'
        : `${humanDuration(Math.floor(ageMs / STEP_MS) * STEP_MS)} old`;
  const [first, ...others] = faults;
  const kinds = others.length === 0 ? '' : ` (and ${others.length} more)`;
  const why =
    first === undefined
      ? 'the API server is silent since'
      : `${first.path.split('/').pop()!}${kinds} cannot be watched: ${first.reason}`;
  return `the cluster state is ${age} and still used: ${why}`;
}
