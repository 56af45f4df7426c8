import { changesBetween } from '../cluster/changes.ts';
import { readSnapshot } from '../cluster/snapshot-file.ts';
import { ClusterState } from '../cluster/state.ts';
import { readTraffic } from '../cluster/traffic-file.ts';
import { simulatedCluster, type SimulatedCluster } from './cluster.ts';

export interface InputFiles {
  readonly snapshot: string;
  /** Overrules traffic that stands in the snapshot. */
  readonly traffic: string | undefined;
}

/** @throws NetloomError SNAPSHOT_*, TRAFFIC_* */
export async function loadCluster(files: InputFiles, maxReplicaShare: number): Promise<SimulatedCluster> {
  const { records, traffic } = await readSnapshot(files.snapshot);
  const rows = files.traffic === undefined ? (traffic ?? []) : await readTraffic(files.traffic);
  const state = new ClusterState();
  state.apply([...changesBetween(new Map(), records)]);
  const hasUnits = files.traffic !== undefined || traffic === undefined;
  return simulatedCluster(state, rows, { maxReplicaShare, hasUnits });
}
