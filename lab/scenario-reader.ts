import { NetloomError } from '../lib/errors.ts';

/** Walks a parsed JSON value and fails with the file, the path inside it, what was expected and what was found. */
export class Reader {
  readonly file: string;
  readonly path: string;
  readonly value: unknown;

  constructor(file: string, path: string, value: unknown) {
    this.file = file;
    this.path = path;
    this.value = value;
  }

  fail(expected: string, found: string): never {
    throw new NetloomError('LAB_SCENARIO_INVALID', 'the scenario cannot be used', {
      place: `${this.file}${this.path === '' ? '' : `: ${this.path}`}`,
      expected,
      found: found.length > 200 ? `${found.slice(0, 200)}...` : found,
    });
  }

  /** A JSON object whose keys are all in `known`. */
  object(known: readonly string[]): ObjectReader {
    if (typeof this.value !== 'object' || this.value === null || Array.isArray(this.value)) {
      this.fail('an object', describe(this.value));
    }
    for (const key of Object.keys(this.value)) {
      if (!known.includes(key)) {
        const near = nearest(key, known);
        this.fail(near === undefined ? `one of ${known.join(', ')}` : `perhaps \`${near}\``, `the key \`${key}\``);
      }
    }
    return new ObjectReader(this.file, this.path, this.value);
  }

  array(min: number, max: number): Reader[] {
    if (!Array.isArray(this.value)) this.fail('a list', describe(this.value));
    if (this.value.length < min || this.value.length > max) {
      this.fail(`${min} to ${max} entries`, String(this.value.length));
    }
    return this.value.map((v, i) => new Reader(this.file, `${this.path}[${i}]`, v));
  }

  text(pattern: RegExp, expected: string, fallback?: string): string {
    if (this.value === undefined && fallback !== undefined) return fallback;
    if (typeof this.value !== 'string' || this.value.length > 4096 || !pattern.test(this.value)) {
      this.fail(expected, describe(this.value));
    }
    return this.value;
  }

  number(min: number, max: number, fallback?: number): number {
    if (this.value === undefined && fallback !== undefined) return fallback;
    if (typeof this.value !== 'number' || !(this.value >= min && this.value <= max)) {
      this.fail(`a number from ${min} to ${max}`, describe(this.value));
    }
    return this.value;
  }

  integer(min: number, max: number, fallback?: number): number {
    const value = this.number(min, max, fallback);
    if (!Number.isInteger(value)) this.fail(`a whole number from ${min} to ${max}`, describe(this.value));
    return value;
  }

  oneOf<T extends string>(allowed: readonly T[]): T {
    const found = allowed.find((a) => a === this.value);
    if (found !== undefined) return found;
    const near = typeof this.value === 'string' ? nearest(this.value, allowed) : undefined;
    const list = allowed.length > 12 ? `one of ${allowed.length} names` : `one of ${allowed.join(', ')}`;
    return this.fail(near === undefined ? list : `${list}; perhaps \`${near}\``, describe(this.value));
  }

  textRecord(): Record<string, string> {
    if (typeof this.value !== 'object' || this.value === null || Array.isArray(this.value)) {
      this.fail('an object of texts', describe(this.value));
    }
    const out: Record<string, string> = {};
    for (const [key, value] of Object.entries(this.value)) {
      out[key] = new Reader(this.file, `${this.path}.${key}`, value).text(/^[^\0]*$/, 'a text');
    }
    return out;
  }
}

class ObjectReader extends Reader {
  has(key: string): boolean {
    return Object.hasOwn(this.value as object, key);
  }

  get(key: string): Reader {
    const value = this.has(key) ? (this.value as Record<string, unknown>)[key] : undefined;
    return new Reader(this.file, this.path === '' ? key : `${this.path}.${key}`, value);
  }
}

function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  return JSON.stringify(value);
}

/** The name in `known` that is at most two edits away, if any. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = 3;
  for (const candidate of known.slice(0, 1000)) {
    const d = distance(name.slice(0, 64).toLowerCase(), candidate.toLowerCase());
    if (d < bestDistance) {
      best = candidate;
      bestDistance = d;
    }
  }
  return best;
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
