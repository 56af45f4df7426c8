import { ROLE_SERVER } from '../../proto/report.ts';
import { isV4 } from '../../lib/ip.ts';
import { AddressCache } from './address-cache.ts';
import type { NodeState, NodeStates } from './agents.ts';
import {
  CLASS_EXTERNAL,
  CLASS_NODE,
  CLASS_POD,
  CLASS_SERVICE,
  CLASS_UNKNOWN,
  type EndpointClass,
  type EndpointTable,
} from './endpoint-table.ts';
import type { AddressResolver, Resolution } from './resolver.ts';

/** An address of a report, resolved. */
export interface Peer {
  readonly cls: EndpointClass;
  /** Endpoint id: a pod's, or that of what is no pod. */
  readonly endpoint: number;
  /** The node of a pod, or the node itself. */
  readonly node: NodeState | undefined;
  readonly service: ServicePeer | undefined;
  readonly loopback: boolean;
  readonly ipv6: boolean;
  /** Unknown only: graph time until which its rows wait for its owner to become known. */
  readonly waitUntilMs: number;
}

interface ServicePeer {
  readonly namespace: string;
  readonly name: string;
  /** A node with one of its pods that had an agent when last looked at, for that version of the cluster. */
  covered: NodeState | undefined;
  version: number;
}

export const BOOK = 0;
export const HOLD = 1;
export const DUPLICATE = 2;
export const FOREIGN = 3;
export const LOOPBACK = 4;
/** What becomes of a row. */
export type Verdict = 0 | 1 | 2 | 3 | 4;

export interface AttributionOptions {
  /** How long a client's view waits for the agent of its server's node, ms. */
  readonly coverGraceMs: number;
  /** How long the rows of an address in the cluster that is nobody's wait for its owner, ms. */
  readonly resolveGraceMs: number;
}

const MAX_UNRESOLVED = 16_384;
/** An address that was not heard of for this long is given its grace again: it may be another pod's by now. */
const UNRESOLVED_FORGOTTEN_MS = 60_000;

/** An address that was found to be nobody's, graph time. */
interface Unresolved {
  readonly sinceMs: number;
  lastMs: number;
}

/** Addresses -> endpoints, and the verdict on a row. */
export class Attribution {
  readonly #resolver: AddressResolver;
  readonly #endpoints: EndpointTable;
  readonly #nodes: NodeStates;
  readonly #options: AttributionOptions;
  /** Answers that hold from a time on. */
  readonly #lasting = new AddressCache<{ readonly peer: Peer; readonly fromMs: number }>();
  /** Graph time minus wall-clock time, which the address book has. */
  skewMs = 0;
  #peers = new WeakMap<Resolution, Peer>();
  readonly #unresolved = new Map<string, Unresolved>();
  #startMs = Number.POSITIVE_INFINITY;

  constructor(resolver: AddressResolver, endpoints: EndpointTable, nodes: NodeStates, options: AttributionOptions) {
    this.#resolver = resolver;
    this.#endpoints = endpoints;
    this.#nodes = nodes;
    this.#options = options;
  }

  get resolverVersion(): number {
    return this.#resolver.version;
  }

  /** Nodes without an agent get their grace from here on. */
  started(nowMs: number): void {
    if (nowMs < this.#startMs) this.#startMs = nowMs;
  }

  /** Endpoint ids may have changed their meaning. */
  forget(): void {
    this.#peers = new WeakMap();
    this.#lasting.clear();
  }

  /** To be called before the addresses of a report are resolved: the cluster may have changed since the last one. */
  refresh(): void {
    const changed = this.#resolver.takeChanged();
    if (changed === 'all') this.#lasting.clear();
    else for (const key of changed) this.#lasting.delete(key);
  }

  /** Owner of an address during a period of graph time. */
  peer(bytes: Uint8Array, offset: number, prefixLength: number, startMs: number, endMs: number): Peer {
    const cached = prefixLength === 128 ? this.#lasting.get(bytes, offset) : undefined;
    if (cached !== undefined && startMs >= cached.fromMs) return cached.peer;
    const { skewMs } = this;
    const resolution = this.#resolver.resolve(bytes, offset, prefixLength, startMs - skewMs, endMs - skewMs);
    const ipv6 = !isV4(bytes, offset);
    const waitUntilMs =
      resolution.kind === 'Unknown' ? this.#waitUntil(resolution.address, endMs) : Number.NEGATIVE_INFINITY;
    const known = this.#peers.get(resolution);
    // A pod's or Service's object is the same for both families.
    let peer = known;
    if (peer === undefined || peer.ipv6 !== ipv6 || peer.waitUntilMs !== waitUntilMs) {
      const loopback = resolution.kind === 'Unknown' && isLoopback(bytes, offset);
      peer = { ...this.#identify(resolution), loopback, ipv6, waitUntilMs };
      this.#peers.set(resolution, peer);
    }
    if (this.#resolver.lasting && prefixLength === 128) this.#lasting.set(bytes, offset, { peer, fromMs: startMs });
    return peer;
  }

  /** Whether a row between these addresses is to be booked. Its local end is at `reporter`. */
  judge(local: Peer, remote: Peer, role: number, reporter: NodeState, nowMs: number): Verdict {
    // A pod that talks to its own address never leaves its namespace; equal peers are the same object.
    if (local.loopback || (local === remote && local.cls === CLASS_POD)) return LOOPBACK;
    if (local.node !== undefined && local.node !== reporter) return FOREIGN;
    if (!this.#resolver.ready) return HOLD;
    if (local.waitUntilMs > nowMs) return HOLD;
    if (remote.waitUntilMs > nowMs) return HOLD;
    if (role === ROLE_SERVER) return BOOK;
    switch (remote.cls) {
      case CLASS_POD:
      case CLASS_NODE:
        if (remote.node === reporter) return DUPLICATE;
        return this.#uncovered(remote.node, nowMs);
      case CLASS_SERVICE:
        return this.#serviceUncovered(remote, nowMs);
      default:
        return BOOK;
    }
  }

  /** BOOK where the node has had no agent for the grace period, HOLD within it. */
  #uncovered(node: NodeState | undefined, nowMs: number): Verdict {
    if (node === undefined || !node.heard) {
      return nowMs - this.#startMs >= this.#options.coverGraceMs ? BOOK : HOLD;
    }
    if (node.isCovered(nowMs)) return DUPLICATE;
    const sinceMs = Math.max(node.coveredUntilMs, this.#startMs);
    return nowMs - sinceMs >= this.#options.coverGraceMs ? BOOK : HOLD;
  }

  #serviceUncovered(peer: Peer, nowMs: number): Verdict {
    const { service } = peer;
    let verdict: Verdict = nowMs - this.#startMs >= this.#options.coverGraceMs ? BOOK : HOLD;
    if (service === undefined) return verdict;
    // Half of all rows are clients' views of Services: one covered node is enough, and mostly stays so.
    if (service.version === this.#resolver.version && service.covered?.isCovered(nowMs) === true) return DUPLICATE;
    service.version = this.#resolver.version;
    service.covered = undefined;
    for (const name of this.#resolver.serviceNodes(service.namespace, service.name)) {
      const node = this.#nodes.of(name);
      const of = this.#uncovered(node, nowMs);
      if (of === DUPLICATE) {
        service.covered = node;
        return DUPLICATE;
      }
      if (of === HOLD) verdict = HOLD;
    }
    return verdict;
  }

  #identify(resolution: Resolution): Pick<Peer, 'cls' | 'endpoint' | 'node' | 'service'> {
    const endpoints = this.#endpoints;
    const none = { node: undefined, service: undefined };
    switch (resolution.kind) {
      case 'Pod': {
        const workload = endpoints.internWorkload(resolution.workload);
        const endpoint = endpoints.internPod(resolution.namespace, resolution.name, workload);
        return { ...none, cls: CLASS_POD, endpoint, node: this.#nodes.of(resolution.node) };
      }
      case 'Node': {
        const endpoint = endpoints.intern(CLASS_NODE, '', '', resolution.name);
        return { ...none, cls: CLASS_NODE, endpoint, node: this.#nodes.of(resolution.name) };
      }
      case 'Service': {
        const { namespace, name } = resolution;
        const endpoint = endpoints.intern(CLASS_SERVICE, '', namespace, name);
        return { ...none, cls: CLASS_SERVICE, endpoint, service: { namespace, name, version: -1, covered: undefined } };
      }
      case 'External':
        return { ...none, cls: CLASS_EXTERNAL, endpoint: endpoints.intern(CLASS_EXTERNAL, '', '', resolution.cidr) };
      case 'Unknown':
        return { ...none, cls: CLASS_UNKNOWN, endpoint: endpoints.intern(CLASS_UNKNOWN, '', '', resolution.address) };
    }
  }

  #waitUntil(key: string, nowMs: number): number {
    let entry = this.#unresolved.get(key);
    if (entry === undefined || nowMs - entry.lastMs > UNRESOLVED_FORGOTTEN_MS) {
      if (this.#unresolved.size >= MAX_UNRESOLVED) this.#unresolved.clear();
      entry = { sinceMs: nowMs, lastMs: nowMs };
      this.#unresolved.set(key, entry);
    }
    if (nowMs > entry.lastMs) entry.lastMs = nowMs;
    return entry.sinceMs + this.#options.resolveGraceMs;
  }
}

/** 127.0.0.0/8 or ::1. */
function isLoopback(bytes: Uint8Array, offset: number): boolean {
  if (isV4(bytes, offset)) return bytes[offset + 12] === 127;
  return bytes[offset + 15] === 1 && bytes.subarray(offset, offset + 15).every((byte) => byte === 0);
}
