import type { Registry } from 'prom-client';
import type { Logger } from '../../lib/log.ts';
import type { PlacementView } from '../placement/index.ts';
import type { AssumedPods } from './assumed-pods.ts';
import type { Answer } from './decision.ts';
import type { UnseenPods } from './unseen-pods.ts';

/** What the extender asks of the process around it. */
export interface ExtenderDeps {
  /** The newest view; undefined before there is one. Called once per prioritize call. */
  readonly view: () => PlacementView | undefined;
  readonly ready: () => { readonly ready: boolean; readonly reason: string };
  /** What /metrics says, in Prometheus' text format. */
  readonly metricsText: () => Promise<string>;
  /** Told of every prioritize answer that a view was there for; must be quick and bound what it keeps. */
  readonly onDecision?: (answer: Answer) => void;
  /** Who asked about this pod had gone before the answer was written. Told after onDecision. */
  readonly onLate?: (podUid: string) => void;
  /** Told by its owner what views show; default: answers never wait. */
  readonly unseen?: UnseenPods;
  /** Told by its owner what views show; default: nothing is assumed. */
  readonly assumed?: AssumedPods;
  readonly logger: Logger;
  /** Where the extender's own metrics are registered; default one of its own. */
  readonly registry?: Registry;
  /** Wall clock of decisions; default Date.now. */
  readonly nowMs?: () => number;
}
