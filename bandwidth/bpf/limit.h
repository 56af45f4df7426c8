/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the limit programs share with user space: keys and values of the maps. bandwidth/bpf/layout.ts holds the
 * same layouts and compares them with the object's BTF at start.
 *
 * A slot is one direction of one pod. All its interfaces share it. Each map is written by one side only, so that a change
 * of configuration can never undo a charge: limit_interfaces and limit_config by user space, the others by the programs.
 * Rates are bytes a second on the wire (Ethernet frame without checksum and preamble), times are ns of CLOCK_MONOTONIC.
 */
#ifndef NETLOOM_LIMIT_H
#define NETLOOM_LIMIT_H

#include <linux/types.h>

/* Slot of interfaces that have no limit in a direction. Its values stay zero, but for what all uplinks were offered. */
#define LIMIT_NO_SLOT 0
/* Flow buckets of a slot; a power of two. */
#define LIMIT_FLOWS 1024
/* Of limit_stat.queue; the last one has no upper end. */
#define LIMIT_QUEUE_BUCKETS 24

/* How a slot is enforced. */
enum limit_mode {
	/* Departure times for sch_fq: the packet is stamped at the pod's interface and waits where it leaves. */
	LIMIT_STAMP = 0,
	/*
	 * No sch_fq: HTB holds packets back, the program keeps its queue short where packets enter it. What a pod sends
	 * some other way is policed as it leaves the pod.
	 */
	LIMIT_HTB = 1,
	/* Nothing holds packets back: what finds the virtual queue full is dropped at the pod's interface. */
	LIMIT_POLICE = 2,
};

/* limit_config.flags */
#define LIMIT_ECN 1U
/* Decide and count, change nothing. Judged at the pod's own interface whatever the mode, so it needs no qdisc. */
#define LIMIT_SHADOW 2U

/* limit_interface.flags */
/* Leave departure times that come out of the pod alone (shadow of a pod without a slot). */
#define LIMIT_KEEP_STAMPS 1U
/* Frames have no link-layer header (ARPHRD_NONE: netkit in L3 mode, tun). */
#define LIMIT_NO_MAC 2U
/* For user space: the clsact qdisc was made for our filters. */
#define LIMIT_MADE_CLSACT 4U

/* Value of limit_interfaces; key: ifindex. */
struct limit_interface {
	__u32 egress_slot;  /* of what the pod sends */
	__u32 ingress_slot; /* of what it receives */
	__u32 flags;
};

/* A reader may see a change half done for one packet: every mix of two valid configurations is harmless. */
struct limit_config {
	__u64 rate; /* 0: no limit, count only */
	/* Rates of guarantees and of the fair share; not used yet. */
	__u64 request;
	__u64 fair;
	/* A clock further ahead than this is garbage, or of an older, lower rate: it starts anew. */
	__u64 max_ahead_ns;
	/* The virtual queue ahead of a packet: CE begins, everything is CE or dropped, everything is dropped. */
	__u32 ce_ns;
	__u32 drop_ns;
	__u32 hard_ns;
	/* Small packets of flows that have nothing queued pass at once, at up to rate >> sparse_shift with this much saved up. */
	__u32 sparse_credit_ns;
	/* HTB: class ids on the device that holds packets back. */
	__u32 bulk_priority;
	__u32 sparse_priority;
	__u16 small_bytes; /* 0: no such passing */
	__u8 sparse_shift;
	__u8 mode;
	__u16 flags;
	__u16 node_slot; /* not used yet */
	/* HTB: the same for the backstop's clock, and the queue at which it drops. */
	__u64 police_max_ahead_ns;
	__u32 police_ns;
	__u32 reserved;
};

/* Moved by atomic adds: the time at which everything charged so far will have been sent at the rate. */
struct limit_clock {
	__u64 limit_ns;
	__u64 request_ns; /* not used yet */
	__u64 fair_ns;	  /* not used yet */
	__u64 sparse_ns;
	__u64 police_ns; /* HTB: of all that left the pod, whatever way */
	__u64 exempt_ns; /* of exempt packets, at their share of the rate */
	__u64 reserved[2];
} __attribute__((aligned(64)));

/* Departure of the last packet of a flow that was held back. Written without a lock: a torn pair delays a packet by no
 * more than the queue. */
struct limit_flow {
	__u32 hash;
	__u32 reserved;
	__u64 departure_ns;
};

struct limit_flows {
	struct limit_flow at[LIMIT_FLOWS];
};

/*
 * Cumulative, of each CPU. offered = what came to the pod's interface = exempt + passed + dropped, where passed is what was
 * let through there less what was recalled. What came past from_pod is in passed and dropped only.
 */
struct limit_stat {
	__u64 offered_packets;
	__u64 offered_bytes;
	__u64 packets; /* passed the limit, some of them only to be recalled */
	__u64 bytes;
	__u64 delayed;
	__u64 marked;
	__u64 dropped_packets;
	__u64 dropped_bytes;
	__u64 bypassed; /* small packets that did not wait */
	__u64 exempt_packets;
	__u64 exempt_bytes;
	__u64 stamps_cleared;
	__u64 clock_resets; /* a clock was further ahead than max_ahead_ns */
	/*
	 * Of each delayed packet the shorter of its wait and of its own time at the rate. While packets wait, these
	 * times lie end to end, so the sum is the time during which any packet waited.
	 */
	__u64 throttled_ns;
	/* What the last judgement was made with: a twin can repeat it to the ns. */
	__u64 last_ns;
	__u32 last_random;
	__u32 reserved;
	/* Packets by the queue that they found: 0: below 1,024 ns, i: from 2^(i-1) x 1,024 ns. */
	__u64 queue[LIMIT_QUEUE_BUCKETS];
	/* HTB: let through by from_pod and dropped at an uplink; to be subtracted from packets, bytes and throttled_ns. */
	__u64 recalled_packets;
	__u64 recalled_bytes;
	__u64 recalled_ns;
};

/* Whose slot it is, for the next agent; the programs do not look. */
struct limit_owner {
	__u8 digest[16]; /* first bytes of SHA-256 of the pod's uid */
	__u8 direction;	 /* 0 nobody's, 1 egress, 2 ingress */
	__u8 reserved[7];
};

#endif
