/**
 * Whose an address was during a period. Fed with ClusterEvents; no clock: times are parameters, of one clock, in ms.
 *
 *   book.apply(events, nowMs)
 *   book.resolve(addresses, offset, startMs, endMs, prefixLength?) -> AddressOwner
 *   book.resolveKey(addressKey(bytes), startMs, endMs)
 *   book.expire(nowMs)                     forgets what ended long ago; apply() does it too
 *   book.stats()
 *
 * A pod owns an address from the first event that shows it until it is deleted or its phase becomes Succeeded or Failed
 * (such pods keep their podIP in the API while the address already serves another), or until another pod shows it.
 * Pods of the host's network own nothing: their address is the node's. An owner object is the same for as long as its pod,
 * node or Service is: whoever resolves often can key a WeakMap or Map by it, or use its `id`.
 */
import {
  addressKey,
  formatAddress,
  isV4,
  keyAddress,
  maskAddress,
  formatCidr,
  parseAddress,
  parseCidr,
  v4Number,
  v6Key,
  type AddressKey,
} from '../../lib/ip.ts';
import { sameData } from '../../lib/json/same-data.ts';
import { ClusterPrefixes } from './cluster-prefixes.ts';
import type { ClusterEvent, NodeRecord, PodRecord, ServiceRecord } from './model.ts';

/** `id` is unique for the life of the book and never used again. */
export type AddressOwner =
  /** `pod`: the latest record of it. */
  | { readonly kind: 'Pod'; readonly id: number; pod: PodRecord }
  /** An address of the node, or its pod gateway (the source of masqueraded traffic). */
  | { readonly kind: 'Node'; readonly id: number; readonly name: string }
  | { readonly kind: 'Service'; readonly id: number; service: ServiceRecord }
  /** Outside of the cluster: the prefix as it was reported, else the address's /24 or /48. */
  | { readonly kind: 'External'; readonly id: number; readonly cidr: string }
  /** Inside of the cluster's ranges, or loopback, but nobody's that is known. */
  | { readonly kind: 'Unknown'; readonly id: number; readonly address: string };

export interface AddressBookOptions {
  /** How long an interval is kept after its end. Default 15 min: what an agent buffers while it cannot report. */
  readonly historyMs?: number;
  /** Ended intervals kept at most; the oldest are dropped, and counted. Default 100,000. */
  readonly maxEnded?: number;
  /**
   * A period that no interval overlaps goes to the nearest one, if it ended at most so long before (orphaned sockets still
   * deliver) … Default 30 s, three report intervals.
   */
  readonly lingerMs?: number;
  /** … or begins at most so long after: a source shows pods late, a rewritten snapshot file by minutes. Default 5 min. */
  readonly lateMs?: number;
}

export interface AddressBookStats {
  /** Addresses that somebody owns now. */
  readonly live: number;
  readonly ended: number;
  /** Ended intervals dropped for number, not for age. */
  readonly dropped: number;
  /** Times that a pod showed an address which another living pod had. */
  readonly conflicts: number;
}

type PodOwner = Extract<AddressOwner, { kind: 'Pod' }>;
type StaticOwner = Extract<AddressOwner, { kind: 'Node' | 'Service' }>;

interface Interval {
  readonly key: AddressKey;
  readonly owner: PodOwner;
  readonly startMs: number;
  /** Infinity while it lasts. */
  endMs: number;
}
interface PodEntry {
  readonly owner: PodOwner;
  /** What it owns now, in arrays without room to spare: a hundred thousand pods have an address or two each. */
  open: readonly Interval[];
}

/** Names of outside and unknown addresses are remembered to this number, so that a scan of addresses cannot fill the memory. */
const MAX_NAMED = 65_536;

export class AddressBook {
  private readonly historyMs: number;
  private readonly maxEnded: number;
  private readonly lingerMs: number;
  private readonly lateMs: number;
  /** Intervals of an address in order of their start; nearly always one. */
  private readonly intervals = new Map<AddressKey, Interval[]>();
  private readonly pods = new Map<string, PodEntry>();
  private readonly ended: Interval[] = [];
  private endedHead = 0;
  private readonly nodeAddresses = new OwnedAddresses();
  private readonly gateways = new OwnedAddresses();
  private readonly serviceAddresses = new OwnedAddresses();
  private readonly nodeOwners = new Map<string, { owner: StaticOwner; record: NodeRecord }>();
  private readonly serviceOwners = new Map<string, { owner: StaticOwner; record: ServiceRecord }>();
  private readonly prefixes = new ClusterPrefixes();
  private named = new Map<AddressKey, AddressOwner>();
  private namedPrefixes = new Map<string, AddressOwner>();
  private lastId = 0;
  private dropped = 0;
  private conflicts = 0;
  private live = 0;

  constructor(options: AddressBookOptions = {}) {
    this.historyMs = options.historyMs ?? 15 * 60_000;
    this.maxEnded = options.maxEnded ?? 100_000;
    this.lingerMs = options.lingerMs ?? 30_000;
    this.lateMs = options.lateMs ?? 5 * 60_000;
  }

  stats(): AddressBookStats {
    return {
      live: this.live,
      ended: this.ended.length - this.endedHead,
      dropped: this.dropped,
      conflicts: this.conflicts,
    };
  }

  apply(events: readonly ClusterEvent[], nowMs: number): void {
    for (const { op, record } of events) {
      if (record.type === 'pod') {
        if (op === 'upsert') this.upsertPod(record, nowMs);
        else this.endPod(record.uid, nowMs);
      } else if (record.type === 'node') this.setNode(record, op === 'upsert');
      else if (record.type === 'service') this.setService(record, op === 'upsert');
    }
    // What was outside or unknown may be inside or known now.
    if (this.prefixes.takeChanged()) this.forgetNames();
    this.expire(nowMs);
  }

  /**
   * @param addresses 16 bytes from `offset`, IPv4 as ::ffff:a.b.c.d
   * @param prefixLength less than 128: a folded prefix, hence outside
   */
  resolve(addresses: Uint8Array, offset: number, startMs: number, endMs: number, prefixLength = 128): AddressOwner {
    if (prefixLength < 128) return this.prefix(addresses, offset, prefixLength);
    const key = isV4(addresses, offset) ? v4Number(addresses, offset) : v6Key(addresses, offset);
    return this.resolveKey(key, startMs, endMs);
  }

  resolveKey(key: AddressKey, startMs: number, endMs: number): AddressOwner {
    const intervals = this.intervals.get(key);
    if (intervals !== undefined) {
      const only = intervals.length === 1 ? intervals[0] : undefined;
      if (only !== undefined && only.startMs <= endMs && only.endMs >= startMs) return only.owner;
      const owner = this.bestOf(intervals, startMs, endMs);
      if (owner !== undefined) return owner;
    }
    return this.nodeAddresses.get(key) ?? this.serviceAddresses.get(key) ?? this.gateways.get(key) ?? this.name(key);
  }

  /** Drops ended intervals that are too old or too many. */
  expire(nowMs: number): void {
    const { ended } = this;
    while (this.endedHead < ended.length) {
      const tooMany = ended.length - this.endedHead > this.maxEnded;
      const interval = ended[this.endedHead]!;
      if (!tooMany && interval.endMs >= nowMs - this.historyMs) break;
      if (tooMany) this.dropped++;
      this.endedHead++;
      const { key } = interval;
      const intervals = this.intervals.get(key);
      if (intervals === undefined) continue;
      const at = intervals.indexOf(interval);
      if (at >= 0) intervals.splice(at, 1);
      if (intervals.length === 0) this.intervals.delete(key);
    }
    if (this.endedHead > 1024 && this.endedHead * 2 > ended.length) {
      ended.splice(0, this.endedHead);
      this.endedHead = 0;
    }
  }

  /** The greatest overlap, the later of equals; without any the nearest within its tolerance. */
  private bestOf(intervals: readonly Interval[], startMs: number, endMs: number): PodOwner | undefined {
    let best: PodOwner | undefined;
    let bestOverlap = -Infinity;
    for (const { owner, startMs: from, endMs: to } of intervals) {
      // Negative: the distance.
      const overlap = Math.min(to, endMs) - Math.max(from, startMs);
      if (overlap < bestOverlap) continue;
      if (overlap < 0 && (to < startMs ? -overlap > this.lingerMs : -overlap > this.lateMs)) continue;
      best = owner;
      bestOverlap = overlap;
    }
    return best;
  }

  private upsertPod(record: PodRecord, nowMs: number): void {
    let entry = this.pods.get(record.uid);
    const ownsNothing = record.hostNetwork || record.phase === 'Succeeded' || record.phase === 'Failed';
    if (ownsNothing || record.addresses.length === 0) {
      // An address that vanished from a living pod's status is not its any more either.
      if (entry !== undefined) this.endPod(record.uid, nowMs);
      return;
    }
    if (entry === undefined) {
      entry = { owner: { kind: 'Pod', id: ++this.lastId, pod: record }, open: [] };
      this.pods.set(record.uid, entry);
    }
    entry.owner.pod = record;
    const shown: AddressKey[] = [];
    for (const text of record.addresses) {
      const bytes = parseAddress(text);
      if (bytes === undefined) continue;
      const key = addressKey(bytes);
      shown.push(key);
      if (!entry.open.some((interval) => interval.key === key)) this.begin(entry, key, nowMs);
    }
    for (const interval of entry.open) if (!shown.includes(interval.key)) this.end(entry, interval, nowMs);
  }

  private begin(entry: PodEntry, key: AddressKey, nowMs: number): void {
    const intervals = this.intervals.get(key);
    const last = intervals?.at(-1);
    if (last !== undefined && last.endMs === Infinity) {
      this.conflicts++;
      const loser = this.pods.get(last.owner.pod.uid);
      if (loser !== undefined) this.end(loser, last, nowMs);
    }
    const interval: Interval = { key, owner: entry.owner, startMs: nowMs, endMs: Infinity };
    if (intervals === undefined) this.intervals.set(key, [interval]);
    else intervals.push(interval);
    entry.open = [...entry.open, interval];
    this.live++;
    this.prefixes.addPodAddress(key);
  }

  private end(entry: PodEntry, interval: Interval, nowMs: number): void {
    interval.endMs = nowMs;
    entry.open = entry.open.filter((other) => other !== interval);
    this.live--;
    this.ended.push(interval);
    this.prefixes.removePodAddress(interval.key);
  }

  private endPod(uid: string, nowMs: number): void {
    const entry = this.pods.get(uid);
    if (entry === undefined) return;
    for (const interval of entry.open) this.end(entry, interval, nowMs);
    this.pods.delete(uid);
  }

  private setNode(record: NodeRecord, present: boolean): void {
    const old = this.nodeOwners.get(record.name);
    if (old !== undefined && present && sameAddresses(old.record, record)) return;
    if (old !== undefined) this.placeNode(old.record, old.owner, false);
    if (!present) {
      this.nodeOwners.delete(record.name);
      return;
    }
    const owner = old?.owner ?? { kind: 'Node', id: ++this.lastId, name: record.name };
    this.nodeOwners.set(record.name, { owner, record });
    this.placeNode(record, owner, true);
  }

  private placeNode(record: NodeRecord, owner: StaticOwner, present: boolean): void {
    for (const text of record.addresses) {
      const bytes = parseAddress(text);
      if (bytes === undefined) continue;
      this.nodeAddresses.set(addressKey(bytes), owner, present);
      this.prefixes.touch();
    }
    for (const text of record.podCidrs) {
      const cidr = parseCidr(text);
      if (cidr === undefined) continue;
      this.prefixes.setPodCidr(cidr, present);
      if (cidr.prefixLength > 126) continue;
      // The bridge or veth gateway has the first address (CNI's host-local), flannel's own device the zeroth.
      const first = cidr.address.slice();
      this.gateways.set(addressKey(first), owner, present);
      first[15] = first[15]! | 1;
      this.gateways.set(addressKey(first), owner, present);
    }
  }

  private setService(record: ServiceRecord, present: boolean): void {
    const name = `${record.namespace}/${record.name}`;
    const old = this.serviceOwners.get(name);
    if (old !== undefined) {
      for (const key of keysOf(old.record)) {
        this.serviceAddresses.set(key, old.owner, false);
        this.prefixes.setServiceAddress(key, false);
      }
    }
    if (!present) {
      this.serviceOwners.delete(name);
      return;
    }
    const owner: StaticOwner = old?.owner ?? { kind: 'Service', id: ++this.lastId, service: record };
    if (owner.kind === 'Service') owner.service = record;
    this.serviceOwners.set(name, { owner, record });
    for (const key of keysOf(record)) {
      this.serviceAddresses.set(key, owner, true);
      this.prefixes.setServiceAddress(key, true);
    }
  }

  private forgetNames(): void {
    this.named = new Map();
  }

  /** Names an address that belongs to nobody. */
  private name(key: AddressKey): AddressOwner {
    const known = this.named.get(key);
    if (known !== undefined) return known;
    let owner: AddressOwner;
    if (this.prefixes.contains(key)) {
      owner = { kind: 'Unknown', id: ++this.lastId, address: formatAddress(keyAddress(key)) };
    } else {
      owner = this.prefix(keyAddress(key), 0, typeof key === 'number' ? 96 + 24 : 48);
    }
    if (this.named.size >= MAX_NAMED) this.named.clear();
    this.named.set(key, owner);
    return owner;
  }

  private prefix(addresses: Uint8Array, offset: number, prefixLength: number): AddressOwner {
    const address = maskAddress(addresses, prefixLength, offset);
    const key = `${prefixLength}/${v6Key(address, 0)}`;
    let owner = this.namedPrefixes.get(key);
    if (owner === undefined) {
      owner = { kind: 'External', id: ++this.lastId, cidr: formatCidr({ address, prefixLength }) };
      if (this.namedPrefixes.size >= MAX_NAMED) this.namedPrefixes.clear();
      this.namedPrefixes.set(key, owner);
    }
    return owner;
  }
}

function sameAddresses(a: NodeRecord, b: NodeRecord): boolean {
  return sameData(a.addresses, b.addresses) && sameData(a.podCidrs, b.podCidrs);
}

function* keysOf(record: ServiceRecord): Generator<AddressKey> {
  for (const text of record.addresses) {
    const bytes = parseAddress(text);
    if (bytes !== undefined) yield addressKey(bytes);
  }
}

/** Addresses that several may claim (Services of one external IP): the last claimant is answered until it withdraws. */
class OwnedAddresses {
  private readonly byKey = new Map<AddressKey, StaticOwner[]>();

  get(key: AddressKey): StaticOwner | undefined {
    return this.byKey.get(key)?.at(-1);
  }

  set(key: AddressKey, owner: StaticOwner, present: boolean): void {
    const owners = (this.byKey.get(key) ?? []).filter((other) => other !== owner);
    if (present) owners.push(owner);
    if (owners.length === 0) this.byKey.delete(key);
    else this.byKey.set(key, owners);
  }
}
