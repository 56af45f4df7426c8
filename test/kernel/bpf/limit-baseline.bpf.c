// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The formula that is in use elsewhere (Cilium's bandwidth manager), in own words: the time of the last departure is
 * read, moved and written back, so two CPUs at once lose charges; stamps are those of the packet's end; and the queue may
 * grow to the horizon. For comparison only.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct baseline {
	__u64 rate; /* bytes a second */
	__u64 last_ns;
	__u64 horizon_ns;
};

/* By what the packet carries in `mark`. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct baseline);
} baselines SEC(".maps");

struct passed {
	__u64 bytes;
	__u64 last_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct passed);
} passed SEC(".maps");

SEC("tc")
int read_and_write(struct __sk_buff *skb)
{
	__u32 key = skb->mark, zero = 0;
	struct baseline *limit = bpf_map_lookup_elem(&baselines, &key);
	struct passed *counts = bpf_map_lookup_elem(&passed, &zero);
	__u64 now, next;

	if (!limit || !counts)
		return TC_ACT_UNSPEC;
	now = bpf_ktime_get_ns();
	counts->last_ns = now;
	next = *(volatile __u64 *)&limit->last_ns + skb->wire_len * 1000000000ULL / limit->rate;
	if (next <= now) {
		*(volatile __u64 *)&limit->last_ns = now;
	} else {
		if (next - now >= limit->horizon_ns)
			return TC_ACT_SHOT;
		*(volatile __u64 *)&limit->last_ns = next;
		skb->tstamp = next;
	}
	counts->bytes += skb->wire_len;
	return TC_ACT_UNSPEC;
}
