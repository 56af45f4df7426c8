import { describe, expect, it } from 'vitest';
import type { ClusterRecord } from '../../scheduler/cluster/model.ts';
import { balancedAllocation, KubeScores, leastAllocated } from '../../scheduler/simulate/default-scores/kube.ts';
import { clusterOf } from '../../scheduler/simulate/load.ts';
import { Moment } from '../../scheduler/simulate/moment.ts';
import { node, pod, service } from './records.ts';

// Cases and figures are those of kube-scheduler 1.37's own tests (pkg/scheduler/framework/plugins).

describe('NodeResourcesFit, LeastAllocated', () => {
  it.each([
    ['nothing scheduled, nothing requested', [0, 4000, 0, 10_000], 100],
    ['resources requested', [3000, 4000, 5000, 10_000], 37],
    ['a larger node', [3000, 6000, 5000, 10_000], 50],
    ['pods there without memory', [6000, 10_000, 0, 20_000], 70],
    ['pods there with memory', [6000, 10_000, 5000, 20_000], 57],
    ['more requested than there is', [11_000, 10_000, 5000, 20_000], 37],
    ['a node without memory counts its CPU', [2500, 10_000, 5000, 0], 75],
    ['a node with nothing', [1, 0, 1, 0], 0],
  ] as const)('%s', (_name, [cpu, cpuOf, memory, memoryOf], score) => {
    expect(leastAllocated(cpu, cpuOf, memory, memoryOf)).toBe(score);
  });
});

describe('NodeResourcesBalancedAllocation', () => {
  it.each([
    ['differently sized nodes, smaller', [0, 3000, 4000, 0, 5000, 10_000], 68],
    ['differently sized nodes, larger', [0, 3000, 6000, 0, 5000, 10_000], 75],
    ['beside pods with CPU only', [3000, 3000, 10_000, 0, 5000, 20_000], 73],
    ['beside pods with both', [3000, 3000, 10_000, 5000, 5000, 20_000], 74],
    ['much memory', [3000, 3000, 10_000, 5000, 5000, 50_000], 70],
    ['the best there is', [3000, 0, 3000, 0, 5000, 5000], 100],
    ['the worst there is', [0, 0, 3000, 0, 5000, 5000], 50],
    ['at capacity', [3000, 3000, 6000, 0, 0, 10_000], 62],
    ['at capacity, balanced before', [3000, 3000, 6000, 5000, 0, 10_000], 62],
    ['very uneven', [0, 3000, 3500, 0, 5000, 40_000], 56],
  ] as const)('%s', (_name, [usedCpu, cpu, cpuOf, usedMemory, memory, memoryOf], score) => {
    expect(balancedAllocation(usedCpu, cpu, cpuOf, usedMemory, memory, memoryOf)).toBe(score);
  });
});

describe('PodTopologySpread by default', () => {
  const NOTHING = { milliCpu: 0, memoryBytes: 0, pods: 0 };
  const empty = (name: string, zone?: string): ClusterRecord =>
    node(name, { zone, allocatable: { ...NOTHING, pods: 110 } });

  /** Totals without any other score: nodes have nothing of which to have less. */
  function spreadOf(records: readonly ClusterRecord[], arriving: string): number[] {
    const cluster = clusterOf(records, [], { maxReplicaShare: 1, hasUnits: true });
    const scores = new KubeScores(cluster);
    const moment = new Moment(cluster);
    scores.reset();
    const { names, home } = cluster.pods;
    for (let p = 0; p < cluster.pods.count; p++) {
      if (home[p]! < 0) continue;
      moment.place(p, home[p]!);
      scores.changed(moment, p, home[p]!, 1);
    }
    moment.arrive(names.indexOf(`shop/${arriving}`));
    const totals = new Float64Array(moment.candidateCount);
    scores.score(moment, totals);
    return [...totals].map((total) => total / 2);
  }

  const counts = (of: Record<string, number>, owner: string | undefined, labels = {}): ClusterRecord[] =>
    Object.entries(of).flatMap(([name, count]) =>
      Array.from({ length: count }, (_, i) =>
        pod(`${name}-${i}`, owner, { node: name, labels, requests: { ...NOTHING, pods: 1 } }),
      ),
    );
  const arriving = (owner: string | undefined, labels = {}): ClusterRecord =>
    pod('p', owner, { labels, requests: { ...NOTHING, pods: 1 } });

  it('counts the pods of a Service where no owner is known, by host alone without zones', () => {
    const nodes = ['a', 'b', 'c', 'd'].map((name) => empty(name));
    const placed = counts({ a: 4, b: 3, c: 2, d: 1 }, undefined, { foo: '' });
    const records = [...nodes, ...placed, service('s', { foo: '' }), arriving(undefined, { foo: '' })];
    expect(spreadOf(records, 'p')).toEqual([44, 66, 77, 100]);
  });

  it('counts the pods of the same ReplicaSet, and of no other', () => {
    const nodes = ['a', 'b', 'c', 'd'].map((name) => empty(name));
    const placed = counts({ a: 4, b: 3, c: 2, d: 1 }, 'ReplicaSet/r');
    const others = [pod('x', 'ReplicaSet/other', { node: 'd', requests: { ...NOTHING, pods: 1 } })];
    expect(spreadOf([...nodes, ...placed, ...others, arriving('ReplicaSet/r')], 'p')).toEqual([44, 66, 77, 100]);
  });

  it('counts zones beside hosts', () => {
    const nodes = [empty('a', 'z1'), empty('b', 'z1'), empty('c', 'z2')];
    const placed = counts({ a: 2, b: 1, c: 0 }, 'StatefulSet/s');
    // Host: log(3 + 2) a pod and 2; zone: log(2 + 2) a pod and 4.
    const raw = [2, 1, 0].map((here, i) => Math.round(here * Math.log(5) + 2 + [3, 3, 0][i]! * Math.log(4) + 4));
    const [most, least] = [Math.max(...raw), Math.min(...raw)];
    const expected = raw.map((score) => Math.floor((100 * (most + least - score)) / most));
    expect(spreadOf([...nodes, ...placed, arriving('StatefulSet/s')], 'p')).toEqual(expected);
    expect(expected).toEqual([46, 53, 100]);
  });

  it('says nothing about a pod without owner and Service', () => {
    const nodes = [empty('a'), empty('b')];
    expect(spreadOf([...nodes, ...counts({ a: 3 }, undefined), arriving(undefined)], 'p')).toEqual([0, 0]);
  });
});

describe('requests as scores count them', () => {
  it('take 100m and 200Mi for a container that asks for nothing', () => {
    const cluster = clusterOf(
      [
        node('a', { allocatable: { milliCpu: 1000, memoryBytes: 2 ** 30, pods: 10 } }),
        pod('quiet', undefined, { requests: { milliCpu: 0, memoryBytes: 0, pods: 1 } }),
        pod('two', undefined, {
          requests: { milliCpu: 50, memoryBytes: 0, pods: 1 },
          scored: { milliCpu: 150, memoryBytes: 400 * 2 ** 20, pods: 1 },
        }),
      ],
      [],
      { maxReplicaShare: 1, hasUnits: true },
    );
    expect([...cluster.pods.scoredMilliCpu]).toEqual([100, 150]);
    expect([...cluster.pods.scoredMemoryBytes]).toEqual([200 * 2 ** 20, 400 * 2 ** 20]);
  });
});
