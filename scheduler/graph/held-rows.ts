import { type EdgeColumns, ROLE_SERVER } from '../../proto/report.ts';
import { longShift, shortShift } from './decay.ts';
import type { Period } from './edges.ts';
import {
  BYTES_IN,
  BYTES_OUT,
  CONNECTIONS,
  FIGURES,
  FIRST_MS,
  LAST_MS,
  LONG_IN,
  LONG_OUT,
  MIN_RTT_US,
  RETRANSMITS,
  SEGMENTS_IN,
  SEGMENTS_OUT,
  SHORT_IN,
  SHORT_OUT,
  SMOOTHED_RTT_US,
} from './traffic-rows.ts';

/** A row of reports that cannot be booked yet, summed over the reports since it was first held. */
export interface HeldRow {
  /** Id of the reporting node. */
  readonly reporter: number;
  readonly local: Uint8Array;
  readonly localPrefix: number;
  readonly remote: Uint8Array;
  readonly remotePrefix: number;
  readonly role: number;
  readonly code: number;
  readonly port: number;
  /** As in TrafficRows, at the landmark of `epoch`. "out" is client -> server. */
  readonly figures: Float64Array;
  epoch: number;
}

/**
 * Rows that wait: for the agent of their server's node to appear, or for their addresses to become known.
 * Bounded; the caller counts what does not fit.
 */
export class HeldRows {
  readonly #rows = new Map<string, HeldRow>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#rows.size;
  }

  /** The row of this key; undefined: no room. */
  of(make: Omit<HeldRow, 'figures' | 'epoch'>, epoch: number): HeldRow | undefined {
    const key = keyOf(make);
    const known = this.#rows.get(key);
    if (known !== undefined) return known;
    if (this.#rows.size >= this.#max) return undefined;
    // Copies: what came with a report may be a view of the whole message.
    const { reporter, localPrefix, remotePrefix, role, code, port } = make;
    const row: HeldRow = {
      reporter,
      localPrefix,
      remotePrefix,
      role,
      code,
      port,
      local: make.local.slice(),
      remote: make.remote.slice(),
      figures: new Float64Array(FIGURES),
      epoch,
    };
    this.#rows.set(key, row);
    return row;
  }

  delete(row: HeldRow): void {
    this.#rows.delete(keyOf(row));
  }

  [Symbol.iterator](): IterableIterator<HeldRow> {
    return this.#rows.values();
  }
}

/** Adds row `r` of a report to a held row. The sums are linear, so what is booked later is what would have been booked at once. */
export function gather(held: HeldRow, columns: EdgeColumns, r: number, period: Period): void {
  const f = held.figures;
  const fromServer = held.role === ROLE_SERVER;
  const sent = columns.bytesSent[r]!;
  const received = columns.bytesReceived[r]!;
  const out = fromServer ? received : sent;
  const into = fromServer ? sent : received;
  if (period.epoch > held.epoch) {
    for (const column of [SHORT_OUT, SHORT_IN]) f[column]! *= shortShift(period.epoch - held.epoch);
    for (const column of [LONG_OUT, LONG_IN]) f[column]! *= longShift(period.epoch - held.epoch);
    held.epoch = period.epoch;
  }
  const short = period.shortPerByte * shortShift(held.epoch - period.epoch);
  const long = period.longPerByte * longShift(held.epoch - period.epoch);
  f[BYTES_OUT]! += out;
  f[BYTES_IN]! += into;
  f[SEGMENTS_OUT]! += fromServer ? columns.segmentsReceived[r]! : columns.segmentsSent[r]!;
  f[SEGMENTS_IN]! += fromServer ? columns.segmentsSent[r]! : columns.segmentsReceived[r]!;
  f[RETRANSMITS]! += columns.retransmits[r]!;
  f[CONNECTIONS]! += columns.connections[r]!;
  f[SHORT_OUT]! += out * short;
  f[SHORT_IN]! += into * short;
  f[LONG_OUT]! += out * long;
  f[LONG_IN]! += into * long;
  const known = f[LAST_MS] !== 0;
  f[FIRST_MS] = known ? Math.min(f[FIRST_MS]!, period.startMs) : period.startMs;
  f[LAST_MS] = known ? Math.max(f[LAST_MS]!, period.endMs) : period.endMs;
  const minUs = columns.minRttUs[r]!;
  if (minUs > 0 && (f[MIN_RTT_US] === 0 || minUs < f[MIN_RTT_US]!)) f[MIN_RTT_US] = minUs;
  if (columns.smoothedRttUs[r]! > 0) f[SMOOTHED_RTT_US] = columns.smoothedRttUs[r]!;
}

function keyOf(row: Omit<HeldRow, 'figures' | 'epoch'>): string {
  const bytes = String.fromCharCode(...row.local, ...row.remote);
  return [bytes, row.localPrefix, row.remotePrefix, row.reporter, row.role, row.code, row.port].join('\0');
}
