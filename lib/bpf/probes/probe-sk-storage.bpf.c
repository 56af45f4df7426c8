// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* May a tracing program keep storage on a socket (Linux 5.11)? */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} storage SEC(".maps");

SEC("tp_btf/inet_sock_set_state")
int probe(__u64 *ctx)
{
	/* Never creates: an attached probe must leave no trace on live sockets. */
	bpf_sk_storage_get(&storage, (void *)ctx[0], 0, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
