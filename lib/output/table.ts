import { plainPaint, type Paint, type Role } from './style.ts';
import { cellText, cutToWidth, displayWidth } from './width.ts';

export interface Column<Row> {
  readonly header: string;
  readonly cell: (row: Row) => string | number | undefined;
  /** Default: right where every value is a figure, else left. */
  readonly align?: 'left' | 'right';
  /** Only in `-o wide`. */
  readonly wide?: boolean;
  /** May be cut where the terminal is too narrow, down to `minWidth` (8). Figures never are. */
  readonly shrink?: boolean;
  readonly minWidth?: number;
  readonly role?: (row: Row) => Role | undefined;
  /**
   * Names that must be told apart, whole: where the terminal is too narrow for them, each stands on a line of its own above
   * its rows, and the next column comes first. For the first column.
   */
  readonly ownLine?: boolean;
}

export interface TableOptions {
  /** Columns of the terminal; undefined: nothing is cut. */
  readonly width?: number | undefined;
  readonly wide?: boolean;
  readonly paint?: Paint;
  /** Said where there are no rows. */
  readonly empty?: string;
}

const GAP = '  ';
const FIGURE = /^[<>+-]?\d[\d,.]*( ?(%|[kMGTP]?bit\/s|[KMGTP]?i?B(\/s)?|us|ms|s|m|h|d))*$/;

/** One header line and one line a row. Without a terminal every value is whole, for grep and awk. Pure. */
export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  options: TableOptions = {},
): string {
  const paint = options.paint ?? plainPaint;
  if (rows.length === 0) return `${paint('dim', options.empty ?? 'nothing to show')}\n`;
  const shown = columns.filter((column) => column.wide !== true || options.wide === true);
  if (shown[0]?.ownLine === true && !fits(shown, rows, options.width)) return renderGroups(shown, rows, options);
  const cells = rows.map((row) => shown.map((column) => textOf(column.cell(row))));
  const right = shown.map(
    (column, i) =>
      (column.align ?? (cells.every((line) => line[i] === '-' || FIGURE.test(line[i]!)) ? 'right' : 'left')) ===
      'right',
  );
  const widths = shown.map((column, i) =>
    cells.reduce((width, line) => Math.max(width, displayWidth(line[i]!)), column.header.length),
  );
  if (options.width !== undefined) shrink(shown, widths, options.width);

  const line = (texts: readonly string[], decorate: (text: string, i: number) => string): string =>
    texts
      .map((text, i) => {
        const cut = cutToWidth(text, widths[i]!);
        const fill = ' '.repeat(Math.max(0, widths[i]! - displayWidth(cut)));
        return right[i] === true ? fill + decorate(cut, i) : decorate(cut, i) + fill;
      })
      .join(GAP)
      .trimEnd();
  const head = line(
    shown.map((column) => column.header),
    (text) => paint('heading', text),
  );
  const body = cells.map((texts, r) =>
    line(texts, (text, i) => {
      const role = shown[i]!.role?.(rows[r]!);
      return role === undefined ? text : paint(role, text);
    }),
  );
  return `${[head, ...body].join('\n')}\n`;
}

function fits<Row>(columns: readonly Column<Row>[], rows: readonly Row[], total: number | undefined): boolean {
  if (total === undefined) return true;
  const widths = columns.map(({ header, cell }) =>
    rows.reduce((width, row) => Math.max(width, displayWidth(textOf(cell(row)))), header.length),
  );
  return widths.reduce((sum, width) => sum + width, 0) + GAP.length * (widths.length - 1) <= total;
}

function renderGroups<Row>(columns: readonly Column<Row>[], rows: readonly Row[], options: TableOptions): string {
  const [named, next, ...rest] = columns;
  if (named === undefined || next === undefined) return '';
  const indented: Column<Row> = {
    ...next,
    header: `${named.header} / ${next.header}`,
    cell: (row) => `${GAP}${textOf(next.cell(row))}`,
    align: 'left',
  };
  const [head, ...lines] = renderTable([indented, ...rest], rows, options)
    .trimEnd()
    .split('\n');
  const text = [head];
  let above: string | undefined;
  for (const [i, row] of rows.entries()) {
    const name = textOf(named.cell(row));
    if (name !== above) text.push(name);
    above = name;
    text.push(lines[i]);
  }
  return `${text.join('\n')}\n`;
}

/** Takes from the widest column that may be cut until the line fits. */
function shrink<Row>(columns: readonly Column<Row>[], widths: number[], total: number): void {
  let excess = widths.reduce((sum, width) => sum + width, 0) + GAP.length * (widths.length - 1) - total;
  while (excess > 0) {
    let widest = -1;
    for (const [i, column] of columns.entries()) {
      if (column.shrink !== true || widths[i]! <= (column.minWidth ?? 8)) continue;
      if (widest < 0 || widths[i]! > widths[widest]!) widest = i;
    }
    if (widest < 0) return;
    widths[widest]!--;
    excess--;
  }
}

function textOf(value: string | number | undefined): string {
  if (value === undefined || value === '') return '-';
  return cellText(String(value));
}
