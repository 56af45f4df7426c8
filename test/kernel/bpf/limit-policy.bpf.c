// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* A network policy as others write it: drops UDP to one port, and accepts the rest in a way that ends the chain. */
SEC("tc")
int policy(struct __sk_buff *skb)
{
	struct {
		struct iphdr ip;
		struct udphdr udp;
	} head;

	if (skb->protocol == bpf_htons(ETH_P_IP) &&
	    bpf_skb_load_bytes_relative(skb, 0, &head, sizeof(head), BPF_HDR_START_NET) == 0 && head.ip.protocol == 17 &&
	    head.udp.dest == bpf_htons(9999))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}
