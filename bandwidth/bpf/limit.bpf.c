// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The limit of a pod, in both directions: a virtual queue of milliseconds.
 *
 * A clock says when everything that was let through will have been sent at the pod's rate. A packet is judged by the queue
 * that stands ahead of it, whatever its own size: first told (CE), then dropped, before anything is charged, so that
 * a drop costs nobody rate. What passes departs at the clock's time. Small packets of flows that have nothing waiting
 * depart now, and are charged all the same.
 *
 *   from_pod  ingress of the pod's host-side interface: what the pod sends
 *   to_pod    egress of it: what the pod receives
 *   leave     egress of an uplink, where no sch_fq is: HTB holds packets back there, see LIMIT_HTB
 *
 * With LIMIT_HTB from_pod is the backstop: it judges by a clock of its own, deep enough for TCP, so that all ways out of
 * a pod together carry no more than the limit, also those that have no HTB (a pod next door, the node itself, another
 * device). What `leave` drops it gives back to that clock.
 *
 * They answer "next" or drop: whoever stands behind them in the chain, a network policy say, still has its word.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include "limit.h"
#include "clock.h"
#include "ecn.h"
#include "flow.h"
#include "parse.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* TCX_NEXT and TC_ACT_UNSPEC are the same number. */
#define NEXT TC_ACT_UNSPEC
#define DROP TC_ACT_SHOT

/*
 * With LIMIT_HTB nothing reads departure times, so from_pod puts the slot there: a time that was over long ago. It stays
 * with the packet through forwarding, masquerade, bridges and tunnels, where ingress_ifindex is another's or lost.
 */
#define CARRIED_SLOT_END 65536
/* In its place once `leave` has judged the packet: a VLAN or a tunnel and the device below it may both be uplinks. */
#define CARRIED_JUDGED 65535

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct limit_interface);
} limit_interfaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct limit_config);
} limit_config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct limit_clock);
} limit_clock SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct limit_flows);
} limit_flow SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct limit_stat);
} limit_stat SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct limit_owner);
} limit_owner SEC(".maps");

struct slot {
	__u32 id;
	const struct limit_config *config;
	struct limit_stat *stat;
};

/* Where a packet is judged. */
struct place {
	bool from_pod; /* stamps are the pod's own, and not honoured */
	bool classes;  /* the device's HTB has the slot's classes */
	bool leaves;   /* it leaves the node here */
	bool counted;  /* from_pod has counted and charged it already */
};

static __always_inline bool find_slot(__u32 id, struct slot *slot)
{
	if (id == LIMIT_NO_SLOT)
		return false;
	slot->id = id;
	slot->config = bpf_map_lookup_elem(&limit_config, &id);
	slot->stat = bpf_map_lookup_elem(&limit_stat, &id);
	return slot->config && slot->stat;
}

static __always_inline struct limit_interface *interface_of(__u32 ifindex)
{
	return bpf_map_lookup_elem(&limit_interfaces, &ifindex);
}

/* Departure time that the packet already has; receive timestamps are none. */
static __always_inline __u64 stamp_of(struct __sk_buff *skb)
{
	return skb->tstamp_type ? skb->tstamp : 0;
}

/*
 * SO_TXTIME needs no capability: packets stamped 8 s ahead fill the uplink's fq and stop every other pod. Past
 * ones do no harm (TCP stamps all of its packets), but those that would name a slot.
 */
static __always_inline void clear_stamp(struct __sk_buff *skb, __u64 own, __u64 now, struct limit_stat *stat)
{
	if (!own || (own <= now && own >= CARRIED_SLOT_END))
		return;
	/* Refused for what is not IP; a plain store then keeps the clock's name, which means nothing beside 0. */
	if (bpf_skb_set_tstamp(skb, 0, BPF_SKB_TSTAMP_UNSPEC))
		skb->tstamp = 0;
	if (stat)
		stat->stamps_cleared++;
}

static __always_inline __u32 queue_bucket(__u64 ahead_ns)
{
	__u64 units = ahead_ns >> 10;
	__u32 rest, bucket = 1;

	if (!units)
		return 0;
	rest = units >> (LIMIT_QUEUE_BUCKETS - 1) ? 1U << (LIMIT_QUEUE_BUCKETS - 2) : units;
	if (rest >= 1 << 16)
		rest >>= 16, bucket += 16;
	if (rest >= 1 << 8)
		rest >>= 8, bucket += 8;
	if (rest >= 1 << 4)
		rest >>= 4, bucket += 4;
	if (rest >= 1 << 2)
		rest >>= 2, bucket += 2;
	if (rest >= 1 << 1)
		bucket += 1;
	return bucket;
}

static __always_inline void count_queue(struct limit_stat *stat, __u64 ahead_ns)
{
	__u32 bucket = queue_bucket(ahead_ns);

	if (bucket < LIMIT_QUEUE_BUCKETS)
		stat->queue[bucket]++;
}

static __always_inline void count_passed(struct limit_stat *stat, __u32 wire)
{
	stat->packets++;
	stat->bytes += wire;
}

static __always_inline void count_offered(struct limit_stat *stat, const struct packet *packet)
{
	stat->offered_packets++;
	stat->offered_bytes += packet->wire;
}

/* Whether one of two shares of the rate that pass whatever the queue has room, and then charges it. */
static __always_inline bool takes_share(const struct limit_config *config, __u64 *share, __u64 now, __u64 duration)
{
	__u64 credit = config->sparse_credit_ns, floor = now > credit ? now - credit : 0, time = read_clock(share);
	bool idle = is_idle(time, floor, now + config->max_ahead_ns);

	if (!idle && time > now)
		return false;
	charge(share, time, floor, idle, duration << config->sparse_shift);
	return true;
}

/*
 * Whether a packet that finds a queue passes at once, and then charges its share. It must not while its flow waits, or
 * it would overtake.
 */
static __always_inline bool bypasses(const struct limit_config *config, struct limit_clock *clock, __u32 wire, __u64 now,
				     __u64 duration)
{
	return wire <= config->small_bytes && takes_share(config, &clock->sparse_ns, now, duration);
}

/*
 * Whether a packet passes unjudged. It is charged all the same, and those that exceed a share of the rate of their own are
 * judged as any other: a flood of them gains nothing.
 */
static __always_inline bool passes_exempt(const struct slot *slot, const struct packet *packet, bool backstop)
{
	const struct limit_config *config = slot->config;
	__u64 now, duration, time, most, *charged;
	struct limit_clock *clock;

	if (!packet->exempt)
		return false;
	clock = bpf_map_lookup_elem(&limit_clock, &slot->id);
	if (config->rate && clock) {
		now = bpf_ktime_get_ns();
		slot->stat->last_ns = now;
		duration = duration_ns(packet->wire, config->rate);
		if (!takes_share(config, &clock->exempt_ns, now, duration))
			return false;
		charged = backstop ? &clock->police_ns : &clock->limit_ns;
		most = now + (backstop ? config->police_max_ahead_ns : config->max_ahead_ns);
		time = read_clock(charged);
		charge(charged, time, now, is_idle(time, now, most), duration);
	}
	slot->stat->exempt_packets++;
	slot->stat->exempt_bytes += packet->wire;
	return true;
}

/* CE, or as shadow whether it would be. */
static __always_inline bool mark(struct __sk_buff *skb, const struct slot *slot, const struct packet *packet, __u64 ahead)
{
	const struct limit_config *config = slot->config;

	if (!packet->ecn || !(config->flags & LIMIT_ECN) || ahead <= config->ce_ns)
		return false;
	slot->stat->last_random = bpf_get_prandom_u32();
	if (!ramp_marks(config, ahead, slot->stat->last_random))
		return false;
	return (config->flags & LIMIT_SHADOW) || bpf_skb_ecn_set_ce(skb);
}

/* A packet that from_pod let through is dropped after all: what was counted and charged for it is taken back. */
static __always_inline void recall(struct limit_stat *stat, struct limit_clock *clock, __u32 wire, __u64 ahead, __u64 duration)
{
	stat->recalled_packets++;
	stat->recalled_bytes += wire;
	stat->recalled_ns += ahead < duration ? ahead : duration;
	__sync_fetch_and_sub(&clock->police_ns, duration);
}

/* What is done to a packet that passes: nothing as shadow. `departure`: 0 or past, it does not wait. */
static __always_inline void release(struct __sk_buff *skb, const struct slot *slot, struct place place, __u64 own, __u64 now,
				    __u64 departure, bool bypass)
{
	const struct limit_config *config = slot->config;

	if (config->flags & LIMIT_SHADOW)
		return;
	if (place.classes)
		skb->priority = bypass ? config->sparse_priority : config->bulk_priority;
	if (config->mode == LIMIT_STAMP && departure > now) {
		/* Towards the pod the stamp is only raised: the sender's limit, or the node's, may hold it longer. */
		if ((place.from_pod || own < departure) &&
		    bpf_skb_set_tstamp(skb, departure, BPF_SKB_TSTAMP_DELIVERY_MONO) && place.from_pod)
			clear_stamp(skb, own, now, NULL); /* Refused for what is not IP: it is only policed. */
		if (place.from_pod && own > now)
			slot->stat->stamps_cleared++;
	} else if (place.from_pod) {
		clear_stamp(skb, own, now, slot->stat);
	}
	if (place.leaves)
		bpf_skb_set_tstamp(skb, CARRIED_JUDGED, BPF_SKB_TSTAMP_DELIVERY_MONO);
}

static __always_inline int judge(struct __sk_buff *skb, const struct slot *slot, const struct packet *packet, struct place place)
{
	const struct limit_config *config = slot->config;
	struct limit_stat *stat = slot->stat;
	__u64 now = bpf_ktime_get_ns(), own = stamp_of(skb), time, duration, departure, ahead, waiting, before;
	bool idle, bypass = false, marked;
	struct limit_clock *clock;
	struct limit_flows *flows;
	struct limit_flow *flow;
	__u32 hash;

	stat->last_ns = now;
	clock = bpf_map_lookup_elem(&limit_clock, &slot->id);
	flows = bpf_map_lookup_elem(&limit_flow, &slot->id);
	if (!config->rate || !clock || !flows) {
		if (!place.counted)
			count_passed(stat, packet->wire);
		release(skb, slot, place, own, now, 0, false);
		return NEXT;
	}

	duration = duration_ns(packet->wire, config->rate);
	time = read_clock(&clock->limit_ns);
	idle = is_idle(time, now, now + config->max_ahead_ns);
	if (idle && time > now)
		stat->clock_resets++;
	departure = idle ? now : time;
	ahead = departure - now;
	count_queue(stat, ahead);

	hash = bpf_get_hash_recalc(skb);
	flow = flow_of(flows, hash);
	waiting = flow_departure(flow, hash, now);
	if (waiting > departure)
		departure = waiting;

	if (ahead) {
		bypass = !waiting && bypasses(config, clock, packet->wire, now, duration);
		if (!bypass) {
			marked = ahead <= config->hard_ns && mark(skb, slot, packet, ahead);
			/* First packets of a flow, and those that were told instead, find more room. */
			if (ahead > (marked || !waiting ? config->hard_ns : config->drop_ns)) {
				stat->dropped_packets++;
				stat->dropped_bytes += packet->wire;
				if (place.counted)
					recall(stat, clock, packet->wire, ahead, duration);
				return config->flags & LIMIT_SHADOW ? NEXT : DROP;
			}
			if (marked)
				stat->marked++;
		}
	}

	if (!place.counted)
		count_passed(stat, packet->wire);
	before = charge(&clock->limit_ns, time, now, idle, duration);
	if (bypass) {
		stat->bypassed++;
		release(skb, slot, place, own, now, 0, true);
		return NEXT;
	}
	/* Another CPU may have taken this place. */
	if (before > departure)
		departure = before;
	if (departure > now) {
		flow->hash = hash;
		flow->departure_ns = departure;
		stat->delayed++;
		if (!place.counted)
			stat->throttled_ns += departure - now < duration ? departure - now : duration;
	}
	release(skb, slot, place, own, now, departure, false);
	return NEXT;
}

/*
 * The backstop of LIMIT_HTB: whether a packet may leave its pod, whatever way it goes then. Nothing is held back on some
 * ways, so this queue exists only as a number, and is a policer's. Towards HTB it is as long as HTB's, and never full.
 */
static __always_inline bool may_leave_pod(const struct slot *slot, const struct packet *packet)
{
	const struct limit_config *config = slot->config;
	__u64 now = bpf_ktime_get_ns(), time, duration, ahead;
	struct limit_stat *stat = slot->stat;
	struct limit_clock *clock;
	bool idle;

	stat->last_ns = now;
	clock = bpf_map_lookup_elem(&limit_clock, &slot->id);
	if (!config->rate || !clock) {
		count_passed(stat, packet->wire);
		return true;
	}
	duration = duration_ns(packet->wire, config->rate);
	time = read_clock(&clock->police_ns);
	idle = is_idle(time, now, now + config->police_max_ahead_ns);
	if (idle && time > now)
		stat->clock_resets++;
	ahead = idle ? 0 : time - now;
	if (ahead > config->police_ns && !bypasses(config, clock, packet->wire, now, duration)) {
		stat->dropped_packets++;
		stat->dropped_bytes += packet->wire;
		return false;
	}
	count_passed(stat, packet->wire);
	stat->throttled_ns += ahead < duration ? ahead : duration;
	charge(&clock->police_ns, time, now, idle, duration);
	return true;
}

/*
 * The slot of the pod that sent this packet, where it leaves. Interfaces that are known decide; behind a bridge or a
 * tunnel the packet itself says it, which only from_pod can make it do.
 */
static __always_inline __u32 sender_slot(struct __sk_buff *skb, __u64 own)
{
	__u32 from = skb->ingress_ifindex;
	const struct limit_interface *interface;

	if (own == CARRIED_JUDGED)
		return LIMIT_NO_SLOT;
	interface = from ? interface_of(from) : NULL;
	if (interface)
		return interface->egress_slot;
	return own < CARRIED_SLOT_END ? own : LIMIT_NO_SLOT;
}

SEC("tc")
int from_pod(struct __sk_buff *skb)
{
	const struct limit_interface *interface = interface_of(skb->ifindex);
	struct place place = { .from_pod = true };
	struct packet packet;
	struct slot slot;
	bool backstop, exempt;
	__u64 own;

	if (!interface)
		return NEXT;
	if (!find_slot(interface->egress_slot, &slot)) {
		own = stamp_of(skb);
		if (own && !(interface->flags & LIMIT_KEEP_STAMPS))
			clear_stamp(skb, own, bpf_ktime_get_ns(), NULL);
		return NEXT;
	}
	parse_packet(skb, true, !(interface->flags & LIMIT_NO_MAC), &packet);
	count_offered(slot.stat, &packet);
	backstop = slot.config->mode == LIMIT_HTB && !(slot.config->flags & LIMIT_SHADOW);
	exempt = passes_exempt(&slot, &packet, backstop);
	if (!exempt && !backstop)
		return judge(skb, &slot, &packet, place);

	if (slot.config->flags & LIMIT_SHADOW)
		return NEXT;
	if (!exempt && !may_leave_pod(&slot, &packet))
		return DROP;
	own = stamp_of(skb);
	if (own)
		clear_stamp(skb, own, bpf_ktime_get_ns(), slot.stat);
	if (!exempt)
		bpf_skb_set_tstamp(skb, slot.id, BPF_SKB_TSTAMP_DELIVERY_MONO);
	return NEXT;
}

SEC("tc")
int to_pod(struct __sk_buff *skb)
{
	const struct limit_interface *interface = interface_of(skb->ifindex);
	struct place place = {};
	struct packet packet;
	struct slot slot;

	if (!interface || !find_slot(interface->ingress_slot, &slot))
		return NEXT;
	parse_packet(skb, false, true, &packet);
	count_offered(slot.stat, &packet);
	if (passes_exempt(&slot, &packet, false))
		return NEXT;
	place.classes = slot.config->mode == LIMIT_HTB;
	return judge(skb, &slot, &packet, place);
}

SEC("tc")
int leave(struct __sk_buff *skb)
{
	struct place place = { .classes = true, .leaves = true };
	__u32 nobody = LIMIT_NO_SLOT;
	struct limit_stat *all = bpf_map_lookup_elem(&limit_stat, &nobody);
	__u64 own = stamp_of(skb);
	struct packet packet;
	struct slot slot;

	if (all) {
		all->offered_packets++;
		all->offered_bytes += skb->len;
	}
	if (!find_slot(sender_slot(skb, own), &slot))
		return NEXT;
	if (slot.config->mode != LIMIT_HTB || (slot.config->flags & LIMIT_SHADOW))
		return NEXT;
	parse_packet(skb, false, true, &packet);
	place.counted = own == slot.id;
	/* What is not IP cannot carry its slot: it met the backstop, and would be counted twice. */
	if (!packet.ip || (packet.exempt && !place.counted))
		return NEXT;
	return judge(skb, &slot, &packet, place);
}
