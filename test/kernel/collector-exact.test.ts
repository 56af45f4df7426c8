import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../support/netloom.ts';
import { Actor } from './collector-support/actor-process.ts';
import { Measurement } from './collector-support/measure.ts';
import { makePair, netnsInode, sh, type Pair } from './collector-support/namespaces.ts';

/**
 * Payload exact to the byte, on both ends, against the application's own counts, however a connection ends: the
 * kernel's counters hold SYNs and FINs too, another one for each role and way of closing.
 */
describe('bytes of a TCP connection', () => {
  let pair: Pair;
  let client: Actor;
  let server: Actor;
  let measured: Measurement;
  let port = 7000;

  beforeAll(async () => {
    pair = makePair();
    [client, server] = await Promise.all([Actor.start(pair.a), Actor.start(pair.b)]);
    measured = await Measurement.start([netnsInode(pair.a), netnsInode(pair.b)]);
  });
  afterAll(async () => {
    await Promise.all([client?.stop(), server?.stop()]);
    measured?.close();
    pair?.remove();
  });

  /** One connection on a port of its own: client's and server's ids. */
  async function open(host = '10.77.0.2', listenHost = host): Promise<{ port: number; c: number; s: number }> {
    port++;
    await server.do({ op: 'listen', host: listenHost, port });
    const c = await client.do<number>({ op: 'connect', host, port });
    const [s] = await server.do<number[]>({ op: 'accepted', port, count: 1 });
    return { port, c, s: s! };
  }

  /** Writes from both sides and waits until all has arrived. */
  async function exchange(c: number, s: number, up: number, down: number): Promise<void> {
    await Promise.all([
      client.do({ op: 'write', conn: c, bytes: up }),
      server.do({ op: 'write', conn: s, bytes: down }),
    ]);
    await Promise.all([server.do({ op: 'read', conn: s, bytes: up }), client.do({ op: 'read', conn: c, bytes: down })]);
  }

  /** Collects until both ends' figures are as expected or do not move any more. */
  async function expectPayload(atPort: number, up: number, down: number, connections = 1): Promise<void> {
    const wanted = {
      client: { sent: up, received: down, connections },
      server: { sent: down, received: up, connections },
    };
    for (let attempt = 0; attempt < 50; attempt++) {
      await measured.collect();
      const found = { client: measured.payload('client', atPort), server: measured.payload('server', atPort) };
      if (JSON.stringify(found) === JSON.stringify(wanted)) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect({ client: measured.payload('client', atPort), server: measured.payload('server', atPort) }).toEqual(wanted);
  }

  const SIZES = [
    [0, 0],
    [1, 0],
    [0, 1],
    [5, 5],
    [1448, 1449],
    [100_000, 3],
    [7, 250_001],
  ] as const;

  it.each(SIZES)('open: %i up, %i down', async (up, down) => {
    const { port, c, s } = await open();
    await exchange(c, s, up, down);
    await expectPayload(port, up, down);
    await client.do({ op: 'destroy', conn: c });
    await server.do({ op: 'waitEnd', conn: s });
    await server.do({ op: 'destroy', conn: s });
    await expectPayload(port, up, down);
  });

  it.each(SIZES)('closed by the client first: %i up, %i down', async (up, down) => {
    const { port, c, s } = await open();
    await exchange(c, s, up, down);
    await client.do({ op: 'end', conn: c });
    await server.do({ op: 'waitEnd', conn: s });
    await server.do({ op: 'end', conn: s });
    await client.do({ op: 'waitClose', conn: c });
    await server.do({ op: 'waitClose', conn: s });
    await expectPayload(port, up, down);
  });

  it.each(SIZES)('closed by the server first: %i up, %i down', async (up, down) => {
    const { port, c, s } = await open();
    await exchange(c, s, up, down);
    await server.do({ op: 'end', conn: s });
    await client.do({ op: 'waitEnd', conn: c });
    await client.do({ op: 'end', conn: c });
    await client.do({ op: 'waitClose', conn: c });
    await server.do({ op: 'waitClose', conn: s });
    await expectPayload(port, up, down);
  });

  it('closed by both at once', async () => {
    const { port, c, s } = await open();
    await exchange(c, s, 1234, 4321);
    await Promise.all([client.do({ op: 'end', conn: c }), server.do({ op: 'end', conn: s })]);
    await client.do({ op: 'waitClose', conn: c });
    await server.do({ op: 'waitClose', conn: s });
    await expectPayload(port, 1234, 4321);
  });

  it('half closed: the server goes on sending after the client ended', async () => {
    const { port, c, s } = await open();
    await exchange(c, s, 10, 20);
    await client.do({ op: 'end', conn: c });
    await server.do({ op: 'waitEnd', conn: s });
    await expectPayload(port, 10, 20);
    await server.do({ op: 'write', conn: s, bytes: 70_000 });
    await client.do({ op: 'read', conn: c, bytes: 70_020 });
    await expectPayload(port, 10, 70_020);
    await server.do({ op: 'end', conn: s });
    await client.do({ op: 'waitClose', conn: c });
    await expectPayload(port, 10, 70_020);
  });

  it('half closed: the client goes on sending after the server ended', async () => {
    const { port, c, s } = await open();
    await exchange(c, s, 10, 20);
    await server.do({ op: 'end', conn: s });
    await client.do({ op: 'waitEnd', conn: c });
    await expectPayload(port, 10, 20);
    await client.do({ op: 'write', conn: c, bytes: 70_000 });
    await server.do({ op: 'read', conn: s, bytes: 70_010 });
    await expectPayload(port, 70_010, 20);
    await client.do({ op: 'end', conn: c });
    await server.do({ op: 'waitClose', conn: s });
    await expectPayload(port, 70_010, 20);
  });

  it.each(['client', 'server'] as const)('aborted by a RST of the %s', async (who) => {
    const { port, c, s } = await open();
    await exchange(c, s, 4567, 8910);
    await expectPayload(port, 4567, 8910);
    await (who === 'client' ? client.do({ op: 'reset', conn: c }) : server.do({ op: 'reset', conn: s }));
    await Promise.all([client.do({ op: 'waitClose', conn: c }), server.do({ op: 'waitClose', conn: s })]);
    await expectPayload(port, 4567, 8910);
  });

  it('aborted by a RST without having carried a byte', async () => {
    const { port, c, s } = await open();
    await client.do({ op: 'reset', conn: c });
    await server.do({ op: 'waitClose', conn: s });
    await expectPayload(port, 0, 0);
  });

  it.each(['client', 'server'] as const)(
    'requests and answers, then a RST of the %s before it acknowledged',
    async (who) => {
      const { port, c, s } = await open();
      for (let round = 0; round < 5; round++) {
        await client.do({ op: 'write', conn: c, bytes: 100 });
        await server.do({ op: 'read', conn: s, bytes: 100 * (round + 1) });
        await server.do({ op: 'write', conn: s, bytes: 1_000 });
        await client.do({ op: 'read', conn: c, bytes: 1_000 * (round + 1) });
      }
      if (who === 'server') {
        await client.do({ op: 'write', conn: c, bytes: 77 });
        await server.do({ op: 'read', conn: s, bytes: 577 });
      }
      await (who === 'client' ? client.do({ op: 'reset', conn: c }) : server.do({ op: 'reset', conn: s }));
      await (who === 'client' ? server.do({ op: 'waitClose', conn: s }) : client.do({ op: 'waitClose', conn: c }));
      await expectPayload(port, who === 'client' ? 500 : 577, 5_000);
    },
  );

  it('half closed, then aborted', async () => {
    const { port, c, s } = await open();
    await exchange(c, s, 11, 22);
    await client.do({ op: 'end', conn: c });
    await server.do({ op: 'waitEnd', conn: s });
    await server.do({ op: 'reset', conn: s });
    await client.do({ op: 'waitClose', conn: c });
    await expectPayload(port, 11, 22);
  });

  it.each(['client', 'server'] as const)('an orphan of the %s in FIN_WAIT2', async (who) => {
    const { port, c, s } = await open();
    await exchange(c, s, 33, 44);
    await (who === 'client' ? client.do({ op: 'destroy', conn: c }) : server.do({ op: 'destroy', conn: s }));
    await (who === 'client' ? server.do({ op: 'waitEnd', conn: s }) : client.do({ op: 'waitEnd', conn: c }));
    await expectPayload(port, 33, 44);
    await (who === 'client' ? server.do({ op: 'end', conn: s }) : client.do({ op: 'end', conn: c }));
    await (who === 'client' ? server.do({ op: 'waitClose', conn: s }) : client.do({ op: 'waitClose', conn: c }));
    await expectPayload(port, 33, 44);
  });

  it('a long transfer, looked at while it runs and never closed', async () => {
    const { port, c, s } = await open();
    const bytes = 200_000_000;
    const done = Promise.all([exchange(c, s, bytes, 0), exchange(c, s, 0, bytes / 2)]);
    let running = true;
    void done.finally(() => (running = false));
    let seen = 0;
    while (running) {
      await measured.collect();
      const now = measured.payload('server', port)?.received ?? 0;
      expect(now).toBeGreaterThanOrEqual(seen);
      seen = now;
    }
    await done;
    await expectPayload(port, bytes, bytes / 2);
  });

  it('many connections in one edge, every way of closing', async () => {
    port++;
    const at = port;
    await server.do({ op: 'listen', host: '10.77.0.2', port: at });
    let up = 0;
    let down = 0;
    for (let i = 0; i < 30; i++) {
      const c = await client.do<number>({ op: 'connect', host: '10.77.0.2', port: at });
      const s = (await server.do<number[]>({ op: 'accepted', port: at, count: i + 1 }))[i]!;
      await exchange(c, s, 3 * i, 7 * i);
      up += 3 * i;
      down += 7 * i;
      const ways = ['end', 'destroy', 'reset'] as const;
      await (i % 2 === 0 ? client : server).do({ op: ways[i % 3]!, conn: i % 2 === 0 ? c : s });
      await (i % 2 === 0 ? server : client).do({ op: 'destroy', conn: i % 2 === 0 ? s : c });
    }
    await expectPayload(at, up, down, 30);
  });

  it('a simultaneous open is one connection, seen from both ends alike', async () => {
    const drop = "nft 'table ip crossing { chain out { type filter hook output priority 0; policy drop; }; }'";
    const [left, right] = [7991, 7992];
    for (const name of [pair.a, pair.b]) sh(`ip netns exec ${name} ${drop}`);
    let opened: Promise<[number, number]>;
    try {
      opened = Promise.all([
        client.do<number>({
          op: 'connect',
          host: pair.addressB,
          port: right,
          localHost: pair.addressA,
          localPort: left,
        }),
        server.do<number>({
          op: 'connect',
          host: pair.addressA,
          port: left,
          localHost: pair.addressB,
          localPort: right,
        }),
      ]);
      // Either has sent its SYN, and will again.
      for (const name of [pair.a, pair.b]) {
        await until('it has sent its SYN', () => sh(`ip netns exec ${name} ss -Htn state syn-sent`) !== '');
      }
    } finally {
      for (const name of [pair.a, pair.b]) sh(`ip netns exec ${name} nft delete table ip crossing`);
    }
    const [c, s] = await opened;
    await exchange(c, s, 1_111, 2_222);
    // The lower address passes for the client.
    await expectPayload(right, 1_111, 2_222);
    expect(measured.payload('server', left)).toBeUndefined();
    expect(measured.payload('client', left)).toBeUndefined();
    await client.do({ op: 'destroy', conn: c });
    await server.do({ op: 'waitEnd', conn: s });
    await server.do({ op: 'destroy', conn: s });
    await expectPayload(right, 1_111, 2_222);
  });

  it('a dual-stack listener (Go, Java): IPv4 in an AF_INET6 socket is IPv4', async () => {
    const { port, c, s } = await open('10.77.0.2', '::');
    await exchange(c, s, 100, 200);
    await expectPayload(port, 100, 200);
    expect(measured.edge('server', port)).toMatchObject({ local: '10.77.0.2', remote: '10.77.0.1' });
  });

  it('IPv6', async () => {
    const { port, c, s } = await open('fd77::2');
    await exchange(c, s, 100, 200);
    await expectPayload(port, 100, 200);
    expect(measured.edge('server', port)).toMatchObject({ local: 'fd77::2', remote: 'fd77::1' });
  });

  it('segments and round-trip times come with the bytes', async () => {
    const { port, c, s } = await open();
    await exchange(c, s, 500_000, 10);
    await expectPayload(port, 500_000, 10);
    const edge = measured.edge('client', port)!;
    expect(edge.segmentsSent).toBeGreaterThan(2);
    expect(edge.segmentsReceived).toBeGreaterThan(2);
    expect(edge.minRttUs).toBeGreaterThan(0);
    expect(edge.minRttUs).toBeLessThan(1_000_000);
    expect(edge.smoothedRttUs).toBeGreaterThanOrEqual(edge.minRttUs);
  });

  it('nothing was lost, nothing appeared from nowhere', () => {
    expect(measured.lost).toEqual({ mapFullConnections: 0, mapFullBytes: 0, storageFailed: 0, readFailed: 0 });
    for (const edge of measured.edges.values()) expect(edge.serverPort).toBeGreaterThan(7000);
    expect(measured.collector.totals.missedEvents).toBe(0);
  });
});
