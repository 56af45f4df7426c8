/**
 * Kubernetes resource quantities (apimachinery/pkg/api/resource/quantity.go):
 * a signed decimal with a suffix n u m (none) k M G T P E, Ki Mi Gi Ti Pi Ei, or a decimal exponent (1e3, 1E3).
 */
const SUFFIX: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

const QUANTITY = /^([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([eE][+-]?[0-9]{1,4})|([numkMGTPE]|[KMGTPE]i)?)$/;

/** The value in base units, or undefined if it is no quantity. JSON numbers are taken as they are. */
export function parseQuantity(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (typeof value !== 'string' || value.length > 64) return undefined;
  const match = QUANTITY.exec(value);
  if (match === null) return undefined;
  const suffix = match[3] ?? '';
  const digits = Number(match[2] === undefined ? match[1] : match[1]! + match[2]);
  // Dividing keeps 290m at 0.29; times 1e-3 would give 0.29000000000000004.
  const factor = SUFFIX[suffix]!;
  const result = factor < 1 ? digits / Math.round(1 / factor) : digits * factor;
  return Number.isFinite(result) ? result : undefined;
}

/** In thousandths, rounded up as Quantity.MilliValue() does; undefined if it is no quantity. */
export function parseMilliQuantity(value: unknown): number | undefined {
  const base = parseQuantity(value);
  return base === undefined ? undefined : roundUp(base * 1000);
}

/** Up to the next integer, as Quantity.Value() does, but forgiving the last bits of a double. */
export function roundUp(value: number): number {
  const nearest = Math.round(value);
  return Math.abs(value - nearest) <= Math.abs(value) * 1e-12 ? nearest : Math.ceil(value);
}
