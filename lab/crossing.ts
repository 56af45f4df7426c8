import type { TrueMatrix } from './matrix.ts';

/** Bytes of the devices through which traffic leaves the nodes, since they were made. */
export interface UplinkCounters {
  readonly node: string;
  readonly txBytes: number;
  readonly rxBytes: number;
  readonly txPackets: number;
}

/** A reading of everything, at one moment. */
export interface Reading {
  readonly atMs: number;
  readonly matrix: TrueMatrix;
  readonly uplinks: readonly UplinkCounters[];
}

/** What happened between two readings. */
export interface Crossing {
  readonly periodMs: number;
  /** Payload between pods, both directions. */
  readonly payloadBytes: number;
  /** Of it: between pods on different nodes, in different zones. */
  readonly crossNodeBytes: number;
  readonly crossZoneBytes: number;
  /** 0..1; 0 without traffic. */
  readonly nodeShare: number;
  readonly zoneShare: number;
  /**
   * Bytes that all nodes sent into the fabric, by their device counters: the same traffic measured at another place,
   * with headers, acknowledgements and connection set-up.
   */
  readonly fabricBytes: number;
}

/** Traffic between two readings of one lab, by where both ends ran. Pure. */
export function crossingBetween(before: Reading, after: Reading): Crossing {
  const earlier = new Map(before.matrix.pods.map((e) => [`${e.client.name} ${e.server.name}`, e.bytesOut + e.bytesIn]));
  let payloadBytes = 0;
  let crossNodeBytes = 0;
  let crossZoneBytes = 0;
  for (const e of after.matrix.pods) {
    const bytes = e.bytesOut + e.bytesIn - (earlier.get(`${e.client.name} ${e.server.name}`) ?? 0);
    payloadBytes += bytes;
    if (e.client.node !== e.server.node) crossNodeBytes += bytes;
    if (e.client.zone !== e.server.zone) crossZoneBytes += bytes;
  }
  const tx = new Map(before.uplinks.map((u) => [u.node, u.txBytes]));
  return {
    periodMs: after.atMs - before.atMs,
    payloadBytes,
    crossNodeBytes,
    crossZoneBytes,
    nodeShare: payloadBytes === 0 ? 0 : crossNodeBytes / payloadBytes,
    zoneShare: payloadBytes === 0 ? 0 : crossZoneBytes / payloadBytes,
    fabricBytes: after.uplinks.reduce((sum, u) => sum + u.txBytes - (tx.get(u.node) ?? 0), 0),
  };
}
