/**
 * Where a JSON text goes wrong, for a message. Pure. JSON.parse says so only for some faults, and counts in UTF-16 units;
 * it is the judge, this finds the place in the bytes after it has refused.
 */
export interface JsonFault {
  /** Index of the first byte that cannot stand there; `end` where the text ends too early. */
  readonly at: number;
  readonly expected: string;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OBJECT = 1;
const ARRAY = 0;

const LITERALS = ['true', 'false', 'null'] as const;
const NUMBER = /-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
/** Longer numbers are cut for the search only: 64 digits are beyond any double. */
const MAX_NUMBER = 4_096;

function isSpace(c: number): boolean {
  return c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09;
}

/** @returns index behind the closing quote, or the fault; `at` stands on the opening one. */
function stringEnd(bytes: Uint8Array, at: number, end: number): number | JsonFault {
  for (let i = at + 1; i < end; i++) {
    const c = bytes[i]!;
    if (c === QUOTE) return i + 1;
    if (c < 0x20) return { at: i, expected: 'no control character within a string' };
    if (c !== BACKSLASH) continue;
    const escaped = bytes[++i];
    if (i >= end) break;
    if (escaped === 0x75) {
      for (let digit = 0; digit < 4; digit++) {
        if (++i >= end) return { at: end, expected: 'four hexadecimal digits' };
        if (!/[0-9a-fA-F]/.test(String.fromCharCode(bytes[i]!))) return { at: i, expected: 'four hexadecimal digits' };
      }
    } else if (!'"\\/bfnrt'.includes(String.fromCharCode(escaped!))) {
      return { at: i, expected: 'one of " \\ / b f n r t u behind a backslash' };
    }
  }
  return { at: end, expected: 'the closing quote of a string' };
}

function scalarEnd(bytes: Uint8Array, at: number, end: number): number | JsonFault {
  const text = String.fromCharCode(...bytes.subarray(at, Math.min(end, at + MAX_NUMBER)));
  const literal = LITERALS.find((word) => text.startsWith(word));
  if (literal !== undefined) return at + literal.length;
  NUMBER.lastIndex = 0;
  const number = NUMBER.exec(text);
  return number === null ? { at, expected: 'a value' } : at + number[0].length;
}

/** undefined: `bytes` from `start` to `end` are one JSON value. */
export function findJsonFault(bytes: Uint8Array, start: number, end: number): JsonFault | undefined {
  /** OBJECT or ARRAY of each level that is open. */
  const open: number[] = [];
  let at = start;
  const skipSpace = (): void => {
    while (at < end && isSpace(bytes[at]!)) at++;
  };
  for (;;) {
    skipSpace();
    let first = false;
    const c = at < end ? bytes[at]! : -1;
    if (c === 0x7b || c === 0x5b) {
      open.push(c === 0x7b ? OBJECT : ARRAY);
      at++;
      first = true;
    } else {
      const next = c === -1 ? { at: end, expected: 'a value' } : valueEnd(bytes, at, end, c);
      if (typeof next !== 'number') return next;
      at = next;
    }
    // Behind a value, or behind an opening bracket: to where the next value begins.
    for (;;) {
      skipSpace();
      const level = open.at(-1);
      if (level === undefined) return at === end ? undefined : { at, expected: 'the end' };
      const closing = level === OBJECT ? 0x7d : 0x5d;
      const found = at < end ? bytes[at]! : -1;
      if (found === closing) {
        open.pop();
        at++;
        first = false;
        continue;
      }
      if (!first) {
        if (found !== 0x2c) return { at, expected: level === OBJECT ? ', or }' : ', or ]' };
        at++;
        skipSpace();
      }
      if (level === ARRAY) break;
      if (at >= end || bytes[at] !== QUOTE) return { at, expected: first ? 'a member name or }' : 'a member name' };
      const next = stringEnd(bytes, at, end);
      if (typeof next !== 'number') return next;
      at = next;
      skipSpace();
      if (at >= end || bytes[at] !== 0x3a) return { at, expected: ':' };
      at++;
      break;
    }
  }
}

function valueEnd(bytes: Uint8Array, at: number, end: number, c: number): number | JsonFault {
  return c === QUOTE ? stringEnd(bytes, at, end) : scalarEnd(bytes, at, end);
}
