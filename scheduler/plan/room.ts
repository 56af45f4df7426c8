import type { PlacementProblem } from '../placement/problem.ts';

/**
 * What nodes have and replicas ask for, as whole numbers whose sums are exact in a double: as they are where the
 * problem's are whole and small enough, else in steps of 2^-48 of the largest node, requests rounded up and room down,
 * so that rounding never lets in what does not fit.
 */
export interface Room {
  readonly nodeCpu: Float64Array;
  readonly nodeMemory: Float64Array;
  readonly nodePods: Int32Array;
  readonly cpu: Float64Array;
  readonly memory: Float64Array;
}

export function roomOf(problem: PlacementProblem): Room {
  const [nodeCpu, cpu] = exact(problem.nodeMilliCpu, problem.milliCpu);
  const [nodeMemory, memory] = exact(problem.nodeMemoryBytes, problem.memoryBytes);
  return { nodeCpu, nodeMemory, nodePods: problem.nodePods, cpu, memory };
}

/** A node's room and a move's requests together stay below 2^53. */
const LARGEST_AS_IS = 2 ** 50;
const STEPS = 2 ** 48;
/** What asks for more fits nowhere; how much more does not matter. */
const BEYOND_ALL = 2 ** 50;

function exact(room: Float64Array, requests: Float64Array): [Float64Array, Float64Array] {
  let largest = 0;
  let whole = true;
  for (const column of [room, requests]) {
    for (const value of column) {
      largest = Math.max(largest, value);
      whole &&= Number.isInteger(value);
    }
  }
  if ((whole && largest <= LARGEST_AS_IS) || largest === 0) return [room, requests];
  largest = 0;
  for (const value of room) largest = Math.max(largest, value);
  const steps = Math.min(Number.MAX_VALUE, STEPS / (largest > 0 ? largest : 1));
  return [
    room.map((value) => Math.floor(value * steps)),
    requests.map((value) => Math.min(BEYOND_ALL, Math.ceil(value * steps))),
  ];
}
