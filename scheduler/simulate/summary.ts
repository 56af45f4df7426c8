import type { LocalShare } from './measures.ts';
import type { Outcome } from './simulate.ts';

/** Mean and standard deviation (n - 1; 0 of one seed) of every figure. */
export function summarise(outcomes: readonly Outcome[]): {
  readonly mean: Outcome;
  readonly standardDeviation: Outcome;
} {
  return { mean: over(outcomes, mean), standardDeviation: over(outcomes, deviation) };
}

function over(outcomes: readonly Outcome[], of: (values: readonly number[]) => number): Outcome {
  const figure = (pick: (outcome: Outcome) => number): number => of(outcomes.map(pick));
  const share = (pick: (outcome: Outcome) => LocalShare): LocalShare => ({
    node: figure((outcome) => pick(outcome).node),
    zone: figure((outcome) => pick(outcome).zone),
    region: figure((outcome) => pick(outcome).region),
  });
  return {
    localShare: share((outcome) => outcome.localShare),
    routedShare: share((outcome) => outcome.routedShare),
    unplaced: figure((outcome) => outcome.unplaced),
    spread: { mean: figure((outcome) => outcome.spread.mean), max: figure((outcome) => outcome.spread.max) },
    linkUse: outcomes.every((outcome) => outcome.linkUse !== null)
      ? {
          mean: figure((outcome) => outcome.linkUse!.mean),
          p95: figure((outcome) => outcome.linkUse!.p95),
          max: figure((outcome) => outcome.linkUse!.max),
        }
      : null,
    crossZoneBytesPerSecond: outcomes.every((outcome) => outcome.crossZoneBytesPerSecond !== null)
      ? figure((outcome) => outcome.crossZoneBytesPerSecond!)
      : null,
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function deviation(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}
