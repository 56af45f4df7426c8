// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Attaches to an event that no kernel has. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tp_btf/netloom_no_such_event")
int bad(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
