import { status } from '@grpc/grpc-js';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../lib/log.ts';
import { encodeAgentMessage } from '../../proto/codec.ts';
import { MemorySink, type ReportSink } from '../../scheduler/ingest/report-sink.ts';
import { isNodeName } from '../../scheduler/ingest/node-name.ts';
import { startReportServer } from '../../scheduler/ingest/report-server.ts';
import {
  Disk,
  DiskSink,
  helloOf,
  ipv4,
  mapIdOf,
  payload,
  periodOf,
  reportOf,
  Rig,
  until,
} from '../support/report-rig.ts';

const rig = new Rig();
afterEach(() => rig.cleanup());

describe('acknowledgements', () => {
  test('come after the commit, not before', async () => {
    const releases: (() => void)[] = [];
    const sink = new DiskSink(new Disk(), () => new Promise<void>((resolve) => releases.push(resolve)));
    const server = await rig.server({ sink });
    const agent = await rig
      .raw(server.address)
      .say({ hello: helloOf('n') })
      .welcomed();
    agent.say({ report: reportOf('n', 1) }).say({ report: reportOf('n', 2) });
    await until(() => releases.length === 2);
    await sleep(30);
    expect(agent.acks()).toEqual([]);
    releases[0]!();
    await until(() => agent.acks().length === 1);
    expect(agent.acks()).toEqual([1]);
    releases[1]!();
    await until(() => agent.acks().length === 2);
    expect(agent.acks()).toEqual([1, 2]);
  });

  test('a number that is committed is acknowledged again and not booked again; missing ones are counted', async () => {
    const disk = new Disk();
    const server = await rig.server({ sink: new DiskSink(disk) });
    const agent = await rig
      .raw(server.address)
      .say({ hello: helloOf('n') })
      .welcomed();
    for (const seq of [3, 4, 4, 3, 7]) agent.say({ report: reportOf('n', seq) });
    await until(() => agent.acks().at(-1) === 7);
    expect(disk.seqsOf('n')).toEqual([3, 4, 7]);
    expect(server.stats()).toMatchObject({ duplicates: 2, missing: 2, reports: 5 });
  });

  test('a commit that fails ends the stream; the agent sends again, and it counts once', async () => {
    const disk = new Disk();
    let failures = 0;
    const inner = new DiskSink(disk);
    const sink: ReportSink = {
      committedSeq: (node, mapId) => inner.committedSeq(node, mapId),
      report: async (node, report) => {
        await sleep(2);
        if (report.seq % 3 === 2 && failures++ < 4) throw new Error('disk full');
        if (report.seq !== inner.committedSeq(node, report.mapId) + 1) throw new Error('an earlier one failed');
        await inner.report(node, report);
      },
    };
    const server = await rig.server({ sink });
    const agent = rig.agent(server.address, 'n');
    for (let i = 0; i < 10; i++) agent.offer(periodOf(1));
    await until(() => agent.stats().committedSeq === 10);
    expect(disk.bytesOf('n')).toBe(10);
    expect(server.stats().failedCommits).toBeGreaterThan(0);
  });

  test('a sink that throws at once is the same', async () => {
    let failures = 0;
    const sink = new MemorySink(() => {
      if (failures++ < 2) throw new Error('no');
    });
    const server = await rig.server({ sink });
    const agent = rig.agent(server.address, 'n');
    agent.offer(periodOf(1));
    await until(() => agent.stats().committedSeq === 1);
    expect(server.stats().failedCommits).toBe(2);
  });

  test('what is still on its way to the disk is not booked again when the agent reconnects', async () => {
    const disk = new Disk();
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => (release = resolve));
    const sink = new DiskSink(disk, () => gate);
    const server = await rig.server({ sink });
    const first = await rig
      .raw(server.address)
      .say({ hello: helloOf('n') })
      .welcomed();
    first.say({ report: reportOf('n', 1) }).say({ report: reportOf('n', 2) });
    await until(() => sink.booked === 2);
    first.hangUp();
    await until(() => server.stats().agents === 0);
    const second = await rig
      .raw(server.address)
      .say({ hello: helloOf('n') })
      .welcomed();
    expect(second.messages[0]).toMatchObject({ welcome: { committedSeq: 0 } });
    for (const seq of [1, 2, 3]) second.say({ report: reportOf('n', seq) });
    await until(() => sink.booked === 3);
    release();
    await until(() => second.acks().at(-1) === 3);
    expect(disk.seqsOf('n')).toEqual([1, 2, 3]);
  });

  test('an agent that has said all gets its last acknowledgement and a good end', async () => {
    const server = await rig.server({ sink: new DiskSink(new Disk(), () => sleep(20)) });
    const agent = await rig
      .raw(server.address)
      .say({ hello: helloOf('n') })
      .welcomed();
    agent.say({ report: reportOf('n', 1) });
    agent.call.end();
    expect((await agent.ended).code).toBe(status.OK);
    expect(agent.acks()).toEqual([1]);
    expect(server.stats().agents).toBe(0);
  });

  test('closing waits for the commits under way', async () => {
    const disk = new Disk();
    const sink = new DiskSink(disk, () => sleep(50));
    const server = await rig.server({ sink });
    const agent = await rig
      .raw(server.address)
      .say({ hello: helloOf('n') })
      .welcomed();
    agent.say({ report: reportOf('n', 1) });
    await until(() => sink.booked === 1);
    await server.close({ graceMs: 5000 });
    expect(disk.seqsOf('n')).toEqual([1]);
    expect(await agent.ended).toMatchObject({ code: status.UNAVAILABLE, error: 'REPORT_UNAVAILABLE' });
    expect(agent.acks()).toEqual([1]);
  });
});

describe('one stream a node', () => {
  test('a newer hello replaces the older stream, and tells it so', async () => {
    const gone: string[] = [];
    const disk = new Disk();
    const inner = new DiskSink(disk);
    const sink: ReportSink = {
      committedSeq: async (node, mapId) => {
        await sleep(10);
        return inner.committedSeq(node, mapId);
      },
      report: (node, report) => inner.report(node, report),
      agentGone: (node) => gone.push(node),
    };
    const server = await rig.server({ sink });
    const old = await rig
      .raw(server.address)
      .say({ hello: helloOf('n') })
      .welcomed();
    old.say({ report: reportOf('n', 1) });
    await until(() => old.acks().length === 1);
    const newer = rig.raw(server.address).say({ hello: helloOf('n') });
    expect(await old.ended).toMatchObject({ code: status.ABORTED, error: 'REPORT_STREAM_REPLACED' });
    await newer.welcomed();
    expect(newer.messages[0]).toMatchObject({ welcome: { committedSeq: 1 } });
    newer.say({ report: reportOf('n', 2) });
    await until(() => newer.acks().at(-1) === 2);
    expect(server.stats()).toMatchObject({ agents: 1, replacedStreams: 1 });
    expect(gone).toEqual([]);
    newer.hangUp();
    await until(() => gone.length === 1);
  });

  test('a storm of hellos leaves one stream, which works', async () => {
    const disk = new Disk();
    const server = await rig.server({ sink: new DiskSink(disk) });
    const all = Array.from({ length: 30 }, () => rig.raw(server.address).say({ hello: helloOf('n') }));
    await until(() => server.stats().replacedStreams === 29 && server.agents().length === 1);
    const ends: (string | undefined)[] = [];
    for (const agent of all) void agent.ended.then(({ error }) => ends.push(error));
    await until(() => ends.length >= 29);
    await sleep(50);
    expect(ends).toEqual(Array(29).fill('REPORT_STREAM_REPLACED'));
  });

  test('other counters of the same node start at their own number', async () => {
    const disk = new Disk();
    const server = await rig.server({ sink: new DiskSink(disk) });
    const old = await rig
      .raw(server.address)
      .say({ hello: helloOf('n') })
      .welcomed();
    old.say({ report: reportOf('n', 5) });
    await until(() => old.acks().length === 1);
    const mapId = mapIdOf('other map');
    const newer = await rig
      .raw(server.address)
      .say({ hello: helloOf('n', mapId) })
      .welcomed();
    expect(newer.messages[0]).toMatchObject({ welcome: { committedSeq: 0 } });
    newer.say({ report: { ...reportOf('n', 1), mapId } });
    await until(() => newer.acks().at(-1) === 1);
  });
});

describe('what cannot be is refused with its reason, and others go on', () => {
  const cases: [string, (Buffer | 'welcome')[], status, string, RegExp][] = [
    ['garbage', [Buffer.from([255, 255, 255])], status.INVALID_ARGUMENT, 'REPORT_MALFORMED', /AgentMessage/],
    ['a report before Hello', [said(reportOf('n', 1))], status.FAILED_PRECONDITION, 'REPORT_OUT_OF_ORDER', /Hello/],
    ['Hello twice', [hi(), 'welcome', hi()], status.FAILED_PRECONDITION, 'REPORT_OUT_OF_ORDER', /only once/],
    [
      'another map id',
      [hi(), 'welcome', said({ ...reportOf('n', 1), mapId: new Uint8Array(16) })],
      status.FAILED_PRECONDITION,
      'REPORT_OUT_OF_ORDER',
      /map id/,
    ],
    [
      'a later version',
      [hi({ protocol: 2 })],
      status.FAILED_PRECONDITION,
      'REPORT_PROTOCOL_MISMATCH',
      /version 1.*agent 2/,
    ],
    ['a node name that is none', [hi({ node: 'Node_1' })], status.INVALID_ARGUMENT, 'REPORT_NODE_REFUSED', /DNS-1123/],
    [
      'a node name with a line break',
      [hi({ node: 'a\nb' })],
      status.INVALID_ARGUMENT,
      'REPORT_NODE_REFUSED',
      /DNS-1123/,
    ],
    ['an interval of nothing', [hi({ intervalMs: 0 })], status.INVALID_ARGUMENT, 'REPORT_MALFORMED', /interval_ms/],
    [
      'too many edges',
      [hi(), 'welcome', said(reportOf('n', 1, 1, 101))],
      status.INVALID_ARGUMENT,
      'REPORT_MALFORMED',
      /at most 100 edges.*101/,
    ],
    [
      'a message over the limit',
      [hi(), 'welcome', Buffer.alloc(80_001)],
      status.RESOURCE_EXHAUSTED,
      '',
      /larger than max/,
    ],
    ['no Hello at all', [Buffer.alloc(0)], status.DEADLINE_EXCEEDED, 'REPORT_LIMIT_REACHED', /no Hello within/],
    [
      'no report for long',
      [hi({ intervalMs: 1 }), 'welcome'],
      status.DEADLINE_EXCEEDED,
      'REPORT_LIMIT_REACHED',
      /no report within/,
    ],
  ];
  test.each(cases)('%s', async (_name, messages, code, error, details) => {
    const sink = new DiskSink(new Disk());
    const limits = { maxEdges: 100, maxMessageBytes: 80_000, helloTimeoutMs: 1_000, idleTimeoutMs: 1_000 };
    const server = await rig.server({ sink, limits });
    const other = await rig
      .raw(server.address)
      .say({ hello: helloOf('other') })
      .welcomed();
    const agent = rig.raw(server.address);
    for (const message of messages) {
      if (message === 'welcome') await agent.welcomed();
      else agent.sayBytes(message);
    }
    const end = await agent.ended;
    expect({ code: end.code, error: end.error ?? '' }).toEqual({ code, error });
    expect(end.details).toMatch(details);
    other.say({ report: reportOf('other', 1) });
    await until(() => other.acks().length === 1);
    expect(sink.booked).toBe(1);
  });

  test('random bytes from many clients change nothing', async () => {
    const sink = new DiskSink(new Disk());
    const server = await rig.server({ sink });
    for (let i = 0; i < 100; i++) {
      const agent = rig.raw(server.address);
      if (i % 2 === 0) await agent.say({ hello: helloOf(`node-${i}`) }).welcomed();
      const good = encodeAgentMessage({ report: reportOf(`node-${i}`, 1, 1, 5) });
      good[i % good.length]! ^= 1 + (i % 255);
      good[(7 * i) % good.length]! ^= 0x80;
      agent.sayBytes(i % 3 === 0 ? good.subarray(0, i) : good);
      agent.call.end();
      await agent.ended;
    }
    await until(() => server.stats().agents === 0);
    const agent = await rig
      .raw(server.address)
      .say({ hello: helloOf('n') })
      .welcomed();
    agent.say({ report: reportOf('n', 1) });
    await until(() => agent.acks().length === 1);
  });

  test('more agents than the limit', async () => {
    const server = await rig.server({ sink: new MemorySink(), limits: { maxAgents: 3 } });
    const agents = ['a', 'b', 'c'].map((node) => rig.raw(server.address).say({ hello: helloOf(node) }));
    for (const agent of agents) await agent.welcomed();
    const fourth = rig.raw(server.address).say({ hello: helloOf('d') });
    expect(await fourth.ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED, error: 'REPORT_LIMIT_REACHED' });
    agents[0]!.hangUp();
    await until(() => server.stats().agents === 2);
    await rig
      .raw(server.address)
      .say({ hello: helloOf('d') })
      .welcomed();
  });

  test('one that reads nothing is let go', async () => {
    let round = 0;
    const server = await rig.server({
      sink: new MemorySink(),
      ranges: () =>
        Array.from({ length: 10_000 }, (_, i) => ({
          address: ipv4(10, round & 255, i >> 8, i & 255),
          prefixLength: 128,
        })),
      limits: { slowReaderTimeoutMs: 100 },
    });
    const agent = rig.raw(server.address);
    agent.call.pause();
    agent.say({ hello: helloOf('n') });
    await until(() => server.agents().length === 1);
    // The client of this test reads sixteen messages ahead.
    while (server.stats().agents === 1) {
      round++;
      server.rangesChanged();
      await sleep(5);
    }
    await rig
      .raw(server.address)
      .say({ hello: helloOf('n') })
      .welcomed();
  });

  test('who may not speak for a node', async () => {
    const server = await rig.server({
      sink: new MemorySink(),
      authenticate: (metadata, peer) => {
        expect(peer.address).toMatch(/^127\.0\.0\.1:/);
        const token = metadata.get('authorization')[0];
        if (token === undefined) throw new Error('no token');
        return token === 'admin' ? {} : { node: String(token) };
      },
    });
    const anonymous = rig.raw(server.address).say({ hello: helloOf('a') });
    expect(await anonymous.ended).toMatchObject({ code: status.UNAUTHENTICATED, details: 'no token' });
    const agent = rig.agent(server.address, 'a', { headers: () => ({ authorization: 'a' }) });
    await until(() => agent.stats().state === 'streaming');
    const liar = rig.agent(server.address, 'a', { headers: () => ({ authorization: 'b' }) });
    await until(() => liar.stats().failedAttempts > 0);
    expect(liar.stats().lastError).toMatch(/REPORT_NODE_REFUSED: it may speak for node b only/);
    expect(agent.stats().failedAttempts).toBe(0);
  });
});

describe('many', () => {
  test('200 agents at once, each twenty reports, with an interruption', async () => {
    const disk = new Disk();
    let sink = new DiskSink(disk, () => sleep(1));
    let server = await rig.server({ sink });
    const { address } = server;
    const agents = Array.from({ length: 200 }, (_, i) => ({
      node: `node-${i}`,
      agent: rig.agent(address, `node-${i}`),
    }));
    for (let round = 0; round < 20; round++) {
      for (const { agent } of agents) agent.offer(periodOf(round + 1, 5));
      if (round === 10) {
        await until(() => disk.reports.length > 400);
        sink.crash();
        await server.close({ graceMs: 0 });
        sink = new DiskSink(disk);
        server = await rig.server({ sink, listen: address });
      }
    }
    await until(() => agents.every(({ agent }) => agent.stats().waiting + agent.stats().unacknowledged === 0));
    for (const { node } of agents) expect(disk.bytesOf(node)).toBe(5 * 210);
    expect(server.stats().agents).toBe(200);
  }, 60_000);

  test('a sink that is busy holds the agent back: a few reports in the process, whatever was sent', async () => {
    const releases: (() => void)[] = [];
    const disk = new Disk();
    const sink = new DiskSink(disk, () => new Promise<void>((resolve) => releases.push(resolve)));
    const server = await rig.server({ sink, limits: { maxUncommitted: 3 } });
    const agent = await rig
      .raw(server.address)
      .say({ hello: helloOf('n') })
      .welcomed();
    let written = 0;
    for (let seq = 1; seq <= 60; seq++) {
      agent.call.write(encodeAgentMessage({ report: reportOf('n', seq, 2 ** 50, 2000) }), () => written++);
    }
    await until(() => sink.booked === 3);
    await sleep(100);
    expect(sink.booked).toBe(3);
    expect(written).toBeLessThan(60);
    while (disk.reports.length < 60) {
      for (const release of releases.splice(0)) release();
      await sleep(1);
    }
    expect(disk.reports.reduce((sum, { report }) => sum + payload(report), 0)).toBe(60 * 2000 * 2 ** 50);
  });
});

describe('listening', () => {
  test('without TLS only where nobody else can come', async () => {
    const base = { sink: new MemorySink(), logger: silentLogger, ranges: () => [] };
    await expect(startReportServer({ ...base, listen: '0.0.0.0:0' })).rejects.toMatchObject({
      code: 'REPORT_TLS_REQUIRED',
    });
    await expect(startReportServer({ ...base, listen: '[::]:0' })).rejects.toMatchObject({
      code: 'REPORT_TLS_REQUIRED',
    });
    await expect(startReportServer({ ...base, listen: ':0' })).rejects.toMatchObject({ code: 'REPORT_TLS_REQUIRED' });
    for (const listen of ['localhost:0', '127.0.0.1:0', '[::1]:0']) await rig.server({ ...base, listen });
    const open = await rig.server({ ...base, listen: ':0', allowPlaintext: true });
    await rig
      .raw(`127.0.0.1:${open.port}`)
      .say({ hello: helloOf('n') })
      .welcomed();
  });

  test('an address in use is an error with a code', async () => {
    const server = await rig.server({ sink: new MemorySink() });
    const again = rig.server({ sink: new MemorySink(), listen: server.address });
    await expect(again).rejects.toMatchObject({ code: 'REPORT_LISTEN_FAILED' });
  });

  test("with TLS, and with the agent's certificate demanded", async () => {
    const certs = makeCertificates();
    const disk = new Disk();
    const server = await rig.server({
      sink: new DiskSink(disk),
      tls: { cert: certs.server.cert, key: certs.server.key, ca: certs.ca },
      authenticate: (_metadata, peer) => ({ node: String(peer.certificate?.subject.CN) }),
    });
    const tls = { ca: certs.ca, cert: certs.agent.cert, key: certs.agent.key, serverName: 'scheduler' };
    const agent = rig.agent(server.address, 'node-a', { tls });
    agent.offer(periodOf(3));
    await until(() => agent.stats().committedSeq === 1);
    const other = rig.agent(server.address, 'node-b', { tls });
    await until(() => other.stats().failedAttempts > 0);
    expect(other.stats().lastError).toMatch(/may speak for node node-a only/);
    const without = rig.agent(server.address, 'node-a', { tls: { ca: certs.ca, serverName: 'scheduler' } });
    const plain = rig.agent(server.address, 'node-a');
    await until(() => without.stats().failedAttempts > 0 && plain.stats().failedAttempts > 0);
    expect(server.stats().replacedStreams).toBe(0);
    expect(disk.bytesOf('node-a')).toBe(3);
  });

  test('certificates that change under way serve new connections, and standing ones go on', async () => {
    const [old, renewed] = [makeCertificates(), makeCertificates()];
    const disk = new Disk();
    const server = await rig.server({
      sink: new DiskSink(disk),
      tls: { cert: old.server.cert, key: old.server.key, ca: old.ca },
    });
    const tlsOf = (certs: Certificates) => ({
      ca: certs.ca,
      cert: certs.agent.cert,
      key: certs.agent.key,
      serverName: 'scheduler',
    });
    const standing = rig.agent(server.address, 'node-a', { tls: tlsOf(old) });
    standing.offer(periodOf(3));
    await until(() => standing.stats().committedSeq === 1);
    server.changeTls({ cert: renewed.server.cert, key: renewed.server.key, ca: renewed.ca });
    const late = rig.agent(server.address, 'node-b', { tls: tlsOf(old) });
    await until(() => late.stats().failedAttempts > 0);
    const next = rig.agent(server.address, 'node-c', { tls: tlsOf(renewed) });
    next.offer(periodOf(5));
    standing.offer(periodOf(4));
    await until(() => next.stats().committedSeq === 1 && standing.stats().committedSeq === 2);
    expect([disk.bytesOf('node-a'), disk.bytesOf('node-b'), disk.bytesOf('node-c')]).toEqual([7, 0, 5]);
  });
});

test('node names are DNS-1123 subdomains', () => {
  const good = ['a', 'node-1', 'ip-10-0-0-1.eu-west-1.compute.internal', '1', 'a'.repeat(253), 'a.'.repeat(126) + 'a'];
  for (const name of good) expect(isNodeName(name), name).toBe(true);
  const bad = ['', 'A', 'a_b', '-a', 'a-', 'a..b', '.a', 'a.', 'a b', 'a\n', 'ä', 'a'.repeat(254)];
  for (const name of bad) expect(isNodeName(name), name).toBe(false);
});

// ---- helpers

function hi(change: object = {}): Buffer {
  return encodeAgentMessage({ hello: { ...helloOf('n'), ...change } });
}

function said(report: ReturnType<typeof reportOf>): Buffer {
  return encodeAgentMessage({ report });
}

interface Pair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

interface Certificates {
  readonly ca: Buffer;
  readonly server: Pair;
  readonly agent: Pair;
}

function makeCertificates(): Certificates {
  const folder = mkdtempSync(join(tmpdir(), `nlt${process.pid}-`));
  try {
    const run = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
    run('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=ca');
    for (const name of ['scheduler', 'node-a']) {
      run(
        'req',
        '-x509',
        ...key,
        '-keyout',
        `${name}.key`,
        '-out',
        `${name}.pem`,
        '-subj',
        `/CN=${name}`,
        '-addext',
        `subjectAltName=DNS:${name}`,
        '-addext',
        'basicConstraints=critical,CA:FALSE',
        '-CA',
        'ca.pem',
        '-CAkey',
        'ca.key',
      );
    }
    const read = (name: string) => readFileSync(join(folder, name));
    const pair = (name: string): Pair => ({ cert: read(`${name}.pem`), key: read(`${name}.key`) });
    return { ca: read('ca.pem'), server: pair('scheduler'), agent: pair('node-a') };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
