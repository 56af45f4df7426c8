import { NetloomError } from '../../lib/errors.ts';
import { fileChunks } from '../../lib/files/file-bytes.ts';
import { scanFault, SNAPSHOT_FILE } from '../../lib/files/snapshot-fault.ts';
import { describeForm } from '../../lib/files/wrong-form.ts';
import { asObject, asText, excerpt } from '../../lib/json/json-access.ts';
import { JsonScanner, ScanError } from '../../lib/json/json-scanner.ts';
import { eachObject } from '../../lib/kube/list-objects.ts';
import { nodeNameOf, podKey, projectPod, type BandwidthPod } from './pod.ts';

/** What a file says of the pods of one node. */
export interface PodFile {
  readonly pods: readonly BandwidthPod[];
  /** Pods of all nodes, and those that are bound to none. */
  readonly podsOfAll: number;
  /** Names of nodes that have pods, in order of appearance; not all of a large cluster. */
  readonly nodes: readonly string[];
  /** Pods of this node that lack a name or namespace. */
  readonly unusable: number;
  /** Pods of this node that stood in the file more than once; the last one counts. */
  readonly repeated: number;
}

const FORMS = 'what `kubectl get pods -A -o json` writes';
const WRITE_ANEW = 'Write it with `kubectl get pods -A -o json > FILE`.';
const MAX_NODES = 1_000;
/** YAML is parsed as a whole: 1 MiB of it took 1.3 s and 186 MB (yaml 2.9.1), of JSON 8 ms. */
const MAX_YAML_BYTES = 256 << 10;

/**
 * Reads pods in kubectl's form: lists, single objects, several documents, JSON of any size or a little YAML, gzip too.
 * Objects of other kinds are left out. All or nothing. An empty list says that there is no pod.
 * @throws NetloomError SNAPSHOT_*, also where there are objects and none is a pod
 */
export async function readPodFile(path: string, node: string): Promise<PodFile> {
  const collector = new Collector(path, node);
  const scanner = new JsonScanner({
    item: (value, section, impliedKind) => collector.item(value, section !== undefined, impliedKind),
    document: (head, sections) => collector.document(sections || head.netloom !== undefined),
  });
  let head = Buffer.alloc(0);
  let yaml: Buffer[] | undefined;
  let bytes = 0;
  try {
    for await (const chunk of fileChunks(path, SNAPSHOT_FILE)) {
      if (bytes === 0 && describeForm(chunk.subarray(0, 512))?.form === 'yaml') yaml = [];
      if (head.length < 512) head = Buffer.concat([head, chunk.subarray(0, 512)]);
      bytes += chunk.length;
      if (yaml === undefined) {
        scanner.write(chunk);
        continue;
      }
      if (bytes > MAX_YAML_BYTES) throw tooMuchYaml(path);
      yaml.push(chunk);
    }
    scanner.end();
  } catch (error) {
    if (error instanceof ScanError) throw await scanFault(path, error, head, FORMS);
    throw error;
  }
  if (yaml !== undefined) await collectYaml(path, Buffer.concat(yaml).toString('utf8'), collector);
  return collector.result(bytes === 0);
}

class Collector {
  readonly #path: string;
  readonly #node: string;
  readonly #pods = new Map<string, BandwidthPod>();
  readonly #nodes = new Set<string>();
  #podsOfAll = 0;
  #documents = 0;
  #others = 0;
  #unusable = 0;
  #repeated = 0;
  #otherKind: string | undefined;

  constructor(path: string, node: string) {
    this.#path = path;
    this.#node = node;
  }

  item(value: unknown, native: boolean, impliedKind: string | undefined): void {
    this.#refuseNative(native);
    const object = asObject(value);
    const kind = asText(object?.['kind']) ?? impliedKind;
    // Other API groups may have a Pod of theirs.
    if (kind !== 'Pod' || asText(object?.['apiVersion'])?.includes('/') === true) {
      this.#others++;
      this.#otherKind ??= kind ?? `no kind (${excerpt(value)})`;
      return;
    }
    this.#podsOfAll++;
    const node = nodeNameOf(value);
    if (node !== undefined && this.#nodes.size < MAX_NODES) this.#nodes.add(node);
    if (node !== this.#node) return;
    const pod = projectPod(value);
    if (pod === undefined) {
      this.#unusable++;
      return;
    }
    const key = podKey(pod);
    if (this.#pods.has(key)) this.#repeated++;
    this.#pods.set(key, pod);
  }

  document(native: boolean): void {
    this.#documents++;
    this.#refuseNative(native);
  }

  #refuseNative(native: boolean): void {
    if (!native) return;
    throw new NetloomError('SNAPSHOT_WRONG_FORM', 'the snapshot has no bandwidths', {
      place: this.#path,
      expected: FORMS,
      found: "Netloom's own form, which keeps no annotations",
      remedy: WRITE_ANEW,
    });
  }

  result(empty: boolean): PodFile {
    if (this.#podsOfAll === 0 && (this.#others > 0 || this.#documents === 0)) {
      const others = this.#others === 0 ? 'no document' : `${this.#others} other objects, such as ${this.#otherKind!}`;
      throw new NetloomError('SNAPSHOT_EMPTY', 'the snapshot holds no pod', {
        place: this.#path,
        expected: 'Pod objects',
        found: empty ? 'an empty file' : others,
        remedy: WRITE_ANEW,
      });
    }
    return {
      pods: [...this.#pods.values()],
      podsOfAll: this.#podsOfAll,
      nodes: [...this.#nodes],
      unusable: this.#unusable,
      repeated: this.#repeated,
    };
  }
}

async function collectYaml(path: string, text: string, collector: Collector): Promise<void> {
  const { LineCounter, parseAllDocuments } = await import('yaml');
  const lineCounter = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter, prettyErrors: false, logLevel: 'silent' });
  for (const document of documents) {
    const [error] = document.errors;
    if (error !== undefined) {
      const { line, col } = lineCounter.linePos(error.pos[0]);
      throw yamlFault(`${path}:${line}:${col}`, error);
    }
    let value: unknown;
    try {
      value = document.toJS();
    } catch (cause) {
      // Aliases that multiply.
      throw yamlFault(path, cause as Error);
    }
    if (value === null) continue;
    collector.document(false);
    eachObject(value, (object, impliedKind) => collector.item(object, false, impliedKind));
  }
}

function yamlFault(place: string, cause: Error): NetloomError {
  return new NetloomError('SNAPSHOT_SYNTAX', 'the snapshot file is not valid YAML', {
    place,
    expected: 'YAML of kubectl (-o yaml)',
    found: cause.message.slice(0, 200),
    cause,
  });
}

function tooMuchYaml(path: string): NetloomError {
  return new NetloomError('SNAPSHOT_WRONG_FORM', 'the snapshot file is too long for YAML', {
    place: path,
    expected: `JSON, or YAML of at most ${MAX_YAML_BYTES >> 10} KiB`,
    found: 'more YAML than that',
    remedy: 'Pass `-o json` to kubectl (not `-o yaml`).',
  });
}
