/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which flows have packets waiting: their next ones must not overtake them. The whole hash is kept, for a small flow that
 * shares a bucket with a bulk flow must not be taken for it. Times are u64: 32 bits of microseconds come round after
 * 71 minutes, and then an idle flow looks busy.
 */
#ifndef NETLOOM_FLOW_H
#define NETLOOM_FLOW_H

#include <linux/types.h>
#include "limit.h"

/* No queue of ours is longer; a departure beyond it is garbage. */
#define FLOW_MAX_AHEAD_NS 8000000000ULL

static __always_inline struct limit_flow *flow_of(struct limit_flows *flows, __u32 hash)
{
	return &flows->at[hash & (LIMIT_FLOWS - 1)];
}

/* When the last packet of this flow departs, if that is to come; else 0. */
static __always_inline __u64 flow_departure(const struct limit_flow *flow, __u32 hash, __u64 now)
{
	__u64 departure = *(const volatile __u64 *)&flow->departure_ns;

	if (flow->hash != hash || departure <= now || departure >= now + FLOW_MAX_AHEAD_NS)
		return 0;
	return departure;
}

#endif
