import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBandwidth } from '../../bandwidth/contract/bandwidth.ts';
import { parseWholeQuantity } from '../../bandwidth/contract/quantity.ts';
import { parseQuantity } from '../../lib/quantity.ts';
import { quantity } from '../support/arbitrary-quantity.ts';

it.each([
  ['10M', 10_000_000n],
  ['1.5G', 1_500_000_000n],
  ['1Mi', 1_048_576n],
  ['1e3', 1000n],
  ['12E-1', 2n],
  ['100', 100n],
  ['.5k', 500n],
  ['1.', 1n],
  ['1500m', 2n],
  ['1n', 1n],
  ['0.0000000001', 1n],
  ['0', 0n],
  ['-5k', -5000n],
  ['+5k', 5000n],
  ['9007199254740993', 9_007_199_254_740_993n],
  ['1.0000000000000000001k', 1001n],
])('%s is %d', (text, value) => {
  expect(parseWholeQuantity(text)).toBe(value);
});

it.each([
  '',
  ' 10M',
  '10M ',
  '10 M',
  '10Mbit',
  '1e',
  '1ki',
  '1K',
  'M',
  '.',
  '+',
  '1,5M',
  '0x10',
  '1e3k',
  '--1',
  '1..2',
  '١0M',
  '10M\n',
])('%j is none', (text) => {
  expect(parseWholeQuantity(text)).toBeUndefined();
});

it('agrees with the reader of doubles, rounded up', () => {
  fc.assert(
    fc.property(quantity, (text) => {
      const exact = Number(parseWholeQuantity(text));
      const double = parseQuantity(text)!;
      expect(Math.abs(exact - double)).toBeLessThanOrEqual(Math.max(1, Math.abs(double) * 1e-9));
    }),
  );
});

describe('a bandwidth', () => {
  it.each([
    [undefined, { kind: 'none' }],
    ['10M', { kind: 'limit', bps: 10_000_000n }],
    ['64k', { kind: 'limit', bps: 64_000n }],
    ['1P', { kind: 'limit', bps: 10n ** 15n }],
    ['63999', { kind: 'unsupported', bps: 63_999n, why: 'below 64k' }],
    ['1k', { kind: 'unsupported', bps: 1000n, why: 'below 64k' }],
  ])('%j', (text, wish) => {
    expect(parseBandwidth(text)).toEqual(wish);
  });

  it.each(['999', '0', '-10M', '1000000000000001', '1E', '1e400', '9'.repeat(1024)])('%s is out of range', (text) => {
    expect(parseBandwidth(text)).toMatchObject({
      kind: 'invalid',
      problem: expect.stringMatching(/expected 1k to 1P/),
    });
  });

  it.each(['ten', '', '10Mbps', '9'.repeat(2000)])(
    '%j is told with what was found, cut, and what is expected',
    (text) => {
      const wish = parseBandwidth(text);
      expect(wish).toMatchObject({
        kind: 'invalid',
        problem: expect.stringMatching(/^".*" is no quantity; expected bits/),
      });
      expect((wish as { problem: string }).problem.length).toBeLessThan(120);
    },
  );

  it('of any text does not fail and takes no time', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 300, unit: 'binary' }), (text) => {
        parseBandwidth(text);
      }),
    );
  });
});
