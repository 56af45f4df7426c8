// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Does the kernel load and attach a program to the state change of sockets? */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tp_btf/inet_sock_set_state")
int probe(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
