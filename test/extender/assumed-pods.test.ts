import { describe, expect, test } from 'vitest';
import { AssumedPods } from '../../scheduler/extender/assumed-pods.ts';
import { scoreNodes, placementSettings } from '../../scheduler/placement/index.ts';
import { buildView, type ViewSpec } from '../support/view-fixture.ts';
import { post, start } from './harness.ts';

/** Six web pods and six of api are to come; the two talk. */
const APP: ViewSpec = {
  nodes: ['n1', 'n2', 'n3'].map((name) => ({ name })),
  workloads: [
    { key: 'shop/Deployment/web', replicas: 6 },
    { key: 'shop/Deployment/api', replicas: 6 },
  ],
  edges: [{ client: 'shop/Deployment/web', server: 'shop/Deployment/api', bytesPerSecond: 12e6 }],
  owners: { 'shop/ReplicaSet/web-1': 'shop/Deployment/web', 'shop/ReplicaSet/api-1': 'shop/Deployment/api' },
};
const view = buildView(APP);
const [WEB, API] = ['shop/Deployment/web', 'shop/Deployment/api'];

describe('pods that were answered for', () => {
  test('are assumed on the best node until they are seen, for half a minute, and not for themselves', () => {
    const assumed = new AssumedPods();
    assumed.note('a', API, 'n2', 1_000);
    assumed.note('b', API, undefined, 1_000);
    assumed.note('c', API, 'elsewhere', 1_000);
    const pods = [{ workload: 1, node: 1 }];
    expect(assumed.besides('x', view, 2_000)).toEqual(pods);
    expect(assumed.besides('a', view, 2_000)).toEqual([]);
    expect(assumed.besides('x', view, 30_999)).toEqual(pods);
    expect(assumed.besides('x', view, 31_000)).toEqual([]);
    assumed.note('a', API, 'n3', 2_000);
    expect(assumed.besides('x', view, 3_000)).toEqual([{ workload: 1, node: 2 }]);
    assumed.seen(['a', 'unknown']);
    expect(assumed.besides('x', view, 3_000)).toEqual([]);
  });

  test('are few', () => {
    const assumed = new AssumedPods();
    for (let i = 0; i < 5_000; i++) assumed.note(`uid-${i}`, WEB, 'n1', 1_000 + i);
    expect(assumed.besides('x', view, 6_000)).toHaveLength(1_024);
  });

  test('draw those that talk to them, as half a replica each', () => {
    const settings = placementSettings({ lookAhead: 0 });
    const request = { workload: 0, podUid: 'u', candidates: [0, 1, 2] };
    const named = (assumed: readonly { workload: number; node: number }[], spec = APP) =>
      scoreNodes(buildView(spec), { ...request, assumed }, settings).named;
    expect(named([])).toEqual([]);
    expect(named([{ workload: 1, node: 1 }])).toEqual([{ node: 1, score: 40 }]);
    const two = [
      { workload: 1, node: 1 },
      { workload: 1, node: 1 },
    ];
    const placed = { ...APP, workloads: [APP.workloads[0]!, { ...APP.workloads[1]!, placed: { n2: 1 } }] };
    expect(named(two)).toEqual(named([], placed));
    // One of its own there has its share of them.
    expect(named([...two, { workload: 0, node: 1 }, { workload: 0, node: 1 }])).toEqual([]);
  });

  test('count by zone as well', () => {
    const zoned = {
      ...APP,
      nodes: APP.nodes.map(({ name }) => ({ name, zone: name === 'n3' ? 'b' : 'a', region: 'r' })),
    };
    const request = { workload: 0, podUid: 'u', candidates: [0, 1, 2], assumed: [{ workload: 1, node: 1 }] };
    const { named } = scoreNodes(buildView(zoned), request, placementSettings({ lookAhead: 0 }));
    // Half of a replica: on the node, in its zone 0.3, in the region 0.1 of that, which all share but n3 has no more.
    expect(named).toEqual([
      { node: 1, score: 36 },
      { node: 0, score: 8 },
    ]);
  });

  test('hold the cap of their workload, though six replicas are asked about before any is seen', async () => {
    const drawn = {
      ...APP,
      nodes: ['n1', 'n2', 'n3'].map((name, i) => ({ name, zone: `z${i}` })),
      workloads: [APP.workloads[0]!, { key: API, placed: { n2: 6 } }],
    };
    const { port } = await start({}, { assumed: new AssumedPods() }, buildView(drawn));
    const best: (string | undefined)[] = [];
    for (let i = 0; i < 6; i++) {
      const ownerReferences = [{ kind: 'ReplicaSet', name: 'web-1', controller: true }];
      const pod = { metadata: { name: `web-${i}`, namespace: 'shop', uid: `uid-${i}`, ownerReferences } };
      const { text } = await post(port, '/prioritize', { Pod: pod, NodeNames: ['n1', 'n2', 'n3'] });
      best.push((JSON.parse(text) as { Host: string }[])[0]?.Host);
    }
    // All traffic draws to n2, which may hold half of the six; of the rest we have no opinion.
    expect(best).toEqual(['n2', 'n2', 'n2', undefined, undefined, undefined]);
  });

  test('of a gang are hypothetical: they leave no trace', async () => {
    const assumed = new AssumedPods();
    const { port } = await start({}, { assumed }, view);
    const ask = async (uid: string, owner: string, spec: object = {}) => {
      const ownerReferences = [{ kind: 'ReplicaSet', name: owner, controller: true }];
      const pod = { metadata: { name: uid, namespace: 'shop', uid, ownerReferences }, spec };
      return JSON.parse((await post(port, '/prioritize', { Pod: pod, NodeNames: ['n1', 'n2'] })).text) as unknown[];
    };
    const first = await ask('w', 'web-1');
    await ask('api-0', 'api-1', { schedulingGroup: { podGroupName: 'g' } });
    expect(await ask('w', 'web-1')).toEqual(first);
    expect(assumed.besides('x', view, performance.now())).toHaveLength(first.length > 0 ? 1 : 0);
  });
});
