// How many edge updates a second one core takes in: decoding alone, and through real gRPC streams of agents in another
// process (server CPU only). Baseline: protobufjs' reflection decode of the same messages of the same .proto.
// Usage: node bench/ingest.ts [--agents 1000] [--edges 200] [--seconds 5]
// With a graph behind it: bench/graph-record.ts, or benchIngest({ makeSink }) from another program.
import { parseArgs } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLogger } from '../lib/log.ts';
import { decodeAgentMessage, encodeAgentMessage } from '../proto/codec.ts';
import { NO_COST, NO_LOSSES, type Report } from '../proto/report.ts';
import { MemorySink, type ReportSink } from '../scheduler/ingest/report-sink.ts';
import { startReportServer } from '../scheduler/ingest/report-server.ts';
import { reflectedAgentMessage } from '../test/support/reflected-contract.ts';
import { nodeName, simulatedEdges } from '../test/support/simulated-agents.ts';
import { startFlood } from './support/report-flood.ts';

export interface IngestBenchOptions {
  readonly agents: number;
  /** Per report. */
  readonly edges: number;
  /** How long the streams run. */
  readonly seconds: number;
  /** What books the reports; a fresh one for each measurement. Default: one that sums the bytes of every edge. */
  readonly makeSink?: () => ReportSink;
}

export interface IngestBenchResult {
  /** On the wire; and what of it are addresses (16 bytes for each that a report names). */
  readonly bytesPerEdge: number;
  readonly addressBytesPerEdge: number;
  readonly decodePerSecond: number;
  /** Decode and sink. */
  readonly sinkPerSecond: number;
  readonly reflectionPerSecond: number;
  readonly encodePerSecond: number;
  /** Through gRPC: edges a second of wall time, and a second of this process's CPU time. */
  readonly streamPerSecond: number;
  readonly streamPerCpuSecond: number;
  readonly rssMiB: number;
}

/** The least a sink can do: it looks at every edge. */
function summingSink(): ReportSink {
  let total = 0;
  return new MemorySink((_node, { edges }) => {
    for (let i = 0; i < edges.n; i++) total += edges.bytesSent[i]! + edges.bytesReceived[i]! + edges.local[i]!;
    if (total < 0) throw new Error('never');
  });
}

export async function benchIngest(options: IngestBenchOptions): Promise<IngestBenchResult> {
  const { agents, edges, makeSink = summingSink } = options;
  const plan = { target: '', agents, edges, intervalMs: 10_000 };
  const reports = Array.from({ length: agents }, (_, agent) => reportOf(agent, simulatedEdges(agent, plan)));
  const messages = reports.map((report) => encodeAgentMessage({ report }));
  const edgeCount = reports.reduce((sum, report) => sum + report.edges.n, 0);
  const wireBytes = messages.reduce((sum, message) => sum + message.length, 0);

  const addressBytes = reports.reduce((sum, report) => sum + report.edges.addresses.length, 0);

  const sink = makeSink();
  let seq = 0;
  const [decode, withSink, reflection, encode] = bestRates(edgeCount, 8, [
    () => messages.forEach((message) => decoded(message)),
    () => {
      seq++;
      messages.forEach((message, agent) => {
        void sink.report(nodeName(agent), { ...decoded(message), seq }, seq * 10_000);
      });
    },
    () => messages.forEach((message) => sumReflected(message)),
    () => reports.forEach((report) => encodeAgentMessage({ report })),
  ]) as [number, number, number, number];
  const stream = await benchStream(options, makeSink());
  return {
    bytesPerEdge: wireBytes / edgeCount,
    addressBytesPerEdge: addressBytes / edgeCount,
    decodePerSecond: decode,
    sinkPerSecond: withSink,
    reflectionPerSecond: reflection,
    encodePerSecond: encode,
    ...stream,
  };
}

async function benchStream(
  { agents, edges, seconds }: IngestBenchOptions,
  sink: ReportSink,
): Promise<Pick<IngestBenchResult, 'streamPerSecond' | 'streamPerCpuSecond' | 'rssMiB'>> {
  const server = await startReportServer({ listen: '127.0.0.1:0', sink, logger: silentLogger, ranges: () => [] });
  const stopFlood = await startFlood({ target: server.address, agents, edges, window: 8 });
  try {
    await sleep(1000);
    const from = { edges: server.stats().edges, ms: performance.now(), cpu: process.cpuUsage() };
    await sleep(seconds * 1000);
    const cpu = process.cpuUsage(from.cpu);
    const taken = server.stats().edges - from.edges;
    return {
      streamPerSecond: (taken / (performance.now() - from.ms)) * 1000,
      streamPerCpuSecond: (taken / (cpu.user + cpu.system)) * 1e6,
      rssMiB: process.memoryUsage.rss() / 2 ** 20,
    };
  } finally {
    await stopFlood();
    await server.close({ graceMs: 100 });
  }
}

function reportOf(agent: number, edges: Report['edges']): Report {
  const mapId = new Uint8Array(16).fill(agent & 255);
  const uplinks = [{ name: 'eth0', txBytes: 1e9, rxBytes: 1e9, speedBps: 1e10, speedSource: 'device' as const }];
  return { seq: 1, mapId, periodMs: 10_000, ageMs: 3, edges, uplinks, losses: NO_LOSSES, cost: NO_COST, merged: 0 };
}

function decoded(message: Uint8Array): Report {
  const result = decodeAgentMessage(message);
  if (result === undefined || !('report' in result)) throw new Error('no report');
  return result.report;
}

/** The same work on what protobufjs gives: Long objects in arrays. */
function sumReflected(message: Uint8Array): number {
  const { report } = reflectedAgentMessage.decode(message) as unknown as {
    report: {
      edges: { bytesSent: { toNumber(): number }[]; bytesReceived: { toNumber(): number }[]; local: number[] };
    };
  };
  const { bytesSent, bytesReceived, local } = report.edges;
  let total = 0;
  for (let i = 0; i < local.length; i++) total += bytesSent[i]!.toNumber() + bytesReceived[i]!.toNumber() + local[i]!;
  return total;
}

/** Operations a second of each function, of its best round; rounds alternate, so that all see the same machine. */
function bestRates(operations: number, rounds: number, functions: readonly (() => void)[]): number[] {
  const best = functions.map(() => Infinity);
  for (let round = 0; round < rounds + 2; round++) {
    for (const [i, run] of functions.entries()) {
      const from = performance.now();
      run();
      if (round >= 2) best[i] = Math.min(best[i]!, performance.now() - from);
    }
  }
  return best.map((ms) => (operations / ms) * 1000);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      agents: { type: 'string', default: '1000' },
      edges: { type: 'string', default: '200' },
      seconds: { type: 'string', default: '5' },
    },
  });
  const options = { agents: Number(values.agents), edges: Number(values.edges), seconds: Number(values.seconds) };
  const result = await benchIngest(options);
  const round = (value: number): number => Math.round(value);
  const ratio = Number((result.sinkPerSecond / result.reflectionPerSecond).toFixed(2));
  const edgesPerSecond = (value: number) => ({ 'edges/s': round(value), 'µs/edge': Number((1e6 / value).toFixed(3)) });
  console.log(`${options.agents} agents, ${options.edges} edges a report`);
  console.table({
    decode: edgesPerSecond(result.decodePerSecond),
    'decode + sink': edgesPerSecond(result.sinkPerSecond),
    'decode + sum, protobufjs reflection (baseline)': edgesPerSecond(result.reflectionPerSecond),
    'encode (agent)': edgesPerSecond(result.encodePerSecond),
    'gRPC stream + decode + sink, per second': edgesPerSecond(result.streamPerSecond),
    'gRPC stream + decode + sink, per CPU second': edgesPerSecond(result.streamPerCpuSecond),
  });
  console.log(
    `on the wire ${result.bytesPerEdge.toFixed(1)} B an edge, ${result.addressBytesPerEdge.toFixed(1)} of it addresses; ` +
      `${round(result.rssMiB)} MiB resident with ${options.agents} streams`,
  );
  console.log(
    JSON.stringify({
      name: 'ingest',
      figures: {
        decodePerSecond: round(result.decodePerSecond),
        sinkPerSecond: round(result.sinkPerSecond),
        streamPerSecond: round(result.streamPerSecond),
        streamPerCpuSecond: round(result.streamPerCpuSecond),
        encodePerSecond: round(result.encodePerSecond),
        bytesPerEdge: Number(result.bytesPerEdge.toFixed(1)),
        addressBytesPerEdge: Number(result.addressBytesPerEdge.toFixed(1)),
        rssMiB: round(result.rssMiB),
      },
      baseline: { reflectionPerSecond: round(result.reflectionPerSecond) },
      ratio,
    }),
  );
}

if (import.meta.main) await main();
