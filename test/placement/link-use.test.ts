import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addedLinkUse, linkUse, placementSettings, scoreNodes } from '../../scheduler/placement/index.ts';
import { buildView, type ViewSpec } from '../support/view-fixture.ts';
import { arbitrarySpec } from './arbitraries.ts';

const SETTINGS = placementSettings({ maxNamed: 1000 });

function ask(spec: ViewSpec, workload: string, settings = SETTINGS) {
  const view = buildView(spec);
  const candidates = spec.nodes.map((_, n) => n);
  const scores = scoreNodes(
    view,
    { workload: view.names.workloadIndex.get(workload), podUid: 'u', candidates },
    settings,
  );
  return { ...scores, byName: Object.fromEntries(scores.named.map((n) => [view.names.nodes[n.node]!, n.score])) };
}

const MBIT = 125_000;
const HOG = 'shop/Deployment/hog';
/** Links of 1 Gbit/s; hogs send 400 Mbit/s to the outside. */
const hogs = (...sent: readonly number[]): ViewSpec => ({
  nodes: sent.map((mbps, i) => ({ name: `n${i}`, link: [1000 * MBIT, mbps * MBIT, 0] })),
  workloads: [{ key: HOG, otherBytesPerSecond: 400 * MBIT, tx: 400 * MBIT }],
  edges: [],
});

describe('a pod that fills links', () => {
  test('keeps away from those that it would take beyond 60 %, the more the further', () => {
    // With it: 40, 60, 75, 90 %. (0.15/0.3)^2 = 0.25
    expect(ask(hogs(0, 200, 350, 500), HOG).byName).toEqual({ n0: 80, n1: 80, n2: 60 });
    expect(ask(hogs(0, 200, 350, 500), HOG, placementSettings({ headroomPenalty: 0.5 })).byName).toEqual({
      n0: 40,
      n1: 40,
      n2: 30,
    });
  });

  test('has no opinion where all links have room, none is known, or it is told to', () => {
    expect(ask(hogs(0, 100), HOG)).toMatchObject({ named: [], silence: 'no-traffic' });
    const unknown = { ...hogs(0, 900), nodes: [{ name: 'n0' }, { name: 'n1' }] };
    expect(ask(unknown, HOG)).toMatchObject({ named: [], silence: 'no-traffic' });
    expect(ask(hogs(0, 900), HOG, placementSettings({ headroomPenalty: 0 })).named).toEqual([]);
  });

  test('counts what it receives as well, and what does not leave the node not at all', () => {
    const receiver: ViewSpec = {
      nodes: [
        { name: 'n0', link: [1000 * MBIT, 0, 0] },
        { name: 'n1', link: [1000 * MBIT, 0, 500 * MBIT] },
      ],
      workloads: [{ key: HOG, otherBytesPerSecond: 400 * MBIT, rx: 400 * MBIT }],
      edges: [],
    };
    expect(ask(receiver, HOG).byName).toEqual({ n0: 80 });
    // Its client stands on the full node and fills it: there nothing more leaves.
    const beside: ViewSpec = {
      nodes: receiver.nodes,
      workloads: [
        { key: HOG, rx: 400 * MBIT },
        { key: 'shop/Deployment/client', placed: { n1: 1 } },
      ],
      edges: [{ client: 'shop/Deployment/client', server: HOG, bytesPerSecond: 400 * MBIT }],
    };
    expect(ask(beside, HOG).byName).toEqual({ n1: 80 });
  });

  test('who hardly sends is hardly kept away', () => {
    const small = (tx: number): ViewSpec => ({
      ...hogs(0, 1000),
      workloads: [{ key: HOG, otherBytesPerSecond: tx, tx }],
    });
    expect(ask(small(5 * MBIT), HOG).byName['n0']).toBe(80);
    expect(ask(small(MBIT), HOG).byName['n0']).toBe(16);
  });

  test('a full node far behind the best does not narrow the scale for the others', () => {
    const spec: ViewSpec = {
      nodes: [
        ...hogs(0, 0, 1000).nodes.map((node, i) => ({ ...node, zone: `z${i}` })),
        { name: 'n3', link: [1000 * MBIT, 0, 0] },
      ],
      workloads: [
        { key: HOG, tx: 10 * MBIT },
        { key: 'shop/Deployment/peer', placed: { n0: 1 } },
      ],
      edges: [{ client: HOG, server: 'shop/Deployment/peer', bytesPerSecond: 10 * MBIT }],
    };
    expect(ask(spec, HOG).byName).toEqual({ n0: 80 });
  });
});

describe('what goes over links', () => {
  const linked = arbitrarySpec.map((spec) => ({
    ...spec,
    nodes: spec.nodes.map((node) => ({ ...node, link: [1, 0, 0] as const })),
  }));

  test('is what the replicas send and receive, less what stays on the node', () => {
    fc.assert(
      fc.property(linked, (spec) => {
        const view = buildView(spec);
        const use = linkUse(view);
        for (const [n, { name }] of spec.nodes.entries()) {
          const there = (key: string): number => spec.workloads.find((w) => w.key === key)!.placed?.[name] ?? 0;
          const replicas = (key: string): number => view.replicas[view.names.workloadIndex.get(key)!]!;
          const share = (key: string): number => (there(key) === 0 ? 0 : there(key) / replicas(key));
          let local = 0;
          for (const { client, server, bytesPerSecond } of spec.edges) {
            if (client !== server) local += bytesPerSecond * Math.min(share(client), share(server));
          }
          const sent = spec.workloads.reduce((sum, w) => sum + there(w.key) * (w.tx ?? 0), 0);
          const received = spec.workloads.reduce((sum, w) => sum + there(w.key) * (w.rx ?? 0), 0);
          // Of a link that nothing could fill, what stays is not looked for.
          const less = Math.max(sent, received) > 0.2 ? local : 0;
          expect(use.nodeTx[n]).toBeCloseTo(Math.max(0, sent - less), 3);
          expect(use.nodeRx[n]).toBeCloseTo(Math.max(0, received - less), 3);
        }
      }),
    );
  });

  test('changes with one more replica by what addedLinkUse says', () => {
    fc.assert(
      fc.property(linked, fc.nat(), fc.nat(), (spec, w, n) => {
        const workload = spec.workloads[w % spec.workloads.length]!;
        const node = spec.nodes[n % spec.nodes.length]!.name;
        // So much is sent that nothing is cut off at 0.
        const base: ViewSpec = {
          ...spec,
          workloads: spec.workloads.map((other) => ({
            ...other,
            tx: 1e12,
            rx: 1e12,
            replicas: Math.max(1, other.replicas ?? 0) + 1,
            placed: { ...other.placed, [node]: (other.placed?.[node] ?? 0) + (other === workload ? 0 : 1) },
          })),
        };
        const placed = { ...base.workloads.find(({ key }) => key === workload.key)!.placed };
        const after: ViewSpec = {
          ...base,
          workloads: base.workloads.map((other) =>
            other.key === workload.key ? { ...other, placed: { ...placed, [node]: (placed[node] ?? 0) + 1 } } : other,
          ),
        };
        const view = buildView(base);
        const at = view.names.nodeIndex.get(node)!;
        const added = addedLinkUse(view, view.names.workloadIndex.get(workload.key)!, at);
        const [before, then] = [linkUse(view), linkUse(buildView(after))];
        if (Math.max(before.nodeTx[at]!, before.nodeRx[at]!) === 0) return;
        expect((then.nodeTx[at]! - before.nodeTx[at]!) / 1e12).toBeCloseTo(added.tx / 1e12, 9);
        expect((then.nodeRx[at]! - before.nodeRx[at]!) / 1e12).toBeCloseTo(added.rx / 1e12, 9);
      }),
    );
  });
});
