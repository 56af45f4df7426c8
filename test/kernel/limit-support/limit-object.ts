import { LIMIT_CLOCK, LIMIT_FLOW, LIMIT_FLOWS } from '../../../bandwidth/bpf/layout.ts';
import {
  encodeInterface,
  encodeSlotConfig,
  slotConfig,
  type InterfaceEntry,
  type SlotConfig,
  type SlotOptions,
} from '../../../bandwidth/slot-config.ts';
import { decodeSlotStat, type SlotStat } from '../../../bandwidth/slot-stat.ts';
import { bpfObjectPath, loadBpf, type BpfMap, type BpfObject } from '../../../lib/bpf/index.ts';

export const LOOPBACK = 1;
export const NEXT = 0xffff_ffff;
export const DROP = 2;

/** Fields of struct __sk_buff that a test run takes in or gives out. */
const CTX = { size: 192, priority: 32, ingressIfindex: 36, tstamp: 152, wireLen: 160, gsoSegs: 164, gsoSize: 176 };

export interface Context {
  readonly tstamp?: bigint;
  readonly priority?: number;
  readonly ingressIfindex?: number;
  readonly wireLen?: number;
  readonly gsoSegs?: number;
  readonly gsoSize?: number;
}

export interface Outcome {
  readonly retval: number;
  readonly tstamp: bigint;
  readonly priority: number;
  readonly frame: Uint8Array;
  readonly durationNs: number;
}

export type Hook = 'from_pod' | 'to_pod' | 'leave';

export interface Clock {
  readonly limitNs: bigint;
  readonly sparseNs: bigint;
  /** Mode `htb`: of all that left the pod. */
  readonly policeNs: bigint;
  /** Of exempt packets. */
  readonly exemptNs: bigint;
}

export interface Flow {
  readonly hash: number;
  readonly departureNs: bigint;
}

/** CLOCK_MONOTONIC, as bpf_ktime_get_ns(). */
export function monotonicNs(): bigint {
  return process.hrtime.bigint();
}

/** The limit programs, loaded, with their maps as records. */
export class LimitObject {
  readonly object: BpfObject;
  readonly probes: BpfObject;

  private constructor(object: BpfObject, probes: BpfObject) {
    this.object = object;
    this.probes = probes;
  }

  static async load({ slots = 8 } = {}): Promise<LimitObject> {
    const probes = await loadBpf({ object: bpfObjectPath('limit-probes') });
    const object = await loadBpf({
      object: bpfObjectPath('limit'),
      maxEntries: { limit_config: slots, limit_clock: slots, limit_flow: slots, limit_stat: slots },
    });
    return new LimitObject(object, probes);
  }

  close(): void {
    this.object.close();
    this.probes.close();
  }

  setInterface(ifindex: number, entry: InterfaceEntry): void {
    this.#map('limit_interfaces').update(u32(ifindex), encodeInterface(entry));
  }

  setConfig(slot: number, config: SlotConfig): void {
    this.#map('limit_config').update(u32(slot), encodeSlotConfig(config));
  }

  /** A configuration with the thresholds of its mode. */
  setLimit(slot: number, options: Omit<SlotOptions, 'cpus'>): SlotConfig {
    const config = slotConfig({ cpus: 2, ...options });
    this.setConfig(slot, config);
    return config;
  }

  stat(slot: number): SlotStat {
    return decodeSlotStat(this.#map('limit_stat').lookup(u32(slot))!);
  }

  clearStat(slot: number): void {
    const map = this.#map('limit_stat');
    map.update(u32(slot), new Uint8Array(map.valueStride));
  }

  clock(slot: number): Clock {
    const view = viewOf(this.#map('limit_clock').lookup(u32(slot))!);
    return {
      limitNs: view.getBigUint64(LIMIT_CLOCK.fields.limit_ns.offset, true),
      sparseNs: view.getBigUint64(LIMIT_CLOCK.fields.sparse_ns.offset, true),
      policeNs: view.getBigUint64(LIMIT_CLOCK.fields.police_ns.offset, true),
      exemptNs: view.getBigUint64(LIMIT_CLOCK.fields.exempt_ns.offset, true),
    };
  }

  setClock(
    slot: number,
    { limitNs, sparseNs, policeNs = 0n, exemptNs = 0n }: Pick<Clock, 'limitNs' | 'sparseNs'> & Partial<Clock>,
  ): void {
    const bytes = new Uint8Array(LIMIT_CLOCK.size);
    viewOf(bytes).setBigUint64(LIMIT_CLOCK.fields.limit_ns.offset, limitNs, true);
    viewOf(bytes).setBigUint64(LIMIT_CLOCK.fields.sparse_ns.offset, sparseNs, true);
    viewOf(bytes).setBigUint64(LIMIT_CLOCK.fields.police_ns.offset, policeNs, true);
    viewOf(bytes).setBigUint64(LIMIT_CLOCK.fields.exempt_ns.offset, exemptNs, true);
    this.#map('limit_clock').update(u32(slot), bytes);
  }

  /** All flows of a slot that were ever held back, by bucket. */
  flows(slot: number): Map<number, Flow> {
    const view = viewOf(this.#map('limit_flow').lookup(u32(slot))!);
    const flows = new Map<number, Flow>();
    for (let bucket = 0; bucket < LIMIT_FLOWS; bucket++) {
      const at = bucket * LIMIT_FLOW.size;
      const departureNs = view.getBigUint64(at + LIMIT_FLOW.fields.departure_ns.offset, true);
      if (departureNs !== 0n) flows.set(bucket, { hash: view.getUint32(at, true), departureNs });
    }
    return flows;
  }

  setFlows(slot: number, flows: readonly Flow[]): void {
    const bytes = new Uint8Array(LIMIT_FLOWS * LIMIT_FLOW.size);
    const view = viewOf(bytes);
    for (const { hash, departureNs } of flows) {
      const at = (hash % LIMIT_FLOWS) * LIMIT_FLOW.size;
      view.setUint32(at, hash, true);
      view.setBigUint64(at + LIMIT_FLOW.fields.departure_ns.offset, departureNs, true);
    }
    this.#map('limit_flow').update(u32(slot), bytes);
  }

  /** The kernel's flow hash of a frame; it differs from boot to boot. */
  hashOf(frame: Uint8Array): number {
    return this.probes.program('flow_hash').testRun(frame).retval;
  }

  /** Runs a program as if the frame crossed the loopback interface. */
  run(hook: Hook, frame: Uint8Array, context: Context = {}): Outcome {
    const ctx = encodeContext(context);
    return outcome(this.object.program(hook).testRun(frame, 1, ctx));
  }

  /** As `run`, with `departure` as the packet's departure time, which a plain test run cannot give it. */
  runStamped(hook: Hook, frame: Uint8Array, departure: bigint, context: Context = {}): Outcome {
    this.probes.map('under_test').update(u32(0), u32(this.object.program(hook).fd));
    const ctx = encodeContext({ ...context, tstamp: departure });
    return outcome(this.probes.program('stamped').testRun(frame, 1, ctx));
  }

  #map(name: string): BpfMap {
    return this.object.map(name);
  }
}

export function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function encodeContext(context: Context): Uint8Array {
  const bytes = Buffer.alloc(CTX.size);
  bytes.writeUInt32LE(context.priority ?? 0, CTX.priority);
  bytes.writeUInt32LE(context.ingressIfindex ?? 0, CTX.ingressIfindex);
  bytes.writeBigUInt64LE(context.tstamp ?? 0n, CTX.tstamp);
  bytes.writeUInt32LE(context.wireLen ?? 0, CTX.wireLen);
  bytes.writeUInt32LE(context.gsoSegs ?? 0, CTX.gsoSegs);
  bytes.writeUInt32LE(context.gsoSize ?? 0, CTX.gsoSize);
  return bytes;
}

function outcome(run: { retval: number; ctxOut: Uint8Array; dataOut: Uint8Array; durationNs: number }): Outcome {
  const view = viewOf(run.ctxOut);
  return {
    retval: run.retval,
    tstamp: view.getBigUint64(CTX.tstamp, true),
    priority: view.getUint32(CTX.priority, true),
    frame: run.dataOut,
    durationNs: run.durationNs,
  };
}
