import { describe, expect, it } from 'vitest';
import {
  avoidedFor,
  isAvoided,
  mayGo,
  nodeChoice,
  nodeTaints,
  type NodeChoice,
} from '../../scheduler/cluster/node-choice.ts';
import { readNativeElement, snapshotChunks } from '../../scheduler/cluster/native-format.ts';
import { projectObject } from '../../scheduler/cluster/project.ts';
import { clusterOf } from '../../scheduler/simulate/load.ts';
import { simulate } from '../../scheduler/simulate/simulate.ts';
import { node, pod } from './records.ts';

const requires = (...terms: object[]): Readonly<Record<string, unknown>> => ({
  affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } } },
});
const expression = (key: string, operator: string, ...values: string[]): object => ({
  matchExpressions: [{ key, operator, values }],
});

describe('where a pod may go', () => {
  const plain = { name: 'n', labels: { disk: 'ssd', cores: '16' } };
  it.each([
    ['a pod that says nothing', {}, plain, true],
    ['a selector that matches', { nodeSelector: { disk: 'ssd' } }, plain, true],
    ['a selector that does not', { nodeSelector: { disk: 'hdd' } }, plain, false],
    ['a selector, of a node without labels', { nodeSelector: { disk: 'ssd' } }, { name: 'n' }, false],
    ['In', requires(expression('disk', 'In', 'hdd', 'ssd')), plain, true],
    ['In, no label', requires(expression('gpu', 'In', 'a')), plain, false],
    ['NotIn', requires(expression('disk', 'NotIn', 'ssd')), plain, false],
    ['NotIn, no label', requires(expression('gpu', 'NotIn', 'a')), plain, true],
    ['Exists', requires(expression('disk', 'Exists')), plain, true],
    ['DoesNotExist', requires(expression('disk', 'DoesNotExist')), plain, false],
    ['Gt', requires(expression('cores', 'Gt', '8')), plain, true],
    ['Lt', requires(expression('cores', 'Lt', '8')), plain, false],
    ['Gt of a word', requires(expression('disk', 'Gt', '8')), plain, false],
    ['an operator that is not known', requires(expression('disk', 'Near', 'ssd')), plain, false],
    ['one of two terms', requires(expression('disk', 'In', 'hdd'), expression('cores', 'Exists')), plain, true],
    ['a term without demands', requires({}), plain, false],
    ['no terms', requires(), plain, false],
    ['its name', requires({ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n'] }] }), plain, true],
    [
      'another name',
      requires({ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['m'] }] }),
      plain,
      false,
    ],
  ] as const)('%s', (_name, spec, to, expected) => {
    expect(mayGo(nodeChoice(spec), to)).toBe(expected);
  });

  const taint = { key: 'role', value: 'db', effect: 'NoSchedule' };
  it.each([
    ['nothing', [], false],
    ['the taint', [{ key: 'role', operator: 'Equal', value: 'db', effect: 'NoSchedule' }], true],
    ['Equal without saying so', [{ key: 'role', value: 'db' }], true],
    ['another value', [{ key: 'role', value: 'web' }], false],
    ['any value', [{ key: 'role', operator: 'Exists' }], true],
    ['everything', [{ operator: 'Exists' }], true],
    ['another effect', [{ key: 'role', operator: 'Exists', effect: 'NoExecute' }], false],
    [
      'what every pod does',
      [{ key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 }],
      false,
    ],
  ] as const)('a tainted node, by a pod that tolerates %s', (_name, tolerations, expected) => {
    expect(mayGo(nodeChoice({ tolerations }), { name: 'n', taints: nodeTaints({ taints: [taint] }) })).toBe(expected);
  });

  it('a cordoned node is no candidate, and a taint that only prefers keeps nobody away', () => {
    expect(nodeTaints({ unschedulable: true })).toEqual([
      { key: 'node.kubernetes.io/unschedulable', value: '', effect: 'NoSchedule' },
    ]);
    const taints = nodeTaints({ taints: [{ key: 'a', effect: 'PreferNoSchedule' }] });
    expect(mayGo(undefined, { name: 'n', taints })).toBe(true);
    expect([isAvoided({ taints }), isAvoided({ taints: nodeTaints({ unschedulable: true }) })]).toEqual([true, false]);
  });

  it('counts the taints PreferNoSchedule that a pod does not tolerate', () => {
    const taints = nodeTaints({
      taints: [...['a', 'b'].map((key) => ({ key, effect: 'PreferNoSchedule' })), { key: 'c', effect: 'NoSchedule' }],
    });
    const countFor = (...tolerations: object[]): number => avoidedFor(nodeChoice({ tolerations }), { taints });
    expect(countFor()).toBe(2);
    expect(countFor({ key: 'a', operator: 'Exists' })).toBe(1);
    expect(countFor({ key: 'a', operator: 'Exists', effect: 'NoSchedule' })).toBe(2);
    expect(countFor({ operator: 'Exists' })).toBe(0);
  });

  it('binds every pod of a simulation, and nodes for nobody have no room in the problem', () => {
    const only = nodeChoice({ nodeSelector: { disk: 'ssd' } })!;
    const records = [
      node('closed', { taints: nodeTaints({ taints: [taint] }) }),
      node('open'),
      node('ssd', { labels: { disk: 'ssd' } }),
      ...[1, 2, 3].map((i) => pod(`picky-${i}`, 'ReplicaSet/picky', { nodeChoice: only })),
      ...[1, 2, 3].map((i) => pod(`any-${i}`, 'ReplicaSet/any')),
    ];
    const cluster = clusterOf(records, [], { maxReplicaShare: 1, hasUnits: true });
    expect([...cluster.problem.nodePods]).toEqual([0, 110, 110]);
    const { nodeOf } = simulate(cluster, {
      policy: 'default',
      order: 'random',
      firstSeed: 0,
      seeds: 1,
      defaultModel: 'kube',
      routing: 'balanced',
    });
    const where = [...nodeOf].map((n) => cluster.nodes[n]);
    expect(new Set(where.slice(0, 3))).toEqual(new Set(['open', 'ssd']));
    expect(where.slice(3)).toEqual(['ssd', 'ssd', 'ssd']);
  });

  it("is read from kubectl's form, and survives Netloom's own", () => {
    const spec = {
      nodeSelector: { disk: 'ssd' },
      tolerations: [{ key: 'role', operator: 'Exists' }],
      ...requires(expression('cores', 'Gt', '8'), {
        matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n'] }],
      }),
    };
    const object = (owner: string): object => ({
      kind: 'Pod',
      metadata: { name: 'p', namespace: 'shop', ownerReferences: [{ kind: owner, name: 'o', controller: true }] },
      spec,
    });
    const projected = projectObject(object('ReplicaSet'));
    const { record } = projected as { record: { nodeChoice?: NodeChoice } };
    expect(record.nodeChoice).toEqual(nodeChoice(spec));
    // A DaemonSet's pods have no choice, and each would have its own.
    expect((projectObject(object('DaemonSet')) as { record: object }).record).not.toHaveProperty('nodeChoice');

    const tainted = node('n', { labels: { a: 'b' }, taints: nodeTaints({ taints: [taint] }) });
    const text = [
      ...snapshotChunks({
        namespaces: () => [],
        nodes: () => [tainted],
        pods: () => [record as never],
        services: () => [],
        controllers: () => [],
      }),
    ].join('');
    const written = JSON.parse(text) as { nodes: object[]; pods: object[] };
    expect(readNativeElement('nodes', written.nodes[0])).toMatchObject({ record: tainted });
    expect(readNativeElement('pods', written.pods[0])).toMatchObject({ record: { nodeChoice: record.nodeChoice } });
  });
});
