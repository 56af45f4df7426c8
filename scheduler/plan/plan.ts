import type { PlacementProblem } from '../placement/problem.ts';
import { Choices } from './choices.ts';
import { worthwhileIterations } from './iterations.ts';
import { unplacedIn } from './found.ts';
import { healed } from './heal.ts';
import { keepToZones } from './keep-to-zones.ts';
import { linkOverload } from './link-overload.ts';
import { localShares } from './local-share.ts';
import { packRest } from './pack.ts';
import { planHash } from './plan-hash.ts';
import type { PlacementPlan, ReplicaCounts } from './placement-plan.ts';
import { Random } from './random.ts';
import { relieveLinks } from './relieve-links.ts';
import { renamed } from './renamed.ts';
import { roomOf } from './room.ts';
import { searchPlacement } from './search.ts';
import { Sizes } from './sizes.ts';
import { PlanState } from './state.ts';
import { trafficOfProblem } from './traffic.ts';
import { exchangeZones } from './zone-exchange.ts';
import { ZoneRoom } from './zone-room.ts';

export interface PlanOptions {
  /** Whole number; equal problems, seeds and iterations give equal plans. */
  readonly seed: number;
  /** Proposals of the annealing, of which so many are made as fill rungs (search.ts); 0: communities only. */
  readonly iterations: number;
  /** Most replicas of a workload in one zone, as far as that can be had without loss of node-local traffic; default: all. */
  readonly zoneCap?: Int32Array;
  /** An earlier plan for the same cluster, by the problem's indices: the new one is no worse. */
  readonly start?: ReplicaCounts;
}

export interface PlanProgress {
  readonly phase: 'communities' | 'annealing' | 'packing';
  /** Proposals made, of how many. */
  readonly done: number;
  readonly of: number;
}

/**
 * An offline target: heavy-edge communities, annealing, then the silent workloads (placement-study.md §2.1, §3). It
 * keeps to cpu, memory and pod count of every node and to the replica cap of every workload; what finds no room is
 * named in `unplaced`. Pure: equal arguments give equal bytes.
 */
export function planPlacement(
  problem: PlacementProblem,
  options: PlanOptions,
  progress: (progress: PlanProgress) => void = () => {},
): PlacementPlan {
  const { seed, iterations } = options;
  const choices = new Choices(problem);
  const traffic = trafficOfProblem(problem, choices);
  const room = roomOf(problem);
  const tell = (phase: PlanProgress['phase'], done: number): void => progress({ phase, done, of: iterations });
  tell('communities', 0);
  const empty = (): PlanState => new PlanState(problem, traffic, room, choices);
  const found = searchPlacement(empty, { ...options, worthwhile: worthwhileIterations(problem) }, (done) =>
    tell('annealing', done),
  );
  tell('packing', iterations);
  const waiting = unplacedIn(found);
  packRest(found, new Sizes(found));
  const squeezedIn = waiting - unplacedIn(found);
  const whole = healed(empty, found, { random: new Random(seed, 3), moved: squeezedIn, budget: iterations });
  relieveLinks(whole);
  const packed = countsOf(whole);
  const random = new Random(seed, 1);
  const zoneCap = options.zoneCap ?? problem.replicas;
  const exchanged = exchangeZones(problem, traffic, packed, { iterations: 100 * problem.nodeCount, zoneCap, random });
  const zoned = (): PlanState => {
    const state = empty();
    state.zones = new ZoneRoom(problem.nodeZone, zoneCap);
    return state;
  };
  const torn = zoned();
  torn.putAll(renamed(packed, exchanged));
  const moved = keepToZones(torn);
  const placed = healed(zoned, torn, { random: new Random(seed, 2), moved, budget: iterations });
  const counts = countsOf(placed);
  return {
    ...counts,
    hash: planHash(counts),
    localShare: localShares(problem, counts),
    linkOverload: linkOverload(problem, counts),
    unplaced: Array.from(placed.unplaced.entries())
      .filter(([, replicas]) => replicas > 0)
      .map(([workload, replicas]) => ({ workload, replicas })),
    iterations,
  };
}

function countsOf({ replicas, matrix }: PlanState): ReplicaCounts {
  const { hostStart, hostCount, hosts } = matrix;
  const targetStart = new Int32Array(replicas.length + 1);
  for (let w = 0; w < replicas.length; w++) targetStart[w + 1] = targetStart[w]! + hostCount[w]!;
  const targetNode = new Int32Array(targetStart[replicas.length]!);
  const targetCount = new Int32Array(targetNode.length);
  for (let w = 0; w < replicas.length; w++) {
    const own = hosts.slice(hostStart[w], hostStart[w]! + hostCount[w]!).sort();
    targetNode.set(own, targetStart[w]);
    for (const [i, n] of own.entries()) targetCount[targetStart[w]! + i] = matrix.get(n, w);
  }
  return { targetStart, targetNode, targetCount };
}
