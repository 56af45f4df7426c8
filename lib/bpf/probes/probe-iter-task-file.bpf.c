// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Can the open files of all processes be walked (Linux 5.8), as sockets older than the agent are found? */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("iter/task_file")
int probe(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
