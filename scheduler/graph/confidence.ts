/** What is known about how an edge was measured. */
export interface Observation {
  /** Time from the start of its first period to the end of what its reporter told, ms. */
  readonly observedMs: number;
  readonly intervalMs: number;
  /** 0..1, share of recent traffic that its agent could not measure. */
  readonly lossShare: number;
  /** Time since its reporter's last period ended, ms. */
  readonly ageMs: number;
  readonly view: 'server' | 'client' | 'file';
}

export interface Confidence {
  /** 0..1: the product of the factors. 0: no basis for placement, still shown. */
  readonly value: number;
  /** Why it is not 1, one phrase each; empty at 1. */
  readonly reasons: readonly string[];
}

/** Observed for so many intervals, an edge is believed half. A rate over a few reports is mostly chance. */
export const HALF_BELIEVED_INTERVALS = 3;
/** Reports may be late by this much before it says anything (research/scheduler.md §8.7). */
export const STALE_INTERVALS = 3;
export const ABSTAIN_INTERVALS = 10;
/** A client sees connections, but behind kube-proxy not always with whom. */
export const CLIENT_VIEW = 0.9;

/**
 * confidence = length * measured * fresh * view, each 0..1:
 *   length   = T / (T + 3 intervals), T the observed time
 *   measured = 1 - loss share
 *   fresh    = 1 up to 3 intervals since the last report, falling evenly to 0 at 10
 *   view     = 1 (server), 0.9 (client), 1 (file; the other factors do not apply to it)
 */
export function confidenceOf(o: Observation): Confidence {
  if (o.view === 'file') return { value: 1, reasons: [] };
  const reasons: string[] = [];
  const value = confidenceValue(o);
  const length = lengthFactor(o);
  if (length < 0.95) reasons.push(`observed for ${seconds(Math.max(o.observedMs, 0))} only`);
  if (o.lossShare > 0) reasons.push(`its agent could not measure ${percent(o.lossShare)} of the traffic`);
  const fresh = freshFactor(o);
  if (fresh < 1) reasons.push(`no report for ${seconds(o.ageMs)} (interval ${seconds(o.intervalMs)})`);
  if (o.view === 'client') reasons.push("seen by the client's node only");
  return { value, reasons };
}

/** The same without the words. */
export function confidenceValue(o: Observation): number {
  if (o.view === 'file') return 1;
  const view = o.view === 'client' ? CLIENT_VIEW : 1;
  return lengthFactor(o) * (1 - Math.min(Math.max(o.lossShare, 0), 1)) * freshFactor(o) * view;
}

function lengthFactor(o: Observation): number {
  const observed = Math.max(o.observedMs, 0);
  return observed / (observed + HALF_BELIEVED_INTERVALS * Math.max(o.intervalMs, 1));
}

function freshFactor(o: Observation): number {
  const intervals = o.ageMs / Math.max(o.intervalMs, 1);
  if (intervals <= STALE_INTERVALS) return 1;
  return Math.max(0, (ABSTAIN_INTERVALS - intervals) / (ABSTAIN_INTERVALS - STALE_INTERVALS));
}

function seconds(ms: number): string {
  return ms >= 10_000 ? `${String(Math.round(ms / 1000))} s` : `${(ms / 1000).toFixed(1)} s`;
}

function percent(share: number): string {
  return share < 0.001 ? '< 0.1 %' : `${(share * 100).toFixed(1)} %`;
}
