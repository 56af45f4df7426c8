import { formatAddress, isV4, parseAddress } from '../../lib/ip.ts';
import { allocateEdgeColumns } from '../../proto/edge-columns.ts';
import {
  NO_COST,
  NO_LOSSES,
  ROLE_CLIENT,
  ROLE_SERVER,
  type Losses,
  type Report,
  type Uplink,
} from '../../proto/report.ts';
import type { AddressResolver, Resolution } from '../../scheduler/graph/resolver.ts';

/** A cluster for the graph's tests: addresses in 10.0.0.0/8 are inside, all others outside. */
export class FakeCluster implements AddressResolver {
  ready = true;
  readonly lasting = false;
  takeChanged(): 'all' {
    return 'all';
  }
  version = 0;
  readonly #owners = new Map<string, { resolution: Resolution; fromMs: number; toMs: number }[]>();
  readonly #services = new Map<string, string[]>();

  pod(address: string, node: string, name: string, workload: string, fromMs = -Infinity, toMs = Infinity): this {
    return this.#own(address, fromMs, toMs, {
      kind: 'Pod',
      namespace: 'shop',
      name,
      node,
      workload: { namespace: 'shop', kind: 'Deployment', name: workload },
    });
  }

  node(address: string, name: string): this {
    return this.#own(address, -Infinity, Infinity, { kind: 'Node', name });
  }

  service(address: string, name: string, nodes: string[]): this {
    this.#services.set(`shop/${name}`, nodes);
    return this.#own(address, -Infinity, Infinity, { kind: 'Service', namespace: 'shop', name });
  }

  #own(address: string, fromMs: number, toMs: number, resolution: Resolution): this {
    const owners = this.#owners.get(address) ?? [];
    owners.push({ resolution, fromMs, toMs });
    this.#owners.set(address, owners);
    this.version++;
    return this;
  }

  resolve(bytes: Uint8Array, offset: number, prefixLength: number, startMs: number, endMs: number): Resolution {
    const text = formatAddress(bytes, offset);
    if (prefixLength === 128) {
      for (const owner of this.#owners.get(text) ?? []) {
        if (owner.fromMs <= endMs && startMs <= owner.toMs) return owner.resolution;
      }
    }
    const inside = text.startsWith('10.') || text.startsWith('127.') || text === '::1';
    const length = prefixLength - (isV4(bytes, offset) ? 96 : 0);
    return this.#named(inside ? { kind: 'Unknown', address: text } : { kind: 'External', cidr: `${text}/${length}` });
  }

  readonly #names = new Map<string, Resolution>();
  #named(resolution: Resolution): Resolution {
    const key = JSON.stringify(resolution);
    const known = this.#names.get(key) ?? resolution;
    this.#names.set(key, known);
    return known;
  }

  serviceNodes(namespace: string, name: string): Iterable<string> {
    return this.#services.get(`${namespace}/${name}`) ?? [];
  }
}

export interface Row {
  readonly local: string;
  readonly remote: string;
  readonly role: 'server' | 'client';
  readonly sent?: number;
  readonly received?: number;
  readonly connections?: number;
  readonly retransmits?: number;
  readonly port?: number;
  readonly protocol?: number;
  readonly minRttUs?: number;
  readonly smoothedRttUs?: number;
}

export interface ReportParts {
  readonly seq: number;
  readonly periodMs?: number;
  readonly ageMs?: number;
  readonly mapId?: Uint8Array;
  readonly losses?: Partial<Losses>;
  readonly uplinks?: readonly Uplink[];
}

/** Addresses may carry a prefix ("203.0.113.0/24"). Segments are a 1000th of the bytes. */
export function report(parts: ReportParts, rows: readonly Row[]): Report {
  const names = [...new Set(rows.flatMap((row) => [row.local, row.remote]))];
  const edges = allocateEdgeColumns(rows.length, names.length, true);
  for (const [i, name] of names.entries()) {
    const [address, length] = name.split('/');
    const bytes = parseAddress(address!);
    if (bytes === undefined) throw new Error(`bad address ${name}`);
    edges.addresses.set(bytes, i * 16);
    const v6 = name.includes(':');
    edges.prefixLengths[i] = length === undefined ? 128 : Number(length) + (v6 ? 0 : 96);
  }
  for (const [r, row] of rows.entries()) {
    edges.local[r] = names.indexOf(row.local);
    edges.remote[r] = names.indexOf(row.remote);
    edges.role[r] = row.role === 'server' ? ROLE_SERVER : ROLE_CLIENT;
    edges.protocol[r] = row.protocol ?? 6;
    edges.serverPort[r] = row.port ?? 8080;
    edges.bytesSent[r] = row.sent ?? 0;
    edges.bytesReceived[r] = row.received ?? 0;
    edges.segmentsSent[r] = (row.sent ?? 0) / 1000;
    edges.segmentsReceived[r] = (row.received ?? 0) / 1000;
    edges.connections[r] = row.connections ?? 0;
    edges.retransmits[r] = row.retransmits ?? 0;
    edges.minRttUs[r] = row.minRttUs ?? 0;
    edges.smoothedRttUs[r] = row.smoothedRttUs ?? 0;
  }
  return {
    seq: parts.seq,
    mapId: parts.mapId ?? new Uint8Array(16).fill(7),
    periodMs: parts.periodMs ?? 10_000,
    ageMs: parts.ageMs ?? 0,
    edges,
    uplinks: parts.uplinks ?? [],
    losses: { ...NO_LOSSES, ...parts.losses },
    cost: NO_COST,
    merged: 1,
  };
}

export function agent(
  node: string,
  intervalMs = 10_000,
): { node: string; mapId: Uint8Array; intervalMs: number; version: string } {
  return { node, mapId: new Uint8Array(16).fill(7), intervalMs, version: 'test' };
}
