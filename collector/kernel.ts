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
import { EDGE_COUNTS, IDENTITY, LAYOUTS, LOSSES, RANGE_KEY, SETTINGS } from './bpf/layout.ts';
import { runMisses } from './node/run-misses.ts';
import { abiOf, PINNED_MAPS, type PinFolder } from './pins.ts';

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
  /** Where maps and link outlive this process, and where those of the last one are taken up. Default: nothing is pinned. */
  readonly pins?: PinFolder;
}

/** Who pinned maps are, and how they came to this process. */
export interface KernelIdentity {
  /**
   * `new`: made by this process. `resumed`: left by another, whose program went on counting. `detached`: left by
   * another, but meanwhile no program was attached. `replaced`: new, for what was pinned there did not fit.
   */
  readonly origin: 'new' | 'resumed' | 'detached' | 'replaced';
  /** 16 bytes; undefined: what was reported of these counters is not known. */
  readonly mapId: Uint8Array | undefined;
  setMapId(mapId: Uint8Array | undefined): void;
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
  /** undefined: nothing is pinned, so the counters go with this process. */
  readonly identity: KernelIdentity | undefined;
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
 * Loads and attaches the collector's programs: from the return on, every TCP connection that opens is counted. With
 * `pins`, the program that is pinned there is replaced by this one, without a moment in which none is attached.
 * @throws NetloomError BPF_LOAD_FAILED, BPF_LAYOUT_MISMATCH, BPF_PIN_FAILED and what else lib/bpf names
 */
export async function loadCollector(options: KernelOptions = {}): Promise<CollectorKernel> {
  const { pins } = options;
  const maxEdges = options.maxEdges ?? DEFAULT_MAX_EDGES;
  const abi = abiOf({ edges: maxEdges, scope: MAX_SCOPE, cluster_ranges: MAX_RANGES });
  const found = pins?.compare(abi) ?? 'none';
  if (found === 'other') pins?.clear();
  const wasAttached = pins?.isAttached === true;
  let object: BpfObject | undefined;
  const stats = tryRunStats();
  try {
    object = await loadBpf({
      object: options.object ?? bpfObjectPath('collector'),
      constants: { scoped: options.scoped === true ? 1 : 0 },
      maxEntries: { edges: maxEdges },
      ...(pins === undefined ? {} : { pins: { dir: pins.dir, maps: PINNED_MAPS } }),
    });
    for (const [name, layout] of Object.entries(LAYOUTS)) checkLayout(object.btf, name, layout);
    const onState = object.program('on_state');
    const countLive = object.program('count_live');
    const livePass = countLive.attachIter(object.map('sockets'));
    const link = onState.attachTracing();
    let identity: PinnedIdentity | undefined;
    if (pins !== undefined) {
      const origin = found === 'same' ? (wasAttached ? 'resumed' : 'detached') : found === 'other' ? 'replaced' : 'new';
      identity = new PinnedIdentity(object.map('identity'), abi, origin);
      link.pinOver(pins.linkPath);
    }
    const collector = new LoadedCollector(object, [onState, countLive], livePass, maxEdges, stats, identity);
    if (found === 'same') await collector.takeUp();
    return collector;
  } catch (error) {
    stats.close();
    object?.close();
    if (found !== 'same') pins?.clear();
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

class PinnedIdentity implements KernelIdentity {
  readonly origin: KernelIdentity['origin'];
  readonly #map: BpfMap;
  readonly #abi: Uint8Array;

  constructor(map: BpfMap, abi: Uint8Array, origin: KernelIdentity['origin']) {
    this.#map = map;
    this.#abi = abi;
    this.origin = origin;
    if (origin === 'new' || origin === 'replaced') this.setMapId(undefined);
  }

  get mapId(): Uint8Array | undefined {
    const { offset, size } = IDENTITY.fields.map_id;
    const mapId = this.#map.lookup(INDEX_ZERO)?.slice(offset, offset + size);
    return mapId?.some((byte) => byte !== 0) === true ? mapId : undefined;
  }

  setMapId(mapId: Uint8Array | undefined): void {
    const value = new Uint8Array(IDENTITY.size);
    if (mapId !== undefined) value.set(mapId, IDENTITY.fields.map_id.offset);
    value.set(this.#abi, IDENTITY.fields.abi.offset);
    this.#map.update(INDEX_ZERO, value);
  }
}

class LoadedCollector implements CollectorKernel {
  readonly maxEdges: number;
  readonly identity: KernelIdentity | undefined;
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
    identity: KernelIdentity | undefined,
  ) {
    this.identity = identity;
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

  /** Goes on with what the last agent had set; until others are given, that holds. */
  async takeUp(): Promise<void> {
    const settings = this.object.map('settings').lookup(INDEX_ZERO);
    if (settings !== undefined) {
      const view = new DataView(settings.buffer, settings.byteOffset, SETTINGS.size);
      this.pass = view.getUint32(SETTINGS.fields.pass.offset, true);
      this.foldOutside = view.getUint32(SETTINGS.fields.fold_outside.offset, true) === 1;
    }
    await Promise.all([this.scope.takeUp(), this.ranges.takeUp()]);
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

  /** What is in it already. */
  async takeUp(): Promise<void> {
    const { keySize } = this.map;
    await this.map.readAll((keys, _values, count) => {
      for (let i = 0; i < count; i++) {
        const key = new Uint8Array(keys.buffer, keys.byteOffset + i * keySize, keySize).slice();
        this.held.set(textOf(key), key);
      }
    });
  }

  replace(keys: readonly Uint8Array[]): void {
    const next = new Map(keys.map((key) => [textOf(key), key] as const));
    for (const [text, key] of this.held) {
      if (!next.has(text)) this.map.delete(key);
    }
    for (const [text, key] of next) {
      if (!this.held.has(text)) this.map.update(key, IN_SET);
    }
    this.held = next;
  }
}

function textOf(key: Uint8Array): string {
  return Buffer.from(key).toString('latin1');
}

function rangeKey(range: AddressRange): Uint8Array {
  const key = new Uint8Array(RANGE_KEY.size);
  new DataView(key.buffer).setUint32(RANGE_KEY.fields.prefix_length.offset, range.prefixLength, true);
  key.set(range.address, RANGE_KEY.fields.address.offset);
  return key;
}
