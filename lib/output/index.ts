import { paintFor, type Paint } from './style.ts';

export { paintFor, plainPaint, type Paint, type Role } from './style.ts';
export { renderTable, type Column, type TableOptions } from './table.ts';
export { counted, humanBitrate, humanBytes, humanCount, humanDuration, humanShare } from './units.ts';
export { cellText, cutToWidth, displayWidth } from './width.ts';
export { wrapText } from './wrap.ts';

export const OUTPUT_FORMATS = ['table', 'wide', 'json', 'yaml'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** How text for people is to look on the stream it goes to. */
export interface TextStyle {
  readonly width: number | undefined;
  readonly wide: boolean;
  readonly paint: Paint;
}

export interface OutputTarget {
  write(text: string): unknown;
  readonly isTty: boolean;
  readonly columns: number | undefined;
}

/**
 * Prints one result in the form that was asked for. `data` is what json and yaml hold, with exact figures;
 * `text` makes the tables.
 */
export async function printResult(
  target: OutputTarget,
  format: OutputFormat,
  environment: Readonly<Record<string, string | undefined>>,
  result: { readonly data: unknown; readonly text: (style: TextStyle) => string },
): Promise<void> {
  switch (format) {
    case 'json':
      target.write(`${JSON.stringify(result.data, null, 2)}\n`);
      return;
    case 'yaml': {
      const { stringify } = await import('yaml');
      // Plain JSON first: what json leaves out (undefined, functions) yaml must not show either.
      target.write(stringify(JSON.parse(JSON.stringify(result.data)), { aliasDuplicateObjects: false, lineWidth: 0 }));
      return;
    }
    case 'table':
    case 'wide':
      target.write(
        result.text({
          width: format === 'wide' ? undefined : target.columns,
          wide: format === 'wide',
          paint: paintFor(target.isTty, environment),
        }),
      );
  }
}
