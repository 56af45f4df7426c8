const ARCHIVES: readonly (readonly [name: string, ...magic: number[]])[] = [
  ['zip', 0x50, 0x4b, 0x03, 0x04],
  ['zstd', 0x28, 0xb5, 0x2f, 0xfd],
  ['xz', 0xfd, 0x37, 0x7a, 0x58],
  ['bzip2', 0x42, 0x5a, 0x68],
];

/** By its byte order mark, or, without one, by the zero in every other byte of what should be ASCII. */
export function isUtf16(head: Uint8Array): boolean {
  const [a, b, c, d] = head;
  if ((a === 0xff && b === 0xfe) || (a === 0xfe && b === 0xff)) return true;
  return (a === 0 && b !== 0 && c === 0) || (a !== 0 && b === 0 && c !== 0 && d === 0);
}

export interface WrongForm {
  readonly form: 'utf-16' | 'archive' | 'yaml' | 'table' | 'message' | 'blank' | 'unknown';
  /** For people. */
  readonly found: string;
  readonly remedy: string | undefined;
}

/** What a file that does not begin as JSON probably is, from its first bytes; undefined: it does begin as JSON. Pure. */
export function describeForm(head: Uint8Array): WrongForm | undefined {
  if (isUtf16(head)) {
    return {
      form: 'utf-16',
      found: 'UTF-16 text',
      remedy: 'PowerShell\'s ">" writes UTF-16: use `kubectl get ... -o json | Out-File -Encoding utf8 FILE`.',
    };
  }
  const archive = ARCHIVES.find(([, ...magic]) => magic.every((byte, i) => head[i] === byte));
  if (archive !== undefined) {
    return {
      form: 'archive',
      found: `${archive[0]} data`,
      remedy: 'Decompress it first. Of compressed files gzip is understood.',
    };
  }
  const whole = Buffer.from(head).toString('utf8').trimStart();
  const text = whole.replace(/^(#.*\n\s*)+/, '');
  if (text.startsWith('{') || text.startsWith('[')) return undefined;
  const line = text.split(/\r?\n/, 1)[0]!.slice(0, 60);
  const remedy = 'Pass `-o json` to kubectl (not `-o yaml`).';
  // A licence may fill all of it.
  if (whole.startsWith('#') || /^(---|apiVersion:|kind:|items:|metadata:|%YAML|- )/.test(text)) {
    return { form: 'yaml', found: `YAML (${JSON.stringify(line)})`, remedy };
  }
  if (/^(NAMESPACE|NAME)\s/.test(text)) {
    return { form: 'table', found: `a table (${JSON.stringify(line)})`, remedy: 'Pass `-o json` to kubectl.' };
  }
  if (/^(Error|error|Unable|The connection|Warning)/.test(text)) {
    return {
      form: 'message',
      found: `a message of kubectl (${JSON.stringify(line)})`,
      remedy: 'Run the kubectl command again and see why it fails.',
    };
  }
  if (text === '') return { form: 'blank', found: 'nothing but white space', remedy: undefined };
  return { form: 'unknown', found: JSON.stringify(line), remedy: undefined };
}
