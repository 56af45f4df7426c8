import type { Problem } from '../api/replies.ts';
import type { ClusterEvent, PodRecord } from '../cluster/model.ts';
import { PEERS } from '../cluster/pod-template.ts';
import { peerHintsOf } from '../graph/cold-start.ts';
import type { Logger } from '../../lib/log.ts';

export interface PeerHintCheckDeps {
  /** Whether a Service or workload of this name exists. */
  readonly exists: (namespace: string, name: string) => boolean;
  /** Tells the owner of a pod. */
  readonly tell: (pod: PodRecord, message: string) => void;
  readonly logger: Logger;
}

interface Annotation {
  /** "namespace/name" of who has it. */
  readonly of: string;
  readonly text: string;
  /** Whether its owner was told. */
  told: boolean;
}

/** Texts that are remembered; each is told once. */
const MAX_TEXTS = 1_000;
/** Of one kind of problem, names shown. */
const MAX_SAMPLES = 3;

/** What is wrong with annotations netloom.io/peers: told in the log and to the pod's owner when it is first seen, and listed. */
export class PeerHintCheck {
  readonly #deps: PeerHintCheckDeps;
  readonly #texts = new Map<string, Annotation>();

  constructor(deps: PeerHintCheckDeps) {
    this.#deps = deps;
  }

  changes(events: readonly ClusterEvent[]): void {
    for (const { op, record } of events) {
      if (op !== 'upsert' || (record.type !== 'pod' && record.type !== 'controller')) continue;
      const text = record.template?.peers;
      if (text !== undefined)
        this.#see(`${record.namespace}/${record.name}`, text, record.type === 'pod' ? record : undefined);
    }
  }

  problems(): Problem[] {
    const bad: string[] = [];
    const unknown: string[] = [];
    for (const { of, text } of this.#texts.values()) {
      const { peers, problems } = peerHintsOf(text);
      if (problems.length > 0) bad.push(`${of}: ${problems.join('; ')}`);
      for (const { namespace, name } of peers) {
        if (!this.#deps.exists(namespace, name)) unknown.push(`${of}: ${namespace}/${name}`);
      }
    }
    return [
      ...problem(`annotations ${PEERS} cannot be used in part or whole`, bad),
      ...problem(`annotations ${PEERS} name what is not in the cluster`, unknown),
    ];
  }

  #see(of: string, text: string, pod: PodRecord | undefined): void {
    let seen = this.#texts.get(text);
    const { problems } = peerHintsOf(text);
    if (seen === undefined) {
      if (this.#texts.size >= MAX_TEXTS) return;
      this.#texts.set(text, (seen = { of, text, told: false }));
      if (problems.length > 0) this.#deps.logger.warn(`annotation ${PEERS} cannot be used`, { of, problems });
    }
    if (problems.length === 0 || pod === undefined || seen.told) return;
    seen.told = true;
    this.#deps.tell(pod, `Annotation ${PEERS} cannot be used: ${problems.join('; ')}`);
  }
}

function problem(what: string, samples: readonly string[]): Problem[] {
  return samples.length === 0
    ? []
    : [{ what, count: samples.length, sample: samples.slice(0, MAX_SAMPLES).join('; ') }];
}
