import type { ErrorCode } from '../../lib/error-codes.ts';
import type { ErrorDetails } from '../../lib/errors.ts';
import type { LogFormat, LogLevel } from '../../lib/log.ts';
import type { ViewMessage } from '../graph/placement-view-builder.ts';
import type { Answer } from '../extender/decision.ts';
import type { SchedulerOptions } from './options.ts';

/** What the ingest thread is started with. */
export interface IngestData {
  readonly options: SchedulerOptions;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
}

/** Whether the extender may have opinions, and why not. */
export interface Readiness {
  readonly ready: boolean;
  /** Why not; or what is wrong though it may. Empty: nothing. */
  readonly reason: string;
}

export type FromIngest =
  | { readonly type: 'started'; readonly agentsPort: number; readonly apiPort: number }
  | {
      readonly type: 'failed';
      readonly code: ErrorCode;
      readonly message: string;
      readonly details: Pick<ErrorDetails, 'place' | 'expected' | 'found' | 'remedy'>;
    }
  | { readonly type: 'readiness'; readonly readiness: Readiness }
  /** `placed`: UIDs of pods that were bound since the view before. */
  | { readonly type: 'view'; readonly view: ViewMessage; readonly placed: readonly string[] }
  | { readonly type: 'metrics'; readonly id: number; readonly text: string };

export type ToIngest =
  | { readonly type: 'decisions'; readonly answers: readonly Answer[] }
  /** Of pods whose decisions came too late for kube-scheduler; after these. */
  | { readonly type: 'late'; readonly podUid: string }
  | { readonly type: 'metrics'; readonly id: number }
  | { readonly type: 'stop' };

/** Answers are told to the ingest thread this long after the first of them. */
export const DECISIONS_EVERY_MS = 200;
