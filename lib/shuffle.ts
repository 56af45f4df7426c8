/**
 * Fisher-Yates, in place.
 * @param random below(n): a whole number, 0 .. n-1, each as likely
 */
export function shuffle(
  items: Int32Array | Float64Array | number[],
  random: { readonly below: (n: number) => number },
): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const item = items[i]!;
    items[i] = items[j]!;
    items[j] = item;
  }
}
