import { likeness } from '../cluster/likeness.ts';
import { servicesMeant } from '../cluster/references.ts';
import { alikeHints, annotatedHints, referencedHints, type HintResolver } from '../graph/cold-start.ts';
import type { HintedPeer, Hints, PlacementView } from '../placement/index.ts';
import { namespaceOf } from '../placement/workload-kind.ts';
import { templateOf, type PodFacts } from './args.ts';
import { areFriends } from './namespaces.ts';

/**
 * What is thought of the peers of a pod about whose workload the view knows of no traffic (scheduler.md §8.6): what its owner says, what one
 * alike does, whom its env and args name; undefined: nothing.
 * @param workload its index in the view, if it is known there
 */
export function podHints(view: PlacementView, pod: PodFacts, workload: number | undefined): Hints | undefined {
  const isKnown = workload !== undefined && view.peerStart[workload] !== view.peerStart[workload + 1];
  if (isKnown || (workload !== undefined && view.otherBytesPerSecond[workload]! > 0)) return undefined;
  const template = templateOf(pod);
  if (template === undefined) return undefined;
  const { names } = view;
  const isIn = (index: number): boolean => index < view.workloadCount;
  const resolver: HintResolver = {
    workload: (key) => names.workloadIndex.get(key),
    behind: (namespace, service) => (names.services?.get(`${namespace}/${service}`) ?? []).filter(isIn),
  };
  const key = likeness(pod.namespace, template, pod.labels);
  const alike = key === undefined ? [] : (names.alike?.get(key) ?? []).filter(isIn);
  const own = workload ?? -1;
  const isFriend = ({ workload: peer }: HintedPeer): boolean =>
    areFriends(names, pod.namespace, namespaceOf(names.workloads[peer] ?? ''));
  const hints =
    annotatedHints(template, resolver) ??
    alikeHints(view, alike, own) ??
    referencedHints(referenced(pod.namespace, template.references, resolver), [], own);
  return hints === undefined ? undefined : { ...hints, peers: hints.peers.filter(isFriend) };
}

function referenced(namespace: string, references: readonly string[], resolver: HintResolver): Set<number> {
  const workloads = new Set<number>();
  for (const reference of references) {
    for (const meant of servicesMeant(reference, namespace)) {
      const behind = resolver.behind(meant.namespace, meant.name);
      for (const workload of behind) workloads.add(workload);
      if (behind.length > 0) break;
    }
  }
  return workloads;
}
