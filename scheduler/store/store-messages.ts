import type { ErrorCode } from '../../lib/error-codes.ts';
import type { GraphDelta, SavedState } from '../graph/saved-state.ts';
import type { NamedPlan } from '../plan/named-plan.ts';

/** Errors lose their class between threads. */
export interface StoreFailure {
  readonly code: ErrorCode | undefined;
  readonly message: string;
  readonly place: string | undefined;
  readonly expected: string | undefined;
  readonly found: string | undefined;
  readonly remedy: string | undefined;
}

export type ToStore =
  | { readonly op: 'open' }
  | { readonly op: 'save'; readonly delta: GraphDelta }
  | { readonly op: 'savePlan'; readonly plan: NamedPlan }
  | { readonly op: 'close' };

export type FromStore =
  | {
      readonly op: 'opened';
      readonly state: SavedState;
      readonly plan: NamedPlan | undefined;
      readonly movedAside: StoreFailure | undefined;
    }
  | { readonly op: 'saved'; readonly tookMs: number }
  | { readonly op: 'closed' }
  | { readonly op: 'failed'; readonly failure: StoreFailure };
