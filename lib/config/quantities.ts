/**
 * Notations of configuration files and flags: durations (`10s`, `1h30m`), bytes (`64Mi`), bit rates (`1M`).
 * A number without its unit is refused: `interval: 10` has been milliseconds to some and seconds to others.
 * Exact both ways: format(parse(x)) reads back as the same value.
 */

const DURATION_UNITS: readonly (readonly [string, number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
];

/** Milliseconds, or undefined. '250ms', '1.5s', '1h30m'; 0 needs no unit. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  if (!/^(\d+(\.\d+)?(ms|[dhms]))+$/.test(text)) return undefined;
  let totalMs = 0;
  let last = -1;
  for (const [, digits, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[dhms])/g)) {
    const index = DURATION_UNITS.findIndex(([name]) => name === unit);
    // Largest unit first, each once: '5s1h' is more probably a slip than a wish.
    if (index <= last) return undefined;
    last = index;
    totalMs += Number(digits) * DURATION_UNITS[index]![1];
  }
  return Number.isSafeInteger(Math.round(totalMs)) ? Math.round(totalMs) : undefined;
}

export function formatDuration(ms: number): string {
  if (ms === 0) return '0s';
  let rest = ms;
  let text = '';
  for (const [unit, size] of DURATION_UNITS) {
    const count = Math.floor(rest / size);
    if (count > 0) text += `${String(count)}${unit}`;
    rest -= count * size;
  }
  return text;
}

const BINARY: readonly (readonly [string, number])[] = [
  ['Ti', 2 ** 40],
  ['Gi', 2 ** 30],
  ['Mi', 2 ** 20],
  ['Ki', 2 ** 10],
];
const DECIMAL: readonly (readonly [string, number])[] = [
  ['T', 1e12],
  ['G', 1e9],
  ['M', 1e6],
  ['k', 1e3],
];

/** Bytes, a whole number; suffixes Ki Mi Gi Ti (1024) and k M G T (1000), as Kubernetes quantities. */
export function parseBytes(text: string): number | undefined {
  return parseScaled(text, [...BINARY, ...DECIMAL]);
}

export function formatBytesExact(bytes: number): string {
  return formatScaled(bytes, BINARY);
}

/** Bits per second, a whole number; suffixes k M G T (1000), also with `bit`, `bit/s` or `bps` behind. */
export function parseBitrate(text: string): number | undefined {
  return parseScaled(text.replace(/(bit|bit\/s|bps)$/, ''), DECIMAL);
}

export function formatBitrateExact(bps: number): string {
  return formatScaled(bps, DECIMAL);
}

function parseScaled(text: string, suffixes: readonly (readonly [string, number])[]): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([A-Za-z]*)$/.exec(text);
  if (match === null) return undefined;
  const scale = match[2] === '' ? 1 : suffixes.find(([name]) => name === match[2])?.[1];
  if (scale === undefined) return undefined;
  const value = Number(match[1]) * scale;
  // '0.1Ki' is 102.4 bytes: refused rather than rounded. '1.1G' carries a float's last digit.
  const whole = Math.round(value);
  return Number.isSafeInteger(whole) && Math.abs(value - whole) <= whole * 1e-12 ? whole : undefined;
}

function formatScaled(value: number, suffixes: readonly (readonly [string, number])[]): string {
  for (const [name, scale] of suffixes) {
    if (value !== 0 && value % scale === 0) return `${String(value / scale)}${name}`;
  }
  return String(value);
}
