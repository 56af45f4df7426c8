/**
 * Exponential backoff with full jitter: a wait is anything from 0 to min(most, least * 2^attempt)
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 * @param attempt 0 for the first
 */
export function fullJitterMs(attempt: number, leastMs: number, mostMs: number, random = Math.random): number {
  return random() * Math.min(mostMs, leastMs * 2 ** Math.min(attempt, 30));
}
