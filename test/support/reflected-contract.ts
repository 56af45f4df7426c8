import { join } from 'node:path';
import protobuf from 'protobufjs';
import type { AddressRange, AgentMessage, EdgeColumns, Report, SchedulerMessage } from '../../proto/report.ts';

/**
 * report.proto as protobufjs reads it by reflection: the slow twin that the hand-written codec is held against, and
 * the baseline of bench/ingest.ts.
 */
const root = protobuf.loadSync(join(import.meta.dirname, '../../proto/report.proto'));

export const reflectedAgentMessage = root.lookupType('netloom.report.v1.AgentMessage');
export const reflectedSchedulerMessage = root.lookupType('netloom.report.v1.SchedulerMessage');

const SPEED_SOURCES = ['unknown', 'device', 'configured'];

/** The objects that protobufjs encodes. */
export function reflectAgentMessage(message: AgentMessage): Record<string, unknown> {
  return 'hello' in message ? { hello: { ...message.hello } } : { report: reflectReport(message.report) };
}

export function reflectReport(report: Report): Record<string, unknown> {
  return {
    ...report,
    edges: reflectEdges(report.edges),
    uplinks: report.uplinks.map((uplink) => ({
      ...uplink,
      speedSource: SPEED_SOURCES.indexOf(uplink.speedSource),
    })),
  };
}

function reflectEdges(edges: EdgeColumns): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(edges)
      .filter(([name]) => name !== 'n')
      .map(([name, values]) => [name, name === 'addresses' ? values : Array.from(values as Float64Array)]),
  );
}

export function reflectSchedulerMessage(message: SchedulerMessage): Record<string, unknown> {
  const ranges = (list: readonly AddressRange[]) => ({ ranges: list });
  if ('welcome' in message) return { welcome: { ...message.welcome, ranges: ranges(message.welcome.ranges) } };
  return 'ack' in message ? { ack: message.ack } : { ranges: ranges(message.ranges) };
}

/** Plain values of a decoded message, absent fields as their defaults, so that both codecs can be compared. */
export function plain(type: protobuf.Type, bytes: Uint8Array): unknown {
  const object = type.toObject(type.decode(bytes), { longs: Number, defaults: true, arrays: true, enums: Number });
  return JSON.parse(JSON.stringify(object, (_key, value: unknown) => bytesAsArray(value)));
}

function bytesAsArray(value: unknown): unknown {
  if (value instanceof Uint8Array) return [...value];
  const json = value as { type?: string; data?: number[] } | null;
  return json !== null && typeof json === 'object' && json.type === 'Buffer' ? json.data : value;
}
