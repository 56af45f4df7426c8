// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Refused by the verifier: the result of a lookup is used unchecked. */
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
	__u32 slot = skb->mark;
	__u64 *value = bpf_map_lookup_elem(&values, &slot);
	*value += 1;
	return -1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
