import { placementSettings, type PlacementSettings } from '../../placement/index.ts';
import { MinMarginalPolicy, NetmarksPolicy, ProductPolicy } from './gain-policies.ts';
import { LookAheadPolicy } from './look-ahead.ts';
import { NetloomPolicy } from './netloom.ts';
import { NetworkOverheadPolicy } from './network-overhead.ts';
import type { Policy, PolicyName } from './policy.ts';
import type { SimulatedCluster } from '../cluster.ts';

export { POLICIES, type Policy, type PolicyName } from './policy.ts';

/** Weights of their authors (NetworkOverhead's README: 5) or of the study, against scores of 0..100. */
const WEIGHTS = { netmarks: 4, networkoverhead: 5, product: 8, 'min-marginal': 8, 'look-ahead': 8 } as const;

/**
 * @param whole whether scores are whole numbers, as kube-scheduler takes them
 * @returns undefined for the default scheduler alone
 */
export function policyOf(
  name: PolicyName,
  cluster: SimulatedCluster,
  whole: boolean,
  settings: Partial<PlacementSettings> = {},
): Policy | undefined {
  const { nodeCount } = cluster.problem;
  const scale = (of: keyof typeof WEIGHTS): { weight: number; whole: boolean } => ({ weight: WEIGHTS[of], whole });
  switch (name) {
    case 'default':
      return undefined;
    case 'netmarks':
      return new NetmarksPolicy(nodeCount, scale(name));
    case 'networkoverhead':
      return new NetworkOverheadPolicy(cluster, WEIGHTS[name]);
    case 'product':
      return new ProductPolicy(nodeCount, scale(name));
    case 'min-marginal':
      return new MinMarginalPolicy(nodeCount, scale(name));
    case 'look-ahead':
      return new LookAheadPolicy(nodeCount, scale(name));
    case 'netloom':
    case 'netloom-plan':
      return new NetloomPolicy(nodeCount, placementSettings(settings));
  }
}
