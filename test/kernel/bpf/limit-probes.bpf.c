// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Helps to test the limit programs: what cannot be asked of them, or given to them, from user space. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The program under test. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} under_test SEC(".maps");

/* A test run's context can hold a time but not say that it is one of departure. */
SEC("tc")
int stamped(struct __sk_buff *skb)
{
	__u64 departure = skb->tstamp;

	bpf_skb_set_tstamp(skb, departure, BPF_SKB_TSTAMP_DELIVERY_MONO);
	bpf_tail_call(skb, &under_test, 0);
	return 100;
}

/* A test run that is repeated has one packet: as it comes out of a pod, and as it comes to an uplink, each time anew. */
SEC("tc")
int out_of_pod(struct __sk_buff *skb)
{
	bpf_skb_set_tstamp(skb, 0, BPF_SKB_TSTAMP_UNSPEC);
	bpf_tail_call(skb, &under_test, 0);
	return 100;
}

SEC("tc")
int of_slot_1(struct __sk_buff *skb)
{
	bpf_skb_set_tstamp(skb, 1, BPF_SKB_TSTAMP_DELIVERY_MONO);
	bpf_tail_call(skb, &under_test, 0);
	return 100;
}

SEC("tc")
int flow_hash(struct __sk_buff *skb)
{
	return bpf_get_hash_recalc(skb);
}

SEC("tc")
int empty(struct __sk_buff *skb)
{
	return TC_ACT_UNSPEC;
}

struct seen {
	__u64 packets;
	__u64 len;
	__u64 wire_len;
	__u64 segments;
	__u64 with_departure; /* tstamp_type set */
	__u64 future;	      /* of them, after now */
	__u64 max_len;
	__u64 super_packets; /* of more than one segment */
	__u64 ce;
	__u64 carried; /* departures that name a slot */
	/* Of packets of more than 1,000 bytes, which no limit exempts: all, those that carry a slot, those for a class of ours. */
	__u64 large;
	__u64 large_carried;
	__u64 large_classed;
};

/* By ifindex. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct seen);
} seen SEC(".maps");

static __always_inline int record(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex;
	struct seen *record = bpf_map_lookup_elem(&seen, &ifindex);
	__u64 stamp = skb->tstamp_type ? skb->tstamp : 0;
	__u8 tos = 0;

	if (!record)
		return TC_ACT_UNSPEC;
	__sync_fetch_and_add(&record->packets, 1);
	__sync_fetch_and_add(&record->len, skb->len);
	__sync_fetch_and_add(&record->wire_len, skb->wire_len);
	__sync_fetch_and_add(&record->segments, skb->gso_segs ? skb->gso_segs : 1);
	if (skb->gso_segs > 1)
		__sync_fetch_and_add(&record->super_packets, 1);
	if (stamp)
		__sync_fetch_and_add(&record->with_departure, 1);
	if (stamp > bpf_ktime_get_ns())
		__sync_fetch_and_add(&record->future, 1);
	if (stamp && stamp < 65536)
		__sync_fetch_and_add(&record->carried, 1);
	if (skb->len > record->max_len)
		record->max_len = skb->len;
	if (skb->len > 1000) {
		__sync_fetch_and_add(&record->large, 1);
		if (stamp && stamp < 65536)
			__sync_fetch_and_add(&record->large_carried, 1);
		if (skb->priority >> 16 == 0x4e4c)
			__sync_fetch_and_add(&record->large_classed, 1);
	}
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		bpf_skb_load_bytes_relative(skb, 1, &tos, 1, BPF_HDR_START_NET);
		if ((tos & 3) == 3)
			__sync_fetch_and_add(&record->ce, 1);
	}
	return TC_ACT_UNSPEC;
}

SEC("tc")
int look(struct __sk_buff *skb)
{
	return record(skb);
}
