import type { StructLayout } from '../../lib/bpf/layout.ts';

/**
 * The structs of limit.h as user space reads and writes them. Compared with the object's BTF before the first write, so
 * that a change of one side alone stops the agent instead of making it enforce nonsense.
 */
export const LIMIT_INTERFACE = {
  size: 12,
  fields: {
    egress_slot: { offset: 0, size: 4 },
    ingress_slot: { offset: 4, size: 4 },
    flags: { offset: 8, size: 4 },
  },
} as const satisfies StructLayout;

export const LIMIT_CONFIG = {
  size: 80,
  fields: {
    rate: { offset: 0, size: 8 },
    request: { offset: 8, size: 8 },
    fair: { offset: 16, size: 8 },
    max_ahead_ns: { offset: 24, size: 8 },
    ce_ns: { offset: 32, size: 4 },
    drop_ns: { offset: 36, size: 4 },
    hard_ns: { offset: 40, size: 4 },
    sparse_credit_ns: { offset: 44, size: 4 },
    bulk_priority: { offset: 48, size: 4 },
    sparse_priority: { offset: 52, size: 4 },
    small_bytes: { offset: 56, size: 2 },
    sparse_shift: { offset: 58, size: 1 },
    mode: { offset: 59, size: 1 },
    flags: { offset: 60, size: 2 },
    node_slot: { offset: 62, size: 2 },
    police_max_ahead_ns: { offset: 64, size: 8 },
    police_ns: { offset: 72, size: 4 },
    reserved: { offset: 76, size: 4 },
  },
} as const satisfies StructLayout;

export const LIMIT_CLOCK = {
  size: 64,
  fields: {
    limit_ns: { offset: 0, size: 8 },
    request_ns: { offset: 8, size: 8 },
    fair_ns: { offset: 16, size: 8 },
    sparse_ns: { offset: 24, size: 8 },
    police_ns: { offset: 32, size: 8 },
    exempt_ns: { offset: 40, size: 8 },
    reserved: { offset: 48, size: 16 },
  },
} as const satisfies StructLayout;

export const LIMIT_FLOW = {
  size: 16,
  fields: {
    hash: { offset: 0, size: 4 },
    reserved: { offset: 4, size: 4 },
    departure_ns: { offset: 8, size: 8 },
  },
} as const satisfies StructLayout;

/** Buckets of one slot; a power of two. */
export const LIMIT_FLOWS = 1024;
export const LIMIT_QUEUE_BUCKETS = 24;

const QUEUE_END = 128 + 8 * LIMIT_QUEUE_BUCKETS;

export const LIMIT_STAT = {
  size: QUEUE_END + 24,
  fields: {
    offered_packets: { offset: 0, size: 8 },
    offered_bytes: { offset: 8, size: 8 },
    packets: { offset: 16, size: 8 },
    bytes: { offset: 24, size: 8 },
    delayed: { offset: 32, size: 8 },
    marked: { offset: 40, size: 8 },
    dropped_packets: { offset: 48, size: 8 },
    dropped_bytes: { offset: 56, size: 8 },
    bypassed: { offset: 64, size: 8 },
    exempt_packets: { offset: 72, size: 8 },
    exempt_bytes: { offset: 80, size: 8 },
    stamps_cleared: { offset: 88, size: 8 },
    clock_resets: { offset: 96, size: 8 },
    throttled_ns: { offset: 104, size: 8 },
    last_ns: { offset: 112, size: 8 },
    last_random: { offset: 120, size: 4 },
    reserved: { offset: 124, size: 4 },
    queue: { offset: 128, size: 8 * LIMIT_QUEUE_BUCKETS },
    recalled_packets: { offset: QUEUE_END, size: 8 },
    recalled_bytes: { offset: QUEUE_END + 8, size: 8 },
    recalled_ns: { offset: QUEUE_END + 16, size: 8 },
  },
} as const satisfies StructLayout;

export const LIMIT_OWNER = {
  size: 24,
  fields: {
    digest: { offset: 0, size: 16 },
    direction: { offset: 16, size: 1 },
    reserved: { offset: 17, size: 7 },
  },
} as const satisfies StructLayout;

/** Struct names of limit.h with the layouts above. */
export const LAYOUTS: Readonly<Record<string, StructLayout>> = {
  limit_interface: LIMIT_INTERFACE,
  limit_config: LIMIT_CONFIG,
  limit_clock: LIMIT_CLOCK,
  limit_flow: LIMIT_FLOW,
  limit_flows: { size: LIMIT_FLOWS * LIMIT_FLOW.size, fields: { at: { offset: 0, size: LIMIT_FLOWS * 16 } } },
  limit_stat: LIMIT_STAT,
  limit_owner: LIMIT_OWNER,
};

/** Slot of interfaces that have no limit in a direction; its counters are of what all uplinks were offered. */
export const NO_SLOT = 0;
/** With mode `htb` a slot travels in the packet as a departure time below this, so there can be no more of them. */
export const SLOT_END = 65_536;
/** What travels there once the packet was judged at an uplink. */
export const CARRIED_JUDGED = SLOT_END - 1;
