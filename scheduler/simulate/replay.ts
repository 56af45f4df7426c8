import type { DefaultScores } from './default-scores/default-scores.ts';
import type { Moment } from './moment.ts';
import type { Policy } from './policies/policy.ts';
import type { Random } from './random.ts';

export interface ReplayOptions {
  /** Pods, by index, in the order in which they arrive. */
  readonly order: Int32Array;
  /** Pods stand where the snapshot has them, and are taken away right before they arrive. */
  readonly churn: boolean;
  readonly defaults: DefaultScores;
  /** undefined: kube-scheduler alone. */
  readonly policy: Policy | undefined;
  /** Breaks ties. */
  readonly random: Random;
  /** Called now and then with how many pods have arrived. */
  readonly progress?: (arrived: number) => void;
}

const PROGRESS_EVERY = 256;

/** Lets all pods arrive, one after the other; the placement stands in the moment afterwards. */
export function replay(moment: Moment, options: ReplayOptions): void {
  const { order, defaults, policy, random } = options;
  const { nodeCount } = moment.cluster.problem;
  const totals = new Float64Array(nodeCount);
  const named = new Uint8Array(nodeCount);
  moment.reset();
  defaults.reset?.(moment);
  if (options.churn) placeAsTheyAre(moment, defaults);
  for (let i = 0; i < order.length; i++) {
    const pod = order[i]!;
    const before = moment.nodeOf[pod]!;
    if (before >= 0) {
      moment.remove(pod);
      defaults.changed?.(moment, pod, before, -1);
    }
    moment.arrive(pod);
    if (moment.candidateCount > 0) {
      const node = moment.candidates[choose(moment, defaults, policy, random, totals, named)]!;
      moment.place(pod, node);
      defaults.changed?.(moment, pod, node, 1);
    }
    if (i % PROGRESS_EVERY === PROGRESS_EVERY - 1) options.progress?.(i + 1);
  }
}

/** Pods of the snapshot on the nodes that it says. */
export function placeAsTheyAre(moment: Moment, defaults?: DefaultScores): void {
  const { home } = moment.cluster.pods;
  for (let pod = 0; pod < home.length; pod++) {
    if (home[pod]! < 0) continue;
    moment.place(pod, home[pod]!);
    defaults?.changed?.(moment, pod, home[pod]!, 1);
  }
}

/**
 * The candidate with the highest total. Of equals one that an extender named, at random; if it named none of them,
 * the first of the list, as kube-scheduler has it. The study's model breaks all ties at random.
 */
function choose(
  moment: Moment,
  defaults: DefaultScores,
  policy: Policy | undefined,
  random: Random,
  totals: Float64Array,
  named: Uint8Array,
): number {
  const { candidates, candidateCount } = moment;
  const rank = defaults.tieRank;
  if (candidateCount === 1) return 0;
  defaults.score(moment, totals);
  named.fill(0, 0, candidateCount);
  policy?.score(moment, totals, named);
  let best = 0;
  let ties = 1;
  for (let c = 1; c < candidateCount; c++) {
    if (totals[c]! < totals[best]!) continue;
    if (totals[c]! > totals[best]! || (rank !== undefined && named[c]! > named[best]!)) {
      best = c;
      ties = 1;
    } else if (rank === undefined || (named[c] === 1 && named[best] === 1)) {
      ties++;
      if (random.below(ties) === 0) best = c;
    } else if (named[c] === named[best] && rank[candidates[c]!]! < rank[candidates[best]!]!) best = c;
  }
  return best;
}
