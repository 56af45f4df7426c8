// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Refused by the verifier: a packet read without looking at its end. */
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
	unsigned char *data = (void *)(long)skb->data;
	bpf_map_delete_elem(&values, &slot);
	return data[12];
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
