import { readFile, stat } from 'node:fs/promises';
import { release } from 'node:os';
import { createRecording } from '../lab/recording-file.ts';
import type { RecordingEntry } from '../lab/recording.ts';
import { VERSION } from '../lib/version.ts';
import { startRecordingProxy } from './recording-proxy.ts';

/** Writes what happens on the live stage into a file that the recorded stage plays. */
export interface Recorder {
  /** Port to which agents are to report. */
  proxy(schedulerPort: number): Promise<number>;
  /** Records the file now and whenever it changes. */
  watchSnapshot(file: string): void;
  note(label: string, reading: object): Promise<void>;
  close(): Promise<void>;
}

const WATCH_MS = 50;

export async function createRecorder(path: string, scenario: string): Promise<Recorder> {
  const fromMs = performance.now();
  const writer = await createRecording(path, {
    version: VERSION,
    scenario,
    recordedOn: `Linux ${release().split('.').slice(0, 2).join('.')}`,
    intervalMs: 1000,
    nodes: [],
  });
  // One after the other, in the order in which they are asked for; times must not go back.
  let last = Promise.resolve();
  const write = (entry: (atMs: number) => RecordingEntry | Promise<RecordingEntry>): Promise<void> => {
    const atMs = Math.round(performance.now() - fromMs);
    last = last.then(async () => writer.write(await entry(atMs)));
    return last;
  };
  let proxy: { readonly port: number; close(): void } | undefined;
  let timer: NodeJS.Timeout | undefined;
  return {
    proxy: async (schedulerPort) => {
      proxy = await startRecordingProxy(schedulerPort, (node, data) => {
        void write((atMs) => ({ atMs, kind: 'message', node, data: new Uint8Array(data) }));
      });
      return proxy.port;
    },
    watchSnapshot: (file) => {
      let seen = '';
      const look = async (): Promise<void> => {
        const { mtimeMs, ino } = await stat(file);
        if (seen === `${mtimeMs} ${ino}`) return;
        seen = `${mtimeMs} ${ino}`;
        const snapshot = JSON.parse(await readFile(file, 'utf8')) as object;
        void write((atMs) => ({ atMs, kind: 'snapshot', snapshot }));
      };
      timer = setInterval(() => void look().catch(() => {}), WATCH_MS);
    },
    note: (label, reading) => write((atMs) => ({ atMs, kind: 'reading', label, reading })),
    close: async () => {
      clearInterval(timer);
      await last;
      proxy?.close();
      await writer.close();
    },
  };
}
