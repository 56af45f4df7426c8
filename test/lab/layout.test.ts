import { beforeAll, describe, expect, it } from 'vitest';
import { addPod, bind, layOut, namespacesOf } from '../../lab/layout.ts';
import { checkLabName } from '../../lab/names.ts';
import { loadScenario } from '../../lab/scenario-load.ts';
import type { Scenario } from '../../lab/scenario.ts';
import { servicesRuleset } from '../../lab/services-nft.ts';
import { nodesThatFit, renderPod, renderSnapshot } from '../../lab/snapshot.ts';
import { trafficPlan } from '../../lab/traffic/plan.ts';
import { fabricLines, nodeLines, plugLines, podLines } from '../../lab/wiring.ts';

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- looked into as a reader would
type Json = any;

let scenario: Scenario;
beforeAll(async () => {
  scenario = await loadScenario('online-boutique');
});
const layout = (id = 'id') => layOut('demo', id, scenario, { nowMs: 1_700_000_000_000, paused: false, rateFactor: 1 });

describe('the layout of a lab', () => {
  it('gives every pod, node and Service an address of its own', () => {
    const s = layout();
    const addresses = [
      ...s.nodes.flatMap((n) => [n.address, n.gateway]),
      ...s.pods.map((p) => p.address),
      ...s.services.map((x) => x.clusterIP),
    ];
    expect(new Set(addresses).size).toBe(4 * 2 + 24 + 11);
    expect(new Set([...s.pods.map((p) => p.uid), ...s.nodes.map((n) => n.uid)]).size).toBe(28);
    expect(new Set(namespacesOf(s)).size).toBe(1 + 4 + 24);
    for (const n of namespacesOf(s)) expect(n).toMatch(/^nl-demo-/);
  });

  it('is the same for the same lab, and has other uids in the next', () => {
    expect(layout('a')).toEqual(layout('a'));
    const uids = (id: string): string[] => layout(id).pods.map((p) => p.uid);
    expect(uids('a').filter((u) => uids('b').includes(u))).toEqual([]);
  });

  it('never gives out an address twice, and says when there are no more', () => {
    const s = layout();
    const used = new Set(s.pods.map((p) => p.address));
    expect(() => {
      for (;;) {
        const pod = addPod(s, 'frontend', 0);
        bind(s, pod, 'node-0');
        expect(used.has(pod.address)).toBe(false);
        used.add(pod.address);
        s.pods.splice(s.pods.indexOf(pod), 1);
      }
    }).toThrow(expect.objectContaining({ code: 'LAB_ADDRESSES_EXHAUSTED' }));
  });

  it('names devices that Linux accepts', () => {
    const s = layout();
    const lines = [
      ...fabricLines(s),
      ...s.nodes.flatMap((n) => nodeLines(s, n)),
      ...s.pods.flatMap((p) => [...plugLines(p), ...podLines(s, p, s.nodes[0]!)]),
    ];
    for (const line of lines) {
      const name = /link add (\S+)/.exec(line)?.[1];
      if (name !== undefined) expect(name.length).toBeLessThanOrEqual(15);
    }
  });

  it.each(['', 'Demo', 'a-b', '1a', 'a'.repeat(13), 'a/b', '../x'])('refuses the lab name %j', (name) => {
    expect(() => checkLabName(name)).toThrow(expect.objectContaining({ code: 'LAB_NAME_INVALID' }));
  });
});

describe('the Services of a node', () => {
  it('lead to every pod behind them and to no other', () => {
    const s = layout();
    const cart = s.services.find((x) => x.name === 'cartservice')!;
    const line = servicesRuleset(s, s.nodes[0]!)
      .split('\n')
      .find((l) => l.includes(cart.clusterIP))!;
    for (const p of s.pods) expect(line.includes(`: ${p.address}`)).toBe(p.workload === 'cartservice');
    expect(line).toContain('numgen random mod 3');
  });

  it('have no rule while there is no pod behind them', () => {
    const s = layout();
    s.pods = s.pods.filter((p) => p.workload !== 'redis-cart');
    const redis = s.services.find((x) => x.name === 'redis-cart')!;
    expect(servicesRuleset(s, s.nodes[0]!)).not.toContain(redis.clusterIP);
  });
});

describe('the snapshot of a lab', () => {
  it('is a List as kubectl prints it, with owners that lead from pod to Deployment', () => {
    const snapshot = renderSnapshot(layout()) as Json;
    expect(snapshot).toMatchObject({ apiVersion: 'v1', kind: 'List' });
    const of = (kind: string): Json[] => snapshot.items.filter((i: Json) => i.kind === kind);
    expect([of('Node'), of('Pod'), of('Service'), of('Deployment'), of('ReplicaSet')].map((x) => x.length)).toEqual([
      4, 24, 11, 12, 12,
    ]);
    for (const pod of of('Pod')) {
      const set = of('ReplicaSet').find((r) => r.metadata.uid === pod.metadata.ownerReferences[0].uid);
      const deployment = of('Deployment').find((d) => d.metadata.uid === set.metadata.ownerReferences[0].uid);
      expect(deployment.metadata.name).toBe(pod.metadata.labels.app);
      expect(pod.metadata.name.startsWith(`${set.metadata.name}-`)).toBe(true);
      expect(pod.metadata.labels['pod-template-hash']).toBe(set.metadata.labels['pod-template-hash']);
      expect(pod.status).toMatchObject({ phase: 'Running', podIP: expect.any(String) });
    }
  });

  it('shows a pod without a node as pending, the way kube-scheduler asks about it', () => {
    const s = layout();
    const pod = renderPod(s, addPod(s, 'cartservice', 0)) as Json;
    expect(pod.status).toEqual({ phase: 'Pending' });
    expect(pod.spec.nodeName).toBeUndefined();
    expect(pod.spec.containers[0].resources.requests).toEqual({ cpu: '200m', memory: '64Mi' });
  });

  it('tells on which nodes one more pod fits', () => {
    const s = layout();
    expect(nodesThatFit(s, 'cartservice')).toHaveLength(4);
    while (nodesThatFit(s, 'cartservice').includes('node-0')) bind(s, addPod(s, 'cartservice', 0), 'node-0');
    expect(nodesThatFit(s, 'cartservice')).toEqual(['node-1', 'node-2', 'node-3']);
  });
});

describe('the traffic plan of a pod', () => {
  it('has its share of its workload: rates by replica, Service addresses as peers', () => {
    const s = layout();
    const plan = trafficPlan(
      s,
      s.pods.find((p) => p.workload === 'cartservice')!,
    );
    expect(plan.split('\n')).toEqual([
      'generation 1',
      'listen 7070',
      'edge e3 10.96.11.126 6379 keep-alive 46.666667 960 1200 4 5000 client',
      '',
    ]);
  });
});
