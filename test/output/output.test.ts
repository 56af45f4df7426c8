import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import {
  cutToWidth,
  displayWidth,
  humanBitrate,
  humanBytes,
  humanCount,
  humanDuration,
  humanShare,
  paintFor,
  plainPaint,
  printResult,
  renderTable,
  wrapText,
  type Column,
} from '../../lib/output/index.ts';

interface Row {
  readonly name: string;
  readonly bytes: number | undefined;
}
const columns: Column<Row>[] = [
  { header: 'NAME', cell: (row) => row.name, shrink: true },
  { header: 'BYTES', cell: (row) => (row.bytes === undefined ? undefined : humanBytes(row.bytes)) },
  { header: 'EXACT', cell: (row) => row.bytes, wide: true },
];
const rows: Row[] = [
  { name: 'shop/Deployment/cart', bytes: 1536 },
  { name: 'x', bytes: undefined },
];

describe('a sentence', () => {
  it('is wrapped between words, further lines indented; a word that is too long stays whole', () => {
    expect(wrapText('one two three fourteen-long', 9)).toEqual(['one two', '  three', '  fourteen-long']);
    expect(wrapText('one two', undefined)).toEqual(['one two']);
  });
});

describe('tables', () => {
  it('put figures right, names left, and wide columns only where asked', () => {
    expect(renderTable(columns, rows)).toBe(
      'NAME                    BYTES\nshop/Deployment/cart  1.5 KiB\nx                           -\n',
    );
    expect(renderTable(columns, rows, { wide: true })).toContain('EXACT');
    expect(renderTable(columns, [], { empty: 'no edges yet' })).toBe('no edges yet\n');
  });

  it('fit a terminal by cutting names in their middle, never figures', () => {
    const text = renderTable(columns, rows, { width: 24 });
    expect(text.split('\n')[1]).toBe('shop/De…nt/cart  1.5 KiB');
  });

  it('never exceed the width where every column may shrink, whatever the names', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ name: fc.string({ unit: 'grapheme', maxLength: 60 }), bytes: fc.nat() }), {
          minLength: 1,
        }),
        fc.integer({ min: 30, max: 120 }),
        (list, width) => {
          for (const line of renderTable(columns, list, { width }).split('\n'))
            expect(displayWidth(line)).toBeLessThanOrEqual(width);
        },
      ),
    );
  });

  it('let no name drive the terminal or break the line', () => {
    const text = renderTable(columns, [{ name: 'a\n\u001b[2Jb\u202e', bytes: 1 }]);
    expect(text.split('\n')).toHaveLength(3);
    expect(text).toContain('a\\n\\u001b[2Jb\\u202e');
  });

  it('paint headings and roles, widths unchanged', () => {
    const paint = paintFor(true, {});
    const painted = renderTable([{ ...columns[0]!, role: () => 'bad' as const }, columns[1]!], rows, { paint });

    expect(painted.replace(/\u001b\[\d+m/g, '')).toBe(renderTable(columns, rows));
    expect(painted).toContain('\u001b[31m');
  });
});

describe('colours', () => {
  it('are on a terminal only, and never against NO_COLOR', () => {
    expect(paintFor(false, {})).toBe(plainPaint);
    expect(paintFor(true, { NO_COLOR: '1' })).toBe(plainPaint);
    expect(paintFor(true, { NO_COLOR: '1', FORCE_COLOR: '1' })).toBe(plainPaint);
    expect(paintFor(true, { TERM: 'dumb' })).toBe(plainPaint);
    expect(paintFor(true, { NO_COLOR: '' })).not.toBe(plainPaint);
    expect(paintFor(false, { FORCE_COLOR: '1' })).not.toBe(plainPaint);
  });
});

describe('figures for people', () => {
  it('have a unit and three digits', () => {
    expect([0, 1, 999, 1023, 1024, 1536, 1048575, 1048576, 1e15, NaN, -2048].map(humanBytes)).toEqual([
      '0 B',
      '1 B',
      '999 B',
      '1023 B',
      '1 KiB',
      '1.5 KiB',
      '1 MiB',
      '1 MiB',
      '909 TiB',
      '-',
      '-2 KiB',
    ]);
    expect([0, 999, 999.6, 1000, 2.5e6, 1e10].map(humanBitrate)).toEqual([
      '0 bit/s',
      '999 bit/s',
      '1 kbit/s',
      '1 kbit/s',
      '2.5 Mbit/s',
      '10 Gbit/s',
    ]);
    expect([0, 999, 1000, 1234567, 0.5].map(humanCount)).toEqual(['0', '999', '1,000', '1,234,567', '0.5']);
    expect([0, 0.00001, 0.1234, 0.99999, 1, NaN].map(humanShare)).toEqual([
      '0 %',
      '<0.1 %',
      '12.3 %',
      '>99.9 %',
      '100 %',
      '-',
    ]);
    expect([0, 0.5, 5, 1500, 59_999, 60_000, 93_000, 3_600_000, 90_061_000].map(humanDuration)).toEqual([
      '0 s',
      '500 us',
      '5 ms',
      '1.5 s',
      '60 s',
      '1m',
      '1m 33s',
      '1h',
      '1d 1h',
    ]);
  });
});

describe('widths', () => {
  it('count wide characters twice, and cuts keep to them', () => {
    expect(displayWidth('日本')).toBe(4);
    expect(displayWidth('é')).toBe(1);
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme' }),
        fc.nat(40),
        (text, width) => displayWidth(cutToWidth(text, width)) <= Math.max(width, 0),
      ),
    );
  });
});

describe('results', () => {
  const print = async (format: 'json' | 'yaml' | 'table' | 'wide', columnsOf?: number): Promise<string> => {
    let out = '';
    const target = { write: (text: string) => (out += text), isTty: columnsOf !== undefined, columns: columnsOf };
    await printResult(
      target,
      format,
      { NO_COLOR: '1' },
      {
        data: { rows, none: undefined, odd: 'yes' },
        text: (style) => renderTable(columns, rows, style),
      },
    );
    return out;
  };

  it('are the same data in json and yaml', async () => {
    const json: unknown = JSON.parse(await print('json'));
    expect(parse(await print('yaml'))).toEqual(json);
    expect(json).toEqual({ rows: [{ name: 'shop/Deployment/cart', bytes: 1536 }, { name: 'x' }], odd: 'yes' });
  });

  it('are tables else: as wide as the terminal, or whole', async () => {
    expect(await print('table', 24)).toContain('…');
    expect(await print('table')).not.toContain('…');
    expect(await print('wide', 24)).toContain('EXACT');
    expect(await print('wide', 24)).not.toContain('…');
  });
});
