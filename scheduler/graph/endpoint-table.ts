import type { WorkloadRef } from '../cluster/model.ts';

/** How people see an end of an edge. `kind` of a workload is its Kubernetes kind ("Deployment"; a bare pod: "Pod"). */
export interface Endpoint {
  readonly kind: string;
  /** '' for what has none: Node, External, Unknown. */
  readonly namespace: string;
  /** Node, Service or object name; a CIDR (External), an address (Unknown), or OTHER_NAME. */
  readonly name: string;
}

export const CLASS_WORKLOAD = 0;
export const CLASS_POD = 1;
export const CLASS_NODE = 2;
export const CLASS_SERVICE = 3;
export const CLASS_EXTERNAL = 4;
export const CLASS_UNKNOWN = 5;
/** What an endpoint is to the graph. Pods lie below workloads; all others stand in both levels. */
export type EndpointClass = 0 | 1 | 2 | 3 | 4 | 5;

const CLASS_KINDS = ['', 'Pod', 'Node', 'Service', 'External', 'Unknown'] as const;

/** The endpoint that stands for those beyond a bound. */
export const OTHER_NAME = 'other';
/** Never recycled. */
export const EXTERNAL_OTHER = 0;
export const UNKNOWN_OTHER = 1;
const FIXED = 2;

/**
 * Endpoints as small integers. An id lives as long as an edge refers to it (`retain`/`release`) or until the next
 * `sweep`, and is then given to another endpoint.
 */
export class EndpointTable {
  #capacity = 1024;
  #used = 0;
  readonly #free: number[] = [];
  readonly #endpoints: (Endpoint | undefined)[] = [];
  readonly #keys: (string | undefined)[] = [];
  readonly #ids = new Map<string, number>();
  readonly #workloads = new WeakMap<Endpoint, number>();
  #refs = new Int32Array(this.#capacity);
  #saved = new Uint8Array(this.#capacity);
  /** EndpointClass by id. */
  classes = new Uint8Array(this.#capacity);
  /** Workload of a pod; the id itself for all others. */
  parents = new Int32Array(this.#capacity);
  /** How many External and Unknown endpoints a workload has edges with. */
  outsidePeers = new Int32Array(this.#capacity);
  readonly max: number;

  constructor(max: number) {
    this.max = Math.max(max, FIXED);
    this.intern(CLASS_EXTERNAL, '', '', OTHER_NAME);
    this.intern(CLASS_UNKNOWN, '', '', OTHER_NAME);
  }

  get size(): number {
    return this.#used - this.#free.length;
  }

  get full(): boolean {
    return this.size >= this.max;
  }

  /** Id of an endpoint that is not a pod. UNKNOWN_OTHER where the table is full. */
  intern(cls: EndpointClass, kind: string, namespace: string, name: string): number {
    const key = `${String(cls)}\0${kind}\0${namespace}\0${name}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.#take();
    if (id < 0) return UNKNOWN_OTHER;
    this.#put(id, cls, key, { kind: cls === CLASS_WORKLOAD ? kind : CLASS_KINDS[cls], namespace, name }, id);
    return id;
  }

  internWorkload(ref: WorkloadRef): number {
    return this.intern(CLASS_WORKLOAD, ref.kind, ref.namespace, ref.name);
  }

  /** Its workload's id where the table is full. */
  internPod(namespace: string, name: string, workload: number): number {
    const key = `1\0${namespace}\0${name}\0${String(workload)}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.#take();
    if (id < 0) return workload;
    const pod: Endpoint = { kind: 'Pod', namespace, name };
    this.#workloads.set(pod, workload);
    this.#put(id, CLASS_POD, key, pod, workload);
    this.#refs[workload]!++;
    return id;
  }

  /** Puts an endpoint that is not a pod at a given id, into a table without recycled ids (state from a store). */
  restore(id: number, cls: EndpointClass, endpoint: Endpoint): void {
    const kind = cls === CLASS_WORKLOAD ? endpoint.kind : '';
    const key = `${String(cls)}\0${kind}\0${endpoint.namespace}\0${endpoint.name}`;
    if (id < FIXED) return;
    while (this.#used <= id) {
      this.#grow(this.#used + 1);
      if (this.#used < id) this.#free.push(this.#used);
      this.#used++;
    }
    const hole = this.#free.lastIndexOf(id);
    if (hole >= 0) this.#free.splice(hole, 1);
    this.#put(id, cls, key, endpoint, id);
    this.#saved[id] = 1;
  }

  at(id: number): Endpoint {
    const endpoint = this.#endpoints[id];
    if (endpoint === undefined) throw new RangeError(`no endpoint ${String(id)}`);
    return endpoint;
  }

  find(cls: EndpointClass, kind: string, namespace: string, name: string): number | undefined {
    return this.#ids.get(`${String(cls)}\0${kind}\0${namespace}\0${name}`);
  }

  /** By identity of what `at` gave for a pod. */
  workloadOfPod(pod: Endpoint): Endpoint | undefined {
    const parent = this.#workloads.get(pod);
    return parent === undefined ? undefined : this.at(parent);
  }

  isOutside(id: number): boolean {
    return this.classes[id]! >= CLASS_EXTERNAL;
  }

  retain(id: number): void {
    this.#refs[id]!++;
  }

  release(id: number): void {
    this.#refs[id]!--;
  }

  /** Whether the store knows this id; marks it as known. */
  testAndSetSaved(id: number): boolean {
    if (this.#saved[id] === 1) return true;
    this.#saved[id] = 1;
    return false;
  }

  clearSaved(id: number): void {
    this.#saved[id] = 0;
  }

  /** Frees every id that no edge refers to. Whoever keeps ids outside of edges must forget them. Returns those the store knew. */
  sweep(): number[] {
    const forgotten: number[] = [];
    // Pods first: they hold their workloads.
    for (const pods of [true, false]) {
      for (let id = FIXED; id < this.#used; id++) {
        const key = this.#keys[id];
        if (key === undefined || this.#refs[id] !== 0 || (this.classes[id] === CLASS_POD) !== pods) continue;
        this.#ids.delete(key);
        this.#keys[id] = undefined;
        this.#endpoints[id] = undefined;
        if (pods) this.#refs[this.parents[id]!]!--;
        if (this.#saved[id] === 1) forgotten.push(id);
        this.#free.push(id);
      }
    }
    return forgotten;
  }

  #take(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#used >= this.max) return -1;
    this.#grow(this.#used + 1);
    return this.#used++;
  }

  #put(id: number, cls: EndpointClass, key: string, endpoint: Endpoint, parent: number): void {
    this.#ids.set(key, id);
    this.#keys[id] = key;
    this.#endpoints[id] = endpoint;
    this.#refs[id] = 0;
    this.#saved[id] = 0;
    this.classes[id] = cls;
    this.parents[id] = parent;
    this.outsidePeers[id] = 0;
  }

  #grow(needed: number): void {
    if (needed <= this.#capacity) return;
    while (this.#capacity < needed) this.#capacity *= 2;
    const wider = <T extends Int32Array | Uint8Array>(from: T, to: T): T => {
      to.set(from);
      return to;
    };
    this.#refs = wider(this.#refs, new Int32Array(this.#capacity));
    this.#saved = wider(this.#saved, new Uint8Array(this.#capacity));
    this.classes = wider(this.classes, new Uint8Array(this.#capacity));
    this.parents = wider(this.parents, new Int32Array(this.#capacity));
    this.outsidePeers = wider(this.outsidePeers, new Int32Array(this.#capacity));
  }
}
