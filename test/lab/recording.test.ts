import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { createRecording, openRecording } from '../../lab/recording-file.ts';
import { decodeEntry, encodeEntry, type RecordingEntry } from '../../lab/recording.ts';

const dir = mkdtempSync(join(tmpdir(), 'netloom-recording-'));
afterAll(() => rmSync(dir, { recursive: true }));

const header = { version: '0.1.0', scenario: 'two-nodes', recordedOn: 'Linux', intervalMs: 1000, nodes: ['node-0'] };
const entries: RecordingEntry[] = [
  { atMs: 0, kind: 'snapshot', snapshot: { kind: 'List', items: [] } },
  { atMs: 12.5, kind: 'message', node: 'node-0', data: new Uint8Array([0, 255, 10, 13]) },
  { atMs: 13, kind: 'reading', label: 'before', reading: { a: 1 } },
  { atMs: 13, kind: 'note', text: 'line\nbreak' },
];

async function all(path: string): Promise<RecordingEntry[]> {
  const out: RecordingEntry[] = [];
  for await (const entry of (await openRecording(path)).entries) out.push(entry);
  return out;
}

describe('a recording', () => {
  it.each(['plain.jsonl', 'packed.jsonl.gz'])('is read back as it was written: %s', async (file) => {
    const path = join(dir, file);
    const writer = await createRecording(path, header);
    for (const entry of entries) await writer.write(entry);
    await writer.close();
    expect((await openRecording(path)).header).toEqual(header);
    expect(await all(path)).toEqual(entries);
  });

  it('keeps every report byte for byte', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.string(), (data, node) => {
        const entry: RecordingEntry = { atMs: 1, kind: 'message', node, data };
        expect(decodeEntry(encodeEntry(entry).trimEnd(), 'x')).toEqual(entry);
      }),
    );
  });

  it.each([
    ['nothing', ''],
    ['no header', '{"atMs":0}\n'],
    ['another version', '{"netloomRecording":2}\n'],
    ['text', 'hello\n'],
    ['a cut line', `${JSON.stringify({ netloomRecording: 1, ...header })}\n{"atMs":0,"kind":"mess`],
    [
      'broken base64',
      `${JSON.stringify({ netloomRecording: 1, ...header })}\n{"atMs":0,"kind":"message","node":"n","data":"*"}\n`,
    ],
    [
      'time that goes back',
      `${JSON.stringify({ netloomRecording: 1, ...header })}\n{"atMs":5,"kind":"note","text":""}\n{"atMs":4,"kind":"note","text":""}\n`,
    ],
  ])('that holds %s is refused, naming file and line', async (_, text) => {
    const path = join(dir, 'bad.jsonl');
    writeFileSync(path, text);
    await expect(all(path)).rejects.toMatchObject({
      code: 'RECORDING_INVALID',
      details: { place: expect.stringContaining(path) },
    });
  });

  it.each(['bad.jsonl.gz', 'missing.jsonl', 'missing.jsonl.gz'])(
    'that is damaged or missing is refused: %s',
    async (file) => {
      if (file.startsWith('bad')) writeFileSync(join(dir, file), 'not gzip');
      await expect(all(join(dir, file))).rejects.toMatchObject({ code: 'RECORDING_INVALID' });
    },
  );
});
