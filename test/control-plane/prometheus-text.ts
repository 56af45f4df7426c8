/** Samples of Prometheus' text format, as far as tests read it: names, labels, values, and the buckets of histograms. */
export class PrometheusText {
  readonly #samples: readonly Sample[];

  constructor(text: string) {
    this.#samples = text.split('\n').flatMap((line) => {
      const [, name, labels, value] = /^(\w+)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
      if (name === undefined || value === undefined) return [];
      const pairs = [...(labels ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, of]) => [key!, of!]);
      return [{ name, labels: Object.fromEntries(pairs) as Labels, value: Number(value) }];
    });
  }

  /** Of all series of this name that have these labels; 0 without any. */
  sum(name: string, labels: Labels = {}): number {
    return this.#of(name, labels).reduce((sum, { value }) => sum + value, 0);
  }

  /** @returns the upper bound of the bucket in which the quantile lies, NaN without observations */
  quantile(name: string, q: number, labels: Labels = {}): number {
    const byBound = new Map<number, number>();
    for (const { labels: own, value } of this.#of(`${name}_bucket`, labels)) {
      const bound = own['le'] === '+Inf' ? Infinity : Number(own['le']);
      byBound.set(bound, (byBound.get(bound) ?? 0) + value);
    }
    const count = byBound.get(Infinity) ?? 0;
    if (count === 0) return Number.NaN;
    const bounds = [...byBound].sort(([a], [b]) => a - b);
    return bounds.find(([, cumulated]) => cumulated >= q * count)![0];
  }

  mean(name: string, labels: Labels = {}): number {
    return this.sum(`${name}_sum`, labels) / this.sum(`${name}_count`, labels);
  }

  #of(name: string, labels: Labels): readonly Sample[] {
    const wanted = Object.entries(labels);
    return this.#samples.filter(
      (sample) => sample.name === name && wanted.every(([key, value]) => sample.labels[key] === value),
    );
  }
}

type Labels = Readonly<Record<string, string>>;

interface Sample {
  readonly name: string;
  readonly labels: Labels;
  readonly value: number;
}
