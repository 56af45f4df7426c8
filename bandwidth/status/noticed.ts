import { joinReasons } from '../enforce/reason.ts';
import type { Standing } from '../enforce/types.ts';

/** What was noticed of programs that end the chain before ours, about one direction of a pod. */
export interface Noticed {
  /** Who does it at the pod's interfaces, in words; undefined: nobody. */
  readonly atPod: string | undefined;
  /** Where HTB holds back what the pod sends; undefined: nowhere. */
  readonly atUplinks:
    | {
        /** Who does it at some of these. */
        readonly by: string | undefined;
        /** Names of the others. */
        readonly seeing: readonly string[];
      }
    | undefined;
  /** Packets that did not come to from_pod are judged at the uplinks all the same. */
  readonly isSeenAtUplinks: boolean;
}

/**
 * How a direction of a pod stands with that. Past from_pod, a limit still holds where `leave` sees whose the packets are; past
 * `leave`, from_pod still drops what exceeds it. Pure.
 */
export function standingNoticed(standing: Standing, { atPod, atUplinks, isSeenAtUplinks }: Noticed): Standing {
  const { state, bps } = standing;
  if (atPod !== undefined) {
    // Which uplinks police says nothing any more: it is from_pod that does.
    const known = standing.inPart === true ? '' : standing.reason;
    const seeing = atUplinks?.seeing ?? [];
    if (state === 'shadow') return { state, reason: joinReasons(known, `bypassed by ${atPod}`), bps };
    if (seeing.length === 0 || !isSeenAtUplinks) {
      return { state: 'unsupported', reason: joinReasons(known, `bypassed by ${atPod}`), bps };
    }
    const by = [atPod, ...(atUplinks?.by === undefined ? [] : [atUplinks.by])].join(' and ');
    const reason = joinReasons(known, `held only where it leaves by ${seeing.join(', ')}`, `bypassed by ${by}`);
    return { state: state === 'policed' ? 'shaped-htb' : state, reason, bps, inPart: true };
  }
  if (atUplinks?.by === undefined) return standing;
  const inPart = standing.inPart === true || atUplinks.seeing.length > 0;
  return {
    state: state === 'shaped-htb' ? 'policed' : state,
    reason: joinReasons(standing.reason, `bypassed by ${atUplinks.by}`),
    bps,
    ...(inPart ? { inPart } : {}),
  };
}
