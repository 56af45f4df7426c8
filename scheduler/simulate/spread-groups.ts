import type { PodRecord, ServiceRecord } from '../cluster/model.ts';
import { matchesSelector } from '../cluster/selector.ts';
import type { ClusterState } from '../cluster/state.ts';
import { byText } from '../../lib/by-text.ts';

/**
 * Which pods PodTopologySpread's default constraints spread together: those of one ReplicaSet, StatefulSet or
 * ReplicationController; of other owners, those that the pod's Services select; without a Service none
 * (helper.DefaultSelector of kube-scheduler).
 */
export interface SpreadGroups {
  readonly count: number;
  /** Group of each pod to place, -1: none. */
  readonly of: Int32Array;
  /** Groups in which each pod to place counts. */
  readonly memberships: readonly (readonly number[])[];
  /** Fixed pods that count: node index by group. */
  readonly fixed: readonly { readonly group: number; readonly node: number }[];
}

/** Deployment: of files that leave the ReplicaSets out. */
const SPREAD_OWNERS: ReadonlySet<string> = new Set([
  'ReplicaSet',
  'StatefulSet',
  'ReplicationController',
  'Deployment',
]);
const NONE: readonly number[] = [];

export function spreadGroups(
  free: readonly PodRecord[],
  fixed: readonly PodRecord[],
  state: ClusterState,
  nodeIndex: ReadonlyMap<string, number>,
): SpreadGroups {
  const services = new Map<string, ServiceRecord[]>();
  for (const service of state.services()) {
    if (service.selector === undefined) continue;
    services.set(service.namespace, [...(services.get(service.namespace) ?? []), service]);
  }
  const groups = new Map<string, number>();
  const bySelector = new Map<string, { group: number; selector: Record<string, string> }[]>();
  const groupOf = (pod: PodRecord): number => {
    const { namespace, owner } = pod;
    if (owner !== undefined && SPREAD_OWNERS.has(owner.kind)) {
      return numbered(groups, `${namespace}/${owner.kind}/${owner.name}`);
    }
    const selector: Record<string, string> = {};
    for (const service of services.get(namespace) ?? []) {
      if (matchesSelector(service.selector!, pod.labels)) Object.assign(selector, service.selector);
    }
    const pairs = Object.entries(selector).sort(([a], [b]) => byText(a, b));
    if (pairs.length === 0) return -1;
    const key = `${namespace}?${JSON.stringify(pairs)}`;
    const known = groups.size;
    const group = numbered(groups, key);
    if (group === known) bySelector.set(namespace, [...(bySelector.get(namespace) ?? []), { group, selector }]);
    return group;
  };
  const of = Int32Array.from(free, groupOf);
  const membershipsOf = (pod: PodRecord, own: number): readonly number[] => {
    const selected = (bySelector.get(pod.namespace) ?? NONE_SELECTED)
      .filter(({ selector }) => matchesSelector(selector, pod.labels))
      .map(({ group }) => group);
    return own < 0 || selected.includes(own) ? selected : selected.length === 0 ? [own] : [own, ...selected];
  };
  return {
    count: groups.size,
    of,
    memberships: free.map((pod, p) => membershipsOf(pod, of[p]!)),
    fixed: fixed.flatMap((pod) =>
      (bySelector.has(pod.namespace) ? membershipsOf(pod, -1) : NONE).map((group) => ({
        group,
        node: nodeIndex.get(pod.node!)!,
      })),
    ),
  };
}

const NONE_SELECTED: readonly { group: number; selector: Record<string, string> }[] = [];

function numbered(groups: Map<string, number>, key: string): number {
  const known = groups.get(key);
  if (known !== undefined) return known;
  groups.set(key, groups.size);
  return groups.size - 1;
}
