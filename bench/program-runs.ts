/**
 * How often the kernel runs our programs for the traffic it moves, against a minimal program at each packet (tc,
 * both directions of one device) in the same run.
 *
 *   node bench/program-runs.ts [--gb N] [--short-seconds N]
 *
 * Two namespaces; 8 long-lived bulk connections, looked at every 10 s (the agent's default) and every second; then
 * 2,000 short connections a second, for which nothing is won. The tracepoint sees the whole machine: runs for
 * sockets outside of the two namespaces are counted apart, for the baseline has none of them.
 */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { bpfObjectPath, inNetns, loadBpf } from '../lib/bpf/index.ts';
import { Actor } from '../test/kernel/collector-support/actor-process.ts';
import { Measurement } from '../test/kernel/collector-support/measure.ts';
import { makePair, netnsInode, netnsPath } from '../test/kernel/collector-support/namespaces.ts';

const { values } = parseArgs({
  options: {
    gb: { type: 'string', default: '8' },
    'short-seconds': { type: 'string', default: '5' },
  },
});
const GB = Number(values.gb);
const DEFAULT_INTERVAL_MS = 10_000;
const SHORT_INTERVAL_MS = 1000;
const SHORT_SECONDS = Number(values['short-seconds']);
const CONNECTIONS = 8;
const SHORT_PER_SECOND = 2000;

interface Phase {
  readonly name: string;
  readonly payloadGb: number;
  readonly connections: number;
  readonly seconds: number;
  readonly passes: number;
  readonly runs: number;
  /** Of them for state changes; the others for live sockets. */
  readonly stateRuns: number;
  /** For sockets of others; not in `runs`. */
  readonly foreignRuns: number;
  readonly runNs: number;
  readonly perPacketRuns: number;
  readonly perPacketNs: number;
}

const pair = makePair();
const actors: Actor[] = [];
let measured: Measurement | undefined;
try {
  const [client, server] = await Promise.all([Actor.start(pair.a), Actor.start(pair.b)]);
  actors.push(client, server);
  measured = await Measurement.start([netnsInode(pair.a), netnsInode(pair.b)]);
  const baseline = await attachPerPacket(pair.a);

  const foreign = await countForeignEvents(netnsInode(pair.a), netnsInode(pair.b));
  let closeBulk = async (): Promise<void> => {};
  const bulkTraffic = async (port: number): Promise<{ bytes: number; connections: number }> => {
    await server.do({ op: 'listen', host: pair.addressB, port });
    const each = Math.round((GB * 1e9) / CONNECTIONS);
    const conns = await Promise.all(
      Array.from({ length: CONNECTIONS }, () => client.do<number>({ op: 'connect', host: pair.addressB, port })),
    );
    const accepted = await server.do<number[]>({ op: 'accepted', port, count: CONNECTIONS });
    await Promise.all(conns.map((conn) => client.do({ op: 'write', conn, bytes: each })));
    await Promise.all(accepted.map((conn) => server.do({ op: 'read', conn, bytes: each })));
    const close = async (): Promise<void> => {
      await Promise.all(conns.map((conn) => client.do({ op: 'destroy', conn })));
      await Promise.all(accepted.map((conn) => server.do({ op: 'destroy', conn })));
    };
    closeBulk = close;
    return { bytes: each * CONNECTIONS, connections: CONNECTIONS };
  };
  const bulk = await phase('8 bulk connections, 10 s', DEFAULT_INTERVAL_MS, measured, baseline, foreign.read, () =>
    bulkTraffic(5001),
  );
  await closeBulk();
  const bulkOften = await phase('8 bulk connections, 1 s', SHORT_INTERVAL_MS, measured, baseline, foreign.read, () =>
    bulkTraffic(5003),
  );

  await closeBulk();

  const short = await phase(
    '2,000 short connections/s, 10 s',
    DEFAULT_INTERVAL_MS,
    measured,
    baseline,
    foreign.read,
    async () => {
      await server.do({ op: 'serveShort', host: pair.addressB, port: 5002, requestBytes: 500, responseBytes: 2000 });
      const { connections, read, written } = await client.do<{ connections: number; read: number; written: number }>({
        op: 'short',
        host: pair.addressB,
        port: 5002,
        perSecond: SHORT_PER_SECOND,
        seconds: SHORT_SECONDS,
        requestBytes: 500,
      });
      return { bytes: read + written, connections };
    },
  );
  baseline.close();
  foreign.close();
  print(bulk, bulkOften, short);
} finally {
  await Promise.all(actors.map((actor) => actor.stop()));
  measured?.close();
  pair.remove();
}

/** Ingress and egress of the client's device: a collector at packets needs both, on one end at least. */
async function attachPerPacket(netns: string): Promise<{ runs(): { runs: number; runNs: number }; close(): void }> {
  const object = await loadBpf({ object: bpfObjectPath('per-packet') });
  const program = object.program('per_packet');
  const fd = openSync(netnsPath(netns), 'r');
  try {
    inNetns(fd, () => {
      const ifindex = Number(readIfindex('eth0'));
      program.attachTcx(ifindex, 'ingress');
      program.attachTcx(ifindex, 'egress');
    });
  } finally {
    closeSync(fd);
  }
  return { runs: () => program.runStats(), close: () => object.close() };
}

async function countForeignEvents(a: number, b: number): Promise<{ read(): number; close(): void }> {
  const object = await loadBpf({ object: bpfObjectPath('state-events'), constants: { netns_a: a, netns_b: b } });
  object.program('state_event').attachTracing();
  const read = (): number => {
    const value = object.map('foreign').lookup(new Uint8Array(4))!;
    return Number(new DataView(value.buffer, value.byteOffset).getBigUint64(0, true));
  };
  return { read, close: () => object.close() };
}

/** From /proc/net, which follows the thread's namespace; /sys does not. */
function readIfindex(device: string): string {
  const line = readFileSync('/proc/thread-self/net/dev_mcast', 'latin1')
    .split('\n')
    .find((text) => text.trim().split(/\s+/)[1] === device);
  if (line === undefined) throw new Error(`no device ${device}`);
  return line.trim().split(/\s+/)[0]!;
}

async function phase(
  name: string,
  intervalMs: number,
  measurement: Measurement,
  baseline: { runs(): { runs: number; runNs: number } },
  foreignEvents: () => number,
  traffic: () => Promise<{ bytes: number; connections: number }>,
): Promise<Phase> {
  const ours = (): { runs: number; stateRuns: number; runNs: number } => {
    const [state, live] = measurement.kernel.runs();
    return { runs: state!.runs + live!.runs, stateRuns: state!.runs, runNs: state!.runNs + live!.runNs };
  };
  const [before, packetsBefore, foreignBefore, startMs] = [ours(), baseline.runs(), foreignEvents(), performance.now()];
  let passes = 0;
  let done = false;
  const moved = traffic().finally(() => (done = true));
  let nextMs = startMs + intervalMs;
  while (!done) {
    await Promise.race([moved, new Promise((resolve) => setTimeout(resolve, nextMs - performance.now()))]);
    nextMs += intervalMs;
    await measurement.collect();
    passes++;
  }
  const { bytes, connections } = await moved;
  const [after, packetsAfter] = [ours(), baseline.runs()];
  const foreignRuns = foreignEvents() - foreignBefore;
  return {
    name,
    payloadGb: bytes / 1e9,
    connections,
    seconds: (performance.now() - startMs) / 1000,
    passes,
    runs: after.runs - before.runs - foreignRuns,
    stateRuns: after.stateRuns - before.stateRuns - foreignRuns,
    foreignRuns,
    runNs: after.runNs - before.runNs,
    perPacketRuns: packetsAfter.runs - packetsBefore.runs,
    perPacketNs: packetsAfter.runNs - packetsBefore.runNs,
  };
}

function print(bulk: Phase, bulkOften: Phase, short: Phase): void {
  console.table(
    Object.fromEntries(
      [bulk, bulkOften, short].map((p) => [
        p.name,
        {
          'payload GB': round(p.payloadGb),
          'Gbit/s': round((p.payloadGb * 8) / p.seconds),
          'connections/s': Math.round(p.connections / p.seconds),
          passes: p.passes,
          'our runs': p.runs,
          'of them by state': p.stateRuns,
          'for others': p.foreignRuns,
          'tc runs': p.perPacketRuns,
          'our runs/GB': round(p.runs / p.payloadGb),
          'tc runs/GB': round(p.perPacketRuns / p.payloadGb),
          'times fewer runs': round(p.perPacketRuns / p.runs),
          'our ms, others too': round(p.runNs / 1e6),
          'tc ms': round(p.perPacketNs / 1e6),
        },
      ]),
    ),
  );
  console.log('GSO makes the packets that tc sees here up to 64 kB; without it there would be up to 40 times more');
  console.log(
    JSON.stringify({
      name: 'program-runs',
      figures: {
        bulkRunsPerGb: round(bulk.runs / bulk.payloadGb),
        bulkRunsPerGbAt1s: round(bulkOften.runs / bulkOften.payloadGb),
        bulkRatioAt1s: round(bulkOften.perPacketRuns / bulkOften.runs),
        shortRunsPerConnection: round(short.runs / short.connections),
        shortConnectionsPerSecond: Math.round(short.connections / short.seconds),
        shortRatio: round(short.perPacketRuns / short.runs),
        shortNsRatio: round(short.perPacketNs / short.runNs),
      },
      baseline: {
        name: 'minimal per-packet tc program, ingress and egress of one device',
        bulkRunsPerGb: round(bulk.perPacketRuns / bulk.payloadGb),
        shortRunsPerConnection: round(short.perPacketRuns / short.connections),
      },
      ratio: round(bulk.perPacketRuns / bulk.runs),
    }),
  );
}

function round(figure: number): number {
  return Number(figure.toPrecision(3));
}
