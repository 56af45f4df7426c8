import { NetloomError } from '../../lib/errors.ts';
import { changesBetween } from '../cluster/changes.ts';
import type { ClusterRecord } from '../cluster/model.ts';
import { recordKey } from '../cluster/records.ts';
import { readSnapshot } from '../cluster/snapshot-file.ts';
import { ClusterState } from '../cluster/state.ts';
import { readTraffic } from '../cluster/traffic-file.ts';
import type { TrafficRow } from '../cluster/traffic.ts';
import { snapshotProblems } from './input-problems.ts';
import { simulatedCluster, type ClusterOptions, type SimulatedCluster } from './cluster.ts';

export interface InputFiles {
  readonly snapshot: string;
  /** Overrules traffic that stands in the snapshot. */
  readonly traffic: string | undefined;
}

/** @throws NetloomError SNAPSHOT_*, TRAFFIC_*, SIMULATION_IMPOSSIBLE */
export async function loadCluster(
  files: InputFiles,
  options: Omit<ClusterOptions, 'hasUnits'>,
): Promise<SimulatedCluster> {
  const { records, traffic, summary } = await readSnapshot(files.snapshot);
  const rows = files.traffic === undefined ? (traffic ?? []) : await readTraffic(files.traffic);
  const hasUnits = files.traffic !== undefined || traffic === undefined;
  const cluster = clusterOf(records.values(), rows, { ...options, hasUnits, problems: snapshotProblems(summary) });
  refuseImpossible(cluster, files.snapshot);
  return cluster;
}

export function clusterOf(
  records: Iterable<ClusterRecord>,
  rows: readonly TrafficRow[],
  options: ClusterOptions,
): SimulatedCluster {
  const state = new ClusterState();
  const byKey = new Map([...records].map((record) => [recordKey(record), record]));
  state.apply([...changesBetween(new Map(), byKey)]);
  return simulatedCluster(state, rows, options);
}

function refuseImpossible(cluster: SimulatedCluster, place: string): void {
  const { nodes, pods, allocatableMilliCpu, problems } = cluster;
  const found =
    nodes.length === 0
      ? 'no node'
      : pods.count === 0
        ? 'no pod that a scheduler would place'
        : allocatableMilliCpu.every((milliCpu) => milliCpu === 0)
          ? 'no node that says how much CPU it has'
          : undefined;
  if (found === undefined) return;
  throw new NetloomError('SIMULATION_IMPOSSIBLE', 'there is nothing to simulate in this snapshot', {
    place,
    expected: 'nodes with status.allocatable, and pods',
    found: [found, ...problems.slice(0, 1).flatMap(({ samples }) => samples.slice(0, 1))].join('; '),
  });
}
