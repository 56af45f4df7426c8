/** Placement: which nodes are good for one more pod of a workload. Pure; everything else in this folder is inner detail. */
export { explainScore, likelyCandidates, type ScoreExplanation } from './explain.ts';
export type { ScoreRequest, Silence } from './evaluate.ts';
export { fullLinks, type FullLink } from './full-links.ts';
export type { AssumedPod } from './gains.ts';
export {
  HINT_CONFIDENCE,
  PEER_SOURCES,
  referenceHints,
  type HintedPeer,
  type Hints,
  type PeerSource,
} from './hints.ts';
export { knownTraffic, trafficOf } from './peer-row.ts';
export { addedLinkUse, linkUse, type LinkUse } from './link-use.ts';
export type { PlanTarget, PlanUse, TargetState } from './plan-use.ts';
export { scoreNodes, type NamedNode, type Scores } from './score.ts';
export {
  DEFAULT_PLACEMENT_SETTINGS,
  placementSettings,
  type LevelWeights,
  type PlacementSettings,
} from './settings.ts';
export { moveReserved, reservedRoom, targetOn } from './target.ts';
export type { NameTables, PlacementTarget, PlacementView } from './view.ts';
