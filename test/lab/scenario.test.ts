import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { NetloomError } from '../../lib/errors.ts';
import { loadScenario, shippedScenarios } from '../../lab/scenario-load.ts';
import { layOut } from '../../lab/layout.ts';
import { parseScenario } from '../../lab/scenario.ts';
import { renderPod } from '../../lab/snapshot.ts';

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- broken on purpose, key by key
type Json = any;

const valid = (): Json => ({
  netloomScenario: 1,
  name: 'x',
  nodes: [{ name: 'node-0' }, { name: 'node-1' }],
  workloads: [
    { name: 'web', replicas: 3 },
    { name: 'api', service: { port: 80 } },
  ],
  edges: [{ client: 'web', server: 'api', requestsPerSecond: 10 }],
});

function failure(change: (s: Json) => void): NetloomError {
  const scenario = valid();
  change(scenario);
  try {
    parseScenario(JSON.stringify(scenario), 'my.json');
  } catch (error) {
    if (error instanceof NetloomError) return error;
    throw error;
  }
  throw new Error('accepted');
}

describe('a scenario', () => {
  it('gets its defaults, and replicas spread over the nodes', () => {
    const s = parseScenario(JSON.stringify(valid()), 'my.json');
    expect(s.namespace).toBe('default');
    expect(s.workloads[0]!.placement).toEqual(['node-0', 'node-1', 'node-0']);
    expect(s.workloads[1]!.service).toEqual({ clusterIP: undefined, portName: 'main', port: 80, targetPort: 80 });
    expect(s.edges[0]).toMatchObject({ mode: 'keep-alive', requestBytes: 100, responseBytes: 1000, redialMs: 0 });
  });

  it('gives pods annotations of bandwidth, and a pod may have its own', () => {
    const text = JSON.stringify({
      ...valid(),
      workloads: [
        { name: 'web', replicas: 1, bandwidth: { egress: '50M', ingress: '1G' } },
        { name: 'api', service: { port: 80 } },
      ],
    });
    const state = layOut('x', 'id', parseScenario(text, 'my.json'), { nowMs: 0, paused: true, rateFactor: 1 });
    const annotations = (): unknown[] =>
      state.pods.map((pod) => (renderPod(state, pod) as { metadata: { annotations?: unknown } }).metadata.annotations);
    const [egress, ingress] = ['kubernetes.io/egress-bandwidth', 'kubernetes.io/ingress-bandwidth'];
    expect(annotations()).toEqual([{ [egress]: '50M', [ingress]: '1G' }, undefined]);
    state.pods[0]!.bandwidth = { ingress: 'much' };
    expect(annotations()[0]).toEqual({ [ingress]: 'much' });
    state.pods[0]!.bandwidth = {};
    expect(annotations()[0]).toBeUndefined();
    expect(failure((s) => (s.workloads[0].bandwidth = { egres: '1M' })).details.expected).toContain('`egress`');
    expect(failure((s) => (s.workloads[0].bandwidth = { egress: 5 })).details.expected).toContain('10M');
  });

  it('is scaled in bytes and requests', () => {
    const s = parseScenario(JSON.stringify({ ...valid(), byteScale: 8, requestScale: 0.5 }), 'my.json');
    expect(s.edges[0]).toMatchObject({ requestBytes: 800, responseBytes: 8000, requestsPerSecond: 5 });
  });

  it.each([
    ['an unknown key', (s) => (s['nodez'] = []), 'my.json', '`nodes`'],
    ['another version', (s) => (s['netloomScenario'] = 2), 'netloomScenario', 'version 1'],
    ['no nodes', (s) => (s['nodes'] = []), 'nodes', '1 to 32'],
    ['a bad name', (s) => (s['nodes'][0].name = 'Node_0'), 'nodes[0].name', 'DNS label'],
    ['a node twice', (s) => (s['nodes'][1].name = 'node-0'), 'nodes', 'every node once'],
    ['a misspelt server', (s) => (s['edges'][0].server = 'apo'), 'edges[0].server', '`api`'],
    ['a server without Service', (s) => (s['edges'][0].server = 'web'), 'edges[0].server', 'service'],
    ['an unknown node', (s) => (s['workloads'][0] = { name: 'web', placement: ['node-9'] }), 'placement[0]', 'node-0'],
    ['too short a request', (s) => (s['edges'][0].requestBytes = 8), 'edges[0].requestBytes', '16..'],
    ['no rate', (s) => delete s['edges'][0].requestsPerSecond, 'edges[0].requestsPerSecond', 'number'],
    ['a rate of zero', (s) => (s['edges'][0].requestsPerSecond = 0), 'edges[0].requestsPerSecond', 'more than 0'],
    ['a bad quantity', (s) => (s['nodes'][0].cpu = '2 cores'), 'nodes[0].cpu', 'quantity'],
    ['an address outside', (s) => (s['workloads'][1].service.clusterIP = '10.1.1.1'), 'clusterIP', '10.96.0.0/12'],
    ['a text for a number', (s) => (s['edges'][0].connections = '2'), 'edges[0].connections', 'number'],
    ['a list for an object', (s) => (s['workloads'][0] = []), 'workloads[0]', 'an object'],
  ] satisfies [string, (s: Json) => unknown, string, string][])(
    'with %s is refused, naming the place and what is expected',
    (_, change, place, expected) => {
      const error = failure(change);
      expect(error.code).toBe('LAB_SCENARIO_INVALID');
      expect(error.details.place).toContain('my.json');
      expect(error.details.place).toContain(place);
      expect(error.details.expected).toContain(expected);
      expect(error.details.found).toBeDefined();
    },
  );

  it('that is no JSON, or not there, is refused with the path', async () => {
    expect(() => parseScenario('{', 'my.json')).toThrow(/not JSON/);
    await expect(loadScenario('/does/not/exist.json')).rejects.toMatchObject({ code: 'LAB_SCENARIO_INVALID' });
  });

  it('ships as Online Boutique: 12 workloads, 24 pods, 16 edges with the bytes of 100 tasks a second', async () => {
    expect(await shippedScenarios()).toEqual(['online-boutique', 'two-nodes']);
    const s = await loadScenario('online-boutique');
    expect(s.workloads).toHaveLength(12);
    expect(s.workloads.flatMap((w) => w.placement)).toHaveLength(24);
    expect(s.edges).toHaveLength(16);
    const perSecond = s.edges.map((e) => [e.requestsPerSecond * e.requestBytes, e.requestsPerSecond * e.responseBytes]);
    const scale = JSON.parse(readFileSync('lab/scenarios/online-boutique.json', 'utf8')).byteScale;
    // 60,000 B/s and 1,425,000 B/s: load generator -> frontend.
    expect(perSecond[0]).toEqual([60_000 * scale, 1_425_000 * scale]);
    expect(perSecond.reduce((sum, [out]) => sum + out!, 0) / scale).toBe(245_810);
    expect(perSecond.reduce((sum, [, back]) => sum + back!, 0) / scale).toBe(2_270_610);
    // Every edge's server is in the client's *_ADDR variables, as in the real manifests.
    for (const e of s.edges) {
      const env = s.workloads.find((w) => w.name === e.client)!.env;
      expect(Object.values(env).map((a) => a.split(':')[0])).toContain(e.server);
    }
  });
});
