export interface TallyEntry {
  readonly what: string;
  readonly count: number;
  /** The first one that was met. */
  readonly sample: string;
}

/** Counts by kind of happening, with one sample each; at most 64 kinds, the rest under "other". */
export class Tally {
  private readonly byWhat = new Map<string, { count: number; sample: string }>();

  add(what: string, sample: string): void {
    const known = this.byWhat.get(what) ?? (this.byWhat.size >= 64 ? this.byWhat.get('other') : undefined);
    if (known !== undefined) known.count++;
    else this.byWhat.set(this.byWhat.size >= 64 ? 'other' : what, { count: 1, sample });
  }

  /** Most frequent first. */
  entries(): TallyEntry[] {
    return [...this.byWhat]
      .map(([what, { count, sample }]) => ({ what, count, sample }))
      .sort((a, b) => b.count - a.count || (a.what < b.what ? -1 : 1));
  }
}
