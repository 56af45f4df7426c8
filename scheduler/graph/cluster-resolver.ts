import { type AddressKey, addressKey, parseAddress } from '../../lib/ip.ts';
import type { AddressBook, AddressOwner } from '../cluster/address-book.ts';
import type { ClusterEvent, WorkloadRef } from '../cluster/model.ts';
import type { ClusterState } from '../cluster/state.ts';
import type { AddressResolver, Resolution } from './resolver.ts';

interface Cached {
  readonly resolution: Resolution;
  /** Cluster version for which it was made or found unchanged. */
  version: number;
}

const FAR_MS = 8.64e15;
/** More changed addresses than this, and all are taken to have changed. */
const MAX_CHANGED = 10_000;

/**
 * Answers the graph from cluster state and address book. Events go through `apply`, which feeds both and notes which
 * answers they may change; where somebody else feeds them, every answer counts as changed.
 */
export class ClusterResolver implements AddressResolver {
  ready = false;
  readonly #state: ClusterState;
  readonly #book: AddressBook;
  #cached = new WeakMap<AddressOwner, Cached>();
  #serviceNodes = new Map<string, readonly string[]>();
  #serviceVersion = -1;

  lasting = false;
  #changed: 'all' | Set<AddressKey> = new Set();
  /** Version of the cluster up to which #changed tells all. */
  #notedVersion: number;

  constructor(state: ClusterState, book: AddressBook) {
    this.#state = state;
    this.#book = book;
    this.#notedVersion = state.version;
  }

  /** As ClusterSink's apply(), with the wall clock of the address book. */
  apply(events: readonly ClusterEvent[], nowMs: number): void {
    const seamless = this.#notedVersion === this.#state.version;
    for (const event of events) this.#note(event);
    this.#state.apply(events);
    this.#book.apply(events, nowMs);
    if (seamless) this.#notedVersion = this.#state.version;
  }

  takeChanged(): 'all' | readonly AddressKey[] {
    const { version } = this.#state;
    const changed = version === this.#notedVersion ? this.#changed : 'all';
    this.#notedVersion = version;
    if (changed !== 'all' && changed.size === 0) return NONE;
    this.#changed = new Set();
    return changed === 'all' ? changed : [...changed];
  }

  /** Before it is applied: what was and what will be. */
  #note({ op, record }: ClusterEvent): void {
    if (this.#changed === 'all') return;
    switch (record.type) {
      case 'pod':
        this.#noteAddresses(record.addresses);
        this.#noteAddresses(this.#state.pod(record.uid)?.addresses ?? []);
        // A pod of this name and another uid is replaced by it.
        this.#noteAddresses(this.#state.podNamed(record.namespace, record.name)?.addresses ?? []);
        return;
      case 'service':
        this.#noteAddresses(record.addresses);
        this.#noteAddresses(this.#state.service(record.namespace, record.name)?.addresses ?? []);
        return;
      case 'node': {
        const old = this.#state.node(record.name);
        const same =
          old !== undefined && sameList(old.addresses, record.addresses) && sameList(old.podCidrs, record.podCidrs);
        if (op === 'delete' || !same) this.#changed = 'all';
        return;
      }
      case 'controller': {
        const old = this.#state.controller(record.namespace, record.kind, record.name);
        const same =
          old !== undefined && old.owner?.kind === record.owner?.kind && old.owner?.name === record.owner?.name;
        // Pods below it may belong to another workload now.
        if (op === 'delete' || !same) this.#changed = 'all';
        return;
      }
      case 'namespace':
    }
  }

  #noteAddresses(addresses: readonly string[]): void {
    if (this.#changed === 'all') return;
    for (const text of addresses) {
      const bytes = parseAddress(text);
      if (bytes !== undefined) this.#changed.add(addressKey(bytes));
    }
    if (this.#changed.size > MAX_CHANGED) this.#changed = 'all';
  }

  get version(): number {
    // Readiness changes every answer.
    return this.ready ? this.#state.version : -1;
  }

  resolve(bytes: Uint8Array, offset: number, prefixLength: number, startMs: number, endMs: number): Resolution {
    const owner = this.#book.resolve(bytes, offset, startMs, endMs, prefixLength);
    // What is outside or unknown may be inside with the next pod, so it is asked again. For the others: time only takes
    // ended owners farther away, so an answer that is also that of the far future holds in between.
    this.lasting =
      owner.kind !== 'External' &&
      owner.kind !== 'Unknown' &&
      this.#book.resolve(bytes, offset, FAR_MS, FAR_MS) === owner;
    if (owner.kind !== 'Pod' && owner.kind !== 'Service') return owner;
    const known = this.#cached.get(owner);
    const { version } = this.#state;
    if (known !== undefined && known.version === version) return known.resolution;
    return owner.kind === 'Pod' ? this.#pod(owner, known, version) : this.#service(owner, known, version);
  }

  serviceNodes(namespace: string, name: string): readonly string[] {
    const { version } = this.#state;
    if (version !== this.#serviceVersion) {
      this.#serviceVersion = version;
      this.#serviceNodes = new Map();
    }
    const key = `${namespace}/${name}`;
    let nodes = this.#serviceNodes.get(key);
    if (nodes === undefined) {
      const service = this.#state.service(namespace, name);
      const workloads = service === undefined ? [] : this.#state.selectedBy(service);
      nodes = [...new Set(workloads.flatMap((workload) => [...workload.placedByNode.keys()]))];
      this.#serviceNodes.set(key, nodes);
    }
    return nodes;
  }

  #pod(owner: Extract<AddressOwner, { kind: 'Pod' }>, known: Cached | undefined, version: number): Resolution {
    const { pod } = owner;
    const workload = this.#state.workloadOf(pod);
    const old = known?.resolution;
    if (old?.kind === 'Pod' && old.node === (pod.node ?? '') && sameRef(old.workload, workload)) {
      known!.version = version;
      return old;
    }
    const { namespace, name } = pod;
    const resolution: Resolution = { kind: 'Pod', namespace, name, node: pod.node ?? '', workload };
    this.#cached.set(owner, { resolution, version });
    return resolution;
  }

  #service(owner: Extract<AddressOwner, { kind: 'Service' }>, known: Cached | undefined, version: number): Resolution {
    if (known !== undefined) {
      known.version = version;
      return known.resolution;
    }
    const { namespace, name } = owner.service;
    const resolution: Resolution = { kind: 'Service', namespace, name };
    this.#cached.set(owner, { resolution, version });
    return resolution;
  }
}

const NONE: readonly AddressKey[] = [];

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, i) => text === b[i]);
}

function sameRef(a: WorkloadRef, b: WorkloadRef): boolean {
  return a.namespace === b.namespace && a.kind === b.kind && a.name === b.name;
}
