import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseMilliQuantity, parseQuantity } from '../../lib/quantity.ts';

/** Power of ten of each decimal suffix, of two of each binary one (apimachinery/pkg/api/resource/suffix.go). */
const TENS = { n: -9, u: -6, m: -3, '': 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 } as const;
const TWOS = { Ki: 10, Mi: 20, Gi: 30, Ti: 40, Pi: 50, Ei: 60 } as const;

interface Decimal {
  readonly negative: boolean;
  readonly whole: number;
  /** Digits behind the point. */
  readonly fraction: string;
}
const decimal: fc.Arbitrary<Decimal> = fc.record({
  negative: fc.boolean(),
  whole: fc.nat(1_000_000),
  fraction: fc.string({ unit: fc.constantFrom(...'0123456789'), maxLength: 6 }),
});
const textOf = ({ negative, whole, fraction }: Decimal): string =>
  `${negative ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`;

/** The exact value in thousandths, as a fraction of whole numbers of any size. */
function milli({ negative, whole, fraction }: Decimal, tens: number, twos: number): { over: bigint; under: bigint } {
  let over = BigInt(`${whole}${fraction}`) * 1000n * 2n ** BigInt(twos);
  let under = 10n ** BigInt(fraction.length);
  if (tens >= 0) over *= 10n ** BigInt(tens);
  else under *= 10n ** BigInt(-tens);
  return { over: negative ? -over : over, under };
}

const abs = (value: bigint): bigint => (value < 0n ? -value : value);

describe('quantities', () => {
  it('are rounded up to whole thousandths, as Quantity.MilliValue() does, but for the last bits of a double', () => {
    const suffix = fc.constantFrom(...Object.entries(TENS), ...Object.entries(TWOS));
    fc.assert(
      fc.property(decimal, suffix, (value, [name, power]) => {
        const { over, under } = name in TWOS ? milli(value, 0, power) : milli(value, power, 0);
        const read = BigInt(parseMilliQuantity(textOf(value) + name)!);
        const tooLittle = over - read * under;
        // At least the exact value, and less than one more; else nearer to it than a double can tell.
        const exact = tooLittle <= 0n && tooLittle > -under;
        if (!exact) expect(abs(tooLittle) * 10n ** 12n).toBeLessThanOrEqual(2n * abs(over));
      }),
      { numRuns: 10_000 },
    );
  });

  it('with an exponent are what JavaScript reads', () => {
    fc.assert(
      fc.property(decimal, fc.constantFrom('e', 'E', 'e+', 'E-'), fc.nat(20), (value, e, exponent) => {
        const text = `${textOf(value)}${e}${exponent}`;
        expect(parseQuantity(text)).toBe(Number(text));
      }),
    );
  });

  it('are refused otherwise, and never are infinite or NaN', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'0159.+-eEkKMGimnu ') }), fc.jsonValue()),
        (value) => {
          const read = parseQuantity(value);
          if (read !== undefined) expect(Number.isFinite(read)).toBe(true);
        },
      ),
      { numRuns: 5_000 },
    );
    for (const text of [
      '',
      ' 1',
      '1 ',
      '1ki',
      '1KI',
      'Ki',
      '.',
      '1..2',
      '1e',
      '1e3k',
      '0x10',
      '1,5',
      '∞',
      'NaN',
      '1e400',
    ])
      expect(parseQuantity(text)).toBeUndefined();
    for (const value of [NaN, Infinity, null, {}, [], true]) expect(parseQuantity(value)).toBeUndefined();
    expect(parseQuantity('.5')).toBe(0.5);
    expect(parseQuantity('5.')).toBe(5);
    expect(parseMilliQuantity('1n')).toBe(1);
  });
});
