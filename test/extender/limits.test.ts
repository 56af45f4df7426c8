import { EventEmitter } from 'node:events';
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Registry } from 'prom-client';
import { createExtenderMetrics, DEFAULT_EXTENDER_OPTIONS } from '../../scheduler/extender/index.ts';
import { Connections } from '../../scheduler/extender/connections.ts';
import { createListener } from '../../scheduler/extender/listener.ts';
import { CART_ANSWER, CART_ARGS, CART_POD, http, post, raw, start } from './harness.ts';

const KIB = 1024;

/** As much of a socket as counts for Connections. */
class FakeSocket extends EventEmitter {
  static #ports = 1;
  readonly remoteAddress = '192.0.2.1';
  readonly remotePort = FakeSocket.#ports++;
  destroyed = false;
  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

describe('bodies over the limit', () => {
  test('a declared length over the limit is refused before a byte of the body is sent', async () => {
    const { port } = await start();
    const head = `POST /prioritize HTTP/1.1\r\nHost: x\r\nContent-Length: ${64 * KIB * KIB + 1}\r\n\r\n`;
    const { text, closed } = await raw(port, head);
    expect(text).toMatch(/^HTTP\/1\.1 413 /);
    expect(text).toContain('Connection: close');
    expect(closed).toBe(true);
  });

  test('a length of many digits is refused the same way', async () => {
    const { port } = await start();
    const { text } = await raw(port, 'POST /filter HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999\r\n\r\n');
    expect(text).toMatch(/^HTTP\/1\.1 413 /);
  });

  test('a caller that sends it all at once still gets the 413, and little of it is held', async () => {
    const { port } = await start();
    const before = process.memoryUsage().rss;
    const chunk = Buffer.alloc(256 * KIB, 'x');
    const sent = request({
      host: '127.0.0.1',
      port,
      method: 'POST',
      path: '/prioritize',
      headers: { 'Content-Length': 100 * KIB * KIB },
    });
    const status = new Promise<number>((resolve, reject) => {
      sent.on('response', (reply) => resolve(reply.resume().statusCode!)).on('error', reject);
    });
    let left = 100 * KIB * KIB;
    const pump = (): void => {
      for (; left > 0;) {
        left -= chunk.length;
        if (!sent.write(chunk)) return void sent.once('drain', pump);
      }
    };
    pump();
    expect(await status).toBe(413);
    sent.on('error', () => undefined).destroy();
    expect(process.memoryUsage().rss - before).toBeLessThan(60 * KIB * KIB);
  });

  test('chunked beyond the limit is refused where it passes it', async () => {
    const { port, metric } = await start({ bodyLimitBytes: 100 * KIB });
    const chunk = `${(10 * KIB).toString(16)}\r\n${'x'.repeat(10 * KIB)}\r\n`;
    const head = 'POST /prioritize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';
    const { text, closed } = await raw(port, head + chunk.repeat(30));
    expect(text).toMatch(/^HTTP\/1\.1 413 /);
    expect(closed).toBe(true);
    expect(await metric('netloom_extender_requests_total', { outcome: 'too_large', verb: 'prioritize' })).toBe(1);
  });

  test('exactly the limit is read', async () => {
    const body = Buffer.from(JSON.stringify(CART_ARGS));
    const { port } = await start({ bodyLimitBytes: body.length });
    expect((await post(port, '/prioritize', body)).status).toBe(200);
    expect((await post(port, '/prioritize', Buffer.concat([body, Buffer.from(' ')]))).status).toBe(413);
  });

  test('several large bodies at once are all answered', async () => {
    const { port } = await start();
    const padded = JSON.stringify({ ...CART_ARGS, padding: 'x'.repeat(5 * KIB * KIB) });
    const replies = await Promise.all(Array.from({ length: 6 }, () => post(port, '/prioritize', padded)));
    for (const reply of replies) expect(JSON.parse(reply.text)).toEqual(CART_ANSWER);
  });

  test('Expect: 100-continue is answered with 413 at once, or with 100', async () => {
    const { port } = await start({ bodyLimitBytes: 10 * KIB });
    const head = (length: number) =>
      `POST /prioritize HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`;
    expect((await raw(port, head(20 * KIB))).text).toMatch(/^HTTP\/1\.1 413 /);
    const body = JSON.stringify(CART_ARGS);
    const { text } = await raw(port, head(body.length) + body, 1_000);
    expect(text).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /);
    const lost = await raw(port, head(5).replace('/prioritize', '/nowhere'));
    expect(lost.text).toMatch(/^HTTP\/1\.1 404 /);
    expect(lost.closed).toBe(true);
  });
});

describe('connections', () => {
  test('one stays open for call after call, and longer than kube-scheduler keeps it', async () => {
    // Go drops an idle connection after 90 s. Here the times are scaled by 1/50: keep-alive 2.4 s, pause 1.9 s.
    const { port } = await start({ keepAliveTimeoutMs: 2_400 });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    const ports = new Set<number | undefined>();
    agent.on('free', (socket: Socket) => ports.add(socket.localPort));
    await post(port, '/prioritize', CART_ARGS, agent);
    await sleep(1_900);
    await post(port, '/prioritize', CART_ARGS, agent);
    await sleep(100);
    expect(ports.size).toBe(1);
  });

  test('the shipped times are above 90 s, also for a connection that has not been used yet', async () => {
    const { keepAliveTimeoutMs, bodyTimeoutMs, maxConnections } = DEFAULT_EXTENDER_OPTIONS;
    const options = { keepAliveTimeoutMs, bodyTimeoutMs, maxConnections, tls: undefined };
    const { server } = createListener(() => undefined, options, createExtenderMetrics(new Registry()));
    expect(server).toMatchObject({ keepAliveTimeout: 120_000, headersTimeout: 125_000, requestTimeout: 155_000 });

    const { port } = await start();
    const { headers } = await post(
      port,
      '/prioritize',
      CART_ARGS,
      new Agent({ keepAlive: true, maxSockets: 1, timeout: 100 }),
    );
    expect(headers['keep-alive']).toBe('timeout=120');
  });

  test('at the limit one that said nothing makes room, one that is in use does not', async () => {
    const { port, metric } = await start({ maxConnections: 3 });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    await post(port, '/prioritize', CART_ARGS, agent);
    const silent = Array.from({ length: 8 }, () => connect(port, '127.0.0.1').on('error', () => undefined));
    onTestFinished(() => silent.forEach((socket) => socket.destroy()));
    await expect.poll(() => metric('netloom_extender_connections_closed_total', { reason: 'evicted' })).toBe(6);
    expect((await post(port, '/prioritize', CART_ARGS, agent)).status).toBe(200);
    expect((await http(port, 'GET', '/livez')).status).toBe(200);
    expect(await metric('netloom_extender_connections')).toBeLessThanOrEqual(3);
  });

  test('connections that each said something once do not lock anybody out', () => {
    let nowMs = 1_000;
    const connections = new Connections(3, createExtenderMetrics(new Registry()), () => nowMs);
    const sockets = Array.from({ length: 6 }, () => new FakeSocket());
    const open = () => sockets.map((socket) => !socket.destroyed);
    for (const socket of sockets.slice(0, 3)) {
      connections.opened(socket as unknown as Socket);
      nowMs += 10;
      connections.served(socket);
    }
    connections.opened(sockets[3] as unknown as Socket);
    expect(open()).toEqual([true, true, true, false, true, true]);
    nowMs += 60_000;
    connections.served(sockets[0]!);
    connections.opened(sockets[4] as unknown as Socket);
    expect(open()).toEqual([true, false, true, false, true, true]);
    connections.opened(sockets[5] as unknown as Socket);
    expect(open()).toEqual([true, false, true, false, false, true]);
  });

  test('large bodies that stall give their slots to those that wait', async () => {
    const { port } = await start();
    const stalled = [1, 2].map(() =>
      raw(port, `POST /prioritize HTTP/1.1\r\nHost: x\r\nContent-Length: 5242880\r\n\r\n${'x'.repeat(1_200_000)}`),
    );
    await sleep(100);
    const filler = { annotations: { big: 'x'.repeat(2_000_000) } };
    const reply = await post(port, '/prioritize', { ...CART_ARGS, Filler: filler });
    expect(JSON.parse(reply.text)).toEqual(CART_ANSWER);
    for (const { text, closed } of await Promise.all(stalled)) {
      expect(text).toMatch(/^HTTP\/1\.1 400 /);
      expect(closed).toBe(true);
    }
  });

  test('a body that trickles is ended', async () => {
    const { port } = await start({ bodyTimeoutMs: 300 });
    const { text, closed } = await raw(
      port,
      'POST /prioritize HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"Pod":',
    );
    expect(text).toMatch(/^HTTP\/1\.1 400 /);
    expect(text).toContain('took longer');
    expect(closed).toBe(true);
  });

  test('callers that go away in the middle leave nothing behind', async () => {
    const { port, metric } = await start();
    for (let i = 0; i < 50; i++) {
      const socket = connect(port, '127.0.0.1').on('error', () => undefined);
      socket.write('POST /prioritize HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"Pod":', () =>
        socket.destroy(),
      );
    }
    await expect
      .poll(() => metric('netloom_extender_requests_total', { outcome: 'aborted', verb: 'prioritize' }))
      .toBe(50);
    await expect.poll(() => metric('netloom_extender_connections')).toBe(0);
    const agent = new Agent({ keepAlive: true });
    onTestFinished(() => agent.destroy());
    const replies = await Promise.all(Array.from({ length: 100 }, () => post(port, '/prioritize', CART_ARGS, agent)));
    expect(replies.every((reply) => reply.status === 200)).toBe(true);
  });

  test('a fault of the address is told with its place', async () => {
    const { port } = await start();
    await expect(start({ listen: { host: '127.0.0.1', port } })).rejects.toThrowError(
      expect.objectContaining({
        code: 'EXTENDER_LISTEN_FAILED',
        message: expect.stringContaining(`127.0.0.1:${port}`),
      }),
    );
  });
});

test('a request with 65,000 full nodes is an answer, not a fault', async () => {
  const { port } = await start();
  const items = Array.from({ length: 65_000 }, (_, i) => ({ metadata: { name: `n${i}` }, status: { images: [] } }));
  const reply = await post(port, '/prioritize', { Pod: CART_POD, Nodes: { items }, NodeNames: null });
  expect(JSON.parse(reply.text)).toEqual(CART_ANSWER);
});
