import type { BpfObject } from '../../../lib/bpf/index.ts';
import { u32 } from './limit-object.ts';

/** struct seen of limit-probes.bpf.c. */
const FIELDS = [
  ...['packets', 'len', 'wireLen', 'segments', 'departures', 'future', 'maxLen', 'superPackets', 'ce', 'carried'],
  ...['large', 'largeCarried', 'largeClassed'],
] as const;

export type Seen = Readonly<Record<string, number>>;

/** From now on the program `look` counts what crosses this device. */
export function watch(probes: BpfObject, ifindex: number): void {
  probes.map('seen').update(u32(ifindex), new Uint8Array(8 * FIELDS.length));
}

/** What `look` saw at a device. */
export function seenAt(probes: BpfObject, ifindex: number): Seen {
  const value = Buffer.from(probes.map('seen').lookup(u32(ifindex))!);
  return Object.fromEntries(FIELDS.map((name, i) => [name, Number(value.readBigUInt64LE(8 * i))]));
}
