/**
 * Nesting and number of arrays and objects that a body may have. JSON.parse has no such limits: 64 MiB of "{}," took
 * 9 s and over 2 GB here. Go's decoder stops at a nesting of 10,000; a list of 5,000 full Node objects with 50 images
 * each nests 8 deep and has 650,000 arrays and objects and 2 million values.
 */
export const MAX_NESTING = 1000;
export const MAX_CONTAINERS = 2_000_000;
export const MAX_VALUES = 10_000_000;

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Why parsing these bytes would cost too much, or undefined. Does not judge whether they are JSON; about 1 ns a byte. */
export function tooComplex(bytes: Uint8Array): string | undefined {
  let depth = 0;
  let containers = 0;
  let commas = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte === QUOTE) {
      for (i++; i < bytes.length && bytes[i] !== QUOTE; i++) if (bytes[i] === BACKSLASH) i++;
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (++depth > MAX_NESTING) return `arrays and objects nest deeper than ${MAX_NESTING}`;
      if (++containers > MAX_CONTAINERS) return `more than ${MAX_CONTAINERS} arrays and objects`;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth--;
    } else if (byte === COMMA && ++commas > MAX_VALUES) {
      return `more than ${MAX_VALUES} values`;
    }
  }
  return undefined;
}
