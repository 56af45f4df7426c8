import type { PodTemplate } from '../cluster/model.ts';
import { parsePeerHints, type PeerHints } from '../cluster/peer-hints.ts';
import { HINT_CONFIDENCE, referenceHints, type HintedPeer, type Hints } from '../placement/hints.ts';
import { rowOf, type PeerColumns, type PeerRow } from '../placement/peer-row.ts';
import type { PlacementView } from '../placement/view.ts';

/** Kinds of workloads that a name in netloom.io/peers may mean, the first that exists. */
export const NAMED_KINDS = ['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'Job', 'CronJob', 'Pod'] as const;

/** What finds workloads by name; indices are those of a view. */
export interface HintResolver {
  /** Of a workload, "namespace/Kind/name"; undefined: not known. */
  workload(key: string): number | undefined;
  /** Behind a Service; empty: there is none, or nothing behind it. */
  behind(namespace: string, service: string): readonly number[];
}

const annotations = new Map<string, PeerHints>();
const MAX_ANNOTATIONS = 10_000;

/** As parsePeerHints; texts come from few templates, and each is asked for again with every view. */
export function peerHintsOf(text: string): PeerHints {
  let hints = annotations.get(text);
  if (hints === undefined) {
    hints = parsePeerHints(text);
    if (annotations.size >= MAX_ANNOTATIONS) annotations.clear();
    annotations.set(text, hints);
  }
  return hints;
}

/** What its owner says of a pod's peers; undefined: nothing that can be used. A name means a Service, else a workload. */
export function annotatedHints(template: PodTemplate | undefined, resolver: HintResolver): Hints | undefined {
  if (template?.peers === undefined) return undefined;
  const peers: HintedPeer[] = [];
  for (const { namespace, name, bytesPerSecond } of peerHintsOf(template.peers).peers) {
    const meant = namedWorkloads(namespace, name, resolver);
    for (const workload of meant) {
      const share = bytesPerSecond / meant.length;
      peers.push({ workload, asClient: true, bytesPerSecond: share, confidence: HINT_CONFIDENCE.annotation });
    }
  }
  return peers.length === 0 ? undefined : { source: 'annotation', peers, otherBytesPerSecond: 0 };
}

export function namedWorkloads(namespace: string, name: string, resolver: HintResolver): readonly number[] {
  const behind = resolver.behind(namespace, name);
  if (behind.length > 0) return behind;
  for (const kind of NAMED_KINDS) {
    const workload = resolver.workload(`${namespace}/${kind}/${name}`);
    if (workload !== undefined) return [workload];
  }
  return [];
}

/** What the first with traffic of those that are alike exchanges with its peers; undefined: none has any. */
export function alikeHints(
  view: Pick<PlacementView, 'replicas'> & PeerColumns,
  alike: readonly number[],
  own: number,
): Hints | undefined {
  for (const other of alike) {
    if (other === own || view.peerStart[other] === view.peerStart[other + 1]) continue;
    const row = rowOf(view, other);
    if (isHinted(row)) continue;
    const replicas = Math.max(1, view.replicas[other]!);
    const peers: HintedPeer[] = [];
    for (let e = row.start; e < row.end; e++) {
      if (row.peer[e] === other || row.peer[e] === own) continue;
      peers.push({
        workload: row.peer[e]!,
        asClient: row.client[e] === 1,
        bytesPerSecond: row.bytesPerSecond[e]! / replicas,
        confidence: row.confidence[e]! * HINT_CONFIDENCE.alike,
      });
    }
    if (peers.length > 0) return { source: 'alike', peers, otherBytesPerSecond: row.otherBytesPerSecond / replicas };
  }
  return undefined;
}

function isHinted({ source, start }: PeerRow): boolean {
  return source[start] !== 0;
}

/** Whom a template names, and who names it; undefined: nobody. */
export function referencedHints(
  outgoing: Iterable<number>,
  incoming: Iterable<number>,
  own: number,
): Hints | undefined {
  const clients = new Set(incoming);
  const servers = new Set(outgoing);
  const peers = [
    ...[...servers].map((workload) => ({ workload, asClient: true })),
    ...[...clients].filter((workload) => !servers.has(workload)).map((workload) => ({ workload, asClient: false })),
  ].filter(({ workload }) => workload !== own);
  return peers.length === 0 ? undefined : referenceHints(peers.slice(0, MAX_PEERS));
}

const MAX_PEERS = 32;
