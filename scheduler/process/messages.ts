import type { LogLevel } from '../../lib/log.ts';
import type { ViewMessage } from '../graph/placement-view-builder.ts';
import type { Decision } from '../api/replies.ts';
import type { SchedulerOptions } from './options.ts';

/** What the ingest thread is started with. */
export interface IngestData {
  readonly options: SchedulerOptions;
  readonly logLevel: LogLevel;
  readonly logFormat: 'text' | 'json';
}

/** Whether the extender may have opinions, and why not. */
export interface Readiness {
  readonly ready: boolean;
  readonly reason: string;
}

export type FromIngest =
  | { readonly type: 'started'; readonly agentsPort: number; readonly apiPort: number }
  | { readonly type: 'failed'; readonly code: string; readonly description: string }
  | { readonly type: 'readiness'; readonly readiness: Readiness }
  | { readonly type: 'view'; readonly view: ViewMessage }
  | { readonly type: 'metrics'; readonly id: number; readonly text: string }
  | { readonly type: 'stopped' };

export type ToIngest =
  | { readonly type: 'decisions'; readonly decisions: readonly Decision[] }
  | { readonly type: 'metrics'; readonly id: number }
  | { readonly type: 'stop' };
