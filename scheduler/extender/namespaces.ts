import type { NameTables } from '../placement/index.ts';
import type { PodFacts } from './args.ts';

/** netloom.io/placement is "off" for the pod or for its namespace, whether or not the view knows a workload of its. */
export function isOff({ namespaces }: NameTables, pod: Pick<PodFacts, 'placementOff' | 'namespace'>): boolean {
  return pod.placementOff || namespaces?.get(pod.namespace)?.[0] === 1;
}

/** Whether pods of two namespaces may be drawn together: none has a tenant, or both the same. */
export function areFriends({ namespaces }: NameTables, a: string, b: string): boolean {
  return a === b || tenantOf(namespaces, a) === tenantOf(namespaces, b);
}

function tenantOf(namespaces: NameTables['namespaces'], namespace: string): number {
  return namespaces?.get(namespace)?.[1] ?? 0;
}
