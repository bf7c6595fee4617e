/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/*
 * From a packet's headers to its tuple. Every function returns MP_PARSED or the outcome (enum
 * mp_total) that ends the packet. Offsets count from the network header (the loader attaches to
 * Ethernet only); bytes are copied, so it does not matter how the kernel laid the packet out.
 */
#ifndef MARCHPROXY_BPF_PROG_PARSE_H
#define MARCHPROXY_BPF_PROG_PARSE_H

#include "bpf/abi/flow.h"
#include "bpf/prog/kernel.h"

#define MP_PARSED MP_TOTAL_COUNT
#define MP_EXTENSIONS 6 /* extension headers of one packet at most */

#define MP_TCP_FIN 0x01
#define MP_TCP_SYN 0x02
#define MP_TCP_RST 0x04
#define MP_TCP_ACK 0x10

/* <linux/icmp.h> drags the C library's socket headers in, which do not compile for this target. RFC
 * 792, RFC 4443. */
#define MP_ICMP_ECHO_REPLY 0
#define MP_ICMP_UNREACHABLE 3
#define MP_ICMP_ECHO_REQUEST 8
#define MP_ICMP_TIME_EXCEEDED 11
#define MP_ICMP_PARAMETER_PROBLEM 12
#define MP_ICMP6_INFORMATIONAL 128 /* types below are errors */
#define MP_ICMP6_ECHO_REQUEST 128
#define MP_ICMP6_ECHO_REPLY 129

#define MP_IP_MORE 0x2000
#define MP_IP_OFFSET 0x1fff
#define MP_IP6_OFFSET 0xfff8

struct mp_packet {
  struct mp_tuple tuple;
  mp_u32 at;  /* where the next header starts */
  mp_u32 end; /* where the IP packet ends by its own length field */
  mp_u8 ipv6;
  mp_u8 next; /* protocol of the next header */
  mp_u8 hop_limit;
  mp_u8 tcp_flags;
  mp_u8 answer;  /* can never open a connection: SYN+ACK, echo reply */
  mp_u8 tracked; /* belongs into the table */
  mp_u8 first_fragment;
  mp_u8 pad;
};

static __always_inline int mp_load(struct __sk_buff* skb, mp_u32 at, void* to, mp_u32 size) {
  return bpf_skb_load_bytes(skb, ETH_HLEN + at, to, size) == 0;
}

static __always_inline mp_u64 mp_mapped_word(mp_u32 network_order) {
  return ((mp_u64)network_order << 32) | 0xffff0000ull; /* bytes 00 00 ff ff a b c d */
}

static __always_inline mp_u32 mp_parse4(struct __sk_buff* skb, struct mp_packet* p) {
  struct iphdr ip;
  if (!mp_load(skb, 0, &ip, sizeof ip))
    return MP_TOTAL_malformed;
  p->at = ip.ihl * 4;
  p->end = bpf_ntohs(ip.tot_len);
  p->next = ip.protocol;
  p->hop_limit = ip.ttl;
  p->tuple.source.word[1] = mp_mapped_word(ip.saddr);
  p->tuple.destination.word[1] = mp_mapped_word(ip.daddr);
  mp_u8 last;
  if (ip.version != 4 || p->at < sizeof ip || p->end < p->at || !mp_load(skb, p->end - 1, &last, 1))
    return MP_TOTAL_malformed;
  mp_u16 fragment = bpf_ntohs(ip.frag_off);
  p->first_fragment = (fragment & MP_IP_MORE) != 0;
  return fragment & MP_IP_OFFSET ? MP_TOTAL_fragments : MP_PARSED;
}

static __always_inline int mp_is_mapped(const struct mp_address* a) {
  return a->word[0] == 0 && (mp_u32)a->word[1] == 0xffff0000u;
}

static __always_inline mp_u32 mp_parse6(struct __sk_buff* skb, struct mp_packet* p) {
  struct ipv6hdr ip;
  if (!mp_load(skb, 0, &ip, sizeof ip))
    return MP_TOTAL_malformed;
  p->ipv6 = 1;
  p->at = sizeof ip;
  p->end = sizeof ip + bpf_ntohs(ip.payload_len);
  p->next = ip.nexthdr;
  p->hop_limit = ip.hop_limit;
  __builtin_memcpy(&p->tuple.source, &ip.saddr, 16);
  __builtin_memcpy(&p->tuple.destination, &ip.daddr, 16);
  mp_u8 last;
  /* An IPv4-mapped address in a header would be judged by the IPv4 rules, and RFC 4942 2.2 has no
   * use for it. */
  if (ip.version != 6 || mp_is_mapped(&p->tuple.source) || mp_is_mapped(&p->tuple.destination)
      || !mp_load(skb, p->end - 1, &last, 1))
    return MP_TOTAL_malformed;
  return MP_PARSED;
}

/* Leaves p->at and p->next at the transport header. */
static __always_inline mp_u32 mp_skip_extensions(struct __sk_buff* skb, struct mp_packet* p) {
  struct {
    mp_u8 next;
    mp_u8 length; /* 8-byte units beyond the first; reserved in a fragment header */
    mp_u8 at2;    /* routing: type; fragment: offset, high */
    mp_u8 at3;    /* routing: segments left; fragment: offset, low */
  } head;
  for (int i = 0; i < MP_EXTENSIONS; ++i) {
    if (p->next != IPPROTO_HOPOPTS && p->next != IPPROTO_ROUTING && p->next != IPPROTO_DSTOPTS
        && p->next != IPPROTO_FRAGMENT)
      return MP_PARSED;
    if (p->at + 8 > p->end || !mp_load(skb, p->at, &head, sizeof head))
      return MP_TOTAL_malformed;
    mp_u32 size = 8 + head.length * 8;
    if (p->next == IPPROTO_FRAGMENT) {
      if ((((mp_u32)head.at2 << 8) | head.at3) & MP_IP6_OFFSET)
        return MP_TOTAL_fragments;
      p->first_fragment = 1;
      size = 8;
    }
    /* With segments left the header's destination is not where the packet is going. */
    if (p->next == IPPROTO_ROUTING && head.at3 != 0)
      return MP_TOTAL_unsupported_protocol;
    p->next = head.next;
    p->at += size;
  }
  return MP_TOTAL_malformed;
}

static __always_inline mp_u32 mp_parse_icmp(struct __sk_buff* skb, struct mp_packet* p) {
  struct {
    mp_u8 type;
    mp_u8 code;
    mp_u16 checksum;
    mp_u16 identifier;
    mp_u16 sequence;
  } icmp;
  if (p->at + sizeof icmp > p->end || !mp_load(skb, p->at, &icmp, sizeof icmp))
    return MP_TOTAL_malformed;
  int request = 0, reply = 0;
  if (p->ipv6) {
    if (icmp.type < MP_ICMP6_INFORMATIONAL)
      return MP_TOTAL_passed_icmp_error;
    /* RFC 4861 7.1: neighbour discovery is valid only unforwarded, with hop limit 255. */
    if (icmp.type >= 133 && icmp.type <= 137 && p->hop_limit == 255)
      return MP_TOTAL_passed_link;
    request = icmp.type == MP_ICMP6_ECHO_REQUEST;
    reply = icmp.type == MP_ICMP6_ECHO_REPLY;
  } else {
    if (icmp.type == MP_ICMP_UNREACHABLE || icmp.type == MP_ICMP_TIME_EXCEEDED
        || icmp.type == MP_ICMP_PARAMETER_PROBLEM)
      return MP_TOTAL_passed_icmp_error;
    request = icmp.type == MP_ICMP_ECHO_REQUEST;
    reply = icmp.type == MP_ICMP_ECHO_REPLY;
  }
  if (request || reply) {
    p->tuple.source_port = p->tuple.destination_port = bpf_ntohs(icmp.identifier);
    p->tracked = 1;
    p->answer = (mp_u8)reply;
  }
  return MP_PARSED;
}

static __always_inline mp_u32 mp_parse_ports(struct __sk_buff* skb, struct mp_packet* p) {
  struct {
    mp_u16 source;
    mp_u16 destination;
    mp_u16 length; /* UDP's; TCP: sequence number */
    mp_u16 sequence;
    mp_u32 acknowledged;
    mp_u8 offset; /* TCP: header length in words in the upper half */
    mp_u8 flags;
  } __attribute__((packed)) head;
  mp_u32 rest = p->end - p->at; /* p->at may lie beyond the end after a lying extension header */
  if (p->at > p->end)
    return MP_TOTAL_malformed;
  if (p->next == IPPROTO_TCP) {
    if (rest < 20 || !mp_load(skb, p->at, &head, sizeof head))
      return MP_TOTAL_malformed;
    mp_u32 length = (head.offset >> 4) * 4;
    if (length < 20 || length > rest)
      return MP_TOTAL_malformed;
    p->tcp_flags = head.flags;
    p->answer = (head.flags & (MP_TCP_SYN | MP_TCP_ACK)) == (MP_TCP_SYN | MP_TCP_ACK);
  } else {
    if (rest < 8 || !mp_load(skb, p->at, &head, 8))
      return MP_TOTAL_malformed;
    mp_u32 length = bpf_ntohs(head.length);
    if (length < 8 || (length > rest && !p->first_fragment))
      return MP_TOTAL_malformed;
  }
  p->tuple.source_port = bpf_ntohs(head.source);
  p->tuple.destination_port = bpf_ntohs(head.destination);
  p->tracked = 1;
  return MP_PARSED;
}

__noinline mp_u32 mp_parse_transport(struct __sk_buff* skb, struct mp_packet* p) {
  if (!p)
    return MP_TOTAL_malformed;
  if (p->ipv6) {
    mp_u32 outcome = mp_skip_extensions(skb, p);
    if (outcome != MP_PARSED)
      return outcome;
  }
  p->tuple.protocol = p->next;
  if (p->next == IPPROTO_TCP || p->next == IPPROTO_UDP)
    return mp_parse_ports(skb, p);
  if (p->next == (p->ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
    return mp_parse_icmp(skb, p);
  return MP_TOTAL_unsupported_protocol;
}

#endif
