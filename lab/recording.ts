import { NetloomError } from '../lib/errors.ts';

/**
 * A recorded report stream: JSON, one object a line, in order of time. What agents sent is kept as it went over the
 * wire, so that a replay feeds the scheduler exactly what a live lab did. Pure; files: recording-file.ts.
 *
 *   {"netloomRecording":1, ...RecordingHeader}              first line
 *   {"atMs":0,"kind":"snapshot","snapshot":{...}}            the cluster from now on (kubectl's List form)
 *   {"atMs":12,"kind":"message","node":"node-0","data":"…"}  one AgentMessage of proto/report.proto, base64
 *   {"atMs":15000,"kind":"reading","label":"before","reading":{...}}   true matrix and uplinks (Reading of crossing.ts)
 *   {"atMs":15000,"kind":"note","text":"…"}                  something to show at this moment
 */
export interface RecordingHeader {
  /** Version of Netloom that recorded. */
  readonly version: string;
  readonly scenario: string;
  /** For people: kernel and machine. */
  readonly recordedOn: string;
  readonly intervalMs: number;
  readonly nodes: readonly string[];
}

export type RecordingEntry =
  | { readonly atMs: number; readonly kind: 'snapshot'; readonly snapshot: object }
  | { readonly atMs: number; readonly kind: 'message'; readonly node: string; readonly data: Uint8Array }
  | { readonly atMs: number; readonly kind: 'reading'; readonly label: string; readonly reading: object }
  | { readonly atMs: number; readonly kind: 'note'; readonly text: string };

/** Of one line; a snapshot of a lab has 100 kB. */
export const MAX_LINE_CHARS = 64 * 1024 * 1024;

export function encodeHeader(header: RecordingHeader): string {
  return `${JSON.stringify({ netloomRecording: 1, ...header })}\n`;
}

export function encodeEntry(entry: RecordingEntry): string {
  const plain = entry.kind === 'message' ? { ...entry, data: Buffer.from(entry.data).toString('base64') } : entry;
  return `${JSON.stringify(plain)}\n`;
}

/** `place` names file and line in errors. Throws RECORDING_INVALID. */
export function decodeHeader(line: string, place: string): RecordingHeader {
  const value = object(line, place);
  if (value['netloomRecording'] !== 1) {
    invalid(place, 'a header line with "netloomRecording":1', line);
  }
  const { version, scenario, recordedOn, intervalMs, nodes } = value;
  if (
    typeof version !== 'string' ||
    typeof scenario !== 'string' ||
    typeof recordedOn !== 'string' ||
    typeof intervalMs !== 'number' ||
    !Array.isArray(nodes) ||
    !nodes.every((n): n is string => typeof n === 'string')
  ) {
    invalid(place, 'version, scenario, recordedOn, intervalMs and nodes in the header', line);
  }
  return { version, scenario, recordedOn, intervalMs, nodes };
}

/** Times must not go back: `lastMs` is that of the entry before. Throws RECORDING_INVALID. */
export function decodeEntry(line: string, place: string, lastMs = 0): RecordingEntry {
  const value = object(line, place);
  const atMs = value['atMs'];
  if (typeof atMs !== 'number' || !(atMs >= lastMs)) invalid(place, `atMs of at least ${lastMs}`, line);
  const kind = value['kind'];
  switch (kind) {
    case 'snapshot':
      return { atMs, kind, snapshot: part(value, 'snapshot', place, line) };
    case 'reading': {
      const label = text(value, 'label', place, line);
      return { atMs, kind, label, reading: part(value, 'reading', place, line) };
    }
    case 'note':
      return { atMs, kind, text: text(value, 'text', place, line) };
    case 'message': {
      const data = text(value, 'data', place, line);
      // Buffer.from() skips what is not base64; a damaged report must not be replayed in part.
      if (data.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(data)) invalid(place, 'base64 in `data`', line);
      return { atMs, kind, node: text(value, 'node', place, line), data: new Uint8Array(Buffer.from(data, 'base64')) };
    }
    default:
      return invalid(place, 'kind snapshot, message, reading or note', line);
  }
}

function object(line: string, place: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    invalid(place, 'one JSON object a line', line);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) invalid(place, 'a JSON object', line);
  return value as Record<string, unknown>;
}

function part(value: Record<string, unknown>, key: string, place: string, line: string): object {
  const found = value[key];
  if (typeof found !== 'object' || found === null) invalid(place, `an object in \`${key}\``, line);
  return found;
}

function text(value: Record<string, unknown>, key: string, place: string, line: string): string {
  const found = value[key];
  if (typeof found !== 'string') invalid(place, `a text in \`${key}\``, line);
  return found;
}

function invalid(place: string, expected: string, line: string): never {
  const found = line.length > 120 ? `${line.slice(0, 120)}...` : line;
  throw new NetloomError('RECORDING_INVALID', 'the recording cannot be read', { place, expected, found });
}
