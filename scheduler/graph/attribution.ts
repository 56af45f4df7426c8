import { ROLE_SERVER } from '../../proto/report.ts';
import { addressKey, formatAddress, formatCidr, isV4, maskAddress } from '../../lib/ip.ts';
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
  readonly service: { readonly namespace: string; readonly name: string } | undefined;
  readonly loopback: boolean;
  readonly ipv6: boolean;
  /** Unknown only: graph time until which its rows wait for its owner to become known. */
  readonly waitUntilMs: number;
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
/** What is outside the cluster is cached by address; beyond this the cache starts anew. */
const MAX_CACHED = 65_536;

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
  #byResolution = new WeakMap<Resolution, Peer>();
  #byAddress = new Map<string | number, Peer>();
  readonly #unresolved = new Map<string | number, Unresolved>();
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
    this.#byResolution = new WeakMap();
    this.#byAddress = new Map();
  }

  peer(bytes: Uint8Array, offset: number, prefixLength: number, startMs: number, endMs: number): Peer {
    const resolution = this.#resolver.resolve(bytes, offset, prefixLength, startMs, endMs);
    if (resolution.kind === 'External' || resolution.kind === 'Unknown') {
      return this.#outside(resolution.kind, bytes, offset, prefixLength, endMs);
    }
    const known = this.#byResolution.get(resolution);
    // A Service's or pod's object is the same for both families, the row's code is not.
    const ipv6 = !isV4(bytes, offset);
    if (known !== undefined && known.ipv6 === ipv6) return known;
    const peer = this.#inside(resolution, ipv6);
    this.#byResolution.set(resolution, peer);
    return peer;
  }

  /** Whether a row between these addresses is to be booked. Its local end is at `reporter`. */
  judge(local: Peer, remote: Peer, role: number, reporter: NodeState, nowMs: number): Verdict {
    // A pod that talks to its own address never leaves its namespace; equal peers are the same object.
    if (local.loopback || (local === remote && local.cls === CLASS_POD)) return LOOPBACK;
    if (local.node !== undefined && local.node !== reporter) return FOREIGN;
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
    let verdict: Verdict = nowMs - this.#startMs >= this.#options.coverGraceMs ? BOOK : HOLD;
    if (peer.service === undefined) return verdict;
    for (const name of this.#resolver.serviceNodes(peer.service.namespace, peer.service.name)) {
      const of = this.#uncovered(this.#nodes.of(name), nowMs);
      if (of === DUPLICATE) return DUPLICATE;
      if (of === HOLD) verdict = HOLD;
    }
    return verdict;
  }

  #inside(resolution: Exclude<Resolution, { kind: 'External' | 'Unknown' }>, ipv6: boolean): Peer {
    const endpoints = this.#endpoints;
    const common = { loopback: false, ipv6, waitUntilMs: Number.NEGATIVE_INFINITY };
    switch (resolution.kind) {
      case 'Pod': {
        const workload = endpoints.internWorkload(resolution.workload);
        const endpoint = endpoints.internPod(resolution.namespace, resolution.name, workload);
        return { ...common, cls: CLASS_POD, endpoint, node: this.#nodes.of(resolution.node), service: undefined };
      }
      case 'Node': {
        const endpoint = endpoints.intern(CLASS_NODE, '', '', resolution.name);
        return { ...common, cls: CLASS_NODE, endpoint, node: this.#nodes.of(resolution.name), service: undefined };
      }
      case 'Service': {
        const { namespace, name } = resolution;
        const endpoint = endpoints.intern(CLASS_SERVICE, '', namespace, name);
        return { ...common, cls: CLASS_SERVICE, endpoint, node: undefined, service: { namespace, name } };
      }
    }
  }

  #outside(kind: 'External' | 'Unknown', bytes: Uint8Array, offset: number, prefix: number, nowMs: number): Peer {
    const plain = addressKey(bytes, offset);
    const key = prefix === 128 ? plain : `${String(plain)}/${String(prefix)}`;
    const waitUntilMs = kind === 'Unknown' ? this.#waitUntil(key, nowMs) : Number.NEGATIVE_INFINITY;
    const known = this.#byAddress.get(key);
    const cls = kind === 'External' ? CLASS_EXTERNAL : CLASS_UNKNOWN;
    if (known !== undefined && known.cls === cls && known.waitUntilMs === waitUntilMs) return known;
    if (this.#byAddress.size >= MAX_CACHED) this.#byAddress = new Map();
    const address = maskAddress(bytes, prefix, offset);
    const ipv6 = !isV4(address);
    const single = prefix === 128 && kind === 'Unknown';
    const name = single ? formatAddress(address) : formatCidr({ address, prefixLength: prefix });
    const peer: Peer = {
      cls,
      endpoint: this.#endpoints.intern(cls, '', '', name),
      node: undefined,
      service: undefined,
      loopback: isLoopback(address),
      ipv6,
      waitUntilMs,
    };
    this.#byAddress.set(key, peer);
    return peer;
  }

  #waitUntil(key: string | number, nowMs: number): number {
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
function isLoopback(address: Uint8Array): boolean {
  if (isV4(address)) return address[12] === 127;
  return address[15] === 1 && address.subarray(0, 15).every((byte) => byte === 0);
}
