import { readFile, mkdtemp, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { StatusReply } from '../../scheduler/api/replies.ts';
import { generateCluster, writeText } from '../support/generate-cluster.ts';
import { best, probeOf } from '../support/generated-probe.ts';
import { Processes, type SchedulerProcess } from '../support/netloom.ts';

/** Three times what a V8 string can hold. */
const BYTES = 1_500_000_000;
/** The file, the export of its state, and room for what else this machine does. */
const NEEDED_BYTES = 2 * BYTES;

const processes = new Processes();
let dir: string | undefined;
afterEach(async () => {
  await processes.cleanup();
  if (dir !== undefined) await rm(dir, { recursive: true, force: true });
  dir = undefined;
});

async function peakBytes({ process }: SchedulerProcess): Promise<number> {
  const status = await readFile(`/proc/${process.pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
}

const mb = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;

describe('1.5 GB of kubectl output', () => {
  it('loads in the memory that its state needs, and is answered from', { timeout: 600_000 }, async ({ skip }) => {
    const { bavail, bsize } = await statfs(tmpdir());
    if (bavail * bsize < NEEDED_BYTES) {
      const reason = `${tmpdir()} has ${mb(bavail * bsize)} free, and ${mb(NEEDED_BYTES)} are needed`;
      console.log(`skipped: ${reason}`);
      skip(reason);
    }
    dir = await mkdtemp(join(tmpdir(), 'netloom-huge-'));
    const file = join(dir, 'cluster.json');
    const cluster = generateCluster({ bytes: BYTES, seed: 3 });
    expect(await writeText(file, cluster.text())).toBeGreaterThanOrEqual(BYTES);
    const probe = probeOf(cluster);
    const traffic = join(dir, 'traffic.csv');
    await writeFile(traffic, probe.traffic);

    const scheduler = await processes.scheduler(['--snapshot', file, '--traffic', traffic], { startMs: 300_000 });
    const peak = await peakBytes(scheduler);
    const { cluster: shown } = await scheduler.get<StatusReply>('/v1/status');
    const { nodes, pods, services } = cluster.counts;
    expect(shown).toMatchObject({ nodes, pods, services, problems: [] });
    expect(await best(scheduler, probe.pod, cluster.nodes)).toBe(probe.nearest);

    // The same state without all that Netloom has no use for: what it needs is what this one needs.
    const folder = join(dir, 'export');
    expect(await processes.run(['graph', '--export', folder, '--api', scheduler.api])).toMatchObject({ status: 0 });
    const projected = join(folder, 'snapshot.json');
    const second = await processes.scheduler(['--snapshot', projected, '--traffic', traffic], { startMs: 300_000 });
    expect(await best(second, probe.pod, cluster.nodes)).toBe(probe.nearest);
    const projectedPeak = await peakBytes(second);
    const [fileBytes, projectedBytes] = [(await stat(file)).size, (await stat(projected)).size];
    console.log(
      `kubectl's ${mb(fileBytes)}: peak ${mb(peak)}; its state's ${mb(projectedBytes)}: peak ${mb(projectedPeak)}`,
    );
    expect(peak).toBeLessThan(1.5 * projectedPeak);
  });
});
