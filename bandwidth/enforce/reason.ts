/** One reason of several phrases; empty ones say nothing. Pure. */
export function joinReasons(...phrases: readonly string[]): string {
  return phrases.filter((phrase) => phrase !== '').join('; ');
}
