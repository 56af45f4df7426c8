import { randomBytes } from 'node:crypto';
import { messageOf } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import { MAP_ID_BYTES } from '../../proto/codec.ts';
import type { KernelIdentity } from '../kernel.ts';
import { ReportQueue } from '../report/report-queue.ts';
import type { LoadedState } from './agent-state.ts';
import type { StateFile } from './state-file.ts';

/**
 * `fresh`: the maps are new. `resumed`: all that the last agent reported is known. `unknown`: the maps hold counts of
 * which that is not known; their identity is a new one, so the scheduler takes them for other counters.
 */
export type StartingPoint =
  | { readonly kind: 'fresh' | 'unknown'; readonly mapId: Uint8Array }
  | { readonly kind: 'resumed'; readonly mapId: Uint8Array; readonly state: LoadedState };

/** Where an agent on these maps starts, and says so in the log. `identity` undefined: nothing is pinned. */
export function startingPoint(
  identity: KernelIdentity | undefined,
  file: StateFile | undefined,
  logger: Logger,
): StartingPoint {
  const mapId = (): Uint8Array => new Uint8Array(randomBytes(MAP_ID_BYTES));
  if (identity === undefined || file === undefined) return { kind: 'fresh', mapId: mapId() };
  const { origin } = identity;
  if (origin === 'replaced') {
    logger.warn('what was pinned has another layout or other sizes: it was removed, counting starts anew');
  }
  if (origin === 'detached') {
    logger.warn('no program was attached: connections that opened or ended meanwhile were not counted');
  }
  if (origin === 'new' || origin === 'replaced') {
    const fresh = mapId();
    identity.setMapId(fresh);
    return { kind: 'fresh', mapId: fresh };
  }
  const known = identity.mapId;
  const state = read(file);
  if (known !== undefined && !('problem' in state) && Buffer.compare(known, state.mapId) === 0) {
    return { kind: 'resumed', mapId: known, state };
  }
  logger.warn('what the last agent reported is not known: only what is counted from now on is reported', {
    file: file.path,
    problem:
      known === undefined ? 'the last agent could not keep it' : 'problem' in state ? state.problem : 'of other maps',
  });
  const other = mapId();
  identity.setMapId(other);
  return { kind: 'unknown', mapId: other };
}

function read(file: StateFile): ReturnType<StateFile['read']> {
  const state = file.read();
  if ('problem' in state) return state;
  try {
    new ReportQueue(Number.MAX_SAFE_INTEGER).restore(state.queue);
    return state;
  } catch (error) {
    return { problem: messageOf(error) };
  }
}
