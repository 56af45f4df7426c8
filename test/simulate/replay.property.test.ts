import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ORDERS, type Order } from '../../scheduler/simulate/arrivals.ts';
import { clusterOf } from '../../scheduler/simulate/load.ts';
import { POLICIES, type PolicyName } from '../../scheduler/simulate/policies/index.ts';
import { placementOf, runSimulations } from '../../scheduler/simulate/report.ts';
import { DEFAULT_MODELS, type DefaultModel, type SimulationOptions } from '../../scheduler/simulate/simulate.ts';
import { placementSettings } from '../../scheduler/placement/index.ts';
import { arbitraryCluster, type ClusterInput } from './arbitrary-cluster.ts';

const arbitraryRun = fc.record({
  policy: fc.constantFrom(...POLICIES),
  order: fc.constantFrom(...ORDERS),
  defaultModel: fc.constantFrom(...DEFAULT_MODELS),
  maxReplicaShare: fc.constantFrom(0.25, 0.5, 1),
  seed: fc.nat(1000),
});

interface RunChoice {
  readonly policy: PolicyName;
  readonly order: Order;
  readonly defaultModel: DefaultModel;
  readonly maxReplicaShare: number;
  readonly seed: number;
}

function run(input: ClusterInput, { policy, order, defaultModel, maxReplicaShare, seed }: RunChoice) {
  const cluster = clusterOf(input.records, input.rows, { maxReplicaShare, hasUnits: true });
  const options: Omit<SimulationOptions, 'policy' | 'placement'> = {
    order,
    firstSeed: seed,
    seeds: 2,
    planIterations: 200,
    defaultModel,
    routing: 'random',
  };
  const { report, simulations } = runSimulations(cluster, [policy], {
    ...options,
    placement: placementSettings({ maxReplicaShare }),
  });
  return { report, placement: placementOf(cluster, simulations[0]!.nodeOf) };
}

describe('a replay', () => {
  it('never breaks requests, pod limits and the replica cap, and leaves no pod out that has room', () => {
    fc.assert(
      fc.property(arbitraryCluster, arbitraryRun, (input, choice) => {
        const { placement } = run(input, choice);
        const pods = input.records.filter((record) => record.type === 'pod');
        const nodes = input.records.filter((record) => record.type === 'node');
        const live = pods.filter((pod) => pod.phase !== 'Succeeded');
        const isFixed = (pod: (typeof pods)[number]): boolean => pod.owner?.kind === 'DaemonSet';
        const free = live.filter((pod) => !isFixed(pod));
        expect(Object.keys(placement).sort()).toEqual(free.map((pod) => `${pod.namespace}/${pod.name}`).sort());

        const nodeOf = (pod: (typeof pods)[number]): string | null | undefined =>
          isFixed(pod) ? pod.node : placement[`${pod.namespace}/${pod.name}`];
        const workloadOf = (pod: (typeof pods)[number]): string => pod.owner?.name ?? pod.name;
        for (const node of nodes) {
          const here = live.filter((pod) => nodeOf(pod) === node.name);
          const fixed = here.filter(isFixed);
          const sum = (list: typeof here, of: 'milliCpu' | 'memoryBytes'): number =>
            list.reduce((total, pod) => total + pod.requests[of], 0);
          for (const of of ['milliCpu', 'memoryBytes'] as const) {
            expect(sum(here, of)).toBeLessThanOrEqual(Math.max(node.allocatable[of], sum(fixed, of)));
          }
          expect(here.length).toBeLessThanOrEqual(Math.max(node.allocatable.pods, fixed.length));
          for (const pod of here.filter((one) => !isFixed(one))) {
            const replicas = free.filter((other) => workloadOf(other) === workloadOf(pod)).length;
            const together = here.filter((other) => workloadOf(other) === workloadOf(pod)).length;
            expect(together).toBeLessThanOrEqual(Math.max(1, Math.ceil(choice.maxReplicaShare * replicas)));
          }
        }
        // In a churn room may have come free after the pod was looked at.
        if (choice.order === 'churn') return;
        for (const pod of free.filter((one) => nodeOf(one) === null)) {
          for (const node of nodes) {
            const here = live.filter((other) => nodeOf(other) === node.name);
            const room = (of: 'milliCpu' | 'memoryBytes'): boolean =>
              pod.requests[of] === 0 ||
              here.reduce((total, other) => total + other.requests[of], pod.requests[of]) <= node.allocatable[of];
            const replicas = free.filter((other) => workloadOf(other) === workloadOf(pod)).length;
            const together = here.filter((other) => workloadOf(other) === workloadOf(pod)).length;
            const fits =
              room('milliCpu') &&
              room('memoryBytes') &&
              here.length < node.allocatable.pods &&
              together < Math.max(1, Math.ceil(choice.maxReplicaShare * replicas));
            expect(fits).toBe(false);
          }
        }
      }),
      { numRuns: 300, seed: 1 },
    );
  });

  it('gives the same bytes for the same input and seed, in whichever order the input lists its objects', () => {
    fc.assert(
      fc.property(
        arbitraryCluster.chain((input) =>
          fc.record({
            input: fc.constant(input),
            records: fc.shuffledSubarray([...input.records], { minLength: input.records.length }),
            rows: fc.shuffledSubarray([...input.rows], { minLength: input.rows.length }),
          }),
        ),
        arbitraryRun,
        ({ input, records, rows }, choice) => {
          const one = JSON.stringify(run(input, choice));
          expect(JSON.stringify(run(input, choice))).toBe(one);
          if (choice.order === 'as-is') return;
          expect(JSON.stringify(run({ records, rows }, choice))).toBe(one);
        },
      ),
      { numRuns: 300, seed: 2 },
    );
  });
});
