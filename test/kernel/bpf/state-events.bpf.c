// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Counts state changes of sockets outside of two network namespaces. bench/program-runs.ts takes them off the
 * collector's runs: its tracepoint sees the whole machine, the baseline one device.
 */
#include "../../../collector/bpf/kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

const volatile __u32 netns_a = 0;
const volatile __u32 netns_b = 0;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} foreign SEC(".maps");

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_event, struct sock *sk, int oldstate, int newstate)
{
	__u32 netns = sk->__sk_common.skc_net.net->ns.inum;
	__u32 slot = 0;
	__u64 *count = bpf_map_lookup_elem(&foreign, &slot);

	if (count && netns != netns_a && netns != netns_b)
		__sync_fetch_and_add(count, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
