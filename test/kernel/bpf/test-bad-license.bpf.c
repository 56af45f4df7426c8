// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Refused by the verifier: a GPL-only helper in an object that is not. */
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
	bpf_map_delete_elem(&values, &slot);
	bpf_trace_printk("x", 2);
	return -1;
}

char LICENSE[] SEC("license") = "Apache-2.0";
