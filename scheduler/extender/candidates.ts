import type { NameTables } from '../placement/index.ts';
import { candidateNames, parseArgs, type PodFacts } from './args.ts';
import { nameIndexOf } from './name-index.ts';

/** What prioritize needs of a request: the candidates as node indices, -1 for a node that is not known; valid until the next call. */
export type ParsedCandidates =
  { readonly pod: PodFacts; readonly candidates: Int32Array } | { readonly reason: string };

const LAST_KEY = '"NodeNames":';
const NO_LIST = 'null}';

/** Same meaning as parseArgs and a lookup of every name, but for speed. */
export function parseCandidates(body: Buffer, names: NameTables): ParsedCandidates {
  const fast = parseNamesLast(body, names);
  if (fast !== undefined) return fast;
  const parsed = parseArgs(body);
  if ('reason' in parsed) return parsed;
  const texts = candidateNames(parsed.args);
  const candidates = new Int32Array(texts.length);
  for (let c = 0; c < texts.length; c++) candidates[c] = names.nodeIndex.get(texts[c]!) ?? -1;
  return { pod: parsed.args.pod, candidates };
}

/**
 * A body as kube-scheduler writes it: `{"Pod":{…},"Nodes":null,"NodeNames":["a","b"]}`, the names last and plain. They are
 * read where they lie, and what stands before them is parsed with `null` in their place. If that is a whole JSON object, the place
 * was that of a value of its last key (within a string or a deeper object the text could not end there), so both readings agree.
 */
function parseNamesLast(body: Buffer, names: NameTables): ParsedCandidates | undefined {
  const key = body.lastIndexOf(LAST_KEY);
  if (key < 0) return undefined;
  const listAt = key + LAST_KEY.length;
  const list = nameIndexOf(names.nodes).resolve(body, listAt, names.nodeIndex);
  if (list === undefined || !endsObject(body, list.end)) return undefined;
  const parsed = parseArgs(body.subarray(0, listAt), NO_LIST);
  // A reason is looked up again in the whole body, so that it speaks of that.
  if ('reason' in parsed || parsed.args.nodeNames !== undefined) return undefined;
  return { pod: parsed.args.pod, candidates: list.found };
}

function endsObject(body: Buffer, at: number): boolean {
  if (body[at] !== 0x7d) return false;
  for (let i = at + 1; i < body.length; i++) {
    const byte = body[i];
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return false;
  }
  return true;
}
