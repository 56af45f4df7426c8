import { placementSettings, type PlacementSettings } from '../placement/index.ts';
import { replicaCaps } from '../placement/min-marginal.ts';
import { worthwhileIterations } from '../plan/iterations.ts';
import { planPlacement } from '../plan/plan.ts';
import { arrivals, type Order } from './arrivals.ts';
import type { SimulatedCluster } from './cluster.ts';
import type { DefaultScores } from './default-scores/default-scores.ts';
import { KubeScores } from './default-scores/kube.ts';
import { STUDY_SCORES } from './default-scores/study.ts';
import { linkUse, type LinkUse } from './link-use.ts';
import { localShare, spread, type LocalShare, type Routing, type Spread } from './measures.ts';
import type { TargetColumns } from './live-view.ts';
import { Moment } from './moment.ts';
import { policyOf, type PolicyName } from './policies/index.ts';
import { randomOf, seedWords } from './random.ts';
import { placeAsTheyAre, replay } from './replay.ts';
import { summarise } from './summary.ts';

export const DEFAULT_MODELS = ['kube', 'study'] as const;
/** kube: kube-scheduler's own arithmetic; study: the model of placement-study.md §1, to compare with its figures. */
export type DefaultModel = (typeof DEFAULT_MODELS)[number];

export interface SimulationOptions {
  readonly policy: PolicyName;
  readonly order: Order;
  /** Pods, by index: overrules `order`. */
  readonly arrivals?: Int32Array;
  readonly firstSeed: number;
  readonly seeds: number;
  readonly defaultModel: DefaultModel;
  readonly routing: Routing;
  readonly placement?: Partial<PlacementSettings>;
  /** Proposals of the plan of netloom-plan; undefined: as many as the scheduler would take. */
  readonly planIterations?: number;
  readonly progress?: (done: Progress) => void;
}

export interface Progress {
  readonly policy: PolicyName;
  /** planning: proposals of the plan; placing: arrivals of all seeds together. */
  readonly doing: 'planning' | 'placing';
  readonly done: number;
  readonly of: number;
}

/** What a placement is worth. */
export interface Outcome {
  /** Balanced-local, whatever the routing. */
  readonly localShare: LocalShare;
  /** Under the routing that was asked for. */
  readonly routedShare: LocalShare;
  readonly unplaced: number;
  readonly spread: Spread;
  /** null: the speed of no node's link is known. */
  readonly linkUse: LinkUse | null;
  /**
   * Bytes per second between nodes of different zones, balanced-local; null: not all nodes have a zone, or traffic
   * has no unit.
   */
  readonly crossZoneBytesPerSecond: number | null;
}

export interface SeedOutcome extends Outcome {
  readonly seed: number;
}

export interface Simulation {
  readonly policy: PolicyName;
  readonly seeds: readonly SeedOutcome[];
  readonly mean: Outcome;
  readonly standardDeviation: Outcome;
  /** Node of each pod after the last seed, -1: unplaced. */
  readonly nodeOf: Int32Array;
}

/** Replays the arrivals of all pods once for each seed. The same arguments give the same result. */
export function simulate(cluster: SimulatedCluster, options: SimulationOptions): Simulation {
  const { progress } = options;
  const moment = new Moment(cluster, options.policy === 'netloom-plan' ? planOf(cluster, options) : undefined);
  const defaults = defaultScores(options.defaultModel, cluster);
  const policy = policyOf(options.policy, cluster, defaults.whole, options.placement);
  const seeds: SeedOutcome[] = [];
  const all = options.arrivals?.length ?? cluster.pods.count;
  for (let i = 0; i < options.seeds; i++) {
    const seed = options.firstSeed + i;
    const words = seedWords(seed);
    replay(moment, {
      order: options.arrivals ?? arrivals(cluster, options.order, randomOf(words, 0)),
      churn: options.arrivals === undefined && options.order === 'churn',
      defaults,
      policy,
      random: randomOf(words, 1),
      ...(progress === undefined
        ? {}
        : {
            progress: (arrived: number) =>
              progress({ policy: options.policy, doing: 'placing', done: i * all + arrived, of: options.seeds * all }),
          }),
    });
    seeds.push({ seed, ...outcomeOf(moment, options.routing) });
  }
  return { policy: options.policy, seeds, ...summarise(seeds), nodeOf: moment.nodeOf.slice() };
}

/** The placement as the snapshot has it. */
export function currentOutcome(cluster: SimulatedCluster, routing: Routing): Outcome {
  const moment = new Moment(cluster);
  placeAsTheyAre(moment);
  return outcomeOf(moment, routing);
}

export function outcomeOf(moment: Moment, routing: Routing): Outcome {
  const { cluster, live } = moment;
  const balanced = localShare(cluster, live, 'balanced');
  const { problem, traffic, hasUnits } = cluster;
  const zoned = problem.nodeZone.every((zone) => zone >= 0);
  return {
    localShare: balanced,
    routedShare: routing === 'balanced' ? balanced : localShare(cluster, live, routing),
    unplaced: moment.nodeOf.reduce((count, node) => (node < 0 ? count + 1 : count), 0),
    spread: spread(cluster, live),
    linkUse: linkUse(cluster, live) ?? null,
    crossZoneBytesPerSecond: zoned && hasUnits ? traffic.total * (1 - balanced.zone) : null,
  };
}

/** The plan that the scheduler would make for a cluster whose pods are all to come; the same for all seeds. */
function planOf(
  cluster: SimulatedCluster,
  { policy, placement, planIterations, progress }: SimulationOptions,
): TargetColumns {
  const { problem } = cluster;
  const iterations = planIterations ?? worthwhileIterations(problem);
  const { maxZoneReplicaShare } = placementSettings(placement);
  const zoneCap = replicaCaps(problem.replicas, maxZoneReplicaShare);
  const plan = planPlacement(problem, { seed: 1, iterations, zoneCap }, ({ done, of }) =>
    progress?.({ policy, doing: 'planning', done, of }),
  );
  return { version: 1, start: plan.targetStart, node: plan.targetNode, count: plan.targetCount };
}

function defaultScores(model: DefaultModel, cluster: SimulatedCluster): DefaultScores {
  return model === 'kube' ? new KubeScores(cluster) : STUDY_SCORES;
}
