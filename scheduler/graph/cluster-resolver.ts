import type { AddressBook, AddressOwner } from '../cluster/address-book.ts';
import type { WorkloadRef } from '../cluster/model.ts';
import type { ClusterState } from '../cluster/state.ts';
import type { AddressResolver, Resolution } from './resolver.ts';

interface Cached {
  readonly resolution: Resolution;
  /** Cluster version for which it was made or found unchanged. */
  version: number;
}

/** Answers the graph from cluster state and address book. */
export class ClusterResolver implements AddressResolver {
  ready = false;
  readonly #state: ClusterState;
  readonly #book: AddressBook;
  #cached = new WeakMap<AddressOwner, Cached>();
  #serviceNodes = new Map<string, readonly string[]>();
  #serviceVersion = -1;

  constructor(state: ClusterState, book: AddressBook) {
    this.#state = state;
    this.#book = book;
  }

  get version(): number {
    // Readiness changes every answer.
    return this.ready ? this.#state.version : -1;
  }

  resolve(bytes: Uint8Array, offset: number, prefixLength: number, startMs: number, endMs: number): Resolution {
    const owner = this.#book.resolve(bytes, offset, startMs, endMs, prefixLength);
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

function sameRef(a: WorkloadRef, b: WorkloadRef): boolean {
  return a.namespace === b.namespace && a.kind === b.kind && a.name === b.name;
}
