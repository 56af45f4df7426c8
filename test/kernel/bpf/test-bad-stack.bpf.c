// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Refused by the verifier: a helper reads more than the stack holds. */
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
	__u32 slot[1] = { 0 };
	bpf_skb_load_bytes(skb, 0, slot, 8);
	bpf_map_delete_elem(&values, &slot);
	return -1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
