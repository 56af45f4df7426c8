import { setTimeout as sleep } from 'node:timers/promises';
import { readLab } from './counters-read.ts';
import { crossingBetween, type Crossing } from './crossing.ts';
import { labDown } from './down.ts';
import type { TrueMatrix } from './matrix.ts';
import type { Lab } from './state.ts';
import { pauseTraffic, startTraffic } from './traffic/control.ts';
import { labUp, type LabUpOptions } from './up.ts';

export interface LabRunOptions extends LabUpOptions {
  /** How long traffic runs; default 10 s. */
  readonly durationMs?: number;
  /** Leave the lab running afterwards; default false. */
  readonly keep?: boolean;
  /** Ends the run early, in order. */
  readonly signal?: AbortSignal;
  /** Called when the lab is complete, before traffic starts. */
  readonly onUp?: (lab: Lab) => void | Promise<void>;
}

export interface LabRunResult {
  readonly lab: Lab;
  readonly matrix: TrueMatrix;
  readonly crossing: Crossing;
}

/** Builds a lab, lets its traffic run for a while, reads the true matrix and takes the lab down. Throws as labUp(). */
export async function labRun(options: LabRunOptions = {}): Promise<LabRunResult> {
  const lab = await labUp({ ...options, paused: true });
  let done = false;
  try {
    await options.onUp?.(lab);
    const before = await readLab(lab);
    await startTraffic(lab);
    await sleep(options.durationMs ?? 10_000, undefined, {
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    }).catch(() => {});
    await pauseTraffic(lab);
    const after = await readLab(lab);
    if (options.keep === true) await startTraffic(lab);
    done = true;
    return { lab, matrix: after.matrix, crossing: crossingBetween(before, after) };
  } finally {
    if (options.keep !== true || !done) {
      await labDown({
        name: lab.state.name,
        ...(options.root === undefined ? {} : { root: options.root }),
        ...(options.logger === undefined ? {} : { logger: options.logger }),
      });
    }
  }
}
