import { describe, expect, it } from 'vitest';
import { plainPaint } from '../../lib/output/index.ts';
import {
  answerText,
  clusterText,
  compareMatrix,
  comparisonText,
  crossingText,
  limitedText,
  movesText,
  type LearnedEdge,
} from '../../lab/demo/index.ts';
import { layOut } from '../../lab/layout.ts';
import type { TrueMatrix } from '../../lab/matrix.ts';
import { loadScenario } from '../../lab/scenario-load.ts';

const style = { width: 80, wide: false, paint: plainPaint };
const totals = (bytesOut: number, bytesIn: number) => ({ bytesOut, bytesIn, connections: 3, requests: 3 });
const truth: TrueMatrix = {
  namespace: 'shop',
  workloads: [
    { client: 'web', server: 'api', byClients: totals(1000, 9000), byServers: totals(1000, 9000) },
    {
      client: 'recommendationservice',
      server: 'productcatalogservice',
      byClients: totals(1, 1),
      byServers: totals(20_000, 1e6),
    },
  ],
  pods: [],
  unknownPeers: totals(0, 0),
  faults: { connectErrors: 0, errors: 0, skipped: 0, unansweredBytes: 0, refused: 0, silentPods: [] },
};
const workload = (name: string) => ({ kind: 'Deployment', namespace: 'shop', name });
const edge = (client: string, server: string, bytesOut: number, bytesIn: number): LearnedEdge => ({
  client: workload(client),
  server: workload(server),
  bytesOut,
  bytesIn,
  connections: 3,
});
const exact = [edge('web', 'api', 1000, 9000), edge('recommendationservice', 'productcatalogservice', 20_000, 1e6)];

const widest = (text: string): number => Math.max(...text.split('\n').map((l) => l.length));

describe('learned beside true', () => {
  it('is exact where it is exact', () => {
    expect(compareMatrix(truth, exact)).toMatchObject({ worstError: 0, totalError: 0, phantoms: [] });
    expect(comparisonText(compareMatrix(truth, exact), style)).toContain('exact to the byte');
  });

  it('takes the worse direction, counts a missing edge whole, and shows what was invented', () => {
    const c = compareMatrix(truth, [edge('web', 'api', 1010, 9000), edge('api', 'web', 5, 5)]);
    expect(c.edges.find((e) => e.client === 'web')!.error).toBeCloseTo(0.01);
    expect(c.edges.find((e) => e.client === 'recommendationservice')!.error).toBe(1);
    expect(c.phantoms).toHaveLength(1);
    const external = { ...exact[0]!, server: { kind: 'External', name: 'api' } };
    expect(compareMatrix(truth, [external]).phantoms).toEqual([external]);
  });
});

describe('the texts of the demo', () => {
  it('fit into 80 columns', async () => {
    const state = layOut('demo', 'id', await loadScenario('online-boutique'), {
      nowMs: 0,
      paused: false,
      rateFactor: 1,
    });
    const crossing = {
      periodMs: 10_000,
      payloadBytes: 1e9,
      crossNodeBytes: 8e8,
      crossZoneBytes: 7e8,
      nodeShare: 0.8,
      zoneShare: 0.7,
      fabricBytes: 9e8,
    };
    const better = { ...crossing, nodeShare: 0.3 };
    const texts = [
      clusterText(state),
      comparisonText(compareMatrix(truth, exact), style),
      comparisonText(compareMatrix(truth, [edge('api', 'web', 5, 5)]), style, 1),
      answerText('cartservice', ['node-0', 'node-1'], [{ Host: 'node-1', Score: 80 }]),
      answerText('cartservice', ['node-0'], []),
      movesText([{ workload: 'cartservice', from: 'node-0', to: 'node-1' }]),
      crossingText(crossing, better),
    ];
    for (const text of texts) expect(widest(text)).toBeLessThanOrEqual(80);
    expect(crossingText(crossing, better)).toMatch(/fell from 80.* to 30/);
    expect(crossingText(better, crossing)).toContain('did not fall');
  });

  it('show the best node first, and nodes that the answer leaves out with 0', () => {
    const text = answerText('cart', ['a', 'b', 'c'], [{ Host: 'c', Score: 40 }]);
    expect(
      text
        .split('\n')
        .slice(1, 4)
        .map((l) => l.trim().split(/\s+/).slice(0, 2)),
    ).toEqual([
      ['c', '40'],
      ['a', '0'],
      ['b', '0'],
    ]);
  });
});

it('a limited pod is shown before, with and without its limit, and how it is held on this kernel', () => {
  const limited = {
    pod: 'loadgenerator-2g8bjf6sdz-jdz2m',
    node: 'node-2',
    limit: '45M',
    beforeBps: 91.2e6,
    heldBps: 43.3e6,
    afterBps: 91.2e6,
  };
  const text = limitedText(limited, { fq: false, state: 'shaped-htb' });
  for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  expect(text).toContain('kubernetes.io/ingress-bandwidth: 45M');
  expect(text.replaceAll('\n', ' ')).toContain('This kernel has no sch_fq, so HTB holds its packets back');
  expect(text).toMatch(
    /without a limit +91\.2 Mbit\/s\n +with 45M +43\.3 Mbit\/s\n +and without it again +91\.2 Mbit\/s/,
  );
  const paced = limitedText(limited, { fq: true, state: 'enforced' }).replaceAll('\n', ' ');
  expect(paced).toContain('Its packets get departure times, which sch_fq heeds (enforced).');
});
