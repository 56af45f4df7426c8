import { findPodInterfaces } from '../../../bandwidth/interfaces/find.ts';
import { readNodeNetwork } from '../../../bandwidth/interfaces/read.ts';
import type { PodPlace } from '../../../bandwidth/interfaces/types.ts';
import { findUplinks } from '../../../bandwidth/interfaces/uplinks.ts';
import { applyNeeds } from '../../../bandwidth/qdiscs/apply.ts';
import { podClasses } from '../../../bandwidth/qdiscs/htb-tree.ts';
import type { DeviceNeed, ShapedPod } from '../../../bandwidth/qdiscs/types.ts';
import {
  encodeInterface,
  encodeSlotConfig,
  slotConfig,
  type LimitMode,
  type SlotConfig,
} from '../../../bandwidth/slot-config.ts';
import { decodeSlotStat, type SlotStat } from '../../../bandwidth/slot-stat.ts';
import { bpfObjectPath, loadBpf, type BpfLink, type BpfObject, type TcxOptions } from '../../../lib/bpf/index.ts';
import { kernelHasFq, withNetlink, type NetlinkSocket } from '../../../lib/netlink/index.ts';

/** A pod of the node with what its annotations ask for. */
export interface PodLimit {
  readonly namespace: string;
  readonly name: string;
  readonly ips: readonly string[];
  /** Bits a second. */
  readonly egress?: bigint;
  readonly ingress?: bigint;
}

export type Direction = 'egress' | 'ingress';

/**
 * Puts limits in force with the parts of the product; the agent takes this module's place. One process, one at a time:
 * a second call changes what the first one did.
 */
export class Limits {
  readonly #object: BpfObject;
  readonly #socket: NetlinkSocket;
  readonly #mode: LimitMode;
  readonly #attach: TcxOptions;
  readonly #links = new Map<string, BpfLink>();
  readonly #slots = new Map<string, number>();
  #needs: readonly DeviceNeed[] = [];

  private constructor(object: BpfObject, socket: NetlinkSocket, mode: LimitMode, attach: TcxOptions) {
    this.#object = object;
    this.#socket = socket;
    this.#mode = mode;
    this.#attach = attach;
  }

  /** Without sch_fq in the kernel, by HTB. */
  static async open(socket: NetlinkSocket, attach: TcxOptions = {}): Promise<Limits> {
    const mode = withNetlink(kernelHasFq) ? 'stamp' : 'htb';
    const object = await loadBpf({
      object: bpfObjectPath('limit'),
      constants: { judge_senders: mode === 'htb' ? 1 : 0 },
    });
    return new Limits(object, socket, mode, attach);
  }

  get mode(): LimitMode {
    return this.#mode;
  }

  /** Every pod of the node; those that are not among them lose what they had. */
  applyLimits(pods: readonly PodLimit[]): void {
    const network = readNodeNetwork(this.#socket);
    const places = findPodInterfaces(
      network,
      pods.map(({ namespace, name, ips }) => ({
        uid: name,
        namespace,
        name,
        ips,
        hostNetwork: false,
        finished: false,
        createdMs: 0,
      })),
    );
    const wanted = new Set<string>();
    const attach = (ifindex: number, program: string, direction: 'ingress' | 'egress'): void => {
      const key = `${ifindex} ${program}`;
      wanted.add(key);
      if (this.#links.has(key)) return;
      this.#links.set(key, this.#object.program(program).attachTcx(ifindex, direction, this.#attach));
    };
    const ofPods = new Set<number>();
    const devices = pods.map((pod) => {
      const ifindexes = interfacesOf(places.get(pod.name)!, pod.name);
      const egressSlot = this.#configure(pod, 'egress');
      const ingressSlot = this.#configure(pod, 'ingress');
      for (const ifindex of ifindexes) {
        ofPods.add(ifindex);
        const entry = { ...(egressSlot === 0 ? {} : { egressSlot }), ...(ingressSlot === 0 ? {} : { ingressSlot }) };
        this.#object.map('limit_interfaces').update(u32(ifindex), encodeInterface(entry));
      }
      return { pod, ifindexes, egressSlot, ingressSlot };
    });
    const uplinks = findUplinks(network.links, network.routes, ofPods);
    this.#needs = this.#mode === 'htb' ? shapingNeeds(uplinks, devices) : pacingNeeds(uplinks, devices);
    this.repair();
    for (const { ifindexes } of devices) {
      for (const ifindex of ifindexes) {
        attach(ifindex, 'from_pod', 'ingress');
        attach(ifindex, 'to_pod', 'egress');
      }
    }
    if (this.#mode === 'htb') for (const { ifindex } of uplinks) attach(ifindex, 'leave', 'egress');
    for (const [key, link] of this.#links) {
      if (wanted.has(key)) continue;
      link.detach();
      this.#links.delete(key);
    }
  }

  /** What the agent does from time to time: looks whether the qdiscs are as needed, and makes them so. */
  repair(): { operations: number } {
    const { failures, plan, operations } = applyNeeds(this.#socket, this.#needs);
    const wrong = this.#needs.filter(({ ifindex }) => plan.verdicts.get(ifindex)?.state !== 'ours');
    if (failures.length > 0 || wrong.length > 0) {
      throw new Error(`qdiscs: ${JSON.stringify({ failures, wrong, verdicts: [...plan.verdicts] }, bigintText)}`);
    }
    return { operations };
  }

  /** Takes everything back. */
  close(): void {
    this.applyLimits([]);
    this.#object.close();
  }

  stat(pod: string, direction: Direction): SlotStat {
    return decodeSlotStat(this.#object.map('limit_stat').lookup(u32(this.#slotOf(pod, direction)))!);
  }

  /** For tests of the test: a configuration that the product never writes. */
  tune(pod: PodLimit, direction: Direction, change: Partial<SlotConfig>): void {
    const slot = this.#slotOf(pod.name, direction);
    this.#object
      .map('limit_config')
      .update(u32(slot), encodeSlotConfig({ ...this.#configOf(slot, pod[direction] ?? 0n), ...change }));
  }

  #slotOf(pod: string, direction: Direction): number {
    const key = `${pod} ${direction}`;
    const slot = this.#slots.get(key) ?? this.#slots.size + 1;
    this.#slots.set(key, slot);
    return slot;
  }

  /** @returns 0 if the pod has no limit in this direction */
  #configure(pod: PodLimit, direction: Direction): number {
    const rateBps = pod[direction];
    if (rateBps === undefined) return 0;
    const slot = this.#slotOf(pod.name, direction);
    this.#object.map('limit_config').update(u32(slot), encodeSlotConfig(this.#configOf(slot, rateBps)));
    return slot;
  }

  #configOf(slot: number, rateBps: bigint): SlotConfig {
    return slotConfig({ rateBps, mode: this.#mode, classes: podClasses(slot), cpus: 1 });
  }
}

interface LimitedDevice {
  readonly pod: PodLimit;
  readonly ifindexes: readonly number[];
  readonly egressSlot: number;
  readonly ingressSlot: number;
}

/** fq where a limited packet can wait: at every uplink and every pod, for what a pod sends may stay on the node. */
function pacingNeeds(uplinks: ReturnType<typeof findUplinks>, devices: readonly LimitedDevice[]): DeviceNeed[] {
  const egress = devices.flatMap(({ pod }) => (pod.egress === undefined ? [] : [pod.egress / 8n]));
  const needs: DeviceNeed[] = [];
  if (egress.length > 0) {
    for (const { queueing } of uplinks) {
      for (const { ifindex } of queueing) needs.push({ ifindex, mode: 'pace', podRates: egress });
    }
  }
  for (const { pod, ifindexes } of devices) {
    const podRates = [...egress, ...(pod.ingress === undefined ? [] : [pod.ingress / 8n])];
    if (podRates.length > 0) for (const ifindex of ifindexes) needs.push({ ifindex, mode: 'pace', podRates });
  }
  return needs;
}

/** HTB: what a pod sends is held back at the uplink, what it receives at its own interface. */
function shapingNeeds(uplinks: ReturnType<typeof findUplinks>, devices: readonly LimitedDevice[]): DeviceNeed[] {
  const shaped = (slot: number, rateBps: bigint | undefined): ShapedPod[] =>
    rateBps === undefined ? [] : [{ slot, rateBytesPerSecond: rateBps / 8n }];
  const egress = devices.flatMap(({ pod, egressSlot }) => shaped(egressSlot, pod.egress));
  const needs: DeviceNeed[] = [];
  if (egress.length > 0) for (const { ifindex } of uplinks) needs.push({ ifindex, mode: 'shape', pods: egress });
  for (const { pod, ingressSlot, ifindexes } of devices) {
    const pods = shaped(ingressSlot, pod.ingress);
    if (pods.length > 0) for (const ifindex of ifindexes) needs.push({ ifindex, mode: 'shape', pods });
  }
  return needs;
}

function interfacesOf(place: PodPlace, name: string): number[] {
  if (!place.found) throw new Error(`${name}: ${place.reason}: ${place.detail}`);
  return place.interfaces.map(({ ifindex }) => ifindex);
}

function bigintText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}` : value;
}

function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
