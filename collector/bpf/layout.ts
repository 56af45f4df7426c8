import type { StructLayout } from '../../lib/bpf/layout.ts';

/**
 * The structs of edges.h, and of the program's own, as user space reads them. Compared with the object's BTF before the first read, so that a
 * change of one side alone stops the agent instead of making it report nonsense.
 */
export const EDGE_KEY = {
  size: 40,
  fields: {
    local: { offset: 0, size: 16 },
    remote: { offset: 16, size: 16 },
    netns: { offset: 32, size: 4 },
    server_port: { offset: 36, size: 2 },
    role: { offset: 38, size: 1 },
    protocol: { offset: 39, size: 1 },
  },
} as const satisfies StructLayout;

export const EDGE_COUNTS = {
  size: 72,
  fields: {
    bytes_sent: { offset: 0, size: 8 },
    bytes_received: { offset: 8, size: 8 },
    segments_sent: { offset: 16, size: 8 },
    segments_received: { offset: 24, size: 8 },
    retransmits: { offset: 32, size: 8 },
    connections: { offset: 40, size: 8 },
    updated_ns: { offset: 48, size: 8 },
    min_rtt_us: { offset: 56, size: 4 },
    smoothed_rtt_us: { offset: 60, size: 4 },
    rtt_pass: { offset: 64, size: 4 },
    born_ms: { offset: 68, size: 4 },
  },
} as const satisfies StructLayout;

export const LOSSES = {
  size: 24,
  fields: {
    map_full_connections: { offset: 0, size: 8 },
    map_full_bytes: { offset: 8, size: 8 },
    storage_failed: { offset: 16, size: 8 },
  },
} as const satisfies StructLayout;

export const SETTINGS = {
  size: 8,
  fields: {
    pass: { offset: 0, size: 4 },
    fold_outside: { offset: 4, size: 4 },
  },
} as const satisfies StructLayout;

export const IDENTITY = {
  size: 32,
  fields: {
    map_id: { offset: 0, size: 16 },
    abi: { offset: 16, size: 16 },
  },
} as const satisfies StructLayout;

/** Only programs read it, but pinned ones outlive the agent that loaded them. */
const SOCKET_COUNTS = {
  size: 80,
  fields: {
    lock: { offset: 0, size: 4 },
    state: { offset: 4, size: 1 },
    fin_sent: { offset: 5, size: 1 },
    syn_sent: { offset: 6, size: 1 },
    key: { offset: 8, size: 40 },
    bytes_sent: { offset: 48, size: 8 },
    bytes_received: { offset: 56, size: 8 },
    segments_sent: { offset: 64, size: 4 },
    segments_received: { offset: 68, size: 4 },
    retransmits: { offset: 72, size: 4 },
    opened_at: { offset: 76, size: 4 },
  },
} as const satisfies StructLayout;

export const RANGE_KEY = {
  size: 20,
  fields: {
    prefix_length: { offset: 0, size: 4 },
    address: { offset: 4, size: 16 },
  },
} as const satisfies StructLayout;

/** Struct names with the layouts above. */
export const LAYOUTS: Readonly<Record<string, StructLayout>> = {
  edge_key: EDGE_KEY,
  edge_counts: EDGE_COUNTS,
  collector_losses: LOSSES,
  collector_settings: SETTINGS,
  collector_identity: IDENTITY,
  socket_counts: SOCKET_COUNTS,
  range_key: RANGE_KEY,
};

/**
 * Counts up when figures in pinned maps come to mean something else without lying elsewhere: then what an older agent
 * left is not taken up.
 */
export const ABI = 1;

/** Bit of `role`: `remote` is a prefix (/24 of IPv4, /48 of IPv6), not one address. */
export const REMOTE_FOLDED = 0x80;
/** Prefix lengths of folded remotes, counted in 16 bytes. */
export const FOLDED_V4 = 120;
export const FOLDED_V6 = 48;
