import { floorOf } from './floor.ts';
import {
  futureGain,
  headroom,
  heededValue,
  isCapped,
  isKnownNode,
  isSlight,
  isZoneCapped,
  keptForPeers,
  keptForPlan,
  nodeGain,
  nodeValue,
  nodeWorth,
  prepare,
  rangeOf,
  regionGain,
  toScore,
  zoneGain,
  type ScoreRequest,
  type Silence,
} from './evaluate.ts';
import { fullLinks } from './full-links.ts';
import type { Level } from './gains.ts';
import { PEER_SOURCES, type PeerSource } from './hints.ts';
import { trafficOf } from './peer-row.ts';
import { hasRoom, planUse, type PlanUse } from './plan-use.ts';
import { ROUTINGS, type RoutingClass } from './routing.ts';
import { scoreNodes } from './score.ts';
import { Scratch } from './scratch.ts';
import type { LevelWeights, PlacementSettings } from './settings.ts';
import type { Subject } from './subject.ts';
import type { PlacementView } from './view.ts';

/** Why an answer is what it is. Shares are of the pod's own known traffic, 0..1. */
export interface ScoreExplanation {
  readonly viewVersion: number;
  /** "namespace/Kind/name"; undefined: not known. */
  readonly workload: string | undefined;
  readonly silence: Silence | undefined;
  readonly scoreRange: number;
  /** The range is narrow, for the pod's owner states preferences of its own. */
  readonly soft: boolean;
  readonly levelWeights: LevelWeights;
  readonly candidates: number;
  /** Subtracted from all values before scores are rounded: the least, or the greatest less 1 if that is more. */
  readonly least: number;
  readonly minGain: number;
  /** undefined: there is none. */
  readonly plan: PlanUse | undefined;
  /** undefined with `silence` unknown-workload, one-per-node and no-traffic. */
  readonly basis: BasisExplanation | undefined;
  readonly peers: readonly PeerExplanation[];
  readonly nodes: readonly NodeExplanation[];
}

export interface BasisExplanation {
  readonly replicas: number;
  /** All known traffic of the workload, and the part of it that no placement makes local. */
  readonly knownBytesPerSecond: number;
  readonly otherBytesPerSecond: number;
  readonly bytesPerSecondPerReplica: number;
  /** undefined: the floor is off (the figures have no unit). */
  readonly floorBytesPerSecond: number | undefined;
  readonly floorFactor: number;
  /** Below 1: room is scarce, and the pod has less traffic for its size than others that are to come. */
  readonly scarcityFactor: number;
  /** A node with this many replicas of the workload gets 0. */
  readonly replicaCap: number;
  /** So does one in a zone with this many; undefined: no limit. */
  readonly zoneReplicaCap: number | undefined;
}

export interface PeerExplanation {
  readonly workload: string;
  /** What the pod's workload is on this edge. */
  readonly role: 'client' | 'server';
  readonly bytesPerSecond: number;
  readonly shareOfTraffic: number;
  readonly confidence: number;
  /** Where it is known from. */
  readonly source: PeerSource;
  /** How its connections find their server. */
  readonly routing: RoutingClass;
  readonly replicas: number;
  /** Of these replicas, those that stand nowhere yet. */
  readonly toCome: number;
}

export interface NodeExplanation {
  readonly node: string;
  readonly zone: string | undefined;
  readonly region: string | undefined;
  /** false: the scheduler has no data about this node. */
  readonly known: boolean;
  /** Why it is no candidate: no room for the pod, or /filter refuses it for its link; undefined: it is one. */
  readonly ruledOut: 'no-room' | 'full-link' | undefined;
  readonly placedReplicas: number;
  /** The node has its fill of the workload's replicas, or its zone has. */
  readonly capped: boolean;
  readonly zoneCapped: boolean;
  readonly gains: Readonly<Record<Level, number>>;
  /** What becomes local on the node once peers have come, and how much of that there is room for; it counts by settings.lookAhead. */
  readonly future: number;
  /** Replicas that the plan wants here. */
  readonly planned: number;
  /** Less than minGain of the pod's traffic becomes local here at any level: no reason to come. */
  readonly slight: boolean;
  /** A taint PreferNoSchedule: nothing draws a pod there. */
  readonly avoided: boolean;
  /** Taken off the value: the plan keeps the node's room for others. */
  readonly keptForPlan: number;
  /** Taken off the value: replicas to come of other workloads need the room, and would lose this much with it. */
  readonly keptForPeers: number;
  /** Utilisation of the node's link with the pod, and what is taken off for it; undefined: the link is not known. */
  readonly link: { readonly used: number; readonly penalty: number } | undefined;
  /** The gains weighted by level and floor, or the plan's wish, before `least` is subtracted. */
  readonly value: number;
  readonly score: number;
  /** false although score > 0: cut off by the limit on named nodes. */
  readonly named: boolean;
  /** The terms of `gains`; those of a level add up to it. */
  readonly terms: readonly TermExplanation[];
}

export interface TermExplanation {
  /** Index into `peers`. */
  readonly peer: number;
  readonly level: Level;
  /** Replicas in the domain: of the workload itself, of the peer. */
  readonly placedOwn: number;
  readonly placedPeer: number;
  /** bytesPerSecond x confidence x min-marginal, as a share of the pod's traffic. */
  readonly gain: number;
}

const scratch = new Scratch();

/**
 * Explains what scoreNodes answers for the same arguments, by running the same sums with a trace.
 * @param nodes further node indices to explain beside those that are named.
 */
export function explainScore(
  view: PlacementView,
  request: ScoreRequest,
  settings: PlacementSettings,
  nodes: readonly number[] = [],
): ScoreExplanation {
  const scores = scoreNodes(view, request, settings);
  const named = new Set(scores.named.map((entry) => entry.node));
  const wanted = new Set([...named, ...nodes, ...sparedLinks(view, request, settings)]);
  const terms = new TermCollector(view, wanted);
  const basis = prepare(view, request, settings, scratch, terms.trace);
  const known = request.workload !== undefined && scores.silence !== 'unknown-workload';
  const common = {
    viewVersion: view.version,
    workload: known ? view.names.workloads[request.workload] : undefined,
    silence: scores.silence,
    scoreRange: rangeOf(request, settings),
    soft: request.soft === true,
    levelWeights: settings.levelWeights,
    candidates: request.candidates.length,
    least: scores.least,
    minGain: settings.minGain,
    plan: typeof basis === 'string' ? undefined : planUse(view, basis, request.candidates, scratch),
  };
  if (typeof basis === 'string') return { ...common, basis: undefined, peers: [], nodes: [] };

  const { subject } = basis;
  const candidates = new Set(Array.from(request.candidates));
  const ruledOut = (node: number): NodeExplanation['ruledOut'] => {
    if (candidates.has(node) || !isKnownNode(view, node)) return undefined;
    return hasRoom(view, node, subject) ? 'full-link' : 'no-room';
  };
  const linkOf = (node: number): NodeExplanation['link'] => {
    if (!view.hasLinks || view.nodeLink[node] === Infinity) return undefined;
    const { used, penalty } = headroom(view, node, basis, scratch);
    return { used, penalty: basis.plan?.state === 'open' ? 0 : settings.headroomPenalty * penalty };
  };
  return {
    ...common,
    basis: {
      replicas: subject.replicas,
      knownBytesPerSecond: subject.knownBytesPerSecond,
      otherBytesPerSecond: subject.peers.otherBytesPerSecond,
      bytesPerSecondPerReplica: subject.knownBytesPerSecond / subject.replicas,
      floorBytesPerSecond: view.hasUnits ? floorOf(view, settings) : undefined,
      floorFactor: basis.floorFactor,
      scarcityFactor: basis.scarcityFactor,
      replicaCap: basis.cap,
      zoneReplicaCap: basis.zoneCap === Infinity ? undefined : basis.zoneCap,
    },
    peers: explainPeers(view, subject),
    nodes: [...wanted].map((node) => {
      const isKnown = isKnownNode(view, node);
      const own = nodeValue(view, node, basis, settings, scratch);
      const value = heededValue(view, node, own, scores.least, basis, settings, scratch);
      return {
        node: view.names.nodes[node] ?? '',
        zone: isKnown ? view.names.zones[view.nodeZone[node]!] : undefined,
        region: isKnown ? view.names.regions[view.nodeRegion[node]!] : undefined,
        known: isKnown,
        ruledOut: ruledOut(node),
        placedReplicas: isKnown ? scratch.own.node.get(node) : 0,
        capped: isKnown && isCapped(view, node, basis, scratch),
        zoneCapped: isKnown && isZoneCapped(view, node, basis, scratch),
        gains: {
          node: isKnown ? nodeGain(node, basis, scratch) : 0,
          zone: isKnown ? zoneGain(view, node, basis, scratch) : 0,
          region: isKnown ? regionGain(view, node, basis, scratch) : 0,
        },
        future: isKnown ? futureGain(view, node, settings, scratch) : 0,
        planned: isKnown ? scratch.wanted.get(node) : 0,
        slight: isSlight(view, node, basis, settings, scratch),
        avoided: isKnown && view.nodeAvoided[node] === 1,
        keptForPlan: isKnown ? keptForPlan(view, node, basis) : 0,
        keptForPeers: keptForPeers(view, node, basis, settings),
        link: isKnown ? linkOf(node) : undefined,
        value,
        score:
          isKnown && candidates.has(node) ? Math.max(0, toScore(value, scores.least, rangeOf(request, settings))) : 0,
        named: named.has(node),
        terms: isKnown ? terms.of(node, subject.peers.start, basis.toShare) : [],
      };
    }),
  };
}

/** Of the candidates, those of most worth that lose by their links: what an answer would name but for these. */
const MOST_SPARED = 3;

function sparedLinks(view: PlacementView, request: ScoreRequest, settings: PlacementSettings): number[] {
  if (!view.hasLinks || settings.headroomPenalty === 0) return [];
  const basis = prepare(view, request, settings, scratch);
  if (typeof basis === 'string' || basis.plan?.state === 'open') return [];
  const spared: { readonly node: number; readonly worth: number; readonly penalty: number }[] = [];
  for (const node of Array.from(request.candidates)) {
    if (!isKnownNode(view, node)) continue;
    const { penalty } = headroom(view, node, basis, scratch);
    if (penalty > 0) spared.push({ node, worth: nodeWorth(view, node, basis, settings, scratch), penalty });
  }
  spared.sort((a, b) => b.worth - a.worth || b.penalty - a.penalty || a.node - b.node);
  return spared.slice(0, MOST_SPARED).map(({ node }) => node);
}

/**
 * The nodes that kube-scheduler could ask about: live, with room for the pod, and not refused by /filter for their link. Room is
 * judged by what pods of the workload ask for; selectors, affinities and taints are not known here. All live ones, if that leaves none.
 */
export function likelyCandidates(
  view: PlacementView,
  workload: number | undefined,
  settings: PlacementSettings,
): Int32Array {
  const live: number[] = [];
  for (let n = 0; n < view.nodeCount; n++) if (view.nodeLive[n] === 1) live.push(n);
  if (workload === undefined) return Int32Array.from(live);
  const asked = { milliCpu: view.milliCpu[workload]!, memoryBytes: view.memoryBytes[workload]! };
  const roomy = live.filter((node) => hasRoom(view, node, asked));
  const full = new Set(fullLinks(view, workload, roomy, settings).map(({ node }) => node));
  const left = roomy.filter((node) => !full.has(node));
  return Int32Array.from(left.length === 0 ? live : left);
}

function explainPeers(view: PlacementView, { peers: row, knownBytesPerSecond }: Subject): PeerExplanation[] {
  const peers: PeerExplanation[] = [];
  for (let e = row.start; e < row.end; e++) {
    const bytesPerSecond = trafficOf(row.bytesPerSecond[e]);
    const peer = row.peer[e]!;
    peers.push({
      workload: view.names.workloads[peer] ?? '',
      role: row.client[e] === 1 ? 'client' : 'server',
      bytesPerSecond,
      shareOfTraffic: bytesPerSecond / knownBytesPerSecond,
      confidence: row.confidence[e]!,
      source: PEER_SOURCES[row.source[e]!] ?? 'traffic',
      routing: ROUTINGS[row.routing[e]!] ?? 'random',
      replicas: view.replicas[peer] ?? 0,
      toCome: view.toCome[peer] ?? 0,
    });
  }
  return peers;
}

interface Term {
  readonly entry: number;
  readonly placedOwn: number;
  readonly placedPeer: number;
  readonly gain: number;
}

/** Keeps the terms of the domains in which a wanted node lies; the others would be as many as the cluster has pods. */
class TermCollector {
  readonly #view: PlacementView;
  readonly #terms: Record<Level, Map<number, Term[]>> = { node: new Map(), zone: new Map(), region: new Map() };

  constructor(view: PlacementView, wanted: Iterable<number>) {
    this.#view = view;
    for (const node of wanted) {
      if (!isKnownNode(view, node)) continue;
      this.#terms.node.set(node, []);
      this.#terms.zone.set(view.nodeZone[node]!, []);
      this.#terms.region.set(view.nodeRegion[node]!, []);
    }
  }

  readonly trace = (
    level: Level,
    entry: number,
    domain: number,
    placedOwn: number,
    placedPeer: number,
    gain: number,
  ) => {
    this.#terms[level].get(domain)?.push({ entry, placedOwn, placedPeer, gain });
  };

  of(node: number, firstPeer: number, toShare: number): TermExplanation[] {
    const at = (level: Level, domain: number): TermExplanation[] =>
      (this.#terms[level].get(domain) ?? []).map(({ entry, placedOwn, placedPeer, gain }) => ({
        peer: entry - firstPeer,
        level,
        placedOwn,
        placedPeer,
        gain: gain * toShare,
      }));
    return [
      ...at('node', node),
      ...at('zone', this.#view.nodeZone[node]!),
      ...at('region', this.#view.nodeRegion[node]!),
    ];
  }
}
