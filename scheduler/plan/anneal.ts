import { AliasTable } from './alias-table.ts';
import { Moves } from './moves.ts';
import type { Random } from './random.ts';
import { OVERLOAD, type PlanState } from './state.ts';

export interface AnnealOptions {
  /** Proposals, each a move that is taken or not. */
  readonly iterations: number;
  /** First and last temperature, as shares of all traffic; between them it falls geometrically. */
  readonly hot: number;
  readonly cold: number;
  /** First weight of overloaded links, which rises to OVERLOAD likewise; undefined: it is that from the start. */
  readonly overload?: number;
}

/** Of all proposals: bundles, and exchanges of nodes; the others are single moves. Tuned on M3 and on five made-up clusters. */
const BUNDLES = 0.25;
const EXCHANGES = 0.05;
/** Of the single moves, where links are known: such as relieve one. */
const RELIEFS = 0.1;
/** Temperature is constant for so many proposals; edges are drawn anew so many times in a run. */
const CHUNK = 256;
const STAGES = 64;
const PROGRESS_EVERY = 1024 * CHUNK;

/**
 * Simulated annealing of the node-local share (placement-study.md §3). The number of proposals is the budget: no clock.
 * @returns by how much PlanState.value() changed, by the weights at each time
 */
export function anneal(
  state: PlanState,
  random: Random,
  { iterations, hot, cold, overload = OVERLOAD }: AnnealOptions,
  progress: (done: number) => void = () => {},
): number {
  const moves = new Moves(state, random);
  const cooling = (cold / hot) ** (CHUNK / iterations);
  const hogs = state.hasLinks ? hogsOf(state) : undefined;
  let edges = edgesFor(state, hot);
  state.overloadWeight = overload;
  let temperature = hot;
  let gained = 0;
  for (let done = 0, stage = 1; done < iterations; done += CHUNK) {
    if (done % PROGRESS_EVERY === 0) progress(done);
    if (done * STAGES >= stage * iterations) {
      state.overloadWeight = overload * (OVERLOAD / overload) ** (done / iterations);
      edges = edgesFor(state, temperature);
      stage++;
    }
    for (let left = Math.min(CHUNK, iterations - done); left > 0; left--) {
      const edge = edges.draw(random);
      const kind = random.unit();
      // Metropolis: a loss is taken with probability exp(-loss / temperature), decided beforehand.
      const least = temperature * Math.log(random.unit() + Number.MIN_VALUE);
      if (hogs !== undefined && kind > 1 - RELIEFS) gained += moves.relieve(hogs.draw(random), least);
      else if (kind < BUNDLES) gained += moves.bundle(edge, least);
      else if (kind < BUNDLES + EXCHANGES) gained += moves.exchange(edge, least);
      else gained += moves.single(edge, least);
    }
    temperature *= cooling;
  }
  state.overloadWeight = OVERLOAD;
  return gained;
}

/**
 * Edges are proposed by how much there is to arrange (their replicas), and most where a matched replica is worth about
 * the temperature: what is worth much more is frozen, what is worth much less is noise.
 */
function edgesFor({ traffic, replicas }: PlanState, temperature: number): AliasTable {
  const { edgeA, edgeB, edgeWeight } = traffic;
  return new AliasTable(
    edgeWeight.map((weight, e) => {
      const most = Math.max(replicas[edgeA[e]!]!, replicas[edgeB[e]!]!);
      const worth = weight / most / temperature;
      return most ** 0.7 * (worth < 1 ? worth ** 0.5 : worth ** -0.3);
    }),
  );
}

/** Workloads by what they send and receive. */
function hogsOf({ tx, rx, replicas }: PlanState): AliasTable | undefined {
  const flows = tx.map((sent, w) => replicas[w]! * Math.max(sent, rx[w]!));
  return flows.some((flow) => flow > 0) ? new AliasTable(flows) : undefined;
}
