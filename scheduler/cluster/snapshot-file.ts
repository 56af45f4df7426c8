/**
 * Reads a snapshot file of any size: kubectl's JSON, Netloom's own form or a research data set, told apart by their
 * content; gzip too.
 * All or nothing: records are returned only if the whole file could be read.
 */
import { NetloomError } from '../../lib/errors.ts';
import { fileChunks } from '../../lib/files/file-bytes.ts';
import { scanFault, SNAPSHOT_FILE } from '../../lib/files/snapshot-fault.ts';
import { asObject, asText, excerpt, type JsonObject } from '../../lib/json/json-access.ts';
import { JsonScanner, ScanError, type DocumentHead, type Section } from '../../lib/json/json-scanner.ts';
import { Tally, type TallyEntry } from '../../lib/tally.ts';
import { isAffinityDataset, readAffinityDataset } from './affinity-dataset.ts';
import type { ClusterRecord } from './model.ts';
import { readNativeElement, SNAPSHOT_FORMAT, SNAPSHOT_VERSION } from './native-format.ts';
import { Interner } from './interner.ts';
import { projectObject, type Projection } from './project.ts';
import { recordKey } from './records.ts';
import type { TrafficRow } from './traffic.ts';

export interface SnapshotSummary {
  readonly bytes: number;
  readonly form: 'kubectl' | 'netloom' | 'dataset';
  readonly nodes: number;
  readonly pods: number;
  readonly services: number;
  readonly controllers: number;
  /** Objects of kinds that are not used, by kind. */
  readonly ignored: readonly TallyEntry[];
  /** Objects that could not be used, by reason, each with a sample. */
  readonly unusable: readonly TallyEntry[];
  /** Objects that were used but for a field, e.g. an address that is none. */
  readonly odd: readonly TallyEntry[];
  /** The first of these: object, field, what was found and what is expected. */
  readonly oddSamples: readonly string[];
  /** Objects that stood in the file more than once; the last one counts. */
  readonly repeated: number;
}

export interface Snapshot {
  /** By recordKey(). */
  readonly records: ReadonlyMap<string, ClusterRecord>;
  /** Traffic that stands in the same file (affinity-dataset.ts), without a unit. */
  readonly traffic: readonly TrafficRow[] | undefined;
  readonly summary: SnapshotSummary;
}

const FORMS = 'JSON of kubectl (-o json) or of netloom graph --export';

const MAX_SAMPLES = 5;

/** Collects what the scanner finds. */
class Collector {
  readonly records = new Map<string, ClusterRecord>();
  readonly ignored = new Tally();
  readonly unusable = new Tally();
  readonly odd = new Tally();
  readonly oddSamples: string[] = [];
  readonly #interner = new Interner();
  readonly counts = { namespace: 0, node: 0, pod: 0, service: 0, controller: 0 };
  repeated = 0;
  native = false;
  traffic: readonly TrafficRow[] | undefined;
  private readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  item(value: unknown, section: Section | undefined, impliedKind: string | undefined): void {
    if (section !== undefined) this.native = true;
    else if (isAffinityDataset(value)) {
      this.dataset(value);
      return;
    }
    this.take(
      section === undefined ? projectObject(value, impliedKind, this.#interner) : readNativeElement(section, value),
      value,
    );
  }

  document(head: DocumentHead, sections: boolean): void {
    if (!sections) return;
    this.native = true;
    if (head.netloom === SNAPSHOT_FORMAT && head.version === SNAPSHOT_VERSION) return;
    throw new NetloomError('SNAPSHOT_VERSION', 'this is no snapshot of the version that is understood', {
      place: this.path,
      expected: `"netloom":"${SNAPSHOT_FORMAT}","version":${SNAPSHOT_VERSION}`,
      found: `"netloom": ${excerpt(head.netloom)}, "version": ${excerpt(head.version)}`,
    });
  }

  private dataset(value: JsonObject): void {
    const { records, traffic, unusable } = readAffinityDataset(value);
    this.traffic = [...(this.traffic ?? []), ...traffic];
    for (const record of records) this.take({ outcome: 'record', record, odd: undefined }, value);
    for (const { reason, sample } of unusable) this.unusable.add(reason, sample);
  }

  private take(projection: Projection, value: unknown): void {
    if (projection.outcome === 'ignored') {
      this.ignored.add(projection.kind, asText(asObject(asObject(value)?.['metadata'])?.['name']) ?? '');
    } else if (projection.outcome === 'unusable') {
      this.unusable.add(projection.reason, projection.sample);
    } else {
      const key = recordKey(projection.record);
      if (this.records.has(key)) this.repeated++;
      else this.counts[projection.record.type]++;
      this.records.set(key, projection.record);
      if (projection.odd === undefined) return;
      this.odd.add('a field was left out', projection.odd);
      if (this.oddSamples.length < MAX_SAMPLES) this.oddSamples.push(projection.odd);
    }
  }

  summary(bytes: number): SnapshotSummary {
    return {
      bytes,
      form: this.native ? 'netloom' : this.traffic === undefined ? 'kubectl' : 'dataset',
      nodes: this.counts.node,
      pods: this.counts.pod,
      services: this.counts.service,
      controllers: this.counts.controller,
      ignored: this.ignored.entries(),
      unusable: this.unusable.entries(),
      odd: this.odd.entries(),
      oddSamples: this.oddSamples,
      repeated: this.repeated,
    };
  }
}

/** @throws NetloomError SNAPSHOT_*, naming file, line and byte. */
export async function readSnapshot(path: string): Promise<Snapshot> {
  const collector = new Collector(path);
  const scanner = new JsonScanner(collector);
  let bytes = 0;
  let head = Buffer.alloc(0);
  try {
    for await (const chunk of fileChunks(path, SNAPSHOT_FILE)) {
      if (head.length < 512) head = Buffer.concat([head, chunk.subarray(0, 512)]);
      bytes += chunk.length;
      scanner.write(chunk);
    }
    scanner.end();
  } catch (error) {
    if (error instanceof ScanError) throw await scanFault(path, error, head, FORMS);
    throw error;
  }
  const summary = collector.summary(bytes);
  refuseEmpty(path, summary, head);
  return { records: collector.records, traffic: collector.traffic, summary };
}

function refuseEmpty(path: string, summary: SnapshotSummary, head: Buffer): void {
  if (summary.nodes + summary.pods > 0) return;
  // An empty cluster can be said in our own form; kubectl's empty list rather means a wrong context or missing rights.
  if (summary.form === 'netloom' && summary.unusable.length === 0) return;
  const found = [
    ...summary.ignored.map((entry) => `${entry.count} ${entry.what}`),
    ...summary.unusable.map((entry) => `${entry.count} objects: ${entry.what} (${entry.sample})`),
    summary.controllers > 0 ? `${summary.controllers} controllers` : '',
    summary.services > 0 ? `${summary.services} services` : '',
  ].filter((text) => text !== '');
  throw new NetloomError('SNAPSHOT_EMPTY', 'the snapshot holds no node and no pod', {
    place: path,
    expected: 'Node and Pod objects',
    found: found.length > 0 ? found.slice(0, 5).join(', ') : head.length === 0 ? 'an empty file' : 'an empty list',
  });
}
