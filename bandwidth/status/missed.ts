import { LEAST_PACKETS, LEAST_SHARE, type Passage } from './bypass.ts';

/** Headers of a segment, tunnels included: the device counts them, our program sees them once for all segments. */
const MOST_HEADER_BYTES = 160;

/** What left through an uplink in a while. */
export interface Departure extends Passage {
  readonly ifindex: number;
}

export type Suspicion =
  /** So many of its packets may have missed our program. */
  | 'missed'
  | 'met'
  /** Too few left to tell. */
  | 'unknown';

/**
 * At which uplinks packets may have missed our program, which counts all uplinks together. What is missing in all is as much
 * as half of what left there: packets, and bytes beyond what the segments of super-packets that left elsewhere explain. Pure.
 * @param met by our program in the same while
 */
export function suspicions(departures: readonly Departure[], met: Passage): Map<number, Suspicion> {
  const { packets, bytes } = missing(departures, met);
  return new Map(
    departures.map((one) => {
      if (one.packets < LEAST_PACKETS) return [one.ifindex, 'unknown'];
      const elsewhere = sum(departures.filter((other) => other !== one)).packets;
      const headers = MOST_HEADER_BYTES * Math.max(0, Math.min(packets, elsewhere));
      const missed = packets > LEAST_SHARE * Number(one.packets) && bytes - headers > LEAST_SHARE * Number(one.bytes);
      return [one.ifindex, missed ? 'missed' : 'met'];
    }),
  );
}

/**
 * Of the suspected uplinks at which somebody runs before us, those that must have been missed: what is missing is more than
 * all others of them can have had. Pure.
 * @param candidates ifindexes
 * @returns none: it was one or several of them, and it cannot be told which
 */
export function missedForSure(
  departures: readonly Departure[],
  met: Passage,
  candidates: ReadonlySet<number>,
): ReadonlySet<number> {
  if (candidates.size <= 1) return candidates;
  const { packets } = missing(departures, met);
  if (packets < LEAST_PACKETS) return new Set();
  const suspected = departures.filter(({ ifindex }) => candidates.has(ifindex));
  const sure = suspected.filter((one) => {
    const others = sum(suspected.filter((other) => other !== one)).packets;
    return packets - others > LEAST_SHARE * Number(one.packets);
  });
  return new Set(sure.map(({ ifindex }) => ifindex));
}

function missing(departures: readonly Departure[], met: Passage): { packets: number; bytes: number } {
  const left = sum(departures);
  return { packets: left.packets - Number(met.packets), bytes: left.bytes - Number(met.bytes) };
}

function sum(departures: readonly Passage[]): { packets: number; bytes: number } {
  return departures.reduce(
    (total, { packets, bytes }) => ({ packets: total.packets + Number(packets), bytes: total.bytes + Number(bytes) }),
    { packets: 0, bytes: 0 },
  );
}
