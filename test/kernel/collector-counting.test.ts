import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Scope } from '../../collector/node/scope.ts';
import { parseAddress } from '../../lib/ip.ts';
import { silentLogger } from '../../lib/log.ts';
import { Actor } from './collector-support/actor-process.ts';
import { Measurement } from './collector-support/measure.ts';
import { makePair, netnsInode, netnsPath, sh } from './collector-support/namespaces.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function lab() {
  const pair = makePair();
  cleanups.push(() => pair.remove());
  const client = await Actor.start(pair.a);
  cleanups.push(() => client.stop());
  const server = await Actor.start(pair.b);
  cleanups.push(() => server.stop());
  return { pair, client, server };
}

async function measure(...args: Parameters<typeof Measurement.start>): Promise<Measurement> {
  const measured = await Measurement.start(...args);
  cleanups.push(() => measured.close());
  return measured;
}

/** Collects until `ready`, at most a second. */
async function settle(measured: Measurement, ready: () => boolean): Promise<void> {
  for (let i = 0; i < 50; i++) {
    await measured.collect();
    if (ready()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function once(
  lab: { client: Actor; server: Actor },
  port: number,
  up: number,
  down: number,
): Promise<{ c: number; s: number }> {
  const { client, server } = lab;
  await server.do({ op: 'listen', host: '10.77.0.2', port });
  const c = await client.do<number>({ op: 'connect', host: '10.77.0.2', port });
  const s = (await server.do<number[]>({ op: 'accepted', port, count: 1 }))[0]!;
  await Promise.all([client.do({ op: 'write', conn: c, bytes: up }), server.do({ op: 'write', conn: s, bytes: down })]);
  await Promise.all([server.do({ op: 'read', conn: s, bytes: up }), client.do({ op: 'read', conn: c, bytes: down })]);
  return { c, s };
}

describe('counting', () => {
  it('2,000 short connections a second, to the byte, while passes run', { timeout: 60_000 }, async () => {
    const { pair, client, server } = await lab();
    const measured = await measure([netnsInode(pair.a), netnsInode(pair.b)]);
    await server.do({ op: 'serveShort', host: '10.77.0.2', port: 8000, requestBytes: 321, responseBytes: 4567 });
    let running = true;
    const traffic = client
      .do<{ connections: number; failed: number; read: number; written: number }>({
        op: 'short',
        host: '10.77.0.2',
        port: 8000,
        perSecond: 2000,
        seconds: 4,
        requestBytes: 321,
      })
      .finally(() => (running = false));
    while (running) {
      await measured.collect();
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    const truth = await traffic;
    const servers = await server.do<{ connections: number; read: number; written: number }>({ op: 'shortTotals' });
    expect(truth).toMatchObject({ connections: 8000, failed: 0, written: 8000 * 321, read: 8000 * 4567 });
    expect(servers).toMatchObject({ connections: 8000, read: 8000 * 321 });
    const { written, read, connections } = truth;
    const wanted = [
      { sent: written, received: read, connections },
      { sent: read, received: written, connections },
    ];
    const found = () => [measured.payload('client', 8000), measured.payload('server', 8000)];
    await settle(measured, () => JSON.stringify(found()) === JSON.stringify(wanted));
    expect(measured.collector.totals.missedEvents).toBe(0);
    expect(found()).toEqual(wanted);
    expect(measured.edges.size).toBe(2);
  });

  it('through a Service address the server sees the true pair, and only the client sees the Service', async () => {
    const { pair, client, server } = await lab();
    sh(`ip netns exec ${pair.a} nft -f - <<'RULES'
table ip nat {
  chain output {
    type nat hook output priority -100; policy accept;
    ip daddr 10.96.0.10 tcp dport 80 dnat to 10.77.0.2:9000
  }
}
RULES
ip -n ${pair.a} route add 10.96.0.0/24 dev eth0`);
    const measured = await measure([netnsInode(pair.a), netnsInode(pair.b)]);
    await server.do({ op: 'listen', host: '10.77.0.2', port: 9000 });
    const c = await client.do<number>({ op: 'connect', host: '10.96.0.10', port: 80 });
    const s = (await server.do<number[]>({ op: 'accepted', port: 9000, count: 1 }))[0]!;
    await client.do({ op: 'write', conn: c, bytes: 1000 });
    await server.do({ op: 'read', conn: s, bytes: 1000 });
    await settle(measured, () => measured.edges.size === 2 && measured.payload('client', 80)?.sent === 1000);
    expect(measured.edge('server', 9000)).toMatchObject({
      local: '10.77.0.2',
      remote: '10.77.0.1',
      received: 1000,
      sent: 0,
      connections: 1,
    });
    expect(measured.edge('client', 80)).toMatchObject({
      local: '10.77.0.1',
      remote: '10.96.0.10',
      received: 0,
      sent: 1000,
      connections: 1,
    });
    expect(measured.edges.size).toBe(2);
  });

  it('makes no edge of loopback, of a pod talking to itself, or of a connection that was refused', async () => {
    const { pair, client, server } = await lab();
    const measured = await measure([netnsInode(pair.a), netnsInode(pair.b)]);
    for (const host of ['127.0.0.1', '127.9.9.9', '::1', '10.77.0.2']) {
      await server.do({ op: 'listen', host, port: 9100 });
      const c = await server.do<number>({ op: 'connect', host, port: 9100 });
      await server.do({ op: 'write', conn: c, bytes: 10 });
      await server.do({ op: 'unlisten', port: 9100 });
    }
    await expect(client.do({ op: 'connect', host: '10.77.0.2', port: 9999 })).rejects.toThrow(/ECONNREFUSED/);
    await measured.collect();
    expect([...measured.edges.keys()]).toEqual([]);
  });

  it('what finds no room in the map is counted, connections and bytes, and the rest stays exact', async () => {
    const { pair, client, server } = await lab();
    const measured = await measure([netnsInode(pair.b)], { maxEdges: 3 });
    let lostBytes = 0;
    for (let i = 0; i < 8; i++) {
      await once({ client, server }, 9200 + i, 100 + i, 1000 + i);
      if (i >= 3) lostBytes += 1100 + 2 * i;
    }
    await settle(measured, () => measured.lost.mapFullBytes === lostBytes);
    for (let i = 0; i < 3; i++) {
      expect(measured.payload('server', 9200 + i)).toEqual({ sent: 1000 + i, received: 100 + i, connections: 1 });
    }
    expect(measured.edges.size).toBe(3);
    expect(measured.lost).toEqual({ mapFullConnections: 5, mapFullBytes: lostBytes, storageFailed: 0, readFailed: 0 });
  });

  it('deletes idle edges from a crowded map without losing or repeating a byte of those that come back', async () => {
    const { pair, client, server } = await lab();
    const measured = await measure([netnsInode(pair.b)], { maxEdges: 4, idleMs: 0 });
    const conns: { c: number; s: number }[] = [];
    for (let i = 0; i < 3; i++) conns.push(await once({ client, server }, 9300 + i, 100, 200));
    await measured.collect();
    await new Promise((resolve) => setTimeout(resolve, 5));
    await measured.collect();
    await measured.collect();
    expect(measured.collector.totals.deletedEdges).toBeGreaterThanOrEqual(3);
    for (const { c, s } of conns) {
      await client.do({ op: 'write', conn: c, bytes: 11 });
      await server.do({ op: 'read', conn: s, bytes: 111 });
    }
    await settle(measured, () => [0, 1, 2].every((i) => measured.payload('server', 9300 + i)?.received === 111));
    for (let i = 0; i < 3; i++) {
      expect(measured.payload('server', 9300 + i)).toEqual({ sent: 200, received: 111, connections: 1 });
    }
  });

  it('measures only the namespaces of the scope file, follows its changes, and uses the good lines of a bad file', async () => {
    const { pair, client, server } = await lab();
    const folder = await mkdtemp(join(tmpdir(), 'nlt-scope-'));
    cleanups.push(() => rm(folder, { recursive: true }));
    const file = join(folder, 'scope');
    writeFileSync(file, `# comment\n\n/nowhere/at/all\n${netnsPath(pair.b)}\n/etc/passwd\n`);
    const measured = await measure([]);
    const scope = new Scope({
      file,
      logger: silentLogger,
      maxNamespaces: 100,
      onChange: (inodes) => measured.kernel.setScope(inodes),
    });
    cleanups.push(() => scope.close());
    expect(scope.status).toEqual({ namespaces: 1, badLines: 2, readable: true });
    await once({ client, server }, 9400, 10, 20);
    await measured.collect();
    expect([...measured.edges.values()].map(({ role }) => role)).toEqual(['server']);

    writeFileSync(file, `${netnsPath(pair.a)}\n`);
    scope.refresh();
    await once({ client, server }, 9401, 10, 20);
    await measured.collect();
    expect(measured.edge('server', 9401)).toBeUndefined();
    expect(measured.payload('client', 9401)).toEqual({ sent: 10, received: 20, connections: 1 });

    sh(`ip netns del ${pair.b}`);
    await rm(file);
    scope.refresh();
    expect(scope.status).toEqual({ namespaces: 1, badLines: 0, readable: false });
  });

  it('folds addresses outside of the cluster once its ranges are known, in the kernel', async () => {
    const { pair, client, server } = await lab();
    sh(`for i in 1 2 3; do ip -n ${pair.a} addr add 203.0.113.$i/24 dev eth0; done; ip -n ${pair.b} route add 203.0.113.0/24 dev eth0
        for i in 11 12; do ip -n ${pair.a} -6 addr add 2001:db8:7:$i::1/128 dev eth0 nodad; done; ip -n ${pair.b} -6 route add 2001:db8::/32 dev eth0`);
    const measured = await measure([netnsInode(pair.b)]);
    await server.do({ op: 'listen', host: '::', port: 9500 });
    const speak = async (localHost: string, host: string): Promise<void> => {
      const c = await client.do<number>({ op: 'connect', host, port: 9500, localHost });
      await client.do({ op: 'write', conn: c, bytes: 10 });
      await client.do({ op: 'end', conn: c });
    };
    await speak('203.0.113.1', '10.77.0.2');
    measured.kernel.setRanges([{ address: parseAddress('10.77.0.0')!, prefixLength: 96 + 16 }]);
    for (const i of [1, 2, 3]) await speak(`203.0.113.${i}`, '10.77.0.2');
    for (const i of [11, 12]) await speak(`2001:db8:7:${i}::1`, 'fd77::2');
    await speak('10.77.0.1', '10.77.0.2');
    const view = (): unknown[] =>
      [...measured.edges.values()]
        .map(({ remote, prefixLength, connections, received }) => ({ remote, prefixLength, connections, received }))
        .sort((a, b) => a.remote.localeCompare(b.remote));
    const wanted = [
      { remote: '10.77.0.1', prefixLength: 128, connections: 1, received: 10 },
      { remote: '2001:db8:7::', prefixLength: 48, connections: 2, received: 20 },
      { remote: '203.0.113.0', prefixLength: 120, connections: 3, received: 30 },
      { remote: '203.0.113.1', prefixLength: 128, connections: 1, received: 10 },
    ];
    await settle(measured, () => JSON.stringify(view()) === JSON.stringify(wanted));
    expect(view()).toEqual(wanted);

    measured.kernel.setRanges([]);
    await speak('203.0.113.2', '10.77.0.2');
    await measured.collect();
    expect([...measured.edges.values()].some(({ remote }) => remote === '203.0.113.2')).toBe(true);
  });

  it('two collectors on one kernel do not disturb each other', async () => {
    const { pair, client, server } = await lab();
    const a = await measure([netnsInode(pair.a)]);
    const b = await measure([netnsInode(pair.b)]);
    await once({ client, server }, 9600, 123, 456);
    await Promise.all([a.collect(), b.collect()]);
    expect([...a.edges.values()].map((edge) => edge.role)).toEqual(['client']);
    expect([...b.edges.values()].map((edge) => edge.role)).toEqual(['server']);
    expect(a.payload('client', 9600)).toEqual({ sent: 123, received: 456, connections: 1 });
    expect(b.payload('server', 9600)).toEqual({ sent: 456, received: 123, connections: 1 });
  });

  it('a connection whose namespace vanishes keeps what a pass has seen', async () => {
    const { pair, client, server } = await lab();
    const measured = await measure([netnsInode(pair.a), netnsInode(pair.b)]);
    await once({ client, server }, 9700, 5000, 6000);
    await measured.collect();
    await server.stop();
    sh(`ip netns del ${pair.b}`);
    await measured.collect();
    expect(measured.payload('client', 9700)).toEqual({ sent: 5000, received: 6000, connections: 1 });
    expect(measured.payload('server', 9700)).toEqual({ sent: 6000, received: 5000, connections: 1 });
  });
});
