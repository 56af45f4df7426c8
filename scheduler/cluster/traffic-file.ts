import { StringDecoder } from 'node:string_decoder';
import { NetloomError } from '../../lib/errors.ts';
import { fileChunks, type FileErrors } from '../../lib/files/file-bytes.ts';
import { isUtf16 } from '../../lib/files/wrong-form.ts';
import { CsvError, CsvParser, type CsvRow } from './csv.ts';
import { readTrafficRow, TRAFFIC_COLUMNS, TRAFFIC_HEADER, type TrafficRow } from './traffic.ts';

const FILE_ERRORS: FileErrors = {
  unreadable: 'TRAFFIC_UNREADABLE',
  truncated: 'TRAFFIC_UNREADABLE',
  what: 'traffic file',
};

/** 20 times the largest graph that Netloom is laid out for. */
export const MAX_TRAFFIC_ROWS = 1_000_000;

/**
 * Reads a traffic file (gzip too), all or nothing.
 * @throws NetloomError TRAFFIC_UNREADABLE, TRAFFIC_HEADER, TRAFFIC_ROW with file and line
 */
export async function readTraffic(path: string): Promise<TrafficRow[]> {
  const rows: TrafficRow[] = [];
  let headerSeen = false;
  const take = (row: CsvRow): void => {
    if (!headerSeen) {
      headerSeen = true;
      checkHeader(path, row);
      return;
    }
    const read = readTrafficRow(row);
    if ('expected' in read) {
      const column = read.column === '' ? '' : `, column ${read.column}`;
      throw new NetloomError('TRAFFIC_ROW', 'a row of the traffic file cannot be read', {
        place: `${path}:${row.line}${column}`,
        expected: read.expected,
        found: read.found.slice(0, 120),
      });
    }
    if (rows.length >= MAX_TRAFFIC_ROWS) {
      throw new NetloomError('TRAFFIC_ROW', 'the traffic file has too many rows', {
        place: `${path}:${row.line}`,
        expected: `at most ${MAX_TRAFFIC_ROWS} rows`,
        found: 'more',
        remedy: 'Leave out the edges with the least traffic.',
      });
    }
    rows.push(read);
  };
  const parser = new CsvParser(take);
  const decoder = new StringDecoder('utf8');
  try {
    for await (const chunk of fileChunks(path, FILE_ERRORS)) {
      if (!headerSeen) refuseOtherForms(path, chunk);
      parser.write(decoder.write(chunk));
    }
    parser.write(decoder.end());
    parser.end();
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const code = headerSeen ? 'TRAFFIC_ROW' : 'TRAFFIC_HEADER';
    throw new NetloomError(code, 'the traffic file is not valid CSV', {
      place: `${path}:${error.line}`,
      expected: headerSeen ? 'CSV as RFC 4180 describes it' : TRAFFIC_HEADER,
      found: error.message,
    });
  }
  if (!headerSeen) {
    throw new NetloomError('TRAFFIC_HEADER', 'the traffic file is empty', {
      place: path,
      expected: TRAFFIC_HEADER,
      found: 'no line',
    });
  }
  return rows;
}

function refuseOtherForms(path: string, head: Buffer): void {
  if (!isUtf16(head)) return;
  throw new NetloomError('TRAFFIC_HEADER', 'the traffic file is not UTF-8 text', {
    place: path,
    expected: TRAFFIC_HEADER,
    found: 'UTF-16 text',
    remedy: 'PowerShell\'s ">" writes UTF-16: use `... | Out-File -Encoding utf8 FILE`.',
  });
}

function checkHeader(path: string, row: CsvRow): void {
  const found = row.fields.map((field) => field.trim());
  if (found.length === TRAFFIC_COLUMNS.length && found.every((name, i) => name === TRAFFIC_COLUMNS[i])) return;
  const text = found.join(',').slice(0, 200);
  const first = found.findIndex((name, i) => name !== TRAFFIC_COLUMNS[i]);
  const column =
    first >= 0 && first < TRAFFIC_COLUMNS.length
      ? `; column ${first + 1} should be ${TRAFFIC_COLUMNS[first]}`
      : `; ${found.length} columns`;
  throw new NetloomError('TRAFFIC_HEADER', 'the traffic file does not begin with its header', {
    place: `${path}:${row.line}`,
    expected: TRAFFIC_HEADER,
    found: `${JSON.stringify(text)}${column}`,
    ...(text.includes(';') && !text.includes(',') ? { remedy: 'Separate the columns by commas, not semicolons.' } : {}),
  });
}
