// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One map of each kind that is read, and a classifier that fills a ring. Driven by test_run and from user space. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct test_key {
	__u8 addr[16];
	__u16 port;
	__u8 role;
	__u8 protocol;
	__u32 netns;
};

struct test_value {
	__u64 bytes;
	__u64 packets;
	struct {
		__u32 minRttUs;
		__u32 srttUs;
	};
	__u32 flags : 3;
	__u32 kind : 5;
	__u8 tail[4];
};

#define TEST_MAP(map, kind)                                                                                           \
	struct {                                                                                                      \
		__uint(type, kind);                                                                                   \
		__uint(max_entries, 1024);                                                                            \
		__type(key, struct test_key);                                                                         \
		__type(value, struct test_value);                                                                     \
	} map SEC(".maps")

TEST_MAP(flows_hash, BPF_MAP_TYPE_HASH);
TEST_MAP(flows_percpu, BPF_MAP_TYPE_PERCPU_HASH);
TEST_MAP(flows_lru, BPF_MAP_TYPE_LRU_HASH);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u32);
} percpu_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u32);
} prefixes SEC(".maps");

/* A type without batch lookup, to walk by next_key: DEVMAP_HASH takes interface indexes as values. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} devices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} events SEC(".maps");

struct test_event {
	__u64 sequence;
	__u64 pad[7];
};

const struct test_event *unused_test_event __attribute__((unused));

const volatile __u32 per_run = 1;
const volatile _Bool discard_odd = 0;
const volatile __s64 signed_base = 0;

/* Emits per_run records, numbered on; counters[0] is the next number, counters[1] counts records without room. */
SEC("tc")
int fill_ring(struct __sk_buff *skb)
{
	__u32 next_slot = 0, lost_slot = 1;
	__u64 *next = bpf_map_lookup_elem(&counters, &next_slot);
	__u64 *lost = bpf_map_lookup_elem(&counters, &lost_slot);
	if (!next || !lost)
		return -1;
	for (__u32 i = 0; i < per_run && i < 4096; i++) {
		struct test_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
		if (!event) {
			*lost += 1;
			continue;
		}
		event->sequence = *next + signed_base;
		*next += 1;
		if (discard_odd && (event->sequence & 1))
			bpf_ringbuf_discard(event, 0);
		else
			bpf_ringbuf_submit(event, 0);
	}
	return 7;
}

SEC("tc")
int count_packets(struct __sk_buff *skb)
{
	__u32 slot = 2;
	__u64 *count = bpf_map_lookup_elem(&counters, &slot);
	if (count)
		__sync_fetch_and_add(count, 1);
	return -1;
}

/* Ends the chain: what runs behind it in the same hook sees nothing. */
SEC("tc")
int accept_all(struct __sk_buff *skb)
{
	__u32 slot = 3;
	__u64 *count = bpf_map_lookup_elem(&counters, &slot);
	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
