import type { PodTemplate } from '../cluster/model.ts';
import type { Hints } from '../placement/hints.ts';
import { rowOfHints, type PeerColumns, type PeerRow } from '../placement/peer-row.ts';
import type { PlacementView } from '../placement/view.ts';
import { isOnePerNode } from '../placement/workload-kind.ts';
import { alikeHints, annotatedHints, referencedHints, type HintResolver } from './cold-start.ts';
import type { NameList } from './name-list.ts';
import type { StructureIndex } from './structure-index.ts';

/** What is known beforehand of one workload's peers; indices of the builder's names. */
interface Told {
  readonly template: PodTemplate | undefined;
  readonly alike: readonly number[];
  readonly outgoing: readonly number[];
  readonly incoming: readonly number[];
  /** Of the references, for so many replicas. */
  row?: { readonly replicas: number; readonly row: PeerRow | undefined };
}

/** Rows of hints for workloads of which no traffic is known. */
export class WorkloadHints {
  readonly #index: StructureIndex;
  #workloads: NameList | undefined;
  #told = new Map<number, Told>();

  constructor(index: StructureIndex) {
    this.#index = index;
  }

  /** @param changed the structure index changed since the last call */
  refresh(changed: boolean, workloads: NameList): void {
    if (!changed && workloads === this.#workloads) return;
    this.#workloads = workloads;
    this.#told = new Map();
    for (const { namespace, key, template, alike } of this.#index.told()) {
      const w = workloads.get(key);
      if (w === undefined || isOnePerNode(key)) continue;
      const indices = (keys: readonly string[]): number[] =>
        keys.map((of) => workloads.get(of)).filter((of) => of !== undefined);
      const others = alike.filter((of) => of !== key);
      const outgoing = indices(this.#index.referenced(namespace, template));
      const incoming = indices(this.#index.referencing(key));
      if (others.length + outgoing.length + incoming.length === 0 && template?.peers === undefined) continue;
      this.#told.set(w, { template, alike: indices(others), outgoing, incoming });
    }
  }

  /** @param isFriend whether two workloads may be drawn together */
  rows(
    view: Pick<PlacementView, 'replicas'> & PeerColumns,
    isFriend: (a: number, b: number) => boolean,
  ): Map<number, PeerRow> {
    const rows = new Map<number, PeerRow>();
    for (const [w, told] of this.#told) {
      const replicas = view.replicas[w]!;
      const isKnown = view.peerStart[w] !== view.peerStart[w + 1] || view.otherBytesPerSecond[w]! > 0;
      if (isKnown || replicas === 0) continue;
      const only = (hints: Hints | undefined): Hints | undefined =>
        hints === undefined ? undefined : { ...hints, peers: hints.peers.filter((peer) => isFriend(w, peer.workload)) };
      const hints = only(annotatedHints(told.template, this.#resolver())) ?? only(alikeHints(view, told.alike, w));
      const row = hints === undefined ? referencedRow(w, told, replicas, only) : rowOfHints(hints, replicas);
      if (row !== undefined && row.end > row.start) rows.set(w, row);
    }
    return rows;
  }

  #resolver(): HintResolver {
    const workload = (key: string): number | undefined => this.#workloads!.get(key);
    return {
      workload,
      behind: (namespace, service) =>
        this.#index
          .behind(namespace, service)
          .map(workload)
          .filter((index) => index !== undefined),
    };
  }
}

function referencedRow(
  w: number,
  told: Told,
  replicas: number,
  only: (hints: Hints | undefined) => Hints | undefined,
): PeerRow | undefined {
  if (told.row?.replicas !== replicas) {
    const hints = only(referencedHints(told.outgoing, told.incoming, w));
    told.row = { replicas, row: hints === undefined ? undefined : rowOfHints(hints, replicas) };
  }
  return told.row.row;
}
