/**
 * Loading a kubectl file: our streaming reader against the baseline "JSON.parse of the whole file", both until the records
 * that Netloom keeps are there. Each in a process of its own, several times, alternately; the file is in the page cache.
 * Below V8's longest string (512 MiB of characters): above it the baseline cannot load at all.
 * `node bench/snapshot-load.ts [--mb 400] [--rounds 3]`
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { projectObject } from '../scheduler/cluster/project.ts';
import { recordKey } from '../scheduler/cluster/records.ts';
import { readSnapshot } from '../scheduler/cluster/snapshot-file.ts';
import { generateCluster, writeText } from '../test/support/generate-cluster.ts';

interface Loaded {
  readonly seconds: number;
  /** Of the process, before and at most. */
  readonly bareBytes: number;
  readonly peakBytes: number;
  readonly records: number;
}

const WAYS = {
  streaming: async (path: string): Promise<number> => (await readSnapshot(path)).records.size,
  'JSON.parse of the whole file': async (path: string): Promise<number> => {
    const { items } = JSON.parse(await readFile(path, 'utf8')) as { items: unknown[] };
    const records = new Map<string, unknown>();
    for (const item of items) {
      const projection = projectObject(item);
      if (projection.outcome === 'record') records.set(recordKey(projection.record), projection.record);
    }
    return records.size;
  },
} as const;
type Way = keyof typeof WAYS;

async function peakBytes(): Promise<number> {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(await readFile('/proc/self/status', 'utf8'))![1]) * 1024;
}

async function child(way: Way, path: string): Promise<void> {
  const bareBytes = await peakBytes();
  const from = performance.now();
  const records = await WAYS[way](path);
  const seconds = (performance.now() - from) / 1000;
  process.send!({ seconds, bareBytes, peakBytes: await peakBytes(), records } satisfies Loaded);
  process.disconnect();
}

async function load(way: Way, path: string): Promise<Loaded> {
  const started = fork(import.meta.filename, [way, path]);
  const [loaded] = (await Promise.race([
    once(started, 'message'),
    once(started, 'exit').then(([code]) => Promise.reject(new Error(`${way} ended with ${String(code)}`))),
  ])) as [Loaded];
  return loaded;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { mb: { type: 'string', default: '400' }, rounds: { type: 'string', default: '3' } },
  });
  const wanted = Number(values.mb) * 1e6;
  const { bavail, bsize } = await statfs(tmpdir());
  if (bavail * bsize < 2 * wanted) throw new Error(`${tmpdir()} has no room for ${values.mb} MB`);
  const folder = await mkdtemp(join(tmpdir(), 'netloom-bench-'));
  try {
    const path = join(folder, 'cluster.json');
    await writeText(path, generateCluster({ bytes: wanted, seed: 1 }).text());
    const mb = (await stat(path)).size / 1e6;
    const best = new Map<Way, Loaded>();
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const way of Object.keys(WAYS) as Way[]) {
        const loaded = await load(way, path);
        const known = best.get(way);
        if (known === undefined || loaded.seconds < known.seconds) best.set(way, loaded);
      }
    }
    const ours = best.get('streaming')!;
    const whole = best.get('JSON.parse of the whole file')!;
    if (ours.records !== whole.records) throw new Error('the two ways found different records');
    const figures = ({ seconds, bareBytes, peakBytes: peak, records }: Loaded) => ({
      seconds: Number(seconds.toFixed(2)),
      mbPerSecond: Math.round(mb / seconds),
      peakRssMb: Math.round(peak / 1e6),
      bareRssMb: Math.round(bareBytes / 1e6),
      records,
    });
    console.log(`${Math.round(mb)} MB of kubectl output, ${ours.records} records, best of ${values.rounds}`);
    console.table({ streaming: figures(ours), 'JSON.parse of the whole file': figures(whole) });
    console.log(
      JSON.stringify({
        name: 'snapshot-load',
        figures: figures(ours),
        baseline: { of: 'JSON.parse of the whole file', ...figures(whole) },
        ratio: Number((whole.seconds / ours.seconds).toFixed(2)),
        rssRatio: Number((whole.peakBytes / ours.peakBytes).toFixed(2)),
      }),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

if (process.send === undefined) await main();
else await child(process.argv[2] as Way, process.argv[3]!);
