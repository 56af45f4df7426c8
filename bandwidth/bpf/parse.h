/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a limit must know of a packet: how long it is on the wire, whether it can carry CE, and whether it is exempt.
 *
 * Headers are read relative to the kernel's own network header: it is right with and without a link-layer header, and a
 * sender cannot hide headers in page fragments. What claims to be IP but cannot be read is limited like any other.
 */
#ifndef NETLOOM_PARSE_H
#define NETLOOM_PARSE_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ECN_MASK 3
#define VLAN_TAG_LENGTH 4
/* Tags in the frame; the kernel holds the outermost one in the skb. */
#define MAX_INLINE_TAGS 2
/* RFC 8200 lists six extension headers; destination options may come twice. */
#define MAX_EXTENSION_HEADERS 7

/* linux/in.h and linux/in6.h clash with nothing here, but these few are all that is read. */
#define NEXT_HOP_BY_HOP 0
#define NEXT_IGMP 2
#define NEXT_TCP 6
#define NEXT_UDP 17
#define NEXT_ROUTING 43
#define NEXT_FRAGMENT 44
#define NEXT_AUTHENTICATION 51
#define NEXT_ICMPV6 58
#define NEXT_DESTINATION 60
#define NEXT_SCTP 132

/* RFC 4861: solicitations, advertisements and redirects; all carry hop limit 255, so none of them was forwarded. */
#define ND_FIRST 133
#define ND_LAST 137
#define ND_HOP_LIMIT 255
/* RFC 2236, 2710, 3376, 3810: queries and reports of IGMP and MLD have TTL or hop limit 1, so no router passes them on. */
#define MLD_FIRST 130
#define MLD_LAST 132
#define MLD_V2_REPORT 143
#define MEMBERSHIP_HOP_LIMIT 1

/*
 * Longest frame that is exempt, bytes on the wire. Without these a pod with a full queue loses its neighbours and groups;
 * ARP has 42 bytes, neighbour discovery with its usual options below 150, a report of a dozen groups about 250. Anything
 * longer could carry traffic.
 */
#define EXEMPT_LENGTH 256

/* The hop-by-hop header that the kernel puts into IPv6 BIG TCP; it is not on the wire. */
#define JUMBO_LENGTH 8
#define JUMBO_OPTION 0xc2

struct packet {
	__u32 wire;  /* bytes of all its segments */
	bool ip;
	bool exempt; /* small, and ARP, neighbour discovery, IGMP or MLD */
	bool ecn;    /* ECN capable, and CE can be set */
};

struct ipv4_start {
	__u8 version_length;
	__u8 tos;
	__be16 total_length;
	__be32 fragment;
	__u8 ttl;
	__u8 protocol;
	__be16 checksum;
	__be32 source;
	__be32 destination;
};

struct ipv6_start {
	__u8 head[4];
	__be16 payload_length;
	__u8 next;
	__u8 hop_limit;
	__u8 source[16];
	__u8 destination[16];
};

static __always_inline bool load_at(struct __sk_buff *skb, __u32 offset, void *to, __u32 length)
{
	return bpf_skb_load_bytes_relative(skb, offset, to, length, BPF_HDR_START_NET) == 0;
}

/* Segments of a GSO packet; 1 for any other. Senders in a VM may leave the count open (SKB_GSO_DODGY). */
static __always_inline __u32 segments_of(struct __sk_buff *skb, __u32 headers)
{
	__u32 segments = skb->gso_segs, size = skb->gso_size;

	if (segments || !size || skb->len <= headers)
		return segments ? segments : 1;
	return (skb->len - headers + size - 1) / size;
}

static __always_inline __u32 transport_length(struct __sk_buff *skb, __u32 offset, __u8 protocol)
{
	__u8 data_offset;

	switch (protocol) {
	case NEXT_TCP:
		return load_at(skb, offset + 12, &data_offset, 1) ? (data_offset >> 4) * 4 : 20;
	case NEXT_UDP:
		return 8;
	case NEXT_SCTP:
		return 12;
	}
	return 0;
}

/* Past the extension headers; what cannot be read ends the walk. */
static __always_inline __u32 skip_extensions(struct __sk_buff *skb, __u32 offset, __u8 *next, bool *jumbo)
{
	__u8 head[4];

	for (int i = 0; i < MAX_EXTENSION_HEADERS; i++) {
		switch (*next) {
		case NEXT_HOP_BY_HOP:
		case NEXT_ROUTING:
		case NEXT_DESTINATION:
		case NEXT_FRAGMENT:
		case NEXT_AUTHENTICATION:
			break;
		default:
			return offset;
		}
		if (!load_at(skb, offset, head, sizeof(head)))
			return offset;
		if (*next == NEXT_HOP_BY_HOP && head[1] == 0 && head[2] == JUMBO_OPTION)
			*jumbo = true;
		if (*next == NEXT_FRAGMENT)
			offset += 8;
		else if (*next == NEXT_AUTHENTICATION)
			offset += (head[1] + 2) * 4;
		else
			offset += (head[1] + 1) * 8;
		*next = head[0];
	}
	return offset;
}

/*
 * Bytes on the wire. At egress the kernel has done the sum (wire_len, qdisc_pkt_len_init()); at ingress it has not.
 * Neither counts a VLAN tag that is held in the skb, nor leaves out the jumbo header, which is in every segment's share.
 */
static __always_inline __u32 wire_length(struct __sk_buff *skb, bool at_ingress, __u32 headers, bool jumbo)
{
	__u32 segments = segments_of(skb, headers), wire = skb->len;

	if (jumbo)
		headers -= JUMBO_LENGTH;
	if (!at_ingress && skb->wire_len > wire) {
		wire = skb->wire_len;
		if (jumbo && wire > segments * JUMBO_LENGTH)
			wire -= segments * JUMBO_LENGTH;
	} else {
		wire += (segments - 1) * headers;
		if (jumbo)
			wire -= JUMBO_LENGTH;
	}
	if (skb->vlan_present)
		wire += segments * VLAN_TAG_LENGTH;
	return wire;
}

static __always_inline void parse_ipv4(struct __sk_buff *skb, __u32 offset, bool at_ingress, __u32 mac, struct packet *packet)
{
	struct ipv4_start ip;
	__u32 headers;

	if (!load_at(skb, offset, &ip, sizeof(ip)))
		return;
	packet->exempt = ip.protocol == NEXT_IGMP && ip.ttl == MEMBERSHIP_HOP_LIMIT;
	packet->ecn = !offset && (ip.tos & ECN_MASK);
	if (skb->gso_size) {
		headers = offset + (ip.version_length & 0xf) * 4;
		headers += transport_length(skb, headers, ip.protocol);
		packet->wire = wire_length(skb, at_ingress, mac + headers, false);
	}
}

/* Neighbour discovery, or MLD behind its router alert (a hop-by-hop header of 8 bytes). */
static __always_inline bool is_link_control(struct __sk_buff *skb, __u32 offset, const struct ipv6_start *ip)
{
	__u8 head[2], type, next = ip->next;

	if (ip->hop_limit != ND_HOP_LIMIT && ip->hop_limit != MEMBERSHIP_HOP_LIMIT)
		return false;
	if (next == NEXT_HOP_BY_HOP) {
		if (!load_at(skb, offset, head, sizeof(head)) || head[1])
			return false;
		next = head[0];
		offset += 8;
	}
	if (next != NEXT_ICMPV6 || !load_at(skb, offset, &type, 1))
		return false;
	if (ip->hop_limit == ND_HOP_LIMIT)
		return type >= ND_FIRST && type <= ND_LAST;
	return (type >= MLD_FIRST && type <= MLD_LAST) || type == MLD_V2_REPORT;
}

static __always_inline void parse_ipv6(struct __sk_buff *skb, __u32 offset, bool at_ingress, __u32 mac, struct packet *packet)
{
	struct ipv6_start ip;
	bool jumbo = false;
	__u32 headers;

	if (!load_at(skb, offset, &ip, sizeof(ip)))
		return;
	packet->exempt = is_link_control(skb, offset + sizeof(ip), &ip);
	packet->ecn = !offset && ((ip.head[1] >> 4) & ECN_MASK);
	if (skb->gso_size) {
		headers = skip_extensions(skb, offset + sizeof(ip), &ip.next, &jumbo);
		headers += transport_length(skb, headers, ip.next);
		packet->wire = wire_length(skb, at_ingress, mac + headers, jumbo);
	}
}

static __always_inline void parse_packet(struct __sk_buff *skb, bool at_ingress, bool has_mac, struct packet *packet)
{
	__u32 mac = has_mac ? ETH_HLEN : 0, offset = 0;
	__be16 protocol = skb->protocol;
	__be16 tag[2];

	packet->ip = true;
	packet->exempt = false;
	packet->ecn = false;
	packet->wire = skb->len + (skb->vlan_present ? VLAN_TAG_LENGTH : 0);
	/* The kernel's own way to set CE looks for the IP header where these tags are: not for tagged frames. */
	for (int i = 0; i < MAX_INLINE_TAGS; i++) {
		if (protocol != bpf_htons(ETH_P_8021Q) && protocol != bpf_htons(ETH_P_8021AD))
			break;
		if (!load_at(skb, offset, tag, sizeof(tag)))
			break;
		protocol = tag[1];
		offset += VLAN_TAG_LENGTH;
	}
	if (protocol == bpf_htons(ETH_P_IP))
		parse_ipv4(skb, offset, at_ingress, mac, packet);
	else if (protocol == bpf_htons(ETH_P_IPV6))
		parse_ipv6(skb, offset, at_ingress, mac, packet);
	else {
		packet->ip = false;
		packet->exempt = protocol == bpf_htons(ETH_P_ARP);
	}
	packet->exempt = packet->exempt && !skb->gso_size && packet->wire <= EXEMPT_LENGTH;
}

#endif
