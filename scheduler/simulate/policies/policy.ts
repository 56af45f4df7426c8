import type { Moment } from '../moment.ts';

/**
 * default: kube-scheduler alone. netmarks: traffic with the pods on a node, divided by the best node's (INFOCOM
 * 2021). networkoverhead: the plugin of KEP-260, which knows who calls whom but not how much. product, min-marginal,
 * look-ahead: placement-study.md §2. netloom: the answer that the extender would give. netloom-plan: the same with a
 * plan.
 */
export const POLICIES = [
  'default',
  'netmarks',
  'networkoverhead',
  'product',
  'min-marginal',
  'look-ahead',
  'netloom',
  'netloom-plan',
] as const;
export type PolicyName = (typeof POLICIES)[number];

/** What is added to the scores of the default scheduler. */
export interface Policy {
  /**
   * Adds weight x score to totals[c] of candidate moment.candidates[c].
   * @param named set to 1 for candidates that an extender's answer names: kube-scheduler breaks ties among these at
   * random
   */
  score(moment: Moment, totals: Float64Array, named: Uint8Array): void;
}
