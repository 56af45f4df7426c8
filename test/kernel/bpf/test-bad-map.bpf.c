// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A flag that no kernel knows: the map is not made. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__uint(map_flags, 1U << 30);
	__type(key, __u32);
	__type(value, __u32);
} impossible SEC(".maps");

SEC("tc")
int bad(struct __sk_buff *skb)
{
	__u32 key = 0;
	bpf_map_delete_elem(&impossible, &key);
	return -1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
