// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Can the storages of all sockets be walked (Linux 5.9)? */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} storage SEC(".maps");

SEC("iter/bpf_sk_storage_map")
int probe(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
