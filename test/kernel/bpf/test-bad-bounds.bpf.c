// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Refused by the verifier: an index without bounds. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} values SEC(".maps");

SEC("tc")
int bad(struct __sk_buff *skb)
{
	__u32 slot = 0;
	__u64 *value = bpf_map_lookup_elem(&values, &slot);
	if (!value)
		return -1;
	value[skb->mark] = 1;
	return -1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
