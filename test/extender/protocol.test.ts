import { Agent } from 'node:http';
import { describe, expect, onTestFinished, test } from 'vitest';
import { buildView } from '../support/view-fixture.ts';
import { CART_ANSWER, CART_ARGS, CART_POD, http, NODE_NAMES, podOf, post, raw, SHOP, start } from './harness.ts';

const PASSED = { Nodes: null, NodeNames: NODE_NAMES, FailedNodes: null, FailedAndUnresolvableNodes: null, Error: '' };
const FULL_NODES = {
  metadata: {},
  items: NODE_NAMES.map((name) => ({
    metadata: { name, labels: { x: 'ü"\\' } },
    spec: { podCIDR: '10.0.0.0/24' },
    status: {},
  })),
};

describe('prioritize', () => {
  test('answers as kube-scheduler reads it: 200, JSON, Content-Length, whole numbers, only nodes above 0', async () => {
    const { port } = await start();
    const reply = await post(port, '/prioritize', CART_ARGS);
    expect(reply.status).toBe(200);
    expect(reply.headers['content-type']).toBe('application/json');
    expect(reply.headers['content-length']).toBe(String(reply.text.length));
    expect(reply.headers['transfer-encoding']).toBeUndefined();
    expect(reply.headers['content-encoding']).toBeUndefined();
    expect(reply.text).toBe(JSON.stringify(CART_ANSWER));
  });

  test('full Node objects and names give the same answer, keys in any case', async () => {
    const { port } = await start();
    const bodies = [
      { Pod: CART_POD, Nodes: FULL_NODES, NodeNames: null },
      { pod: CART_POD, nodes: null, nodenames: NODE_NAMES },
      { POD: CART_POD, nodeNames: NODE_NAMES },
    ];
    for (const body of bodies) {
      expect(JSON.parse((await post(port, '/prioritize', body)).text)).toEqual(CART_ANSWER);
    }
  });

  test('the same call repeated gives the same bytes', async () => {
    const { port } = await start();
    const texts = new Set<string>();
    for (let i = 0; i < 5; i++) texts.add((await post(port, '/prioritize', CART_ARGS)).text);
    expect(texts.size).toBe(1);
  });

  test.each([
    ['both lists null', { Pod: CART_POD, Nodes: null, NodeNames: null }],
    ['both lists missing', { Pod: CART_POD }],
    ['an empty list', { Pod: CART_POD, NodeNames: [] }],
    ['one node', { Pod: CART_POD, NodeNames: ['n1'] }],
    ['unknown nodes only', { Pod: CART_POD, NodeNames: ['x1', 'x2'] }],
    ['an unknown workload', { Pod: podOf('ReplicaSet', 'nobody-1'), NodeNames: NODE_NAMES }],
    ['a DaemonSet', { Pod: podOf('DaemonSet', 'agent'), NodeNames: NODE_NAMES }],
    ['an empty Pod', { Pod: {}, NodeNames: NODE_NAMES }],
  ])('no opinion is []: %s', async (_, body) => {
    const { port } = await start();
    expect(await post(port, '/prioritize', body)).toMatchObject({ status: 200, text: '[]' });
  });

  test('unknown nodes among known ones are not named', async () => {
    const { port } = await start();
    const reply = await post(port, '/prioritize', { Pod: CART_POD, NodeNames: ['x', ...NODE_NAMES, '', '__proto__'] });
    expect(JSON.parse(reply.text)).toEqual(CART_ANSWER);
  });

  test('5,000 and 65,000 names, of which at most 32 are answered', async () => {
    for (const count of [5_000, 65_000]) {
      const nodes = Array.from({ length: count }, (_, i) => ({
        name: `ip-10-${i >> 8}-${i & 255}-7.eu-central-1.compute.internal`,
        zone: i % 3 === 0 ? 'a' : 'b',
      }));
      const spec = {
        ...SHOP,
        nodes,
        workloads: SHOP.workloads.map((w) => ({
          ...w,
          placed: w.key.endsWith('frontend') ? { [nodes[4242]!.name]: 1 } : {},
        })),
      };
      const { port } = await start({}, {}, buildView(spec));
      const reply = await post(port, '/prioritize', {
        Pod: CART_POD,
        Nodes: null,
        NodeNames: nodes.map((n) => n.name),
      });
      const hosts = JSON.parse(reply.text) as { Host: string; Score: number }[];
      expect(hosts).toHaveLength(32);
      expect(hosts[0]).toEqual({ Host: nodes[4242]!.name, Score: 80 });
      expect((await post(port, '/filter', { Pod: CART_POD, NodeNames: nodes.map((n) => n.name) })).text).toContain(
        nodes.at(-1)!.name,
      );
    }
  });

  test('tells what it decided', async () => {
    const { port, decisions } = await start({}, { nowMs: () => 1234 });
    await post(port, '/prioritize', CART_ARGS);
    expect(decisions).toEqual([
      {
        atMs: 1234,
        podUid: '89ae0000-0000-4000-8000-000000000000',
        namespace: 'shop',
        name: 'some-pod',
        workload: 'shop/Deployment/cart',
        candidates: 4,
        silence: undefined,
        source: 'traffic',
        top: CART_ANSWER,
        named: CART_ANSWER.length,
        viewVersion: 7,
        durationMicros: expect.any(Number),
      },
    ]);
  });

  test('what it tells is bounded', async () => {
    const { port, decisions } = await start();
    await post(port, '/prioritize', {
      Pod: { metadata: { name: 'x'.repeat(100_000), uid: 'u'.repeat(100_000) } },
      NodeNames: [],
    });
    expect(JSON.stringify(decisions).length).toBeLessThan(2_000);
  });
});

describe('filter', () => {
  test('names come back as names', async () => {
    const { port } = await start();
    expect(JSON.parse((await post(port, '/filter', CART_ARGS)).text)).toEqual(PASSED);
  });
  test('nodes come back as the nodes they were', async () => {
    const { port } = await start();
    const reply = await post(port, '/filter', { Pod: CART_POD, Nodes: FULL_NODES, NodeNames: null });
    expect(JSON.parse(reply.text)).toEqual({ ...PASSED, Nodes: FULL_NODES, NodeNames: null });
  });
  test('what came empty goes empty', async () => {
    const { port } = await start();
    for (const body of [{ Pod: {}, NodeNames: [] }, { Pod: {} }]) {
      expect(JSON.parse((await post(port, '/filter', body)).text)).toEqual({ ...PASSED, NodeNames: [] });
    }
  });
  test('passes all before the cluster is known', async () => {
    const { port } = await start({}, { view: () => undefined, ready: () => ({ ready: false, reason: 'no snapshot' }) });
    expect(JSON.parse((await post(port, '/filter', CART_ARGS)).text)).toEqual(PASSED);
  });
});

describe('internal faults never reach kube-scheduler', () => {
  test('no view yet', async () => {
    const { port, metric } = await start({}, { view: () => undefined });
    expect(await post(port, '/prioritize', CART_ARGS)).toMatchObject({ status: 200, text: '[]' });
    expect(await metric('netloom_extender_requests_total', { verb: 'prioritize', outcome: 'not_ready' })).toBe(1);
  });

  test('a view that throws, or is broken, is counted and said at most once in a while', async () => {
    const lines: string[] = [];
    const warn = (msg: string) => void lines.push(msg);
    const logger = { debug() {}, info() {}, warn, error: warn, child: () => logger };
    const view = () => {
      throw new Error('broken');
    };
    const { port, metric } = await start({}, { view, logger });
    for (let i = 0; i < 5; i++) {
      expect(await post(port, '/prioritize', CART_ARGS)).toMatchObject({ status: 200, text: '[]' });
    }
    expect(await metric('netloom_extender_requests_total', { verb: 'prioritize', outcome: 'fault' })).toBe(5);
    expect(lines).toEqual(['extender: prioritize failed, answered without an opinion']);
    const broken = await start({}, {}, { ...buildView(SHOP), names: undefined as never });
    expect(await post(broken.port, '/prioritize', CART_ARGS)).toMatchObject({ status: 200, text: '[]' });
  });

  test('a listener of decisions that throws', async () => {
    const onDecision = () => {
      throw new Error('full');
    };
    const { port, metric } = await start({}, { onDecision });
    expect(JSON.parse((await post(port, '/prioritize', CART_ARGS)).text)).toEqual(CART_ANSWER);
    expect(await metric('netloom_extender_decision_faults_total')).toBe(1);
  });

  test('metrics and readiness that throw', async () => {
    const fail = () => {
      throw new Error('x');
    };
    const { port } = await start({}, { metricsText: () => Promise.reject(new Error('x')), ready: fail });
    expect((await http(port, 'GET', '/metrics')).status).toBe(200);
    expect((await http(port, 'GET', '/readyz')).status).toBe(503);
  });
});

describe('probes', () => {
  test('livez, readyz with its reason, metrics', async () => {
    let ready = false;
    const { port } = await start({}, { ready: () => ({ ready, reason: 'the cluster is not known yet' }) });
    expect(await http(port, 'GET', '/livez')).toMatchObject({ status: 200, text: 'ok\n' });
    expect(await http(port, 'GET', '/readyz')).toMatchObject({
      status: 503,
      text: 'not ready: the cluster is not known yet\n',
    });
    ready = true;
    expect((await http(port, 'GET', '/readyz?verbose')).status).toBe(200);
    expect(await http(port, 'HEAD', '/livez')).toMatchObject({ status: 200, text: '' });
    await post(port, '/prioritize', CART_ARGS);
    const { text, headers } = await http(port, 'GET', '/metrics');
    expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(text).toContain('netloom_extender_requests_total{verb="prioritize",outcome="scored"} 1');
    expect(text).toContain('netloom_extender_names_received_total 4');
    expect(text).toContain('netloom_extender_names_answered_total 3');
  });
});

describe('statuses', () => {
  test.each([
    ['GET', '/prioritize', 405, 'POST'],
    ['PUT', '/filter', 405, 'POST'],
    ['POST', '/livez', 405, 'GET, HEAD'],
    ['DELETE', '/metrics', 405, 'GET, HEAD'],
    ['OPTIONS', '/prioritize', 405, 'POST'],
    ['POST', '/', 404, undefined],
    ['POST', '/prioritize/', 404, undefined],
    ['POST', '//prioritize', 404, undefined],
    ['POST', '/Prioritize', 404, undefined],
    ['GET', '/__proto__', 404, undefined],
    ['GET', '/constructor', 404, undefined],
    ['POST', '/bind', 404, undefined],
    ['POST', '/preempt', 404, undefined],
  ])('%s %s: %i', async (method, path, status, allow) => {
    const { port } = await start();
    const reply = await http(port, method, path);
    expect(reply.status).toBe(status);
    expect(reply.headers.allow).toBe(allow);
    expect(JSON.parse(reply.text)).toEqual({ error: expect.any(String) });
  });

  test.each(['/prioritize', '/filter'])(
    'a body that is no ExtenderArgs is a 400 with the reason, and the connection stays: %s',
    async (path) => {
      const { port } = await start();
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      onTestFinished(() => agent.destroy());
      for (const body of ['', '{', 'null', '[]', '{"Pod":null}', '{"Pod":{},"NodeNames":[1]}']) {
        const reply = await post(port, path, body, agent);
        expect(reply.status).toBe(400);
        expect((JSON.parse(reply.text) as { error: string }).error).not.toBe('');
      }
      expect((await post(port, path, CART_ARGS, agent)).status).toBe(200);
    },
  );

  test('a compressed body', async () => {
    const { port } = await start();
    const reply = await http(port, 'POST', '/prioritize', Buffer.from([0x1f, 0x8b]), { 'Content-Encoding': 'gzip' });
    expect(reply).toMatchObject({ status: 400, text: expect.stringContaining('compressed') });
  });

  test.each([
    ['rubbish', 'RUBBISH\r\n\r\n', '400'],
    ['a TLS hello', Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]), '400'],
    ['no Host', 'POST /prioritize HTTP/1.1\r\nContent-Length: 0\r\n\r\n', '400'],
    ['two lengths', 'POST /prioritize HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}', '400'],
    [
      'length and chunks',
      'POST /prioritize HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      '400',
    ],
    ['negative length', 'POST /prioritize HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n', '400'],
    ['a bad chunk', 'POST /prioritize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', '400'],
    ['headers too long', `GET /livez HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, '400'],
    ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n', '405'],
    [
      'an upgrade',
      'POST /prioritize HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n',
      '400',
    ],
    ['an expectation', 'GET /livez HTTP/1.1\r\nHost: x\r\nExpect: the-unexpected\r\nConnection: close\r\n\r\n', '200'],
    ['a path through a proxy', 'GET http://x/livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', '200'],
  ])('raw: %s', async (_, bytes, status) => {
    const { port } = await start();
    const { text } = await raw(port, bytes, 1_000);
    expect(text.split('\r\n')[0]).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(text.match(/HTTP\/1\.1/g)).toHaveLength(1);
    expect((await http(port, 'GET', '/livez')).status).toBe(200);
  });
});

describe('chunked requests', () => {
  test('are read like others', async () => {
    const { port } = await start();
    const body = JSON.stringify(CART_ARGS);
    const chunks = [...body].map((c) => `1\r\n${c}\r\n`).join('');
    const head = 'POST /prioritize HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n';
    const { text } = await raw(port, `${head}${chunks}0\r\n\r\n`);
    expect(text).toContain(JSON.stringify(CART_ANSWER));
  });
  test('pipelined calls are answered in order', async () => {
    const { port } = await start();
    const call = (path: string, body: string, more = '') =>
      `POST ${path} HTTP/1.1\r\nHost: x\r\n${more}Content-Length: ${body.length}\r\n\r\n${body}`;
    const args = JSON.stringify(CART_ARGS);
    const { text } = await raw(
      port,
      call('/prioritize', args) + call('/filter', '{') + call('/prioritize', args, 'Connection: close\r\n'),
    );
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400', 'HTTP/1.1 200']);
  });
});
