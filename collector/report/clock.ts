/** Monotonic time and timers, as a parameter: a simulated day takes a second. */
export interface Clock {
  /** Milliseconds since some fixed moment; never goes back, whatever is done to the wall clock. */
  nowMs(): number;
  /** Calls `callback` once after `ms`; returns what cancels it. */
  after(ms: number, callback: () => void): () => void;
}

export const monotonicClock: Clock = {
  nowMs: () => performance.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};
