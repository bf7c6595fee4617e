/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/* What is known of a packet when its headers were read, and the headers, for C (BPF) and C++.
 * Little-endian machines only. parse.h does the reading. */
#ifndef MARCHPROXY_BPF_ABI_PACKET_H
#define MARCHPROXY_BPF_ABI_PACKET_H

#include "bpf/abi/flow.h"

#define MP_PARSED MP_TOTAL_COUNT
#define MP_EXTENSIONS 6 /* extension headers of one packet at most */
#define MP_TAG_BYTES 4u

#define MP_ETHER_IP4 0x0800
#define MP_ETHER_IP6 0x86dd
#define MP_ETHER_TAG 0x8100         /* 802.1Q */
#define MP_ETHER_SERVICE_TAG 0x88a8 /* 802.1ad */

/* IP protocol numbers */
#define MP_IP_HOP_BY_HOP 0
#define MP_IP_ICMP 1
#define MP_IP_TCP 6
#define MP_IP_UDP 17
#define MP_IP_ROUTING 43
#define MP_IP_FRAGMENT 44
#define MP_IP_ICMP6 58
#define MP_IP_DESTINATION_OPTIONS 60

#define MP_TCP_FIN 0x01
#define MP_TCP_SYN 0x02
#define MP_TCP_RST 0x04
#define MP_TCP_ACK 0x10

/* RFC 792, RFC 4443 */
#define MP_ICMP_ECHO_REPLY 0
#define MP_ICMP_UNREACHABLE 3
#define MP_ICMP_ECHO_REQUEST 8
#define MP_ICMP_TIME_EXCEEDED 11
#define MP_ICMP_PARAMETER_PROBLEM 12
#define MP_ICMP_BYTES 8u
#define MP_ICMP6_INFORMATIONAL 128 /* types below are errors */
#define MP_ICMP6_ECHO_REQUEST 128
#define MP_ICMP6_ECHO_REPLY 129

#define MP_IP_MORE 0x2000
#define MP_IP_OFFSET 0x1fff
#define MP_IP6_OFFSET 0xfff8
#define MP_IP6_MORE 0x0001

/* packet.fragment */
#define MP_FRAGMENT_FIRST 1 /* the transport header is in it */
#define MP_FRAGMENT_LATER 2

struct mp_packet {
  struct mp_tuple tuple;      /* of an ICMP error: of the packet that it quotes */
  struct mp_address reporter; /* who sent the ICMP error */
  mp_u32 at;                  /* where the next header starts */
  mp_u32 end;                 /* where the IP packet ends by its own length field */
  mp_u32 fragment_id;
  mp_u8 ipv6;
  mp_u8 next; /* protocol of the next header */
  mp_u8 hop_limit;
  mp_u8 tcp_flags;
  mp_u8 answer;  /* can never open a connection: SYN+ACK, echo reply */
  mp_u8 tracked; /* belongs into the table */
  mp_u8 fragment;
  mp_u8 icmp_error; /* its tuple is the quoted packet's */
  mp_u8 options;    /* of IPv4, or extension headers */
  mp_u8 start;      /* where the IP header is */
  mp_u8 pad[2];
};
MP_ASSERT_SIZE(struct mp_packet, 80);

struct mp_link {
  struct mp_link_address destination;
  struct mp_link_address source;
  mp_u16 protocol;
};
MP_ASSERT_SIZE(struct mp_link, MP_LINK_BYTES);

struct mp_header4 {
  mp_u8 version_words;
  mp_u8 tos;
  mp_u16 total_length;
  mp_u16 id;
  mp_u16 fragment;
  mp_u8 ttl;
  mp_u8 protocol;
  mp_u16 checksum;
  mp_u32 source;
  mp_u32 destination;
};
MP_ASSERT_SIZE(struct mp_header4, 20);

struct mp_header6 {
  mp_u32 version_class_label;
  mp_u16 payload_length;
  mp_u8 next;
  mp_u8 hop_limit;
  struct mp_address source;
  struct mp_address destination;
};
MP_ASSERT_SIZE(struct mp_header6, 40);

MP_FUNCTION mp_u32 mp_from_be16(mp_u16 x) {
  return __builtin_bswap16(x);
}

MP_FUNCTION mp_u64 mp_mapped_word(mp_u32 network_order) {
  return ((mp_u64)network_order << 32) | 0xffff0000ull; /* bytes 00 00 ff ff a b c d */
}

/* For an error that belongs to no connection: it is judged as what it is. */
MP_FUNCTION void mp_forget_quote(struct mp_packet* p) {
  p->tuple.destination = p->tuple.source;
  p->tuple.source = p->reporter;
  p->tuple.source_port = p->tuple.destination_port = 0;
  p->tuple.protocol = p->ipv6 ? MP_IP_ICMP6 : MP_IP_ICMP;
  p->tracked = 0;
  p->icmp_error = 0;
}

/* What the fragments of one datagram have in common. */
MP_FUNCTION struct mp_fragment_key mp_fragment_key_of(const struct mp_packet* p) {
  struct mp_fragment_key key = {};
  key.source = p->tuple.source;
  key.destination = p->tuple.destination;
  key.id = p->fragment_id;
  key.protocol = p->ipv6 ? 0 : p->next; /* RFC 8200 4.5: of IPv6 only the first's counts */
  return key;
}

/* To more than one host: the kernel routes none of it without multicast routing. */
MP_FUNCTION int mp_is_to_group(const struct mp_packet* p) {
  const struct mp_address* to = &p->tuple.destination;
  if (p->ipv6)
    return (to->word[0] & 0xff) == 0xff;
  return ((to->word[1] >> 32) & 0xf0) == 0xe0 || to->word[1] >> 32 == 0xffffffffull;
}

#endif
