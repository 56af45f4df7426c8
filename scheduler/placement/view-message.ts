import type { Claims } from './claims.ts';
import type { Scarcities } from './scarcity.ts';
import type { PlacementTarget, PlacementView } from './view.ts';

/** How a PlacementView crosses from the ingest thread to the extender's: arrays are transferred, names packed. */

/** Strings as one buffer, so that the receiver decides when to spend time on them. Name i is bytes[ends[i-1] .. ends[i]), UTF-8. */
export interface PackedNames {
  readonly bytes: Uint8Array;
  readonly ends: Uint32Array;
}

/** What was added to the name tables since the message before. */
export interface NamesDelta {
  readonly nodes: PackedNames;
  readonly workloads: PackedNames;
  readonly zones: PackedNames;
  readonly regions: PackedNames;
  /** Owner i belongs to workload ownerWorkload[i]; may repeat an owner that moved. */
  readonly owners: PackedNames;
  readonly ownerWorkload: Int32Array;
}

type Column = Uint8Array | Int32Array | Float32Array | Float64Array;

/** The arrays of PlacementView. */
export type ViewArrays = {
  readonly [K in keyof PlacementView as PlacementView[K] extends Column ? K : never]: PlacementView[K];
};

/** Lists of numbers by key: list i is value[start[i] .. start[i+1]-1]. */
export interface LookupTable {
  readonly keys: PackedNames;
  readonly start: Int32Array;
  readonly value: Int32Array;
}

/** What is known of pods whose workload the view does not have. Replaces what was there before. */
export interface Lookups {
  /** Workloads by "namespace/name" of a Service. */
  readonly services: LookupTable;
  /** Workloads by likeness (cluster/likeness.ts). */
  readonly alike: LookupTable;
  /** NamespaceFacts by name. */
  readonly namespaces: LookupTable;
}

export interface ViewMessage {
  readonly version: number;
  readonly builtAtMs: number;
  /** The name tables start anew: it is the builder's first view, or names of what is gone had come to outnumber the others. */
  readonly reset: boolean;
  readonly names: NamesDelta;
  readonly nodeCount: number;
  readonly workloadCount: number;
  readonly hasUnits: boolean;
  readonly meanTraffic: number;
  readonly hasLinks: boolean;
  readonly scarcities: Scarcities;
  readonly claims: Claims;
  readonly arrays: ViewArrays;
  readonly target: PlacementTarget | undefined;
  /** undefined: as before. */
  readonly lookups: Lookups | undefined;
}

export function packLookup(lists: Iterable<readonly [key: string, values: readonly number[]]>): LookupTable {
  const all = [...lists];
  const start = new Int32Array(all.length + 1);
  for (const [i, [, values]] of all.entries()) start[i + 1] = start[i]! + values.length;
  return {
    keys: packNames(all.map(([key]) => key)),
    start,
    value: Int32Array.from(all.flatMap(([, values]) => values)),
  };
}

export function packNames(names: readonly string[]): PackedNames {
  const ends = new Uint32Array(names.length);
  // Its own buffer, not a slice of Node's pool: it is going to be transferred.
  const bytes = new Uint8Array(Buffer.byteLength(names.join('')));
  const buffer = Buffer.from(bytes.buffer);
  let end = 0;
  for (const [i, name] of names.entries()) ends[i] = end += buffer.write(name, end);
  return { bytes, ends };
}

export function unpackName(names: PackedNames, i: number): string {
  const { buffer, byteOffset, byteLength } = names.bytes;
  const from = i === 0 ? 0 : names.ends[i - 1]!;
  return Buffer.from(buffer, byteOffset, byteLength).toString('utf8', from, names.ends[i]);
}

/** What to put into the transfer list of postMessage. */
export function transferOf(message: ViewMessage): ArrayBuffer[] {
  const { nodes, workloads, zones, regions, owners, ownerWorkload } = message.names;
  const packed = [nodes, workloads, zones, regions, owners].flatMap((names) => [names.bytes, names.ends]);
  const tables =
    message.lookups === undefined ? [] : Object.values(message.lookups as unknown as Record<string, LookupTable>);
  const lookups = tables.flatMap(({ keys, start, value }) => [keys.bytes, keys.ends, start, value]);
  const columns = [message.arrays, message.claims, message.target ?? {}, lookups].flatMap((of): unknown[] =>
    Object.values(of),
  );
  const views = [...packed, ownerWorkload, ...columns.filter((column) => ArrayBuffer.isView(column))];
  return views.map((view) => view.buffer as ArrayBuffer);
}
