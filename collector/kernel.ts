import {
  bpfObjectPath,
  checkLayout,
  enableRunStats,
  loadBpf,
  type BpfMap,
  type BpfObject,
  type BpfProgram,
} from '../lib/bpf/index.ts';
import type { AddressRange } from '../proto/report.ts';
import { EDGE_COUNTS, LAYOUTS, LOSSES, RANGE_KEY, SETTINGS } from './bpf/layout.ts';
import { runMisses } from './node/run-misses.ts';

export const DEFAULT_MAX_EDGES = 65_536;
/** Sizes of the maps in collector.bpf.c. */
export const MAX_SCOPE = 4096;
export const MAX_RANGES = 65_536;

export interface KernelOptions {
  /** The compiled collector.bpf.c. Default: where scripts/build-bpf.sh puts it. */
  readonly object?: string;
  /** Edges the kernel's map holds (112 B each, allocated at once). Default 65,536. */
  readonly maxEdges?: number;
  /** Measure only the namespaces given by setScope; default: all of this kernel. */
  readonly scoped?: boolean;
}

/** Cumulative since the maps were made. */
export interface KernelLosses {
  readonly mapFullConnections: number;
  readonly mapFullBytes: number;
  readonly storageFailed: number;
}

export interface ProgramRuns {
  readonly program: string;
  readonly runs: number;
  readonly runNs: number;
  /** Runs that the kernel skipped because the program was already running on that CPU: events not seen. */
  readonly misses: number;
}

/** The loaded and attached programs of collector.bpf.c with their maps. */
export interface CollectorKernel {
  /** Edges that fit. */
  readonly maxEdges: number;
  /** Adds what every live socket moved since the pass before to its edge. Resolves with the number of sockets seen. */
  countLiveSockets(): Promise<number>;
  /** All edges, cumulative; the views are reused between batches. */
  readEdges(visit: (keys: DataView, values: DataView, count: number) => void): Promise<number>;
  readEdge(key: Uint8Array): DataView | undefined;
  deleteEdge(key: Uint8Array): void;
  losses(): KernelLosses;
  runs(): readonly ProgramRuns[];
  /** Inode numbers of the network namespaces to measure from now on; at most MAX_SCOPE. */
  setScope(inodes: ReadonlySet<number>): void;
  /** Remote addresses outside are folded to their prefix from now on; none given: nothing is folded. At most MAX_RANGES. */
  setRanges(ranges: readonly AddressRange[]): void;
  close(): void;
}

/**
 * Loads and attaches the collector's programs: from the return on, every TCP connection that opens is counted.
 * @throws NetloomError BPF_LOAD_FAILED, BPF_LAYOUT_MISMATCH and what else lib/bpf names
 */
export async function loadCollector(options: KernelOptions = {}): Promise<CollectorKernel> {
  const maxEdges = options.maxEdges ?? DEFAULT_MAX_EDGES;
  const object = await loadBpf({
    object: options.object ?? bpfObjectPath('collector'),
    constants: { scoped: options.scoped === true ? 1 : 0 },
    maxEntries: { edges: maxEdges },
  });
  const stats = tryRunStats();
  try {
    for (const [name, layout] of Object.entries(LAYOUTS)) checkLayout(object.btf, name, layout);
    const onState = object.program('on_state');
    const countLive = object.program('count_live');
    const livePass = countLive.attachIter(object.map('sockets'));
    onState.attachTracing();
    return new LoadedCollector(object, [onState, countLive], livePass, maxEdges, stats);
  } catch (error) {
    stats.close();
    object.close();
    throw error;
  }
}

/** Needs CAP_SYS_ADMIN, which measuring does not: without it the programs' own cost reads 0. */
function tryRunStats(): { close(): void } {
  try {
    return enableRunStats();
  } catch {
    return { close: () => undefined };
  }
}

const INDEX_ZERO = new Uint8Array(4);
const IN_SET = new Uint8Array([1]);

class LoadedCollector implements CollectorKernel {
  readonly maxEdges: number;
  private readonly object: BpfObject;
  private readonly programs: readonly BpfProgram[];
  private readonly livePass: { run(): Promise<number> };
  private readonly stats: { close(): void };
  private readonly edges: BpfMap;
  private readonly lossMap: BpfMap;
  private readonly scope: KeySet;
  private readonly ranges: KeySet;
  private pass = 0;
  private foldOutside = false;

  constructor(
    object: BpfObject,
    programs: readonly BpfProgram[],
    livePass: { run(): Promise<number> },
    maxEdges: number,
    stats: { close(): void },
  ) {
    this.object = object;
    this.programs = programs;
    this.livePass = livePass;
    this.maxEdges = maxEdges;
    this.stats = stats;
    this.edges = object.map('edges');
    this.lossMap = object.map('losses');
    this.scope = new KeySet(object.map('scope'));
    this.ranges = new KeySet(object.map('cluster_ranges'));
  }

  async countLiveSockets(): Promise<number> {
    this.pass = (this.pass + 1) >>> 0;
    this.writeSettings();
    return await this.livePass.run();
  }

  readEdges(visit: (keys: DataView, values: DataView, count: number) => void): Promise<number> {
    return this.edges.readAll(visit);
  }

  readEdge(key: Uint8Array): DataView | undefined {
    const value = this.edges.lookup(key);
    return value === undefined ? undefined : new DataView(value.buffer, value.byteOffset, EDGE_COUNTS.size);
  }

  deleteEdge(key: Uint8Array): void {
    this.edges.delete(key);
  }

  losses(): KernelLosses {
    const bytes = this.lossMap.lookup(INDEX_ZERO);
    if (bytes === undefined) return { mapFullConnections: 0, mapFullBytes: 0, storageFailed: 0 };
    const view = new DataView(bytes.buffer, bytes.byteOffset, LOSSES.size);
    const read = (at: number): number => Number(view.getBigInt64(at, true));
    return {
      mapFullConnections: read(LOSSES.fields.map_full_connections.offset),
      mapFullBytes: read(LOSSES.fields.map_full_bytes.offset),
      storageFailed: read(LOSSES.fields.storage_failed.offset),
    };
  }

  runs(): readonly ProgramRuns[] {
    return this.programs.map((program) => ({
      program: program.name,
      ...program.runStats(),
      misses: runMisses(program.fd),
    }));
  }

  setScope(inodes: ReadonlySet<number>): void {
    this.scope.replace([...inodes].slice(0, MAX_SCOPE).map((inode) => new Uint8Array(new Uint32Array([inode]).buffer)));
  }

  setRanges(ranges: readonly AddressRange[]): void {
    // Off while the set changes: an address must not be folded because its range is not in yet.
    this.foldOutside = false;
    this.writeSettings();
    this.ranges.replace(ranges.slice(0, MAX_RANGES).map(rangeKey));
    this.foldOutside = ranges.length > 0 && ranges.length <= MAX_RANGES;
    this.writeSettings();
  }

  close(): void {
    this.stats.close();
    this.object.close();
  }

  private writeSettings(): void {
    const value = new DataView(new ArrayBuffer(SETTINGS.size));
    value.setUint32(SETTINGS.fields.pass.offset, this.pass, true);
    value.setUint32(SETTINGS.fields.fold_outside.offset, this.foldOutside ? 1 : 0, true);
    this.object.map('settings').update(INDEX_ZERO, new Uint8Array(value.buffer));
  }
}

/** A map used as a set, brought to new contents by the fewest changes; what stays is never absent meanwhile. */
class KeySet {
  private readonly map: BpfMap;
  private held = new Map<string, Uint8Array>();

  constructor(map: BpfMap) {
    this.map = map;
  }

  replace(keys: readonly Uint8Array[]): void {
    const next = new Map(keys.map((key) => [Buffer.from(key).toString('latin1'), key] as const));
    for (const [text, key] of this.held) {
      if (!next.has(text)) this.map.delete(key);
    }
    for (const [text, key] of next) {
      if (!this.held.has(text)) this.map.update(key, IN_SET);
    }
    this.held = next;
  }
}

function rangeKey(range: AddressRange): Uint8Array {
  const key = new Uint8Array(RANGE_KEY.size);
  new DataView(key.buffer).setUint32(RANGE_KEY.fields.prefix_length.offset, range.prefixLength, true);
  key.set(range.address, RANGE_KEY.fields.address.offset);
  return key;
}
