import type { PlacementSettings } from '../placement/index.ts';
import type { SimulatedCluster } from './cluster.ts';
import type { InputProblem } from './input-problems.ts';
import type { PolicyName } from './policies/index.ts';
import {
  currentOutcome,
  simulate,
  type Outcome,
  type SeedOutcome,
  type Simulation,
  type SimulationOptions,
} from './simulate.ts';

/** What -o json holds (docs/simulation-format.md). Shares are 0..1, traffic bytes per second or without a unit. */
export interface SimulationReport {
  readonly netloom: 'simulation';
  readonly version: 1;
  readonly cluster: ClusterFacts;
  readonly options: ReportOptions;
  /** What of the input could not be used; empty: all could. */
  readonly problems: readonly InputProblem[];
  /** As the snapshot has it; null: no pod of it has a place. */
  readonly current: Outcome | null;
  /** Of the one policy that was asked for. */
  readonly policy?: PolicyName;
  readonly seeds?: readonly SeedOutcome[];
  readonly mean?: Outcome;
  readonly standardDeviation?: Outcome;
  /** Where policies are compared. */
  readonly policies?: readonly PolicyReport[];
}

export interface PolicyReport {
  readonly policy: PolicyName;
  readonly seeds: readonly SeedOutcome[];
  readonly mean: Outcome;
  readonly standardDeviation: Outcome;
}

export interface ClusterFacts {
  readonly nodes: number;
  readonly zones: number;
  readonly regions: number;
  readonly workloads: number;
  /** Pods that are placed anew, and those that stand where they must. */
  readonly pods: number;
  readonly fixedPods: number;
  readonly pairs: number;
  /** false: the figures of traffic have no unit. */
  readonly trafficHasUnits: boolean;
  /** Between different workloads; with what is no workload; of workloads with themselves. */
  readonly traffic: number;
  readonly otherTraffic: number;
  readonly trafficWithinWorkloads: number;
  readonly unknownTrafficRows: number;
}

export interface ReportOptions {
  /** "file": of a list of arrivals. */
  readonly order: SimulationOptions['order'] | 'file';
  readonly firstSeed: number;
  readonly seeds: number;
  readonly defaultModel: SimulationOptions['defaultModel'];
  readonly routing: SimulationOptions['routing'];
  readonly maxReplicaShare: number;
}

export interface Run {
  readonly report: SimulationReport;
  /** In the order of the policies. */
  readonly simulations: readonly Simulation[];
}

/** @param policies one: its figures stand at the top; more: compared */
export function runSimulations(
  cluster: SimulatedCluster,
  policies: readonly PolicyName[],
  options: Omit<SimulationOptions, 'policy' | 'placement'> & { readonly placement: PlacementSettings },
): Run {
  const simulations = policies.map((policy) => simulate(cluster, { ...options, policy }));
  const reports = simulations.map(({ policy, seeds, mean, standardDeviation }): PolicyReport => ({
    policy,
    seeds,
    mean,
    standardDeviation,
  }));
  const { firstSeed, seeds, defaultModel, routing } = options;
  const report: SimulationReport = {
    netloom: 'simulation',
    version: 1,
    cluster: factsOf(cluster),
    options: {
      order: options.arrivals === undefined ? options.order : 'file',
      firstSeed,
      seeds,
      defaultModel,
      routing,
      maxReplicaShare: options.placement.maxReplicaShare,
    },
    problems: cluster.problems,
    current: cluster.pods.home.some((node) => node >= 0) ? currentOutcome(cluster, routing) : null,
    ...(reports.length === 1 ? reports[0] : { policies: reports }),
  };
  return { report, simulations };
}

/** "namespace/name" -> node, null: no node had room. */
export function placementOf(cluster: SimulatedCluster, nodeOf: Int32Array): Record<string, string | null> {
  const { names } = cluster.pods;
  return Object.fromEntries(names.map((name, p) => [name, nodeOf[p]! < 0 ? null : cluster.nodes[nodeOf[p]!]!]));
}

function factsOf(cluster: SimulatedCluster): ClusterFacts {
  const { traffic, view, unknownTraffic } = cluster;
  const placed = view.placedCount.reduce((sum, count) => sum + count, 0);
  const sum = (values: Float64Array): number => values.reduce((total, value) => total + value, 0);
  return {
    nodes: cluster.nodes.length,
    zones: view.names.zones.length,
    regions: view.names.regions.length,
    workloads: cluster.workloads.length,
    pods: cluster.pods.count,
    fixedPods: placed,
    pairs: traffic.pairs.length,
    trafficHasUnits: cluster.hasUnits,
    traffic: traffic.total,
    otherTraffic: sum(traffic.otherOut) + sum(traffic.otherBack),
    trafficWithinWorkloads: traffic.withinWorkloads,
    unknownTrafficRows: unknownTraffic.count,
  };
}
