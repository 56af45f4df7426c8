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

/*
 * The clock's time within [floor, ceiling]. One that lags or is garbage starts anew at `floor`: by one compare-and-swap,
 * for if it fails another CPU has just done it.
 */
static __always_inline __u64 read_clock(__u64 *clock, __u64 floor, __u64 ceiling, bool *was_ahead)
{
	__u64 time = *(volatile __u64 *)clock;

	*was_ahead = time > ceiling;
	if (time >= floor && time <= ceiling)
		return time;
	__sync_val_compare_and_swap(clock, time, floor);
	return floor;
}

/* Returns the time before the charge: what another CPU took in between is in it. */
static __always_inline __u64 charge(__u64 *clock, __u64 ns)
{
	return __sync_fetch_and_add(clock, ns);
}

#endif
