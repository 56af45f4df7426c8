import type { PlanState } from './state.ts';

/** Requests and room in one figure: what the mean node has is 1. Of cpu, memory and pods the scarcest counts. */
export class Sizes {
  readonly #state: PlanState;
  readonly #cpu: number;
  readonly #memory: number;
  readonly #pods: number;

  constructor(state: PlanState) {
    this.#state = state;
    this.#cpu = 1 / mean(state.room.nodeCpu);
    this.#memory = 1 / mean(state.room.nodeMemory);
    this.#pods = 1 / mean(state.room.nodePods);
  }

  replica(w: number): number {
    return Math.max(this.#state.cpu[w]! * this.#cpu, this.#state.memory[w]! * this.#memory, this.#pods);
  }

  free(n: number): number {
    const { freeCpu, freeMemory, freePods } = this.#state;
    return Math.min(freeCpu[n]! * this.#cpu, freeMemory[n]! * this.#memory, freePods[n]! * this.#pods);
  }
}

/** Mean of what is above 0, at least a trace, so that one divided by it is a number. */
function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.max(0, values[i]!);
  return sum > 0 ? sum / values.length : 1e-9;
}
