import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { Clock } from '../../collector/report/clock.ts';
import { CODE_TRAILER } from '../../collector/report/connection.ts';
import { decodeAgentMessage, encodeSchedulerMessage } from '../../proto/codec.ts';
import { NO_LOSSES, type AddressRange, type Report } from '../../proto/report.ts';
import { status } from '@grpc/grpc-js';
import { MemorySink } from '../../scheduler/ingest/report-sink.ts';
import { Metadata } from '@grpc/grpc-js';
import { freePorts } from '../support/ports.ts';
import { Disk, DiskSink, ipv4, payload, periodOf, Rig, until } from '../support/report-rig.ts';

const rig = new Rig();
afterEach(() => rig.cleanup());

describe('a scheduler that is there', () => {
  test('every period arrives once, in order, is acknowledged and forgotten', async () => {
    const disk = new Disk();
    const server = await rig.server({ sink: new DiskSink(disk) });
    const agent = rig.agent(server.address, 'node-a');
    for (let i = 1; i <= 50; i++) agent.offer(periodOf(i, 3));
    await until(() => agent.stats().committedSeq === 50);

    expect(disk.seqsOf('node-a')).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
    expect(disk.bytesOf('node-a')).toBe(3 * 1275);
    expect(agent.stats()).toMatchObject({
      state: 'streaming',
      unacknowledged: 0,
      waiting: 0,
      bufferedBytes: 0,
      mergedPeriods: 0,
    });
    expect(server.stats()).toMatchObject({ agents: 1, reports: 50, edges: 150, duplicates: 0, missing: 0 });
    expect(server.agents()).toMatchObject([{ node: 'node-a', version: 'test', committedSeq: 50 }]);
  });

  test('the handshake brings the ranges, and so does every change of them', async () => {
    const range = (d: number): AddressRange => ({ address: ipv4(10, 0, 0, d), prefixLength: 120 });
    let ranges = [range(1)];
    const server = await rig.server({ sink: new MemorySink(), ranges: () => ranges });
    const heard: (readonly AddressRange[])[] = [];
    rig.agent(server.address, 'node-a', { onRanges: (list) => heard.push(list) });
    await until(() => heard.length === 1);
    ranges = [range(1), range(2)];
    server.rangesChanged();
    server.rangesChanged();
    await until(() => heard.length === 2);
    ranges = [range(3)];
    server.rangesChanged();
    await until(() => heard.length === 3);
    expect(heard).toEqual([[range(1)], [range(1), range(2)], [range(3)]]);
  });

  test('a callback that throws does no harm', async () => {
    const disk = new Disk();
    const server = await rig.server({ sink: new DiskSink(disk) });
    const fail = (): never => {
      throw new Error('no');
    };
    const agent = rig.agent(server.address, 'node-a', { onRanges: fail, onWelcome: fail });
    agent.offer(periodOf(1));
    await until(() => agent.stats().committedSeq === 1);
  });

  test('a period larger than the scheduler takes is split, and nothing is counted twice', async () => {
    const disk = new Disk();
    const server = await rig.server({ sink: new DiskSink(disk), limits: { maxEdges: 10 } });
    const agent = rig.agent(server.address, 'node-a');
    const uplinks = [{ name: 'eth0', txBytes: 5, rxBytes: 6, speedBps: 7, speedSource: 'device' as const }];
    agent.offer({ ...periodOf(2, 25), uplinks, losses: { ...NO_LOSSES, readFailed: 4 } });
    await until(() => agent.stats().committedSeq === 3);
    const reports = disk.reports.map(({ report }) => report);
    expect(reports.map((report) => report.edges.n)).toEqual([10, 10, 5]);
    expect(reports.map((report) => report.uplinks.length)).toEqual([1, 0, 0]);
    expect(reports.map((report) => report.losses.readFailed)).toEqual([4, 0, 0]);
    expect(reports.map((report) => report.periodMs)).toEqual([1000, 1000, 1000]);
    expect(disk.bytesOf('node-a')).toBe(50);
  });

  test('close with time to flush delivers what is left', async () => {
    const disk = new Disk();
    const server = await rig.server({ sink: new DiskSink(disk, () => sleep(30)) });
    const agent = rig.agent(server.address, 'node-a');
    agent.offer(periodOf(7));
    agent.offer(periodOf(8));
    await agent.close({ flushMs: 10_000 });
    expect(disk.bytesOf('node-a')).toBe(15);
    expect(agent.stats().state).toBe('disconnected');
    agent.offer(periodOf(9));
    expect(agent.stats().waiting).toBe(0);
  });

  test('figures that nobody could read are refused where they come from', async () => {
    const server = await rig.server({ sink: new MemorySink() });
    const agent = rig.agent(server.address, 'node-a');
    expect(() => agent.offer(periodOf(-1))).toThrow(/bytesSent/);
    expect(() => agent.offer({ ...periodOf(1), losses: { ...NO_LOSSES, readFailed: 0.5 } })).toThrow(/readFailed/);
    expect(() => agent.offer({ ...periodOf(1), periodMs: NaN })).toThrow(/period_ms/);
  });
});

describe('a scheduler that restarts', () => {
  test('nothing is lost and nothing is doubled, whenever it happens', async () => {
    const disk = new Disk();
    let sink = new DiskSink(disk, () => sleep(Math.random() * 8));
    let server = await rig.server({ sink });
    const { address } = server;
    const agents = ['node-a', 'node-b', 'node-c'].map((node) => ({
      node,
      agent: rig.agent(address, node),
      offered: 0,
    }));
    for (let round = 0; round < 8; round++) {
      for (let i = 0; i < 25; i++) {
        for (const entry of agents) {
          const bytes = 1 + ((round * 25 + i) % 7);
          entry.agent.offer(periodOf(bytes, 2, i % 5));
          entry.offered += 2 * bytes;
        }
        if (i % 5 === 0) await sleep(3);
      }
      sink.crash();
      await server.close({ graceMs: 0 });
      if (round % 2 === 0) await sleep(20);
      sink = new DiskSink(disk, round % 3 === 0 ? undefined : () => sleep(Math.random() * 8));
      server = await rig.server({ sink, listen: address });
    }
    await until(() => agents.every(({ agent }) => agent.stats().waiting + agent.stats().unacknowledged === 0));
    for (const { node, agent, offered } of agents) {
      expect(disk.bytesOf(node)).toBe(offered);
      expect(agent.stats()).toMatchObject({ droppedEdges: 0, refusedReports: 0 });
      const seqs = disk.seqsOf(node);
      expect(new Set(seqs).size).toBe(seqs.length);
      expect(agent.stats().welcomes).toBeGreaterThan(1);
    }
  });

  test('a report whose acknowledgement was lost is not booked again', async () => {
    const disk = new Disk();
    let lastSink = new DiskSink(disk);
    let server = await rig.server({ sink: lastSink });
    const { address } = server;
    // A proxy that swallows what the scheduler says after the Welcome.
    const proxy = await tcpProxy(server.port);
    const agent = rig.agent(proxy.address, 'node-a');
    await until(() => agent.stats().state === 'streaming');
    proxy.swallowAnswers = true;
    agent.offer(periodOf(5));
    await until(() => disk.reports.length === 1);
    await server.close({ graceMs: 0 });
    proxy.swallowAnswers = false;
    proxy.cut();
    lastSink = new DiskSink(disk);
    server = await rig.server({ sink: lastSink, listen: address });
    await until(() => agent.stats().unacknowledged === 0);
    expect(lastSink.booked).toBe(0);
    expect(disk.bytesOf('node-a')).toBe(5);
  });

  test('one that lost its memory gets what is not acknowledged, under numbers that go on', async () => {
    const first = new Disk();
    let server = await rig.server({ sink: new DiskSink(first) });
    const { address } = server;
    const agent = rig.agent(address, 'node-a');
    agent.offer(periodOf(1));
    await until(() => agent.stats().committedSeq === 1);
    await server.close({ graceMs: 0 });
    agent.offer(periodOf(2));
    const second = new Disk();
    server = await rig.server({ sink: new DiskSink(second), listen: address });
    await until(() => second.reports.length === 1);
    expect(second.seqsOf('node-a')).toEqual([2]);
    expect(server.stats().missing).toBe(0);
  });

  test('with a smaller limit: what was sent and not committed is cut anew', async () => {
    const disk = new Disk();
    const sink = new DiskSink(disk, () => new Promise(() => {}));
    let server = await rig.server({ sink });
    const { address } = server;
    const agent = rig.agent(address, 'node-a');
    agent.offer(periodOf(3, 20));
    agent.offer(periodOf(3, 4));
    await until(() => sink.booked === 2);
    sink.crash();
    await server.close({ graceMs: 0 });
    server = await rig.server({ sink: new DiskSink(disk), listen: address, limits: { maxEdges: 7 } });
    await until(() => agent.stats().waiting + agent.stats().unacknowledged === 0);
    expect(disk.reports.map(({ report }) => report.edges.n)).toEqual([7, 7, 6, 4]);
    expect(disk.seqsOf('node-a')).toEqual([1, 2, 3, 4]);
    expect(disk.bytesOf('node-a')).toBe(72);
  });
});

describe('a scheduler that does not answer', () => {
  test('no connection: attempts go on, periods are merged within the bound, and all arrives in the end', async () => {
    const [port] = await freePorts(1);
    const agent = rig.agent(`127.0.0.1:${port}`, 'node-a', { limits: { maxBufferedBytes: 100_000 } });
    let offered = 0;
    for (let i = 0; i < 300; i++) {
      agent.offer(periodOf(i, 20));
      offered += 20 * i;
      expect(agent.stats().bufferedBytes).toBeLessThanOrEqual(100_000);
    }
    await until(() => agent.stats().failedAttempts >= 3);
    expect(agent.stats().lastError).toMatch(/ECONNREFUSED/);
    const disk = new Disk();
    await rig.server({ sink: new DiskSink(disk), listen: `127.0.0.1:${port}` });
    await until(() => agent.stats().waiting + agent.stats().unacknowledged === 0);
    expect(disk.bytesOf('node-a')).toBe(offered);
    expect(disk.droppedBytesOf('node-a')).toBe(0);
    expect(agent.stats().mergedPeriods).toBeGreaterThan(10);
    const merged = disk.reports.map(({ report }) => Math.max(1, report.merged)).reduce((a, b) => a + b, 0);
    expect(merged).toBe(300);
  });

  test('accepts and says nothing: the attempt is given up after its time', async () => {
    const sockets: net.Socket[] = [];
    const silent = net.createServer((socket) => {
      sockets.push(socket);
      socket.on('error', () => {});
      socket.resume();
    });
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    rig.onCleanup(() => {
      for (const socket of sockets) socket.destroy();
      silent.close();
    });
    const { port } = silent.address() as net.AddressInfo;
    const limits = { connectTimeoutMs: 60, welcomeTimeoutMs: 60 };
    const agent = rig.agent(`127.0.0.1:${port}`, 'node-a', { limits });
    await until(() => agent.stats().failedAttempts >= 3);
    expect(agent.stats().lastError).toMatch(/within 60 ms/);
  });

  test('takes the call and never says Welcome: the same', async () => {
    const address = await rig.fakeScheduler((call) => call.resume());
    const agent = rig.agent(address, 'node-a', { limits: { welcomeTimeoutMs: 60 } });
    await until(() => agent.stats().failedAttempts >= 2);
    expect(agent.stats().lastError).toBe('REPORT_UNAVAILABLE: no Welcome within 60 ms');
  });

  test('goes dark in the middle: without acknowledgements the stream is given up, and nothing is lost', async () => {
    const disk = new Disk();
    const server = await rig.server({ sink: new DiskSink(disk) });
    const proxy = await tcpProxy(server.port);
    const agent = rig.agent(proxy.address, 'node-a', { limits: { ackTimeoutMs: 80 } });
    agent.offer(periodOf(1));
    await until(() => agent.stats().committedSeq === 1);
    proxy.dark = true;
    agent.offer(periodOf(2));
    agent.offer(periodOf(4));
    await until(() => agent.stats().failedAttempts >= 1);
    expect(agent.stats().lastError).toMatch(/no acknowledgement within 80 ms/);
    proxy.dark = false;
    await until(() => agent.stats().unacknowledged === 0);
    expect(disk.bytesOf('node-a')).toBe(7);
  });

  test('goes dark while nothing is to be said: keepalive notices', async () => {
    const server = await rig.server({ sink: new MemorySink() });
    const proxy = await tcpProxy(server.port);
    const agent = rig.agent(proxy.address, 'node-a', { limits: { keepaliveMs: 50, keepaliveTimeoutMs: 50 } });
    await until(() => agent.stats().state === 'streaming');
    proxy.dark = true;
    await until(() => agent.stats().failedAttempts >= 1);
    expect(agent.stats().lastError).toMatch(/dropped/i);
  });

  test('a simulated day without it, with ever new peers: memory stays bounded, and what is dropped is counted', async () => {
    const clock = new FakeClock();
    const [port] = await freePorts(1);
    const maxBufferedBytes = 250_000;
    const agent = rig.agent(`127.0.0.1:${port}`, 'node-a', {
      clock,
      limits: { maxBufferedBytes, minBackoffMs: 60_000, maxBackoffMs: 600_000 },
    });
    let offered = 0;
    let peak = 0;
    for (let i = 0; i < 8640; i++) {
      clock.advance(10_000);
      agent.offer(periodOf(1 + (i % 10), 30, i * 15, 10_000));
      offered += 30 * (1 + (i % 10));
      peak = Math.max(peak, agent.stats().bufferedBytes);
      if (i % 20 === 0) await new Promise(setImmediate);
    }
    expect(peak).toBeLessThanOrEqual(maxBufferedBytes);
    expect(peak).toBeGreaterThan(maxBufferedBytes / 2);
    const disk = new Disk();
    await rig.server({ sink: new DiskSink(disk), listen: `127.0.0.1:${port}` });
    while (agent.stats().waiting + agent.stats().unacknowledged > 0) {
      clock.advance(5000);
      await sleep(5);
    }
    expect(disk.droppedBytesOf('node-a')).toBeGreaterThan(0);
    expect(disk.bytesOf('node-a') + disk.droppedBytesOf('node-a')).toBe(offered);
    expect(disk.periodMsOf('node-a')).toBeGreaterThanOrEqual(86_400_000);
  }, 60_000);
});

describe('a scheduler that is slow', () => {
  test('its commits bound what is sent; the rest waits, merged; then all arrives', async () => {
    const disk = new Disk();
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => (release = resolve));
    const sink = new DiskSink(disk, () => gate);
    const server = await rig.server({ sink, limits: { maxUncommitted: 4 } });
    const maxBufferedBytes = 200_000;
    const agent = rig.agent(server.address, 'node-a', { limits: { maxBufferedBytes } });
    let offered = 0;
    for (let i = 0; i < 400; i++) {
      agent.offer(periodOf(i, 10, i % 3));
      offered += 10 * i;
      expect(agent.stats().bufferedBytes).toBeLessThanOrEqual(maxBufferedBytes);
      if (i % 10 === 0) await sleep(1);
    }
    await until(() => sink.booked >= 4);
    await sleep(20);
    expect(sink.booked).toBe(4);
    expect(agent.stats().unacknowledged).toBeGreaterThanOrEqual(4);
    release();
    await until(() => agent.stats().waiting + agent.stats().unacknowledged === 0);
    expect(disk.bytesOf('node-a')).toBe(offered);
    expect(agent.stats().droppedBytes).toBe(0);
  });

  test('one that reads nothing stops the agent after a message in flight: no queue in grpc-js', async () => {
    const address = await rig.fakeScheduler((call) => {
      call.once('data', () => {
        call.pause();
        call.write(encodeSchedulerMessage({ welcome: { protocol: 1, committedSeq: 0, ranges: [], maxEdges: 0 } }));
      });
    });
    const agent = rig.agent(address, 'node-a', { limits: { maxBufferedBytes: 40_000_000 } });
    for (let i = 0; i < 60; i++) {
      agent.offer(periodOf(2 ** 40, 5000, i));
      await sleep(1);
    }
    await sleep(100);
    const { sentReports, sentBytes, waiting } = agent.stats();
    expect(waiting).toBeGreaterThan(0);
    // The fake reads 16 messages ahead, and sockets hold some.
    expect(sentReports).toBeLessThan(50);
    expect(sentBytes).toBeGreaterThan(100_000);
  });
});

describe('a scheduler that refuses', () => {
  test('another version: an error is logged, and it is tried again slowly', async () => {
    const errors: string[] = [];
    const address = await rig.fakeScheduler((call) => {
      call.once('data', () => {
        call.write(encodeSchedulerMessage({ welcome: { protocol: 2, committedSeq: 0, ranges: [], maxEdges: 0 } }));
      });
    });
    const logger = { debug() {}, info() {}, warn() {}, error: (m: string) => errors.push(m), child: () => logger };
    const agent = rig.agent(address, 'node-a', { logger });
    await until(() => agent.stats().failedAttempts >= 2);
    expect(errors[0]).toMatch(/another version/);
    expect(agent.stats().lastError).toMatch(/REPORT_PROTOCOL_MISMATCH.*version 2, this agent 1/);
  });

  test('one report that it cannot read is given up and counted; those around it arrive', async () => {
    const got: Report[] = [];
    const address = await rig.fakeScheduler((call) => {
      call.on('data', (bytes: Buffer) => {
        const message = decodeAgentMessage(bytes)!;
        if ('hello' in message) {
          const committedSeq = got.at(-1)?.seq ?? 0;
          call.write(encodeSchedulerMessage({ welcome: { protocol: 1, committedSeq, ranges: [], maxEdges: 0 } }));
        } else if (payload(message.report) === 666) {
          const metadata = new Metadata();
          metadata.set(CODE_TRAILER, 'REPORT_MALFORMED');
          call.emit('error', { code: status.INVALID_ARGUMENT, details: 'bad', metadata });
          call.removeAllListeners('data');
        } else {
          if (message.report.seq > (got.at(-1)?.seq ?? 0)) got.push(message.report);
          call.write(encodeSchedulerMessage({ ack: { seq: message.report.seq } }));
        }
      });
    });
    const agent = rig.agent(address, 'node-a');
    for (const bytes of [1, 666, 3, 4]) agent.offer(periodOf(bytes));
    await until(() => agent.stats().waiting + agent.stats().unacknowledged === 0);
    agent.offer(periodOf(5));
    await until(() => got.length === 4);
    expect(got.map(payload)).toEqual([1, 3, 4, 5]);
    expect(agent.stats()).toMatchObject({ refusedReports: 1, droppedEdges: 1, droppedBytes: 666 });
    expect(got.reduce((sum, report) => sum + report.losses.droppedBytes, 0)).toBe(666);
  });

  test('nonsense from the scheduler ends the stream, not the agent', async () => {
    const address = await rig.fakeScheduler((call) => {
      call.once('data', () => call.write(Buffer.from([0xff, 0xff, 0xff])));
    });
    const agent = rig.agent(address, 'node-a');
    await until(() => agent.stats().failedAttempts >= 2);
    expect(agent.stats().lastError).toMatch(/SchedulerMessage/);
  });
});

// ---- helpers

class FakeClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ readonly at: number; readonly callback: () => void }>();

  nowMs(): number {
    return this.#now;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  advance(ms: number): void {
    this.#now += ms;
    for (const timer of [...this.#timers]) {
      if (timer.at > this.#now || !this.#timers.delete(timer)) continue;
      timer.callback();
    }
  }
}

interface Proxy {
  readonly address: string;
  /** Passes nothing on, in either direction, on the connections of now. */
  dark: boolean;
  swallowAnswers: boolean;
  cut(): void;
}

async function tcpProxy(port: number): Promise<Proxy> {
  const pairs = new Set<net.Socket>();
  const dead = new WeakSet<net.Socket>();
  const server = net.createServer((near) => {
    const far = net.connect(port, '127.0.0.1');
    for (const socket of [near, far]) {
      pairs.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        near.destroy();
        far.destroy();
      });
    }
    near.on('data', (bytes) => {
      if (proxy.dark) dead.add(near);
      if (!dead.has(near)) far.write(bytes);
    });
    far.on('data', (bytes) => {
      if (proxy.dark) dead.add(near);
      if (!dead.has(near) && !proxy.swallowAnswers) near.write(bytes);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy: Proxy = {
    address: `127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    dark: false,
    swallowAnswers: false,
    cut: () => pairs.forEach((socket) => socket.destroy()),
  };
  rig.onCleanup(() => {
    proxy.cut();
    server.close();
  });
  return proxy;
}
