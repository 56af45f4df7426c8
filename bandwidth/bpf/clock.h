/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Clocks that all CPUs move: one atomic add charges a packet. Reading and writing back would lose charges (two CPUs at
 * 10 Gbit/s: half of the traffic too much).
 */
#ifndef NETLOOM_CLOCK_H
#define NETLOOM_CLOCK_H

#include <stdbool.h>
#include <linux/types.h>

#define NS_PER_SECOND 1000000000ULL

/* Time of `bytes` at `rate`, never less: rounding must not raise a limit. Below 2^33 bytes nothing overflows. */
static __always_inline __u64 duration_ns(__u64 bytes, __u64 rate)
{
	return (bytes * NS_PER_SECOND + rate - 1) / rate;
}

/* Whether a clock lags behind `floor`, that is, has no queue; or is garbage, beyond `ceiling`. Either starts anew. */
static __always_inline bool is_idle(__u64 time, __u64 floor, __u64 ceiling)
{
	return time < floor || time > ceiling;
}

static __always_inline __u64 read_clock(const __u64 *clock)
{
	return *(const volatile __u64 *)clock;
}

/*
 * Charges a clock that was read as `time`. Returns the time before the charge: what another CPU took in between is in
 * it. An idle clock is set to `floor` by one compare-and-swap: if it fails, another CPU has just done that.
 */
static __always_inline __u64 charge(__u64 *clock, __u64 time, __u64 floor, bool idle, __u64 ns)
{
	if (idle && __sync_val_compare_and_swap(clock, time, floor + ns) == time)
		return floor;
	return __sync_fetch_and_add(clock, ns);
}

#endif
