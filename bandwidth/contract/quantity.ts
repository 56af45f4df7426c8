/**
 * The numbers of Kubernetes as exact integers. lib/quantity.ts reads them as doubles, which is enough for CPU and
 * memory; a limit is compared with what kubelet and the CNI plugins read, to the bit.
 */

/** Powers of ten; binary ones are powers of two. */
const DECIMAL: Readonly<Record<string, number>> = {
  n: -9,
  u: -6,
  m: -3,
  '': 0,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
};
const BINARY: Readonly<Record<string, number>> = { Ki: 10, Mi: 20, Gi: 30, Ti: 40, Pi: 50, Ei: 60 };

const QUANTITY = /^([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+)|(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?)$/;
const MAX_LENGTH = 1024;
/** Beyond it any value is 0 or larger than all bounds. */
const MAX_EXPONENT = 2048;

/**
 * A Quantity (apimachinery/pkg/api/resource/quantity.go: parseQuantityString, suffixer) rounded up to a whole number, as
 * Quantity.Value() does; undefined: it is none. Pure.
 */
export function parseWholeQuantity(text: string): bigint | undefined {
  const match = text.length <= MAX_LENGTH ? QUANTITY.exec(text) : null;
  if (match === null) return undefined;
  const [, sign, whole = '', fraction = '', exponent, suffix = ''] = match;
  if (whole === '' && fraction === '') return undefined;
  const digits = BigInt(whole + fraction);
  const binary = exponent === undefined ? BINARY[suffix] : undefined;
  const written = exponent === undefined ? (DECIMAL[suffix] ?? 0) : Number(exponent);
  const ten = Math.max(-MAX_EXPONENT, Math.min(MAX_EXPONENT, written)) - fraction.length;
  const scaled = binary === undefined ? digits : digits << BigInt(binary);
  if (ten >= 0) return signed(scaled * 10n ** BigInt(ten), sign);
  const divisor = 10n ** BigInt(-ten);
  const [quotient, rest] = [scaled / divisor, scaled % divisor];
  // Away from zero, whatever the sign: RoundUp of gopkg.in/inf.v0.
  return signed(rest === 0n ? quotient : quotient + 1n, sign);
}

function signed(value: bigint, sign: string | undefined): bigint {
  return sign === '-' ? -value : value;
}
