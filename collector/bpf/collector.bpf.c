// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * TCP traffic of every network namespace, per edge, without a program per packet.
 *
 * A socket gets a storage when it becomes ESTABLISHED. What it moved since it was last looked at is added to its
 * edge by a pass over all live sockets that user space starts (once an interval), and by the socket's own CLOSE.
 * Both may look at one socket at the same time on two CPUs: the storage's lock makes "read the socket, subtract
 * what was counted, remember" one step, so that each byte is counted once.
 *
 * Bytes are payload. The kernel's counters hold one more for each SYN and FIN, and which of them differs by role:
 *   bytes_acked    = payload sent + 1 if this side sent the SYN (a child socket starts behind its SYN-ACK)
 *                    + 1 once our FIN is acknowledged
 *   bytes_received = payload received + 1 once the peer's FIN was taken (tcp_fin() sets SOCK_DONE)
 *
 * A peer that ends with a reset acknowledges with it what it took, but the kernel does not look (tcp_reset()): what was in
 * flight then counts as delivered. A client that reads its answer and resets did take it; of one that gives up in the
 * middle this is at most a window too much.
 *
 * Maps and link may be pinned, so that counting goes on without an agent. The next agent attaches its own program
 * before it removes the old one: for a moment two programs see each event, one after the other on the same CPU, under
 * the socket's lock. So every event must leave the same behind whether it is handled once or twice.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>
#include "edges.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* 1: only namespaces in `scope` are measured. */
const volatile __u8 scoped = 0;

/* CROSSED: its SYN met the peer's (simultaneous open, RFC 9293 3.5); not established yet. */
enum { STORAGE_LIVE = 1, STORAGE_DONE = 2, STORAGE_CROSSED = 3 };

/* What is known and already counted of one socket. */
struct socket_counts {
	struct bpf_spin_lock lock;
	__u8 state;
	__u8 fin_sent;
	__u8 syn_sent;
	__u8 reserved;
	/* Kept from ESTABLISHED: at CLOSE an accepted socket's skc_num reads 0. */
	struct edge_key key;
	__u64 bytes_sent;
	__u64 bytes_received;
	__u32 segments_sent;
	__u32 segments_received;
	__u32 retransmits;
	/* snd_una at ESTABLISHED: tells this opening from another one of the same socket. */
	__u32 opened_at;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct socket_counts);
} sockets SEC(".maps");

/* Preallocated: filling it never asks for memory. Not LRU: eviction would lose counts unseen. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct edge_key);
	__type(value, struct edge_counts);
} edges SEC(".maps");

/* Inode numbers of the network namespaces to measure. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u8);
} scope SEC(".maps");

/* The cluster's addresses: pods, Services, nodes. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct range_key);
	__type(value, __u8);
} cluster_ranges SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct collector_losses);
} losses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct collector_settings);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct collector_identity);
} identity SEC(".maps");

static const __u32 zero = 0;

static __always_inline void lose(__u64 connections, __u64 bytes, __u64 storages)
{
	struct collector_losses *lost = bpf_map_lookup_elem(&losses, &zero);

	if (!lost)
		return;
	if (connections)
		__sync_fetch_and_add(&lost->map_full_connections, connections);
	if (bytes)
		__sync_fetch_and_add(&lost->map_full_bytes, bytes);
	if (storages)
		__sync_fetch_and_add(&lost->storage_failed, storages);
}

/* The edge, made if need be; NULL if the map is full. */
static __always_inline struct edge_counts *edge_of(const struct edge_key *key)
{
	struct edge_counts fresh = {};
	struct edge_counts *edge = bpf_map_lookup_elem(&edges, key);

	if (edge)
		return edge;
	fresh.born_ms = bpf_ktime_get_ns() / 1000000;
	/* NOEXIST, then look again: two CPUs may race for the first connection. */
	bpf_map_update_elem(&edges, key, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&edges, key);
}

static __always_inline void set_mapped(__u8 address[16], __be32 v4)
{
	__u32 *words = (__u32 *)address;

	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = v4;
}

static __always_inline bool is_mapped(const __u8 address[16])
{
	const __u32 *words = (const __u32 *)address;

	return !words[0] && !words[1] && words[2] == bpf_htonl(0xffff);
}

static __always_inline bool is_loopback(const __u8 address[16])
{
	const __u32 *words = (const __u32 *)address;

	if (is_mapped(address))
		return address[12] == 127;
	return !words[0] && !words[1] && !words[2] && words[3] == bpf_htonl(1);
}

static __always_inline bool same_address(const __u8 a[16], const __u8 b[16])
{
	const __u64 *left = (const __u64 *)a;
	const __u64 *right = (const __u64 *)b;

	return left[0] == right[0] && left[1] == right[1];
}

/* Addresses outside of the cluster are not bounded in number (clients, crawlers, scans): keep their prefix. */
static __always_inline void fold_outside(struct edge_key *key)
{
	struct collector_settings *set = bpf_map_lookup_elem(&settings, &zero);
	struct range_key range = { .prefix_length = 128 };

	if (!set || !set->fold_outside)
		return;
	__builtin_memcpy(range.address, key->remote, sizeof(range.address));
	if (bpf_map_lookup_elem(&cluster_ranges, &range))
		return;
	if (is_mapped(key->remote)) {
		key->remote[15] = 0;
	} else {
		__u16 *halves = (__u16 *)key->remote;

		halves[3] = 0;
		((__u64 *)key->remote)[1] = 0;
	}
	key->role |= REMOTE_FOLDED;
}

/* False: this socket is not to be measured. */
static __always_inline bool edge_key_of(struct sock *sk, __u8 role, struct edge_key *key)
{
	struct sock_common *common = &sk->__sk_common;

	key->netns = common->skc_net.net->ns.inum;
	if (scoped && !bpf_map_lookup_elem(&scope, &key->netns))
		return false;

	if (common->skc_family == AF_INET) {
		set_mapped(key->local, common->skc_rcv_saddr);
		set_mapped(key->remote, common->skc_daddr);
	} else if (common->skc_family == AF_INET6 && bpf_core_field_exists(common->skc_v6_daddr)) {
		/* A dual-stack socket that carries IPv4 holds ::ffff:a.b.c.d here. */
		__u32 *local = (__u32 *)key->local;
		__u32 *remote = (__u32 *)key->remote;

#pragma unroll
		for (int i = 0; i < 4; i++) {
			local[i] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[i];
			remote[i] = common->skc_v6_daddr.in6_u.u6_addr32[i];
		}
	} else {
		return false;
	}
	if (is_loopback(key->local) || is_loopback(key->remote) || same_address(key->local, key->remote))
		return false;

	key->server_port = role == ROLE_SERVER ? common->skc_num : bpf_ntohs(common->skc_dport);
	key->role = role;
	key->protocol = IPPROTO_TCP;
	fold_outside(key);
	return true;
}

/*
 * Twice for one opening is as good as once. A socket without storage is counted as a loss, not as a connection: nothing
 * would tell the second time from the first.
 */
static __always_inline void connection_opened(struct sock *sk, __u8 role, bool syn_sent)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	struct edge_key key = {};
	struct socket_counts *counts;
	struct edge_counts *edge;
	__u32 opened_at;

	if (!tcp || !edge_key_of(sk, role, &key))
		return;
	opened_at = tcp->snd_una;

	counts = bpf_sk_storage_get(&sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!counts) {
		lose(0, 0, 1);
		return;
	}
	bpf_spin_lock(&counts->lock);
	if (counts->state == STORAGE_LIVE && counts->opened_at == opened_at) {
		bpf_spin_unlock(&counts->lock);
		return;
	}
	/* A socket that was disconnected and connected again still has its old storage: everything is set anew. */
	counts->state = STORAGE_LIVE;
	counts->fin_sent = 0;
	counts->syn_sent = syn_sent;
	counts->key = key;
	counts->bytes_sent = 0;
	counts->bytes_received = 0;
	counts->segments_sent = 0;
	counts->segments_received = 0;
	counts->retransmits = 0;
	counts->opened_at = opened_at;
	bpf_spin_unlock(&counts->lock);

	edge = edge_of(&key);
	if (edge) {
		__sync_fetch_and_add(&edge->connections, 1);
		edge->updated_ns = bpf_ktime_get_ns();
	} else {
		lose(1, 0, 0);
	}
}

/* Both ends called: the lower address, then port, passes for the client, so that both ends say the same. */
static __always_inline __u8 role_of_crossed(struct sock *sk)
{
	struct sock_common *common = &sk->__sk_common;
	__u32 local = bpf_ntohl(common->skc_rcv_saddr), remote = bpf_ntohl(common->skc_daddr);

	if (common->skc_family == AF_INET6 && bpf_core_field_exists(common->skc_v6_daddr)) {
		/* The last words differ, or the hosts are told apart by their ports: good enough for this rarity. */
		local = bpf_ntohl(common->skc_v6_rcv_saddr.in6_u.u6_addr32[3]);
		remote = bpf_ntohl(common->skc_v6_daddr.in6_u.u6_addr32[3]);
	}
	if (local != remote)
		return local < remote ? ROLE_CLIENT : ROLE_SERVER;
	return common->skc_num < bpf_ntohs(common->skc_dport) ? ROLE_CLIENT : ROLE_SERVER;
}

/* Out of SYN_RECV: an accepted socket, unless it had sent a SYN of its own. */
static __always_inline void leave_syn_recv(struct sock *sk)
{
	struct socket_counts *counts = bpf_sk_storage_get(&sockets, sk, NULL, 0);

	if (counts && counts->state == STORAGE_CROSSED)
		connection_opened(sk, role_of_crossed(sk), true);
	else
		connection_opened(sk, ROLE_SERVER, false);
}

static __always_inline void note_rtt(struct edge_counts *edge, __u32 min_us, __u32 smoothed_us)
{
	struct collector_settings *set = bpf_map_lookup_elem(&settings, &zero);
	__u32 pass = set ? set->pass : 0;

	/* Races between CPUs lose one sample of a gauge, no more. ~0: the socket has no sample yet. */
	if (min_us == ~0U || !smoothed_us)
		return;
	if (!min_us)
		min_us = 1;
	if (edge->rtt_pass != pass || !edge->min_rtt_us || min_us < edge->min_rtt_us)
		edge->min_rtt_us = min_us;
	edge->rtt_pass = pass;
	edge->smoothed_rtt_us = smoothed_us;
}

/* Adds what the socket moved since it was last counted. */
static __always_inline void count(struct sock *sk, struct tcp_sock *tcp, struct socket_counts *counts, bool closing)
{
	volatile struct tcp_sock *now = tcp;
	__u64 sent, received, sent_delta, received_delta;
	__u32 sent_end;
	__u32 segments_sent, segments_received, retransmits;
	__u32 segments_sent_delta, segments_received_delta, retransmits_delta;
	struct edge_counts *edge;

	bpf_spin_lock(&counts->lock);
	if (counts->state != STORAGE_LIVE) {
		bpf_spin_unlock(&counts->lock);
		return;
	}
	/*
	 * The pass does not hold the socket's lock. bytes_acked is read before what tells that it holds a FIN, so
	 * that a change in between makes the figure too small by one for now, never too large: the next
	 * difference heals it. write_seq moves only after the state that sets fin_sent.
	 */
	sent = now->bytes_acked;
	sent_end = now->snd_una;
	if (closing && (sk->sk_err == ECONNRESET || sk->sk_err == EPIPE)) {
		sent += now->snd_nxt - sent_end;
		sent_end = now->snd_nxt;
	}
	if (counts->syn_sent)
		sent -= 1;
	if (counts->fin_sent && sent_end == now->write_seq)
		sent -= 1;
	received = now->bytes_received;
	if (sk->__sk_common.skc_flags & (1UL << bpf_core_enum_value(enum sock_flags, SOCK_DONE)))
		received -= 1;
	segments_sent = now->segs_out;
	segments_received = now->segs_in;
	retransmits = now->total_retrans;

	/* Signed in effect: unsigned wrap-around adds a -1 just as well. */
	sent_delta = sent - counts->bytes_sent;
	received_delta = received - counts->bytes_received;
	segments_sent_delta = segments_sent - counts->segments_sent;
	segments_received_delta = segments_received - counts->segments_received;
	retransmits_delta = retransmits - counts->retransmits;
	counts->bytes_sent = sent;
	counts->bytes_received = received;
	counts->segments_sent = segments_sent;
	counts->segments_received = segments_received;
	counts->retransmits = retransmits;
	if (closing)
		counts->state = STORAGE_DONE;
	bpf_spin_unlock(&counts->lock);

	if (!sent_delta && !received_delta && !segments_sent_delta && !segments_received_delta && !retransmits_delta)
		return;
	edge = edge_of(&counts->key);
	if (!edge) {
		lose(0, sent_delta + received_delta, 0);
		return;
	}
	if (sent_delta)
		__sync_fetch_and_add(&edge->bytes_sent, sent_delta);
	if (received_delta)
		__sync_fetch_and_add(&edge->bytes_received, received_delta);
	__sync_fetch_and_add(&edge->segments_sent, segments_sent_delta);
	__sync_fetch_and_add(&edge->segments_received, segments_received_delta);
	if (retransmits_delta)
		__sync_fetch_and_add(&edge->retransmits, retransmits_delta);
	edge->updated_ns = bpf_ktime_get_ns();
	note_rtt(edge, now->rtt_min.s[0].v, now->srtt_us >> 3);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, struct sock *sk, int oldstate, int newstate)
{
	struct socket_counts *counts;
	struct tcp_sock *tcp;

	/* MPTCP, SCTP and DCCP sockets pass here too, and are no tcp_sock. Some events change nothing. */
	if (sk->sk_protocol != IPPROTO_TCP || oldstate == newstate)
		return 0;

	switch (newstate) {
	case TCP_ESTABLISHED:
		/* The state before tells who opened: also with Fast Open, SYN cookies and migrated listeners. */
		if (oldstate == TCP_SYN_RECV)
			leave_syn_recv(sk);
		else if (oldstate == TCP_SYN_SENT)
			connection_opened(sk, ROLE_CLIENT, true);
		return 0;
	case TCP_SYN_RECV:
		if (oldstate != TCP_SYN_SENT)
			return 0;
		counts = bpf_sk_storage_get(&sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
		if (counts)
			counts->state = STORAGE_CROSSED;
		else
			lose(0, 0, 1);
		return 0;
	case TCP_FIN_WAIT1:
	case TCP_LAST_ACK:
	case TCP_CLOSING:
		/* A Fast Open server may answer and close before the handshake ends. */
		if (oldstate == TCP_SYN_RECV)
			leave_syn_recv(sk);
		/* The state is set before the FIN enters the write queue. */
		counts = bpf_sk_storage_get(&sockets, sk, NULL, 0);
		if (counts)
			counts->fin_sent = 1;
		return 0;
	case TCP_CLOSE:
		counts = bpf_sk_storage_get(&sockets, sk, NULL, 0);
		if (!counts)
			return 0;
		tcp = bpf_skc_to_tcp_sock(sk);
		if (tcp)
			count(sk, tcp, counts, true);
		return 0;
	}
	return 0;
}

SEC("iter/bpf_sk_storage_map")
int count_live(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	struct socket_counts *counts;
	struct tcp_sock *tcp;
	__u8 one = 1;

	if (!sk || !ctx->value)
		return 0;
	/* A byte a socket: the iterator never yields within one read, so the reader bounds its reads by size. */
	bpf_seq_write(ctx->meta->seq, &one, sizeof(one));
	/* ctx->value is a plain buffer to the verifier; a lock needs the map's value. */
	counts = bpf_sk_storage_get(&sockets, sk, NULL, 0);
	if (!counts)
		return 0;
	tcp = bpf_skc_to_tcp_sock(sk);
	if (tcp)
		count(sk, tcp, counts, false);
	return 0;
}
