/** RFC 4180 CSV as a stream: quoted fields with commas, quotes and line breaks; CRLF, LF; blank lines are skipped. Pure. */

export interface CsvRow {
  readonly fields: readonly string[];
  /** Line on which the row begins, from 1. */
  readonly line: number;
}

export class CsvError extends Error {
  readonly line: number;
  constructor(message: string, line: number) {
    super(message);
    this.line = line;
  }
}

/** No row of Netloom's is anywhere near; more means a quote that is never closed. */
const MAX_ROW_CHARS = 65_536;

const FIELD_START = 0;
const PLAIN = 1;
const QUOTED = 2;
const QUOTE_IN_QUOTED = 3;

export class CsvParser {
  private readonly onRow: (row: CsvRow) => void;
  private state = FIELD_START;
  private field = '';
  private fields: string[] = [];
  private line = 1;
  private rowLine = 1;
  private rowChars = 0;
  private sawCr = false;

  constructor(onRow: (row: CsvRow) => void) {
    this.onRow = onRow;
  }

  write(text: string): void {
    for (let i = 0; i < text.length; i++) {
      const c = text[i]!;
      if (++this.rowChars > MAX_ROW_CHARS) {
        throw new CsvError(
          this.state === QUOTED ? 'a quoted field is not closed' : `the row is longer than ${MAX_ROW_CHARS} characters`,
          this.rowLine,
        );
      }
      if (this.state === QUOTED) {
        if (c === '"') this.state = QUOTE_IN_QUOTED;
        else {
          if (c === '\n') this.line++;
          this.field += c;
        }
        continue;
      }
      if (c === '\n') {
        this.sawCr = false;
        this.endRow();
        this.line++;
        this.rowLine = this.line;
        continue;
      }
      if (this.sawCr) throw new CsvError('a carriage return stands within a row', this.line);
      if (c === '\r') {
        this.sawCr = true;
      } else if (c === ',') {
        this.endField();
      } else if (c === '"') {
        if (this.state === PLAIN) throw new CsvError('a quote stands within an unquoted field', this.line);
        if (this.state === QUOTE_IN_QUOTED) this.field += c;
        this.state = QUOTED;
      } else if (this.state === QUOTE_IN_QUOTED) {
        throw new CsvError('text follows a closing quote', this.line);
      } else {
        this.state = PLAIN;
        this.field += c;
      }
    }
  }

  end(): void {
    if (this.state === QUOTED) throw new CsvError('a quoted field is not closed', this.rowLine);
    this.endRow();
  }

  private endField(): void {
    this.fields.push(this.field);
    this.field = '';
    this.state = FIELD_START;
  }

  private endRow(): void {
    this.rowChars = 0;
    const blank = this.fields.length === 0 && this.state !== QUOTE_IN_QUOTED && this.field.trim() === '';
    this.endField();
    const { fields } = this;
    this.fields = [];
    if (!blank) this.onRow({ fields, line: this.rowLine });
  }
}

/** One row as text, quoted where needed, with a line feed. */
export function csvLine(fields: readonly string[]): string {
  return `${fields.map((f) => (/[",\r\n]/.test(f) ? `"${f.replaceAll('"', '""')}"` : f)).join(',')}\n`;
}
