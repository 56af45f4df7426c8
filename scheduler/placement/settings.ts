import { NetloomError } from '../../lib/errors.ts';

/** What one byte kept within a domain is worth, relative to one kept on the node. node >= zone >= region. */
export interface LevelWeights {
  readonly node: number;
  readonly zone: number;
  readonly region: number;
}

export interface PlacementSettings {
  /** Default 1, 0.3, 0.1; each in 0..1 and none above the one before it, so that nearer is never worse. */
  readonly levelWeights: LevelWeights;
  /**
   * Score of a node where all known traffic of the pod becomes local. 80 with extender weight 1 is
   * 8 times kube-scheduler's own 0..100 (placement-study.md §2.2: flat from 6 to 16, below 3 spreading wins);
   * 10 keeps to the documented range of extenders and needs weight 8. Whole number, 1..1000.
   */
  readonly scoreRange: number;
  /**
   * Traffic of one replica, payload bytes per second, from which on its share counts in full. 0: no floor. 125,000 cost 4 points where
   * workloads of 20 replicas share some 100 kB/s, and gained nothing elsewhere (bench/online-quality.ts).
   */
  readonly floorBytesPerSecond: number;
  /** Greatest share of a workload's replicas on one node for traffic's sake, (0, 1]; one replica is always allowed. */
  readonly maxReplicaShare: number;
  /**
   * Greatest share of a workload's replicas in one zone for traffic's sake, (0, 1], where candidates lie in more than one
   * zone. 0.85 binds from seven replicas on; 2/3 and less cost 2 to 9 points of local traffic on generated clusters. 1: no limit.
   */
  readonly maxZoneReplicaShare: number;
  /**
   * What a share of the pod's traffic counts for that becomes local only once peers have come (look-ahead.ts), 0..1. Up to 1 a
   * peer that has come counts for more than one that is to come. 0: off.
   */
  readonly lookAhead: number;
  /** A node where less of the pod's traffic than this becomes local, 0..1, now or with peers to come, is not named for it (scheduler.md §8.7). */
  readonly minGain: number;
  /**
   * What a full link is worth against the pod's traffic, 0..1, on a node where it would go over 60 % of the link's capacity (0.9: in full).
   * 0: off. Not for pods that a plan places (placement-study.md §7: 0.5 to 1).
   */
  readonly headroomPenalty: number;
  /**
   * Share of scoreRange for pods whose owners state soft preferences (soft-preferences.ts), (0, 1]: what people wrote down
   * beats what was measured. An eighth is kube-scheduler's own 0..100.
   */
  readonly softShare: number;
  /** /filter refuses nodes whose link a pod would take beyond this utilisation, above 0; undefined: it refuses none. */
  readonly maxLinkUse: number | undefined;
  /** Most nodes in a reply: each costs kube-scheduler 4 us (control-plane.md §5). Whole number, at least 1. */
  readonly maxNamed: number;
}

export const DEFAULT_PLACEMENT_SETTINGS: PlacementSettings = {
  levelWeights: { node: 1, zone: 0.3, region: 0.1 },
  scoreRange: 80,
  floorBytesPerSecond: 25_000,
  maxReplicaShare: 0.5,
  maxZoneReplicaShare: 0.85,
  lookAhead: 0.75,
  minGain: 0.05,
  headroomPenalty: 1,
  softShare: 0.125,
  maxLinkUse: undefined,
  maxNamed: 32,
};

/**
 * The defaults with `given` laid over them.
 * @throws NetloomError CONFIG_INVALID, naming the setting.
 */
export function placementSettings(given: Partial<PlacementSettings> = {}): PlacementSettings {
  const settings = { ...DEFAULT_PLACEMENT_SETTINGS, ...given };
  const { node, zone, region } = settings.levelWeights;
  require_(
    [node, zone, region].every((weight) => weight >= 0 && weight <= 1) && node >= zone && zone >= region && node > 0,
    'levelWeights',
    'three numbers in 0..1 with node >= zone >= region and node above 0',
    `node ${node}, zone ${zone}, region ${region}`,
  );
  const { scoreRange, floorBytesPerSecond, maxNamed } = settings;
  require_(isWhole(scoreRange, 1, 1000), 'scoreRange', 'a whole number, 1 to 1000', scoreRange);
  require_(
    Number.isFinite(floorBytesPerSecond) && floorBytesPerSecond >= 0,
    'floorBytesPerSecond',
    'bytes per second, 0 or more',
    floorBytesPerSecond,
  );
  for (const name of ['maxReplicaShare', 'maxZoneReplicaShare', 'softShare'] as const) {
    require_(settings[name] > 0 && settings[name] <= 1, name, 'a share above 0, up to 1', settings[name]);
  }
  for (const name of ['lookAhead', 'minGain', 'headroomPenalty'] as const) {
    require_(settings[name] >= 0 && settings[name] <= 1, name, 'a number in 0..1', settings[name]);
  }
  require_(
    settings.maxLinkUse === undefined || (settings.maxLinkUse > 0 && settings.maxLinkUse < Infinity),
    'maxLinkUse',
    'a number above 0',
    settings.maxLinkUse,
  );
  require_(isWhole(maxNamed, 1, 1_000_000), 'maxNamed', 'a whole number, at least 1', maxNamed);
  return settings;
}

function isWhole(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}

function require_(holds: boolean, place: string, expected: string, found: unknown): void {
  if (holds) return;
  throw new NetloomError('CONFIG_INVALID', `placement setting ${place} cannot be used`, {
    place,
    expected,
    found: String(found),
  });
}
