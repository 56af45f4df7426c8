import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findJsonFault } from '../../lib/json/json-fault.ts';
import { JsonScanner, ScanError } from '../../lib/json/json-scanner.ts';

/** All that a handler is told, in order; a refusal as its fault, offset and words. */
function scan(chunks: Iterable<Uint8Array>): unknown[] {
  const told: unknown[] = [];
  const scanner = new JsonScanner({
    item: (value, section, implied) => told.push({ value, section, implied }),
    document: (head, sections) => told.push({ head: { ...head }, sections }),
  });
  try {
    for (const chunk of chunks) scanner.write(chunk);
    scanner.end();
  } catch (error) {
    if (!(error instanceof ScanError)) throw error;
    told.push({ fault: error.fault, offset: error.offset, expected: error.expected });
  }
  return told;
}

function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return at.slice(1).map((end, i) => bytes.subarray(at[i], end));
}

const TRICKY = {
  metadata: { name: 'a\\"}{][b', 'k\u0000ey': 'Grüße 世界 🌍 \u2028 \ud800' },
  list: [[], {}, [1e-7, -0, 1.5e300, true, false, null], '\\', '"', '\\\\"'],
};
const DOCUMENTS = [
  JSON.stringify({ kind: 'List', items: [TRICKY, { items: [TRICKY], kind: 'PodList' }], metadata: { x: '"' } }),
  JSON.stringify({ netloom: 'snapshot', version: 1, nodes: [TRICKY], pods: [], services: [1, 'two', [3]] }, null, 4),
  JSON.stringify([TRICKY, [TRICKY], null, 7]),
  `${JSON.stringify(TRICKY)}\n${JSON.stringify(TRICKY)} \r\n\t`,
  '{"items":[{"a":"\\u00e9\\ud83c\\udf0d\\n"}],"kind":"L\\u0069st"}',
];

describe('the scanner', () => {
  it.each(DOCUMENTS)('tells the same wherever the bytes are cut: %.40s', (text) => {
    const bytes = Buffer.from(text);
    const whole = scan([bytes]);
    expect(whole.some((told) => 'fault' in (told as object))).toBe(false);
    for (let cut = 0; cut <= bytes.length; cut++) expect(scan(pieces(bytes, [cut]))).toEqual(whole);
    expect(scan(Array.from(bytes, (_, i) => bytes.subarray(i, i + 1)))).toEqual(whole);
  });

  it.each(DOCUMENTS)('and also what ends early, at every byte: %.40s', (text) => {
    const bytes = Buffer.from(text);
    for (let end = 0; end < bytes.length; end++) {
      const cut = bytes.subarray(0, end);
      expect(scan(Array.from(cut, (_, i) => cut.subarray(i, i + 1)))).toEqual(scan([cut]));
    }
  });

  it('gives the items as JSON.parse does, for any JSON and any cuts', () => {
    const item = fc.dictionary(
      fc.string({ unit: 'binary' }).filter((key) => key !== 'items' && key !== 'netloom'),
      fc.jsonValue({ stringUnit: 'binary' }),
    );
    fc.assert(
      fc.property(fc.array(item), fc.array(fc.nat()), fc.constantFrom(undefined, 1, 4), (items, cuts, indent) => {
        const text = JSON.stringify({ apiVersion: 'v1', items, kind: 'List' }, null, indent);
        const values = (JSON.parse(text) as { items: unknown[] }).items;
        const told = scan(pieces(Buffer.from(text), cuts));
        expect(told).toEqual([
          ...values.map((value) => ({ value, section: undefined, implied: undefined })),
          { head: { kind: 'List' }, sections: false },
        ]);
      }),
      { numRuns: 300 },
    );
  });

  it('judges damaged text as JSON.parse does, and alike for all cuts', () => {
    const text = Buffer.from(JSON.stringify({ apiVersion: 'v1', items: [TRICKY, { a: [1, 'x'] }], kind: 'List' }));
    const damage = fc.record({
      at: fc.nat(text.length - 1),
      by: fc.constantFrom(...Buffer.from('{}[]",:\\0-e.t\0x ')),
    });
    fc.assert(
      fc.property(fc.array(damage, { minLength: 1, maxLength: 3 }), fc.array(fc.nat()), (damages, cuts) => {
        const bytes = Buffer.from(text);
        for (const { at, by } of damages) bytes[at] = by;
        const whole = scan([bytes]);
        expect(scan(pieces(bytes, cuts))).toEqual(whole);
        // Documents one after the other are no fault here; otherwise JSON.parse is the judge.
        if (parses(bytes)) expect(whole.some((told) => 'fault' in (told as object))).toBe(false);
        else if (whole.filter((told) => 'head' in (told as object)).length === 1 && bytes.at(-1) === 0x7d)
          expect(whole.at(-1)).toHaveProperty('fault');
      }),
      { numRuns: 2_000 },
    );
  });

  it('does not pass over what is wrong before the items', () => {
    expect(scan([Buffer.from('{"apiVersion": v1, "items": []}')])).toMatchObject([{ fault: 'syntax', offset: 15 }]);
    expect(scan([Buffer.from('{"metadata": {"a" 1}, "items": []}')])).toMatchObject([{ fault: 'syntax', offset: 18 }]);
  });

  it('refuses depth, not by overflowing', () => {
    const deep = (text: string, times: number): Buffer => Buffer.from(text.repeat(times));
    expect(scan([deep('{"items":[', 1_000_000)])).toMatchObject([{ fault: 'syntax', offset: 320 }]);
    expect(scan([deep('[', 10_000_000)])).toMatchObject([{ fault: 'truncated' }]);
    const value = Buffer.from(`{"items":[{"kind":"Pod","x":${'['.repeat(1e6)}${']'.repeat(1e6)}}]}`);
    expect(scan([value])).toHaveLength(2);
  });
});

function parses(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString());
    return true;
  } catch {
    return false;
  }
}

describe('the place of a fault', () => {
  it('is found exactly where JSON.parse refuses', () => {
    const damage = fc.record({ at: fc.nat(), by: fc.integer({ min: 0, max: 127 }), remove: fc.boolean() });
    fc.assert(
      fc.property(fc.json({ stringUnit: 'binary' }), fc.array(damage, { maxLength: 3 }), (json, damages) => {
        const bytes = [...Buffer.from(json)];
        for (const { at, by, remove } of damages) bytes.splice(at % (bytes.length + 1), remove ? 1 : 0, by);
        const buffer = Buffer.from(bytes);
        expect(findJsonFault(buffer, 0, buffer.length) === undefined).toBe(parses(buffer));
      }),
      { numRuns: 5_000 },
    );
  });

  it.each([
    ['{"a" 1}', 5, ':'],
    ['{"a":1,}', 7, 'a member name'],
    ['[1 2]', 3, ', or ]'],
    ['{"a":nul}', 5, 'a value'],
    ['{"a":01}', 6, ', or }'],
    ['"a\nb"', 2, 'no control character within a string'],
    ['"\\x"', 2, 'one of " \\ / b f n r t u behind a backslash'],
    ['"\\u12g4"', 5, 'four hexadecimal digits'],
    ['[1,', 3, 'a value'],
    ['"a', 2, 'the closing quote of a string'],
    ['1 1', 2, 'the end'],
    ['"世界\u0001"', 7, 'no control character within a string'],
  ])('%j: byte %i, %s', (text, at, expected) => {
    const bytes = Buffer.from(text);
    expect(findJsonFault(bytes, 0, bytes.length)).toEqual({ at, expected });
  });
});
