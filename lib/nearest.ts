/** Edit distance with transpositions (optimal string alignment): 'intervla' is one step from 'interval'. */
export function editDistance(a: string, b: string): number {
  const width = b.length + 1;
  let before = new Array<number>(width).fill(0);
  let previous = Array.from({ length: width }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = new Array<number>(width).fill(i);
    for (let j = 1; j < width; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, before[j - 2]! + 1);
      row[j] = best;
    }
    before = previous;
    previous = row;
  }
  return previous[width - 1]!;
}

/**
 * The name in `known` that `word` most probably means, if any is near: within a third of its length, a beginning
 * of one name only, or the same but for case, dashes and underscores.
 */
export function nearestName(word: string, known: readonly string[]): string | undefined {
  const bare = plain(word);
  if (bare === '' || word.length > 100) return undefined;
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const name of known) {
    const distance = editDistance(bare, plain(name));
    if (distance < bestDistance) {
      best = name;
      bestDistance = distance;
    }
  }
  if (bestDistance <= Math.max(1, Math.floor(bare.length / 3))) return best;
  const beginning = bare.length >= 3 ? known.filter((name) => plain(name).startsWith(bare)) : [];
  return beginning.length === 1 ? beginning[0] : undefined;
}

/** "did you mean X?", or the valid names when nothing is near. */
export function suggestion(word: string, known: readonly string[]): string {
  const near = nearestName(word, known);
  if (near !== undefined) return `did you mean "${near}"?`;
  if (known.length === 0) return 'nothing may stand here';
  return `valid here: ${known.slice(0, 40).join(', ')}${known.length > 40 ? ', ...' : ''}`;
}

function plain(name: string): string {
  return name.toLowerCase().replace(/[-_.]/g, '');
}
