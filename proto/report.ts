/** Version of the contract in report.proto. */
export const PROTOCOL_VERSION = 1;

export const ROLE_SERVER = 1;
export const ROLE_CLIENT = 2;
export type Role = typeof ROLE_SERVER | typeof ROLE_CLIENT;

/** Kernel's IPPROTO numbers. */
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;

export interface Hello {
  readonly protocol: number;
  readonly node: string;
  /** 16 bytes. */
  readonly mapId: Uint8Array;
  readonly intervalMs: number;
  readonly version: string;
}

export interface Welcome {
  readonly protocol: number;
  readonly committedSeq: number;
  readonly ranges: readonly AddressRange[];
  readonly maxEdges: number;
}

export interface AddressRange {
  /** 16 bytes, IPv4 as ::ffff:a.b.c.d. */
  readonly address: Uint8Array;
  /** 0..128 */
  readonly prefixLength: number;
}

/** The columns of report.proto's EdgeColumns; all but `addresses` and `prefixLengths` have length n. */
export interface EdgeColumns {
  readonly n: number;
  /** 16 bytes an address. */
  readonly addresses: Uint8Array;
  /** One per address, or empty: all 128. */
  readonly prefixLengths: Uint8Array;
  readonly local: Uint32Array;
  readonly remote: Uint32Array;
  readonly serverPort: Uint16Array;
  readonly role: Uint8Array;
  readonly protocol: Uint8Array;
  readonly bytesSent: Float64Array;
  readonly bytesReceived: Float64Array;
  readonly segmentsSent: Float64Array;
  readonly segmentsReceived: Float64Array;
  readonly retransmits: Float64Array;
  readonly connections: Float64Array;
  readonly minRttUs: Uint32Array;
  readonly smoothedRttUs: Uint32Array;
}

export type SpeedSource = 'unknown' | 'device' | 'configured';

export interface Uplink {
  readonly name: string;
  readonly txBytes: number;
  readonly rxBytes: number;
  /** bits per second; 0: not known. */
  readonly speedBps: number;
  readonly speedSource: SpeedSource;
}

export interface Losses {
  readonly mapFullConnections: number;
  readonly mapFullBytes: number;
  readonly storageFailed: number;
  readonly readFailed: number;
  readonly droppedEdges: number;
  readonly droppedBytes: number;
}

export interface Cost {
  readonly bpfRuns: number;
  readonly bpfRunNs: number;
  readonly cpuUs: number;
  readonly rssBytes: number;
}

/** The counters of `Losses`, in the order of their field numbers from 1. */
export const LOSS_NAMES = [
  'mapFullConnections',
  'mapFullBytes',
  'storageFailed',
  'readFailed',
  'droppedEdges',
  'droppedBytes',
] as const satisfies readonly (keyof Losses)[];

/** The counters of `Cost`, in the order of their field numbers from 1. */
export const COST_NAMES = ['bpfRuns', 'bpfRunNs', 'cpuUs', 'rssBytes'] as const satisfies readonly (keyof Cost)[];

export const NO_LOSSES: Losses = {
  mapFullConnections: 0,
  mapFullBytes: 0,
  storageFailed: 0,
  readFailed: 0,
  droppedEdges: 0,
  droppedBytes: 0,
};

export const NO_COST: Cost = { bpfRuns: 0, bpfRunNs: 0, cpuUs: 0, rssBytes: 0 };

export interface Report {
  readonly seq: number;
  readonly mapId: Uint8Array;
  readonly periodMs: number;
  readonly ageMs: number;
  readonly edges: EdgeColumns;
  readonly uplinks: readonly Uplink[];
  readonly losses: Losses;
  readonly cost: Cost;
  readonly merged: number;
}

export type AgentMessage = { readonly hello: Hello } | { readonly report: Report };
export type SchedulerMessage =
  | { readonly welcome: Welcome }
  | { readonly ack: { readonly seq: number } }
  | { readonly ranges: readonly AddressRange[] };
