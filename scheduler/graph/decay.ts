/**
 * Exponentially decaying averages of a rate, in a linear form that is exact for any periods in any order.
 *
 * With half-life H and lambda = ln 2 / H, the estimate of a rate x(s), observed over a set O of time, is
 *
 *     estimate(t) = S(t) / W(t),   S(t) = integral over s in O, s <= t, of x(s) lambda e^(-lambda (t-s)) ds,
 *                                  W(t) = the same integral with x = 1,
 *
 * so a constant rate is estimated exactly from the first delivery on (no start-up bias), and time that nobody
 * observed weighs nothing. A delivery of b bytes over [t0, t1] says x = b / (t1 - t0) there, so it adds
 *
 *     b / (t1 - t0) * (e^(-lambda (t-t1)) - e^(-lambda (t-t0)))       (b * lambda * e^(-lambda (t-t1)) for t0 = t1)
 *
 * to S(t), whatever came before it. Multiplying S and W by e^(lambda (t - L)), with a fixed landmark L, takes t out
 * of both ("forward decay", Cormode et al., ICDE 2009): an update is one multiplication and one addition with a
 * factor that is common to a whole report, and nothing needs to be touched as time passes.
 *
 * Landmarks are the starts of UTC days, numbered by `epoch`; a step of one epoch is 144 short and 1 long half-life,
 * so moving a sum to another landmark multiplies by a power of two, which floating point does exactly.
 */
export const SHORT_HALF_LIFE_MS = 10 * 60_000;
export const LONG_HALF_LIFE_MS = 24 * 3_600_000;
export const EPOCH_MS = LONG_HALF_LIFE_MS;

/** A shorter observation counts as this long: an instant has no rate. */
export const MIN_OBSERVED_MS = 1_000;

const HALF_LIVES_PER_EPOCH = { short: EPOCH_MS / SHORT_HALF_LIFE_MS, long: EPOCH_MS / LONG_HALF_LIFE_MS } as const;

export function epochOf(ms: number): number {
  return Math.floor(ms / EPOCH_MS);
}

/** e^(lambda (at - L)): what one moment weighs, in terms of the landmark of `epoch`. Infinite far behind it. */
export function weightAt(halfLifeMs: number, epoch: number, atMs: number): number {
  return 2 ** ((atMs - epoch * EPOCH_MS) / halfLifeMs);
}

/** Weight of the observed time [startMs, endMs]. Dimensionless. */
export function weightOf(halfLifeMs: number, epoch: number, startMs: number, endMs: number): number {
  if (endMs <= startMs) return 0;
  return -weightAt(halfLifeMs, epoch, endMs) * Math.expm1((-Math.LN2 * (endMs - startMs)) / halfLifeMs);
}

/** What one byte delivered over [startMs, endMs] adds to S. Per second. */
export function weightPerByte(halfLifeMs: number, epoch: number, startMs: number, endMs: number): number {
  const lengthMs = endMs - startMs;
  if (lengthMs <= 0) return (weightAt(halfLifeMs, epoch, endMs) * Math.LN2 * 1000) / halfLifeMs;
  return (weightOf(halfLifeMs, epoch, startMs, endMs) * 1000) / lengthMs;
}

/** Factor that moves a short-half-life sum `epochs` landmarks ahead (behind, if negative). */
export function shortShift(epochs: number): number {
  return 2 ** (-HALF_LIVES_PER_EPOCH.short * epochs);
}

export function longShift(epochs: number): number {
  return 2 ** (-HALF_LIVES_PER_EPOCH.long * epochs);
}

/**
 * Units per second from a sum S.
 * @param gapWeight weight of the time in [firstMs, watermarkMs] that nobody observed.
 * @param watermarkMs how far the observer has told: a dead observer's estimate stands still, a live one's silence decays it.
 */
export function estimate(
  halfLifeMs: number,
  epoch: number,
  sum: number,
  gapWeight: number,
  firstMs: number,
  watermarkMs: number,
): number {
  if (sum === 0) return 0;
  const startMs = Math.min(firstMs, watermarkMs - MIN_OBSERVED_MS);
  const observed = weightOf(halfLifeMs, epoch, startMs, watermarkMs) - gapWeight;
  const least = weightOf(halfLifeMs, epoch, watermarkMs - MIN_OBSERVED_MS, watermarkMs);
  return sum / Math.max(observed, least);
}
