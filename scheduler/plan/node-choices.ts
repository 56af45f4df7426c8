import type { NodeClasses } from '../cluster/node-classes.ts';
import type { NodeRecord } from '../cluster/model.ts';
import { isAvoided } from '../cluster/node-choice.ts';
import type { NodeChoices } from '../placement/problem.ts';
import { ALL } from './choices.ts';

/**
 * The nodes of workloads out of those of their pods: where all of a workload's pods may go, and nobody would rather not have them
 * (PreferNoSchedule) unless nothing else is left. Of a workload without pods: all.
 * @param workloadOf by pod; below 0: of none
 */
export function workloadChoices(
  { of, allowed }: NodeClasses,
  workloadOf: ArrayLike<number>,
  workloadCount: number,
  nodes: readonly Pick<NodeRecord, 'taints'>[],
): NodeChoices | undefined {
  const everywhere = new Uint8Array(nodes.length).fill(1);
  const avoided = nodes.map(isAvoided);
  const wished = (set: Uint8Array): Uint8Array => {
    const kept = set.map((may, n) => (avoided[n] ? 0 : may));
    return kept.includes(1) ? kept : set;
  };
  const classesOf: number[][] = Array.from({ length: workloadCount }, () => []);
  for (let p = 0; p < of.length; p++) {
    const classes = workloadOf[p]! < 0 ? [] : classesOf[workloadOf[p]!]!;
    if (!classes.includes(of[p]!)) classes.push(of[p]!);
  }
  const sets: Uint8Array[] = [];
  const known = new Map<string, number>();
  const choiceOf = (classes: readonly number[]): number => {
    const key = classes.join();
    const found = known.get(key);
    if (found !== undefined) return found;
    let own: Uint8Array = everywhere;
    for (const c of classes) own = own.map((may, n) => may & (allowed[c]?.[n] ?? 1));
    own = wished(own);
    let choice = own.includes(0) ? sets.findIndex((set) => set.every((may, n) => may === own[n])) : ALL;
    if (own.includes(0) && choice < 0) choice = sets.push(own) - 1;
    known.set(key, choice);
    return choice;
  };
  const choices = Int32Array.from(classesOf, (classes) => choiceOf(classes.sort((a, b) => a - b)));
  return sets.length === 0 ? undefined : { of: choices, allowed: sets };
}
