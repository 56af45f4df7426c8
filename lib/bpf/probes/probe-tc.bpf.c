// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* May a program see the packets of an interface? It lets all of them pass to whoever comes next. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int probe(struct __sk_buff *skb)
{
	return -1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
