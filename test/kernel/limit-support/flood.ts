import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { BpfProgram } from '../../../lib/bpf/index.ts';
import { bpfObjectPath, loadBpf } from '../../../lib/bpf/index.ts';
import { slotConfig } from '../../../bandwidth/slot-config.ts';
import type { FloodTask } from './flood-worker.ts';
import { udpFrame } from './frames.ts';
import { LOOPBACK, LimitObject, encodeContext, monotonicNs, u32 } from './limit-object.ts';

/** Frames of a full Ethernet packet. */
const FRAME = udpFrame(1514);

export interface FloodResult {
  /** By how much what passed exceeds rate and queue together; 0.01 is 1 %. */
  readonly overshoot: number;
  /** Of what passed, the share that the clock did not move for: it passes for nothing, for good. */
  readonly chargeLost: number;
  /** Mean of one run on one CPU. */
  readonly nsPerPacket: number;
  readonly seconds: number;
}

/**
 * Runs a program on every given CPU at once, `repeat` times each; `start` is called when all of them are about to.
 * Resolves with the mean ns of a run.
 */
async function flood(program: BpfProgram, cpus: readonly number[], repeat: number, start: () => void): Promise<number> {
  const gate = new Int32Array(new SharedArrayBuffer(8));
  const workers = cpus.map((cpu) => {
    const workerData: FloodTask = { fd: program.fd, cpu, repeat, frame: FRAME, ctx: encodeContext({}), gate };
    return new Worker(new URL('flood-worker.ts', import.meta.url), { workerData });
  });
  const ended = Promise.all(workers.map(async (worker) => Number((await once(worker, 'message'))[0])));
  try {
    while (Atomics.load(gate, 0) < cpus.length) await Promise.race([ended, setTimeout(1)]);
    start();
    Atomics.store(gate, 1, 1);
    const means = await ended;
    return means.reduce((sum, mean) => sum + mean, 0) / means.length;
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

/**
 * Both hold this much back before they drop, so that only their clocks differ; and a thread that does not run for a while
 * leaves the queue standing. The product's own 20 ms would be idle then, and the result too good.
 */
const HORIZON_NS = 4_000_000_000;
/** The queue at the start: it must never be idle, or the clock starts anew. */
const START_NS = 3_000_000_000n;

/** Our program, from a standing queue on. */
export async function floodLimit(rateBps: bigint, cpus: readonly number[], repeat: number): Promise<FloodResult> {
  const limit = await LimitObject.load();
  try {
    limit.setInterface(LOOPBACK, { egressSlot: 1 });
    const config = slotConfig({ rateBps, mode: 'stamp', cpus: cpus.length });
    limit.setConfig(1, { ...config, dropNs: HORIZON_NS, hardNs: HORIZON_NS, maxAheadNs: 2n * BigInt(HORIZON_NS) });
    let startNs = 0n;
    let before = 0n;
    const nsPerPacket = await flood(limit.object.program('from_pod'), cpus, repeat, () => {
      before = limit.stat(1).bytes;
      limit.setFlows(1, []);
      startNs = monotonicNs();
      limit.setClock(1, { limitNs: startNs + START_NS, sparseNs: 0n });
    });
    const { bytes, lastNs } = limit.stat(1);
    return result(bytes - before, rateBps, startNs, lastNs, limit.clock(1).limitNs, nsPerPacket);
  } finally {
    limit.close();
  }
}

/** The formula of limit-baseline.bpf.c under the same load. */
export async function floodBaseline(rateBps: bigint, cpus: readonly number[], repeat: number): Promise<FloodResult> {
  const object = await loadBpf({ object: bpfObjectPath('limit-baseline') });
  try {
    const readPassed = (): { bytes: bigint; lastNs: bigint } => {
      const counts = Buffer.from(object.map('passed').lookup(u32(0))!);
      const copies = Array.from({ length: counts.length / 16 }, (_, cpu) => cpu * 16);
      return {
        bytes: copies.reduce((sum, at) => sum + counts.readBigUInt64LE(at), 0n),
        lastNs: copies.map((at) => counts.readBigUInt64LE(at + 8)).reduce((a, b) => (a > b ? a : b), 0n),
      };
    };
    const set = (lastNs: bigint): void => {
      const value = Buffer.alloc(24);
      value.writeBigUInt64LE(rateBps / 8n, 0);
      value.writeBigUInt64LE(lastNs, 8);
      value.writeBigUInt64LE(BigInt(HORIZON_NS), 16);
      object.map('baselines').update(u32(0), value);
    };
    let startNs = 0n;
    let before = 0n;
    const nsPerPacket = await flood(object.program('read_and_write'), cpus, repeat, () => {
      before = readPassed().bytes;
      startNs = monotonicNs();
      set(startNs + START_NS);
    });
    const { bytes, lastNs } = readPassed();
    const clockNs = Buffer.from(object.map('baselines').lookup(u32(0))!).readBigUInt64LE(8);
    return result(bytes - before, rateBps, startNs, lastNs, clockNs, nsPerPacket);
  } finally {
    object.close();
  }
}

function result(
  bytes: bigint,
  rateBps: bigint,
  startNs: bigint,
  endNs: bigint,
  clockNs: bigint,
  nsPerPacket: number,
): FloodResult {
  const seconds = Number(endNs - startNs) / 1e9;
  const queueSeconds = (HORIZON_NS - Number(START_NS)) / 1e9;
  // Both round the time of one packet to ns, to different sides.
  const packets = bytes / BigInt(FRAME.length);
  const packetNs = (BigInt(FRAME.length) * 8_000_000_000n) / rateBps;
  const chargedNs = Number(clockNs - startNs - START_NS);
  const passedNs = Number(packets * packetNs);
  return {
    overshoot: (Number(bytes) * 8) / (Number(rateBps) * (seconds + queueSeconds)) - 1,
    chargeLost: 1 - chargedNs / passedNs,
    nsPerPacket,
    seconds,
  };
}
