/** What a file that does not begin as JSON probably is, from its first bytes; undefined: it does begin as JSON. Pure. */
export function describeForm(head: Uint8Array): { found: string; remedy: string | undefined } | undefined {
  if ((head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff)) {
    return {
      found: 'UTF-16 text',
      remedy: 'PowerShell\'s ">" writes UTF-16: use `kubectl get ... -o json | Out-File -Encoding utf8 FILE`.',
    };
  }
  const text = Buffer.from(head)
    .toString('utf8')
    .replace(/^(\s*#.*\n)+/, '')
    .trimStart();
  if (text.startsWith('{') || text.startsWith('[')) return undefined;
  const line = text.split(/\r?\n/, 1)[0]!.slice(0, 60);
  const remedy = 'Pass `-o json` to kubectl (not `-o yaml`).';
  if (/^(---|apiVersion:|kind:|items:|metadata:|%YAML|- )/.test(text)) {
    return { found: `YAML (${JSON.stringify(line)})`, remedy };
  }
  if (/^(NAMESPACE|NAME)\s/.test(text)) {
    return { found: `a table (${JSON.stringify(line)})`, remedy: 'Pass `-o json` to kubectl.' };
  }
  if (/^(Error|error|Unable|The connection|Warning)/.test(text)) {
    return {
      found: `a message of kubectl (${JSON.stringify(line)})`,
      remedy: 'Run the kubectl command again and see why it fails.',
    };
  }
  if (text === '') return { found: 'nothing but white space', remedy: undefined };
  return { found: JSON.stringify(line), remedy: undefined };
}
