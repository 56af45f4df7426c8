// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* May a program see the packets of a cgroup? */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("cgroup_skb/egress")
int probe(struct __sk_buff *skb)
{
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
