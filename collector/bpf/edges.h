/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the collector's programs share with user space: keys and values of the maps. collector/bpf/layout.ts
 * holds the same layouts and compares them with the object's BTF at start.
 * No struct has a hole: uninitialised bytes in a key would split edges.
 */
#ifndef NETLOOM_EDGES_H
#define NETLOOM_EDGES_H

#include <linux/types.h>

#define ROLE_SERVER 1
#define ROLE_CLIENT 2
/* In edge_key.role: `remote` is not one address but its /24 (IPv4) or /48 (IPv6). */
#define REMOTE_FOLDED 0x80

/* Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d. Ephemeral ports are not part of an edge. */
struct edge_key {
	__u8 local[16];
	__u8 remote[16];
	__u32 netns;
	__u16 server_port; /* host order */
	__u8 role;
	__u8 protocol;
};

/* Cumulative since the edge came to be; RTTs are gauges. */
struct edge_counts {
	__u64 bytes_sent;     /* payload the peer acknowledged */
	__u64 bytes_received; /* payload delivered in order */
	__u64 segments_sent;
	__u64 segments_received;
	__u64 retransmits;
	__u64 connections;
	__u64 updated_ns; /* CLOCK_MONOTONIC */
	__u32 min_rtt_us; /* least of the sockets seen in `rtt_pass`; 0: not known */
	__u32 smoothed_rtt_us;
	__u32 rtt_pass;
	__u32 born_ms; /* low bits of CLOCK_MONOTONIC: tells an edge from one of the same key that was deleted */
};

/* Cumulative. Bytes of connections without an edge are counted here, so nothing vanishes unseen. */
struct collector_losses {
	__u64 map_full_connections;
	__u64 map_full_bytes;
	__u64 storage_failed;
};

/* Written by user space. */
struct collector_settings {
	__u32 pass; /* number of the pass over live sockets; starts a new minimum of RTTs */
	__u32 fold_outside; /* 1: cluster_ranges is filled, fold remote addresses outside of it */
};

/* Of pinned maps, which one agent leaves to the next. Written by user space; all zero: not known. */
struct collector_identity {
	__u8 map_id[16];
	__u8 abi[16];
};

/* Key of cluster_ranges. */
struct range_key {
	__u32 prefix_length; /* 0..128 */
	__u8 address[16];
};

#endif
