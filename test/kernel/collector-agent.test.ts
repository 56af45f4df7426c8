import { readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { startAgent, type Agent } from '../../collector/agent.ts';
import type { AgentOptions } from '../../collector/options.ts';
import type { Period } from '../../collector/period.ts';
import type { ReportStreamOptions } from '../../collector/report/report-stream.ts';
import { silentLogger } from '../../lib/log.ts';
import { NO_LOSSES } from '../../proto/report.ts';
import { Actor } from './collector-support/actor-process.ts';
import { makePair, netnsPath } from './collector-support/namespaces.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Takes the periods that the agent offers: the report stream has tests of its own. */
class FakeStream {
  readonly periods: Period[] = [];
  options: ReportStreamOptions | undefined;
  closed = false;

  readonly create = (options: ReportStreamOptions) => {
    this.options = options;
    const stats = {
      unacknowledged: 0,
      waiting: 0,
      bufferedBytes: 0,
      committedSeq: 0,
      lastSeq: 0,
      mergedPeriods: 0,
      droppedEdges: 0,
      droppedBytes: 0,
      refusedReports: 0,
      state: 'streaming',
      sentReports: 0,
      sentBytes: 0,
      welcomes: 1,
      failedAttempts: 0,
      lastError: undefined,
    } as const;
    return {
      offer: (period: Period) => void this.periods.push(period),
      close: async () => void (this.closed = true),
      stats: () => stats,
      save: () => ({ sent: [], waiting: [], carried: NO_LOSSES, nextSeq: 1, numbered: [] }),
      revision: 0,
    };
  };

  sum(column: 'bytesSent' | 'bytesReceived' | 'connections'): number {
    return this.periods.reduce((total, { edges }) => total + edges[column].reduce((a, b) => a + b, 0), 0);
  }
}

async function lab() {
  const pair = makePair();
  cleanups.push(() => pair.remove());
  const client = await Actor.start(pair.a);
  cleanups.push(() => client.stop());
  const server = await Actor.start(pair.b);
  cleanups.push(() => server.stop());
  const folder = await mkdtemp(join(tmpdir(), 'nlt-agent-'));
  cleanups.push(() => rm(folder, { recursive: true }));
  const scope = join(folder, 'scope');
  writeFileSync(scope, `${netnsPath(pair.b)}\n`);
  await server.do({ op: 'listen', host: '10.77.0.2', port: 9900 });
  let sent = 0;
  const send = async (bytes: number): Promise<void> => {
    const conn = await client.do<number>({ op: 'connect', host: '10.77.0.2', port: 9900 });
    await client.do({ op: 'write', conn, bytes });
    await client.do({ op: 'end', conn });
    const accepted = await server.do<number[]>({ op: 'accepted', port: 9900, count: ++sent });
    const s = accepted.at(-1)!;
    await server.do({ op: 'waitEnd', conn: s });
    await server.do({ op: 'end', conn: s });
    await client.do({ op: 'waitClose', conn });
  };
  return { pair, scope, send };
}

async function start(stream: FakeStream, options: Partial<AgentOptions>): Promise<Agent> {
  const agent = await startAgent(
    { node: 'n1', scheduler: { host: '::1', port: 1 }, intervalMs: 50, ...options },
    { logger: silentLogger, createStream: stream.create },
  );
  cleanups.push(() => agent.stop());
  return agent;
}

/** Programs, maps and links that this process holds; nothing is pinned, so what it does not hold is gone. */
function heldBpf(): number {
  const target = (fd: string): string => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return '';
    }
  };
  return readdirSync('/proc/self/fd').filter((fd) => /bpf/.test(target(fd))).length;
}

describe('agent', () => {
  it('offers a period an interval, and a last one when it is stopped', async () => {
    const { scope, send } = await lab();
    const stream = new FakeStream();
    const agent = await start(stream, { scope });
    expect(stream.options).toMatchObject({ target: '[::1]:1', hello: { node: 'n1', intervalMs: 50 } });
    expect(stream.options?.hello.mapId.length).toBe(16);
    await send(1000);
    await expect.poll(() => stream.periods.length, { timeout: 10_000 }).toBeGreaterThan(2);
    await send(234);
    await agent.stop();
    await agent.stop();
    expect(stream.closed).toBe(true);
    expect(stream.sum('bytesReceived')).toBe(1234);
    expect(stream.sum('connections')).toBe(2);
    const { cost, losses, periodMs } = stream.periods.at(-1)!;
    expect(cost.rssBytes).toBeGreaterThan(1e6);
    expect(periodMs).toBeGreaterThan(0);
    expect(losses).toEqual({
      mapFullConnections: 0,
      mapFullBytes: 0,
      storageFailed: 0,
      readFailed: 0,
      droppedEdges: 0,
      droppedBytes: 0,
    });
    expect(stream.periods.reduce((runs, period) => runs + period.cost.bpfRuns, 0)).toBeGreaterThan(10);
    expect(stream.periods.reduce((ns, period) => ns + period.cost.bpfRunNs, 0)).toBeGreaterThan(1000);
  });

  it('restarted, it counts new connections under a new identity, and leaves nothing behind', async () => {
    const { scope, send } = await lab();
    const before = heldBpf();
    const first = new FakeStream();
    await (await start(first, { scope })).stop();
    await send(99);
    const second = new FakeStream();
    const agent = await start(second, { scope });
    await send(100);
    await agent.stop();
    expect(first.sum('bytesReceived')).toBe(0);
    expect(second.sum('bytesReceived')).toBe(100);
    expect(second.options?.hello.mapId).not.toEqual(first.options?.hello.mapId);
    expect(heldBpf()).toBe(before);
  });

  it('serves its metrics', async () => {
    const { scope, send } = await lab();
    const stream = new FakeStream();
    const agent = await start(stream, { scope, metrics: { host: '127.0.0.1', port: 0 } });
    await send(77);
    await expect.poll(() => stream.sum('bytesReceived'), { timeout: 10_000 }).toBe(77);
    const body = await new Promise<string>((resolve, reject) => {
      get({ host: '127.0.0.1', port: agent.metricsPort, path: '/metrics' }, (response) => {
        let text = '';
        response
          .setEncoding('utf8')
          .on('data', (part: string) => (text += part))
          .on('end', () => resolve(text));
      }).on('error', reject);
    });
    expect(body).toContain('netloom_agent_payload_bytes_total{direction="received"} 77');
    expect(body).toMatch(/netloom_agent_bpf_runs_total\{program="on_state"\} [1-9]/);
    expect(body).toMatch(/netloom_agent_scope_namespaces 1/);
    expect(body).toMatch(/netloom_agent_lost_total\{reason="missed_events"\} 0/);
  });

  it('closes everything when its metrics listener cannot be opened', async () => {
    const before = heldBpf();
    const stream = new FakeStream();
    await expect(start(stream, { metrics: { host: '203.0.113.1', port: 9 } })).rejects.toMatchObject({
      code: 'AGENT_LISTEN_FAILED',
    });
    expect(heldBpf()).toBe(before);
    expect(stream.options).toBeUndefined();
  });

  it("takes the cluster's ranges from the stream", async () => {
    const { scope, send } = await lab();
    const stream = new FakeStream();
    const agent = await start(stream, { scope });
    stream.options?.onRanges?.([{ address: new Uint8Array(16), prefixLength: 128 }]);
    await send(5);
    await agent.stop();
    const { edges } = stream.periods.find(({ edges }) => edges.n > 0)!;
    expect(edges.prefixLengths[edges.remote[0]!]).toBe(120);
  });
});
