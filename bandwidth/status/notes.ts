import { ANNOTATION, type Direction } from '../contract/bandwidth.ts';
import type { Standing, WishingPod } from '../enforce/types.ts';

/** What an Event on the pod says (`kubectl describe pod`). */
export interface StandingNote {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

/** The Event for how a direction of a pod stands; undefined: nothing that its owner needs to know. Pure. */
export function noteOf(pod: WishingPod, direction: Direction, standing: Standing): StandingNote | undefined {
  const wish = pod.wishes[direction];
  const { state, reason, bps, inPart = false } = standing;
  const subject = `${ANNOTATION[direction]}`;
  const problem = wish.kind === 'invalid' ? wish.problem : wish.kind === 'unsupported' ? wish.why : undefined;
  const isHeld = wish.kind === 'invalid' || state !== 'unsupported';
  if (problem !== undefined && isHeld && reason.startsWith(problem)) {
    return { type: 'Warning', reason: 'BandwidthInvalid', message: `${subject}: ${reason}.` };
  }
  const limit = bps === undefined ? 'no limit' : rate(bps);
  const because = reason === '' ? '' : `: ${reason}`;
  switch (state) {
    case 'enforced':
    case 'shaped-htb':
      if (inPart) {
        return {
          type: 'Warning',
          reason: 'BandwidthInPart',
          message: `${subject}: held to ${limit} in part${because}.`,
        };
      }
      return { type: 'Normal', reason: 'BandwidthLimited', message: `${subject}: held to ${limit}${because}.` };
    case 'policed': {
      const what = inPart ? 'dropped on some ways, and delayed on others' : 'dropped, not delayed';
      return {
        type: 'Warning',
        reason: 'BandwidthPoliced',
        message: `${subject}: what exceeds ${limit} is ${what}${because}.`,
      };
    }
    case 'unsupported':
      return { type: 'Warning', reason: 'BandwidthUnsupported', message: `${subject} is not enforced${because}.` };
    case 'pending':
    case 'shadow':
    case 'dry-run':
      return undefined;
  }
}

const UNITS = [
  [10n ** 12n, 'T'],
  [10n ** 9n, 'G'],
  [10n ** 6n, 'M'],
  [10n ** 3n, 'k'],
] as const;

/** "10M" bit/s, in the largest unit that keeps it whole. */
function rate(bps: bigint): string {
  const unit = UNITS.find(([size]) => bps % size === 0n);
  return unit === undefined ? `${bps} bit/s` : `${bps / unit[0]} ${unit[1]}bit/s`;
}
