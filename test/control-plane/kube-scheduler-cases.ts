import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { poll } from './cluster-watcher.ts';
import { Recorder, type ExtenderCall } from './recorder.ts';
import { PATIENCE_MS, PEERS, PODS, Shop, zoneOf } from './shop.ts';

/** What our scheduler does not know yet it answers with an error. */
const until = (what: string, does: () => boolean | Promise<boolean>) => poll(what, PATIENCE_MS, does);

/** Settings and features of kube-scheduler that change when and about what we are asked. */
export function kubeSchedulerCases(options: {
  readonly version: string;
  /** Of the kube-scheduler; default: that of the control plane. */
  readonly binary?: () => string;
  /** Whether the scheduler knows PodGroups as the API server has them. */
  readonly gangs: boolean;
}): void {
  let shop: Shop;
  let binary: string | undefined;

  beforeAll(async () => {
    binary = options.binary?.();
    shop = await Shop.open(options.gangs ? 'GenericWorkload=true,TopologyAwareWorkloadScheduling=true' : undefined);
  }, 600_000);

  afterAll(async () => {
    await shop?.close();
  });

  beforeEach(() => {
    shop.recorder.calls = [];
  });

  /** A kube-scheduler that ends with the test. */
  async function scheduler(extenders: readonly object[], profile: object = {}, config: object = {}) {
    const started = await shop.scheduler({ binary, extenders, profile, config });
    onTestFinished(() => shop.plane.stopScheduler(started.component));
    return started;
  }

  async function ask(body: string): Promise<string> {
    return (await fetch(`http://${shop.netloom.extender}/prioritize`, { method: 'POST', body })).text();
  }

  /** A question that kube-scheduler asked about a pod that is gone again; nothing of it is in our state any more. */
  async function probe(): Promise<{ readonly web: string; readonly body: string }> {
    const { name } = await scheduler([shop.entry()]);
    const web = shop.name('web');
    const known = async () => (await shop.netloom.get<{ cluster: { pods: number } }>('/v1/status')).cluster.pods;
    const before = await known();
    await shop.deploy(web, 1, name, { nodeSelector: { pool: 'small' } });
    await shop.placed(web, 1);
    const [call] = shop.recorder.prioritized(`^${web}-`);
    await until('our scheduler knows the pod', async () => (await known()) === before + 1);
    await shop.scale(web, 0);
    await until('it is gone', async () => (await known()) === before);
    await until('the answer is as before the pod', async () => (await ask(call!.body)) === call!.answer);
    return { web, body: call!.body };
  }

  const hosts = (call: ExtenderCall) => JSON.parse(call.answer) as { Host: string; Score: number }[];

  describe(`kube-scheduler ${options.version}`, () => {
    test('percentageOfNodesToScore: by default it asks about 144 of 300 nodes, at 100 about all', async () => {
      for (const [profile, count] of [
        [{}, 144],
        [{ percentageOfNodesToScore: 100 }, 300],
      ] as const) {
        const { name } = await scheduler([shop.entry()], profile);
        for (let i = 0; i < 4; i++) {
          const web = shop.name('web');
          await shop.deploy(web, 1, name);
          const [node] = await shop.placed(web, 1);
          const [call, ...more] = shop.recorder.prioritized(`^${web}-`);
          expect(more).toEqual([]);
          expect(call!.nodeNames).toHaveLength(count);
          const asked = call!.nodeNames.includes(PEERS.db);
          if (count === 300) expect(asked).toBe(true);
          expect(hosts(call!)[0]).toMatchObject(asked ? { Host: PEERS.db, Score: 80 } : { Score: 24 });
          // Not asked about the node of its peer: then its zone is the best there is.
          if (asked) expect(node).toBe(PEERS.db);
          else expect(zoneOf(node!)).toBe(zoneOf(PEERS.db));
          await shop.remove(web);
        }
      }
    });

    test('the same question is answered with the same bytes, however often it is asked', async () => {
      const { body, web } = await probe();
      const answers = new Set<string>();
      for (let i = 0; i < 50; i++) answers.add(await ask(body));
      expect([...answers]).toEqual([`[{"Host":"${PEERS.db}","Score":80},{"Host":"node-2","Score":24}]`]);
      await shop.remove(web);
    });

    test('opportunistic batching: an extender switches it off for every profile, and is asked for each pod', async () => {
      // Each takes more than half of a node, so that the next one cannot use the same.
      const spec = {
        nodeSelector: { pool: 'large' },
        containers: [{ name: 'c', image: 'x', resources: { requests: { cpu: '9' } } }],
      };
      const used: number[] = [];
      // Pods under the default spreading constraints are not batched anyway.
      const args = { defaultingType: 'List', defaultConstraints: [] };
      const profile = { pluginConfig: [{ name: 'PodTopologySpread', args }] };
      const off = 'Disabling signatures for profile because it has extenders configured';
      for (const extenders of [[], [shop.entry()]]) {
        const { name, component } = await scheduler(extenders, profile);
        expect(component.log().includes(off)).toBe(extenders.length > 0);
        const web = shop.name('web');
        await shop.deploy(web, 30, name, spec);
        await shop.placed(web, 30);
        const metrics = await shop.plane.schedulerMetrics(component);
        used.push(metrics.sum('scheduler_batch_attempts_total', { result: 'hint_used' }));
        expect(shop.recorder.prioritized(`^${web}-`)).toHaveLength(extenders.length * 30);
        await shop.remove(web);
      }
      expect(used[0]).toBeGreaterThan(0);
      expect(used[1]).toBe(0);
      console.log(
        `${options.version}: of 30 alike pods placed by a hint: ${used[0]} without an extender, ${used[1]} with Netloom`,
      );
    });

    test('nominatedNodeName: a pod that has one goes there, and we are not asked', async () => {
      const { name } = await scheduler([shop.entry()]);
      const web = shop.name('web');
      await shop.deploy(web, 1, name, { schedulingGates: [{ name: 'test.netloom.io/wait' }] });
      await until('the pod is there', async () => (await shop.pods(web)).length === 1);
      const [pod] = await shop.pods(web);
      const path = `${PODS}/${pod!.metadata.name}`;
      const merge = 'application/merge-patch+json';
      await shop.plane.api.call('PATCH', `${path}/status`, { status: { nominatedNodeName: 'node-0' } }, merge);
      await shop.plane.api.call('PATCH', path, { spec: { schedulingGates: null } }, merge);
      expect(await shop.placed(web, 1)).toEqual(['node-0']);
      expect(shop.recorder.prioritized(`^${web}-`)).toEqual([]);
      // The same without it is asked about, and goes to its peer.
      const other = shop.name('web');
      await shop.deploy(other, 1, name, { nodeSelector: { pool: 'small' } });
      expect(await shop.placed(other, 1)).toEqual([PEERS.db]);
      expect(shop.recorder.prioritized(`^${other}-`)).toHaveLength(1);
      await shop.remove(web);
      await shop.remove(other);
    });

    test('preemption: we are not asked about the pod that another has to go for, and it is placed', async () => {
      const { name } = await scheduler([shop.entry()]);
      const full = (cpu: string) => ({
        nodeSelector: { pool: 'small' },
        containers: [{ name: 'c', image: 'x', resources: { requests: { cpu } } }],
      });
      await shop.plane.api.call('POST', '/apis/scheduling.k8s.io/v1/priorityclasses', {
        metadata: { name: 'above' },
        value: 1000,
        preemptionPolicy: 'PreemptLowerPriority',
      });
      const filler = shop.name('web');
      await shop.deploy(filler, 6, name, full('15'));
      await shop.placed(filler, 6);
      const web = shop.name('web');
      await shop.deploy(web, 1, name, { ...full('15'), priorityClassName: 'above' });
      await shop.placed(web, 1);
      expect(shop.recorder.prioritized(`^${web}-`)).toEqual([]);
      await shop.remove(web);
      await shop.remove(filler);
      await shop.plane.api.call('DELETE', '/apis/scheduling.k8s.io/v1/priorityclasses/above');
    });

    test('one feasible node: there is nothing to ask', async () => {
      const { name } = await scheduler([shop.entry()]);
      const web = shop.name('web');
      await shop.deploy(web, 1, name, { nodeSelector: { 'kubernetes.io/hostname': 'node-0' } });
      expect(await shop.placed(web, 1)).toEqual(['node-0']);
      expect(shop.recorder.prioritized(`^${web}-`)).toEqual([]);
      const [pod] = await shop.pods(web);
      const target = `shop/${pod!.metadata.name}`;
      await until('it is known why', async () => {
        const { unasked } = await shop.explain({ pod: target });
        return unasked?.reason === 'one-node' && unasked.scheduler === name;
      });
      const { stdout } = await shop.processes.run(['explain', '--api', shop.netloom.api, target]);
      expect(stdout).toContain('it fits on node-0 only, and where one node is left kube-scheduler does not ask.');
      // Who asks about it now is somebody else: that answer led to nothing.
      expect(await ask(JSON.stringify({ Pod: pod, NodeNames: ['node-0', PEERS.db] }))).toContain(PEERS.db);
      await sleep(500);
      const { unasked, asked } = await shop.explain({ pod: target });
      expect([unasked?.reason, asked]).toEqual(['one-node', 0]);
      await shop.remove(web);
    });

    test('several extenders: their scores add up', async () => {
      for (const [score, node] of [
        [70, PEERS.db],
        [90, 'node-0'],
      ] as const) {
        const other = await Recorder.start(async () => ({
          status: 200,
          text: JSON.stringify([{ Host: 'node-0', Score: score }]),
        }));
        onTestFinished(() => other.stop());
        const { name } = await scheduler([shop.entry(), shop.entry({ urlPrefix: `http://${other.address}` })]);
        const web = shop.name('web');
        await shop.deploy(web, 1, name, { nodeSelector: { pool: 'small' } });
        expect(await shop.placed(web, 1)).toEqual([node]);
        expect(shop.recorder.prioritized(`^${web}-`)).toHaveLength(1);
        expect(other.prioritized(`^${web}-`)).toHaveLength(1);
        await shop.remove(web);
      }
    });

    test('several extenders: one that fails does not disturb our answer', async () => {
      for (const text of ['oops', '{}', '[{"Host":"node-0","Score":7.5}]']) {
        const other = await Recorder.start(async () => ({ status: text === 'oops' ? 500 : 200, text }));
        onTestFinished(() => other.stop());
        const faulty = shop.entry({ urlPrefix: `http://${other.address}`, ignorable: false });
        const { name } = await scheduler([faulty, shop.entry()]);
        const web = shop.name('web');
        await shop.deploy(web, 1, name, { nodeSelector: { pool: 'small' } });
        expect(await shop.placed(web, 1)).toEqual([PEERS.db]);
        expect(other.prioritized(`^${web}-`)).toHaveLength(1);
        await shop.remove(web);
      }
    });

    test('managedResources: we are asked only for pods that request the resource', async () => {
      const resource = 'netloom.io/placed';
      const managed = shop.entry({ managedResources: [{ name: resource, ignoredByScheduler: true }] });
      const { name } = await scheduler([managed]);
      for (const wants of [true, false]) {
        const web = shop.name('web');
        const amount = wants ? { [resource]: '1' } : {};
        await shop.deploy(web, 1, name, {
          nodeSelector: { pool: 'small' },
          containers: [{ name: 'c', image: 'x', resources: { requests: { cpu: '100m', ...amount }, limits: amount } }],
        });
        const [node] = await shop.placed(web, 1);
        expect(shop.recorder.prioritized(`^${web}-`)).toHaveLength(wants ? 1 : 0);
        if (wants) expect(node).toBe(PEERS.db);
        await shop.remove(web);
      }
    });

    test('ties: without a word from an extender one node has them all, when all are named it is any of them', async () => {
      const tied = { nodeSelector: { pool: 'small' } };
      // All nodes are alike to this one.
      const profile = { plugins: { score: { disabled: [{ name: '*' }], enabled: [{ name: 'ImageLocality' }] } } };
      const chosen: Record<string, Set<string>> = {};
      const equal = await Recorder.start(async (_path, body) => ({
        status: 200,
        text: JSON.stringify(
          (JSON.parse(body) as { NodeNames: string[] }).NodeNames.map((Host) => ({ Host, Score: 0 })),
        ),
      }));
      onTestFinished(() => equal.stop());
      const cases = {
        alone: [],
        silent: [shop.entry()],
        named: [shop.entry({ urlPrefix: `http://${equal.address}` })],
      };
      for (const [what, extenders] of Object.entries(cases)) {
        // Sixteen workers that look at nodes at once do not always find the same one first.
        const { name } = await scheduler(extenders, profile, { parallelism: 1 });
        const nodes = new Set<string>();
        for (let i = 0; i < 6; i++) {
          // Of this workload no traffic is known.
          await shop.deploy('untold', 1, name, tied);
          nodes.add((await shop.placed('untold', 1))[0]!);
          await shop.remove('untold');
        }
        chosen[what] = nodes;
      }
      console.log(
        `${options.version}: six pods in a row on so many nodes: ` +
          Object.entries(chosen)
            .map(([what, nodes]) => `${what} ${nodes.size}`)
            .join(', '),
      );
      expect(shop.recorder.prioritized('^untold-').map(({ answer }) => answer)).toEqual(Array(6).fill('[]'));
      expect(chosen['alone']!.size).toBe(1);
      expect(chosen['silent']!.size).toBe(1);
      // All six on one node of six by chance: once in 7,776 runs.
      expect(chosen['named']!.size).toBeGreaterThan(1);
    });

    if (!options.gangs) return;

    const ZONE = 'topology.kubernetes.io/zone';
    const GROUPS = '/apis/scheduling.k8s.io/v1beta1/namespaces/shop/podgroups';

    async function gang(schedulerName: string, topology: boolean, minCount = 3, pods = minCount, cpu = '100m') {
      const name = shop.name('gang');
      await shop.plane.api.call('POST', GROUPS, {
        apiVersion: 'scheduling.k8s.io/v1beta1',
        kind: 'PodGroup',
        metadata: { name, namespace: 'shop' },
        spec: {
          schedulingPolicy: { gang: { minCount } },
          ...(topology ? { schedulingConstraints: { topology: [{ key: ZONE }] } } : {}),
        },
      });
      await shop.deploy(name, pods, schedulerName, {
        nodeSelector: { pool: 'small' },
        schedulingGroup: { podGroupName: name },
        containers: [{ name: 'c', image: 'x', resources: { requests: { cpu } } }],
      });
      return name;
    }

    async function removeGang(name: string): Promise<void> {
      await shop.plane.api.call('DELETE', `${GROUPS}/${name}`);
      await shop.remove(name);
    }

    test('a gang without topology is asked about once a pod, and bound as a whole', async () => {
      const { name } = await scheduler([shop.entry()]);
      const group = await gang(name, false);
      const nodes = await shop.placed(group, 3);
      const calls = shop.recorder.prioritized(`^${group}-`);
      expect(calls.map(({ nodeNames }) => nodeNames.length)).toEqual([6, 6, 6]);
      expect(new Set(calls.map(({ uid }) => uid)).size).toBe(3);
      console.log(`gang without topology: ${nodes.join(' ')}, ${calls.map(({ answer }) => answer).join(' ')}`);
      await removeGang(group);
    });

    test('a gang with a topology is tried in each zone, placed as a whole, and explained by the zone that it got', async () => {
      const { name } = await scheduler([shop.entry()]);
      const group = await gang(name, true);
      const nodes = await shop.placed(group, 3);
      const calls = shop.recorder.prioritized(`^${group}-`);
      console.log(
        `gang with topology: ${nodes.join(' ')} after ${calls.length} calls, ${calls.map((c) => `${c.nodeNames.join('+')}=${c.answer}`).join(' ')}`,
      );
      expect(new Set(nodes.map(zoneOf)).size).toBe(1);
      const zone = zoneOf(nodes[0]!);
      // Three zones, each with all three pods; nothing tells which of the calls counts.
      expect(calls).toHaveLength(9);
      for (const { nodeNames } of calls) expect(new Set(nodeNames.map(zoneOf)).size).toBe(1);
      for (const call of calls)
        expect(hosts(call).map(({ Host }) => Host)).toEqual([expect.stringMatching(/^node-[135]$/)]);
      expect(new Set(calls.map(({ nodeNames }) => zoneOf(nodeNames[0]!))).size).toBe(3);
      for (const { metadata, spec } of await shop.pods(group)) {
        await until('the pod has settled', async () => {
          const { asked, pod } = await shop.explain({ pod: `shop/${metadata.name}` });
          return asked === 3 && pod?.node === spec.nodeName;
        });
        const { lastDecision } = await shop.explain({ pod: `shop/${metadata.name}` });
        expect(lastDecision).toMatchObject({ podUid: metadata.uid, candidates: 2 });
        expect(lastDecision!.top.map(({ Host }) => zoneOf(Host))).toEqual([zone]);
        const { stdout } = await shop.processes.run(['explain', '--api', shop.netloom.api, `shop/${metadata.name}`]);
        expect(stdout).toContain(`Asked 3 times about this pod; the newest answer about ${spec.nodeName} was:`);
      }
      await until('all three have their Event', async () => (await shop.notes(group)).length === 3);
      for (const note of await shop.notes(group)) {
        const named = note.match(/node-\d+/g) ?? [];
        expect(named.map(zoneOf).filter((each) => each !== zone)).toEqual([]);
        expect(note).toContain('of 2 nodes');
      }
      await removeGang(group);
    });

    test('a gang that cannot be placed leaves no trace in our state', async () => {
      const { name } = await scheduler([shop.entry()]);
      const { web: seen, body } = await probe();
      const state = async () => ({
        answer: await ask(body),
        edges: await shop.netloom.get<object>('/v1/edges', { limit: '1000' }),
        explained: (await shop.explain({ workload: `shop/Deployment/${seen}` })).explanation.nodes.map(
          ({ node, score }) => [node, score],
        ),
        pods: (await shop.netloom.get<{ cluster: { pods: number } }>('/v1/status')).cluster.pods,
      });
      // Four of them fit into a zone, five do not.
      const group = await gang(name, true, 5, 0, '7');
      const keptBefore = await shop.netloom.metric('netloom_decisions_kept');
      const before = await state();
      expect(before.answer).not.toBe('[]');
      await shop.scale(group, 5);
      await until('every zone was tried', () => {
        const zones = shop.recorder.prioritized(`^${group}-`).map(({ nodeNames }) => zoneOf(nodeNames[0]!));
        return new Set(zones).size === 3;
      });
      // It may hear of them later than kube-scheduler.
      await until('our scheduler knows all five', async () => (await state()).pods === before.pods + 5);
      const during = await state();
      expect(during.answer).toBe(before.answer);
      expect(during.explained).toEqual(before.explained);
      expect(during.edges).toEqual(before.edges);
      expect(during.pods).toBe(before.pods + 5);
      expect((await shop.pods(group)).flatMap(({ spec }) => spec.nodeName ?? [])).toEqual([]);
      expect(await shop.notes(group)).toEqual([]);
      // However often it is tried again, an answer is kept for each of the five pods and three zones at most.
      await until('it was tried again', () => shop.recorder.prioritized(`^${group}-`).length > 30);
      await sleep(500);
      const kept = (await shop.netloom.metric('netloom_decisions_kept')) - keptBefore;
      const calls = shop.recorder.prioritized(`^${group}-`);
      expect(kept).toBeGreaterThan(0);
      expect(kept).toBeLessThanOrEqual(15);
      await shop.scale(group, 0);
      await until('our scheduler knows that they are gone', async () => (await state()).pods === before.pods);
      expect(await state()).toEqual(before);
      await removeGang(group);
      console.log(`a gang that does not fit: ${calls.length} hypothetical calls, ${kept} answers kept`);
      await shop.remove(seen);
    });
  });
}
