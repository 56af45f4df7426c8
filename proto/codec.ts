import protobuf from 'protobufjs/minimal.js';
import { messageOf, NetloomError } from '../lib/errors.ts';
import { EdgeChunks, encodeEdges } from './edge-codec.ts';
import { checkEdgeColumns } from './edge-columns.ts';
import {
  COST_NAMES,
  LOSS_NAMES,
  NO_COST,
  NO_LOSSES,
  type AddressRange,
  type AgentMessage,
  type Cost,
  type Hello,
  type Losses,
  type Report,
  type SchedulerMessage,
  type SpeedSource,
  type Uplink,
  type Welcome,
} from './report.ts';

/**
 * The wire format of report.proto, by hand: reports go straight between the wire and typed arrays. It reads and
 * writes what a generated codec does (test/report/codec.test.ts holds it against protobufjs' reflection of the same
 * file); what it cannot use it refuses with REPORT_MALFORMED. Unknown fields are skipped.
 */

export interface CodecLimits {
  /** Most edges of one report. Default 32,768: at their longest, 3.5 MB on the wire. */
  readonly maxEdges: number;
  /** Most address ranges of a cluster. Default 65,536: twelve for each of 5,000 nodes. */
  readonly maxRanges: number;
  /** Most uplinks of a node. Default 256. */
  readonly maxUplinks: number;
}

export const DEFAULT_CODEC_LIMITS: CodecLimits = { maxEdges: 32_768, maxRanges: 65_536, maxUplinks: 256 };

/** A node name is a DNS-1123 subdomain: at most 253 bytes. */
const MAX_NODE_BYTES = 253;
const MAX_VERSION_BYTES = 128;
/** IFNAMSIZ is 16; a name may carry a little more, such as the namespace of a device. */
const MAX_UPLINK_NAME_BYTES = 64;
export const MAP_ID_BYTES = 16;

const SPEED_SOURCES: readonly SpeedSource[] = ['unknown', 'device', 'configured'];

type Reader = protobuf.Reader;
type Writer = protobuf.Writer;

const MAX_UINT32 = 0xffffffff;
const WIRE_VARINT = 0;
const WIRE_BYTES = 2;
const tagOf = (field: number, wireType: number): number => (field << 3) | wireType;

// ---- agent -> scheduler

/** Throws REPORT_MALFORMED for what the other side would refuse. */
export function encodeAgentMessage(message: AgentMessage): Buffer {
  const writer = protobuf.Writer.create();
  if ('hello' in message) {
    writeHello(writer.uint32(tagOf(1, WIRE_BYTES)).fork(), message.hello).ldelim();
  } else {
    writeReport(writer.uint32(tagOf(2, WIRE_BYTES)).fork(), message.report).ldelim();
  }
  return finish(writer);
}

/**
 * Undefined: nothing in it that this version knows. Throws REPORT_MALFORMED, and nothing else, whatever the bytes
 * are; allocates no more than a small multiple of their length. The result shares no memory with `bytes`; the
 * columns of a report share one ArrayBuffer of their own, so that it can be transferred to another thread.
 */
export function decodeAgentMessage(
  bytes: Uint8Array,
  limits: CodecLimits = DEFAULT_CODEC_LIMITS,
): AgentMessage | undefined {
  return guarded('AgentMessage', () => {
    let message: AgentMessage | undefined;
    readFields(protobuf.Reader.create(bytes), bytes.length, (field, wireType, reader) => {
      if (wireType !== WIRE_BYTES || (field !== 1 && field !== 2)) return false;
      const end = readEnd(reader);
      message = field === 1 ? { hello: readHello(reader, end) } : { report: readReport(reader, end, limits) };
      return true;
    });
    return message;
  });
}

function writeHello(writer: Writer, hello: Hello): Writer {
  checkText('hello.node', hello.node, 1, MAX_NODE_BYTES);
  checkText('hello.version', hello.version, 0, MAX_VERSION_BYTES);
  checkMapId('hello.map_id', hello.mapId);
  writeNumber(writer, 1, hello.protocol, 'hello.protocol', MAX_UINT32);
  writer.uint32(tagOf(2, WIRE_BYTES)).string(hello.node);
  writer.uint32(tagOf(3, WIRE_BYTES)).bytes(hello.mapId);
  writeNumber(writer, 4, hello.intervalMs, 'hello.interval_ms', MAX_UINT32);
  if (hello.version !== '') writer.uint32(tagOf(5, WIRE_BYTES)).string(hello.version);
  return writer;
}

function readHello(reader: Reader, end: number): Hello {
  const hello = { protocol: 0, node: '', mapId: new Uint8Array(0), intervalMs: 0, version: '' };
  readFields(reader, end, (field, wireType) => {
    if (wireType === WIRE_VARINT && field === 1) hello.protocol = readNumber(reader, 'hello.protocol', MAX_UINT32);
    else if (wireType === WIRE_VARINT && field === 4) {
      hello.intervalMs = readNumber(reader, 'hello.interval_ms', MAX_UINT32);
    } else if (wireType === WIRE_BYTES && field === 2) hello.node = readText(reader, 'hello.node', MAX_NODE_BYTES);
    else if (wireType === WIRE_BYTES && field === 3) hello.mapId = readBytes(reader);
    else if (wireType === WIRE_BYTES && field === 5) {
      hello.version = readText(reader, 'hello.version', MAX_VERSION_BYTES);
    } else return false;
    return true;
  });
  checkText('hello.node', hello.node, 1, MAX_NODE_BYTES);
  checkMapId('hello.map_id', hello.mapId);
  return hello;
}

function writeReport(writer: Writer, report: Report): Writer {
  checkMapId('report.map_id', report.mapId);
  if (report.seq < 1) throw malformed('report.seq', 'at least 1', String(report.seq));
  checkEdgeColumns(report.edges);
  writeNumber(writer, 1, report.seq, 'report.seq');
  writer.uint32(tagOf(2, WIRE_BYTES)).bytes(report.mapId);
  writeNumber(writer, 3, report.periodMs, 'report.period_ms', MAX_UINT32);
  writeNumber(writer, 4, report.ageMs, 'report.age_ms', MAX_UINT32);
  writer.uint32(tagOf(5, WIRE_BYTES)).bytes(encodeEdges(report.edges));
  for (const uplink of report.uplinks) writeUplink(writer.uint32(tagOf(6, WIRE_BYTES)).fork(), uplink).ldelim();
  writeCounters(writer, 7, report.losses, LOSS_NAMES, 'report.losses');
  writeCounters(writer, 8, report.cost, COST_NAMES, 'report.cost');
  writeNumber(writer, 9, report.merged, 'report.merged', MAX_UINT32);
  return writer;
}

function readReport(reader: Reader, end: number, limits: CodecLimits): Report {
  const chunks = new EdgeChunks(limits.maxEdges);
  const uplinks: Uplink[] = [];
  const losses: Mutable<Losses> = { ...NO_LOSSES };
  const cost: Mutable<Cost> = { ...NO_COST };
  const head = { seq: 0, periodMs: 0, ageMs: 0, merged: 0 };
  let mapId = new Uint8Array(0);
  readFields(reader, end, (field, wireType) => {
    if (wireType === WIRE_VARINT) {
      if (field === 1) head.seq = readNumber(reader, 'report.seq');
      else if (field === 3) head.periodMs = readNumber(reader, 'report.period_ms', MAX_UINT32);
      else if (field === 4) head.ageMs = readNumber(reader, 'report.age_ms', MAX_UINT32);
      else if (field === 9) head.merged = readNumber(reader, 'report.merged', MAX_UINT32);
      else return false;
      return true;
    }
    if (wireType !== WIRE_BYTES) return false;
    if (field === 2) mapId = readBytes(reader);
    else if (field === 5) chunks.collect(reader, readEnd(reader));
    else if (field === 6) {
      if (uplinks.length === limits.maxUplinks) throw malformed('report.uplinks', `at most ${limits.maxUplinks}`);
      uplinks.push(readUplink(reader, readEnd(reader)));
    } else if (field === 7) readCounters(reader, readEnd(reader), losses, LOSS_NAMES, 'report.losses');
    else if (field === 8) readCounters(reader, readEnd(reader), cost, COST_NAMES, 'report.cost');
    else return false;
    return true;
  });
  if (head.seq === 0) throw malformed('report.seq', 'at least 1', '0');
  checkMapId('report.map_id', mapId);
  const { seq, periodMs, ageMs, merged } = head;
  return { seq, mapId, periodMs, ageMs, edges: chunks.decode(reader.buf), uplinks, losses, cost, merged };
}

function writeUplink(writer: Writer, uplink: Uplink): Writer {
  checkText('report.uplinks.name', uplink.name, 1, MAX_UPLINK_NAME_BYTES);
  writer.uint32(tagOf(1, WIRE_BYTES)).string(uplink.name);
  writeNumber(writer, 2, uplink.txBytes, 'report.uplinks.tx_bytes');
  writeNumber(writer, 3, uplink.rxBytes, 'report.uplinks.rx_bytes');
  writeNumber(writer, 4, uplink.speedBps, 'report.uplinks.speed_bps');
  writeNumber(writer, 5, SPEED_SOURCES.indexOf(uplink.speedSource), 'report.uplinks.speed_source', 2);
  return writer;
}

function readUplink(reader: Reader, end: number): Uplink {
  const uplink: Mutable<Uplink> = { name: '', txBytes: 0, rxBytes: 0, speedBps: 0, speedSource: 'unknown' };
  readFields(reader, end, (field, wireType) => {
    if (wireType === WIRE_BYTES && field === 1) {
      uplink.name = readText(reader, 'report.uplinks.name', MAX_UPLINK_NAME_BYTES);
      return true;
    }
    if (wireType !== WIRE_VARINT) return false;
    if (field === 2) uplink.txBytes = readNumber(reader, 'report.uplinks.tx_bytes');
    else if (field === 3) uplink.rxBytes = readNumber(reader, 'report.uplinks.rx_bytes');
    else if (field === 4) uplink.speedBps = readNumber(reader, 'report.uplinks.speed_bps');
    // An open enum: what a later version adds is unknown to this one.
    else if (field === 5) uplink.speedSource = SPEED_SOURCES[reader.uint32()] ?? 'unknown';
    else return false;
    return true;
  });
  checkText('report.uplinks.name', uplink.name, 1, MAX_UPLINK_NAME_BYTES);
  return uplink;
}

// ---- scheduler -> agent

export function encodeSchedulerMessage(message: SchedulerMessage): Buffer {
  const writer = protobuf.Writer.create();
  if ('welcome' in message) {
    const { welcome } = message;
    const body = writer.uint32(tagOf(1, WIRE_BYTES)).fork();
    writeNumber(body, 1, welcome.protocol, 'welcome.protocol', MAX_UINT32);
    writeNumber(body, 2, welcome.committedSeq, 'welcome.committed_seq');
    writeRanges(body.uint32(tagOf(3, WIRE_BYTES)).fork(), welcome.ranges).ldelim();
    writeNumber(body, 4, welcome.maxEdges, 'welcome.max_edges', MAX_UINT32);
    body.ldelim();
  } else if ('ack' in message) {
    const body = writer.uint32(tagOf(2, WIRE_BYTES)).fork();
    writeNumber(body, 1, message.ack.seq, 'ack.seq');
    body.ldelim();
  } else {
    writeRanges(writer.uint32(tagOf(3, WIRE_BYTES)).fork(), message.ranges).ldelim();
  }
  return finish(writer);
}

/** As decodeAgentMessage, for the other direction. */
export function decodeSchedulerMessage(
  bytes: Uint8Array,
  limits: CodecLimits = DEFAULT_CODEC_LIMITS,
): SchedulerMessage | undefined {
  return guarded('SchedulerMessage', () => {
    let message: SchedulerMessage | undefined;
    readFields(protobuf.Reader.create(bytes), bytes.length, (field, wireType, reader) => {
      if (wireType !== WIRE_BYTES || field < 1 || field > 3) return false;
      const end = readEnd(reader);
      if (field === 1) message = { welcome: readWelcome(reader, end, limits) };
      else if (field === 2) message = { ack: { seq: readAck(reader, end) } };
      else message = { ranges: readRanges(reader, end, [], limits) };
      return true;
    });
    return message;
  });
}

function readWelcome(reader: Reader, end: number, limits: CodecLimits): Welcome {
  const welcome = { protocol: 0, committedSeq: 0, ranges: [] as AddressRange[], maxEdges: 0 };
  readFields(reader, end, (field, wireType) => {
    if (wireType === WIRE_VARINT && field === 1) welcome.protocol = readNumber(reader, 'welcome.protocol', MAX_UINT32);
    else if (wireType === WIRE_VARINT && field === 2) {
      welcome.committedSeq = readNumber(reader, 'welcome.committed_seq');
    } else if (wireType === WIRE_BYTES && field === 3) {
      readRanges(reader, readEnd(reader), welcome.ranges, limits);
    } else if (wireType === WIRE_VARINT && field === 4) {
      welcome.maxEdges = readNumber(reader, 'welcome.max_edges', MAX_UINT32);
    } else return false;
    return true;
  });
  return welcome;
}

function readAck(reader: Reader, end: number): number {
  let seq = 0;
  readFields(reader, end, (field, wireType) => {
    if (wireType !== WIRE_VARINT || field !== 1) return false;
    seq = readNumber(reader, 'ack.seq');
    return true;
  });
  return seq;
}

function writeRanges(writer: Writer, ranges: readonly AddressRange[]): Writer {
  for (const range of ranges) {
    checkRange(range);
    const body = writer.uint32(tagOf(1, WIRE_BYTES)).fork();
    body.uint32(tagOf(1, WIRE_BYTES)).bytes(range.address);
    writeNumber(body, 2, range.prefixLength, 'ranges.prefix_length', 128);
    body.ldelim();
  }
  return writer;
}

function readRanges(reader: Reader, end: number, ranges: AddressRange[], limits: CodecLimits): AddressRange[] {
  readFields(reader, end, (field, wireType) => {
    if (wireType !== WIRE_BYTES || field !== 1) return false;
    if (ranges.length === limits.maxRanges) throw malformed('ranges', `at most ${limits.maxRanges}`);
    const range = { address: new Uint8Array(0), prefixLength: 0 };
    readFields(reader, readEnd(reader), (inner, innerWireType) => {
      if (innerWireType === WIRE_BYTES && inner === 1) range.address = readBytes(reader);
      else if (innerWireType === WIRE_VARINT && inner === 2) {
        range.prefixLength = readNumber(reader, 'ranges.prefix_length', 128);
      } else return false;
      return true;
    });
    checkRange(range);
    ranges.push(range);
    return true;
  });
  return ranges;
}

// ---- counters: messages of nothing but uint64 fields

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function writeCounters<K extends string>(
  writer: Writer,
  field: number,
  counters: Readonly<Record<K, number>>,
  names: readonly K[],
  place: string,
): void {
  const body = writer.uint32(tagOf(field, WIRE_BYTES)).fork();
  names.forEach((name, i) => writeNumber(body, i + 1, counters[name], `${place}.${name}`));
  body.ldelim();
}

function readCounters<K extends string>(
  reader: Reader,
  end: number,
  counters: Record<K, number>,
  names: readonly K[],
  place: string,
): void {
  readFields(reader, end, (field, wireType) => {
    const name = names[field - 1];
    if (name === undefined || wireType !== WIRE_VARINT) return false;
    counters[name] = readNumber(reader, `${place}.${name}`);
    return true;
  });
}

// ---- primitives

/** `take` returns false for a field that is to be skipped, without having read anything of it. */
function readFields(
  reader: Reader,
  end: number,
  take: (field: number, wireType: number, reader: Reader) => boolean,
): void {
  while (reader.pos < end) {
    const tag = reader.tag();
    const field = tag >>> 3;
    const wireType = tag & 7;
    if (!take(field, wireType, reader)) reader.skipType(wireType, 0, field);
  }
  if (reader.pos !== end) throw malformed('(message)', `an end at byte ${end}`, `byte ${reader.pos}`);
}

/** Reads a length prefix; returns where what it measures ends. */
function readEnd(reader: Reader): number {
  const length = reader.uint32();
  const end = reader.pos + length;
  if (end > reader.len) throw malformed('(message)', `at most ${reader.len - reader.pos} bytes more`, String(length));
  return end;
}

function readNumber(reader: Reader, place: string, max = Number.MAX_SAFE_INTEGER): number {
  const { buf } = reader;
  let value = 0;
  let scale = 1;
  for (let i = 0; i < 10; i++) {
    if (reader.pos >= reader.len) throw malformed(place, 'a whole number', 'the end of the message');
    const byte = buf[reader.pos++]!;
    value += (byte & 0x7f) * scale;
    scale *= 128;
    if (byte < 0x80) {
      if (value > max) throw malformed(place, `at most ${max}`, String(value));
      return value;
    }
  }
  throw malformed(place, 'a varint of at most 10 bytes', 'a longer one');
}

function writeNumber(writer: Writer, field: number, value: number, place: string, max = Number.MAX_SAFE_INTEGER): void {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw malformed(place, `an integer, 0..${max}`, String(value));
  }
  if (value === 0) return;
  writer.uint32(tagOf(field, WIRE_VARINT));
  if (value <= MAX_UINT32) writer.uint32(value);
  else writer.uint64(value);
}

function readBytes(reader: Reader): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(reader.bytes());
}

function readText(reader: Reader, place: string, maxBytes: number): string {
  const length = readEnd(reader) - reader.pos;
  if (length > maxBytes) throw malformed(place, `at most ${maxBytes} bytes`, String(length));
  const start = reader.pos;
  reader.pos += length;
  try {
    return UTF8.decode(reader.buf.subarray(start, start + length));
  } catch {
    throw malformed(place, 'valid UTF-8', 'other bytes');
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function checkText(place: string, text: string, minBytes: number, maxBytes: number): void {
  const bytes = Buffer.byteLength(text);
  if (bytes < minBytes || bytes > maxBytes) throw malformed(place, `${minBytes}..${maxBytes} bytes`, String(bytes));
}

function checkMapId(place: string, mapId: Uint8Array): void {
  if (mapId.length !== MAP_ID_BYTES) throw malformed(place, `${MAP_ID_BYTES} bytes`, String(mapId.length));
}

function checkRange(range: AddressRange): void {
  if (range.address.length !== 16) throw malformed('ranges.address', '16 bytes', String(range.address.length));
}

function malformed(place: string, expected: string, found?: string): NetloomError {
  const details = found === undefined ? { place, expected } : { place, expected, found };
  return new NetloomError('REPORT_MALFORMED', `${place} cannot be used`, details);
}

function finish(writer: Writer): Buffer {
  const bytes = writer.finish();
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** protobufjs throws plain errors for truncated varints, unknown wire types and groups too deep. */
function guarded<T>(what: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (error instanceof NetloomError) throw error;
    throw new NetloomError('REPORT_MALFORMED', `bytes that are no ${what}`, {
      expected: `a ${what} of proto/report.proto`,
      found: messageOf(error),
      cause: error,
    });
  }
}
