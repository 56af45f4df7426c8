// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* May a program follow the sockets of a cgroup? */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("sockops")
int probe(struct bpf_sock_ops *ctx)
{
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
