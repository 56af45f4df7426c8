// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The least that a collector which looks at packets can do: add up bytes. bench/program-runs.ts compares the
 * number of its runs with that of the collector's programs. Real ones also parse headers and look up a flow.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} bytes SEC(".maps");

SEC("tc")
int per_packet(struct __sk_buff *skb)
{
	__u32 slot = 0;
	__u64 *sum = bpf_map_lookup_elem(&bytes, &slot);

	if (sum)
		__sync_fetch_and_add(sum, skb->len);
	return -1; /* TCX_NEXT */
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
