import type { Report } from '../../proto/report.ts';
import { FakeCluster, report } from '../graph/fixture.ts';

export function manyPods(count = 50): FakeCluster {
  const cluster = new FakeCluster().pod('10.1.1.1', 'n1', 'db-1', 'db');
  for (let i = 0; i < count; i++) cluster.pod(`10.1.0.${i}`, 'n1', `w${i}-1`, `w${i}`);
  return cluster;
}

/** Each of the workloads sends 100 bytes and gets 7; every report is the same but for its number. */
export function reportOf(seq: number, count = 50, mapId?: Uint8Array): Report {
  const rows = Array.from({ length: count }, (_, i) => ({
    local: '10.1.1.1',
    remote: `10.1.0.${i}`,
    role: 'server' as const,
    received: 100,
    sent: 7,
    connections: 1,
    port: 5432,
    minRttUs: 40 + i,
  }));
  return report({ seq, periodMs: 1000, ...(mapId === undefined ? {} : { mapId }) }, rows);
}
