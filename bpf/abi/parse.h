/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/*
 * From a frame to its tuple, once, for C (BPF) and C++. Before including it a reader defines
 *   MP_FRAME                          type through which a frame is reached
 *   MP_HOLDS(frame, bytes)            whether the frame has so many bytes
 *   MP_LOAD(frame, offset, to, size)  copies bytes out; 0 when the frame has not got them
 *
 * Every function returns MP_PARSED or the outcome (enum mp_total) that ends the packet. Offsets
 * count from the frame's first byte.
 */
#ifndef MARCHPROXY_BPF_ABI_PARSE_H
#define MARCHPROXY_BPF_ABI_PARSE_H

#include "bpf/abi/packet.h"

/* The IPv4 header at p->start. */
MP_FUNCTION mp_u32 mp_parse4(MP_FRAME frame, struct mp_packet* p) {
  struct mp_header4 ip;
  mp_u32 at = p->start;
  if (!MP_LOAD(frame, at, &ip, sizeof ip))
    return MP_TOTAL_malformed;
  mp_u32 header = (ip.version_words & 0xfu) * 4;
  mp_u32 total = mp_from_be16(ip.total_length);
  p->at = at + header;
  p->end = at + total;
  p->next = ip.protocol;
  p->hop_limit = ip.ttl;
  p->options = header > sizeof ip;
  p->tuple.source.word[1] = mp_mapped_word(ip.source);
  p->tuple.destination.word[1] = mp_mapped_word(ip.destination);
  if (ip.version_words >> 4 != 4 || header < sizeof ip || total < header
      || !MP_HOLDS(frame, p->end))
    return MP_TOTAL_malformed;
  mp_u32 fragment = mp_from_be16(ip.fragment);
  p->fragment_id = ip.id;
  if (fragment & MP_IP_OFFSET) {
    /* RFC 1858: this one would overwrite the flags by which the first was judged. */
    if (ip.protocol == MP_IP_TCP && (fragment & MP_IP_OFFSET) == 1)
      return MP_TOTAL_malformed;
    p->fragment = MP_FRAGMENT_LATER;
  } else if (fragment & MP_IP_MORE) {
    p->fragment = MP_FRAGMENT_FIRST;
  }
  return MP_PARSED;
}

/* The IPv6 header at p->start. Leaves extension headers to mp_parse_transport. */
MP_FUNCTION mp_u32 mp_parse6(MP_FRAME frame, struct mp_packet* p) {
  struct mp_header6 ip;
  mp_u32 at = p->start;
  if (!MP_LOAD(frame, at, &ip, sizeof ip))
    return MP_TOTAL_malformed;
  p->ipv6 = 1;
  p->at = at + (mp_u32)sizeof ip;
  p->end = p->at + mp_from_be16(ip.payload_length);
  p->next = ip.next;
  p->hop_limit = ip.hop_limit;
  p->tuple.source = ip.source;
  p->tuple.destination = ip.destination;
  /* An IPv4-mapped address in a header would be judged by the IPv4 rules, and RFC 4942 2.2 has no
   * use for it. */
  if ((ip.version_class_label & 0xf0u) != 0x60u || mp_is_mapped(&ip.source)
      || mp_is_mapped(&ip.destination) || !MP_HOLDS(frame, p->end))
    return MP_TOTAL_malformed;
  return MP_PARSED;
}

/* Link header, up to two VLAN tags, and IP header. What is not IP is passed_link. */
MP_FUNCTION mp_u32 mp_parse_link(MP_FRAME frame, struct mp_packet* p) {
  mp_u16 protocol;
  p->start = MP_LINK_BYTES;
  if (!MP_LOAD(frame, p->start - (mp_u32)sizeof protocol, &protocol, sizeof protocol))
    return MP_TOTAL_malformed;
  mp_u32 type = mp_from_be16(protocol);
  for (int i = 0; i < 2 && (type == MP_ETHER_TAG || type == MP_ETHER_SERVICE_TAG); ++i) {
    p->start += MP_TAG_BYTES;
    if (!MP_LOAD(frame, p->start - (mp_u32)sizeof protocol, &protocol, sizeof protocol))
      return MP_TOTAL_malformed;
    type = mp_from_be16(protocol);
  }
  if (type == MP_ETHER_IP4)
    return mp_parse4(frame, p);
  if (type == MP_ETHER_IP6)
    return mp_parse6(frame, p);
  return MP_TOTAL_passed_link;
}

MP_FUNCTION int mp_is_extension(mp_u32 next) {
  return next == MP_IP_HOP_BY_HOP || next == MP_IP_ROUTING || next == MP_IP_DESTINATION_OPTIONS
         || next == MP_IP_FRAGMENT;
}

/* Leaves p->at and p->next at the transport header, or at a later fragment's bytes. */
MP_FUNCTION mp_u32 mp_skip_extensions(MP_FRAME frame, struct mp_packet* p) {
  struct {
    mp_u8 next;
    mp_u8 length; /* 8-byte units beyond the first; reserved in a fragment header */
    mp_u8 at2;    /* routing: type; fragment: offset, high */
    mp_u8 at3;    /* routing: segments left; fragment: offset, low */
    mp_u32 id;    /* fragment */
  } head;
  for (int i = 0; i < MP_EXTENSIONS; ++i) {
    if (!mp_is_extension(p->next))
      return MP_PARSED;
    p->options = 1;
    if (p->at + 8 > p->end || !MP_LOAD(frame, p->at, &head, sizeof head))
      return MP_TOTAL_malformed;
    mp_u32 size = 8 + head.length * 8u;
    if (p->next == MP_IP_FRAGMENT) {
      mp_u32 fragment = ((mp_u32)head.at2 << 8) | head.at3;
      size = 8;
      p->fragment_id = head.id;
      if (fragment & MP_IP6_OFFSET) {
        p->fragment = MP_FRAGMENT_LATER;
        p->next = head.next;
        return MP_PARSED;
      }
      if (fragment & MP_IP6_MORE) /* else it is whole, RFC 6946 */
        p->fragment = MP_FRAGMENT_FIRST;
    }
    /* With segments left the header's destination is not where the packet is going. */
    if (p->next == MP_IP_ROUTING && head.at3 != 0)
      return MP_TOTAL_unsupported_protocol;
    p->next = head.next;
    p->at += size;
  }
  return mp_is_extension(p->next) ? MP_TOTAL_malformed : MP_PARSED;
}

struct mp_icmp_head {
  mp_u8 type;
  mp_u8 code;
  mp_u16 checksum;
  mp_u16 identifier;
  mp_u16 sequence;
};
MP_ASSERT_SIZE(struct mp_icmp_head, 8);

/* The addresses and the transport protocol of the packet that an ICMP error at p->at quotes.
 * Returns where its transport header starts; 0 when it has none that tells a connection. */
MP_FUNCTION mp_u32 mp_quoted_addresses(MP_FRAME frame,
                                       const struct mp_packet* p,
                                       struct mp_tuple* quoted) {
  mp_u32 at = p->at + MP_ICMP_BYTES;
  if (!p->ipv6) {
    struct mp_header4 ip;
    if (!MP_LOAD(frame, at, &ip, sizeof ip) || ip.version_words >> 4 != 4
        || (mp_from_be16(ip.fragment) & MP_IP_OFFSET))
      return 0;
    quoted->source.word[1] = mp_mapped_word(ip.source);
    quoted->destination.word[1] = mp_mapped_word(ip.destination);
    quoted->protocol = ip.protocol;
    return at + (ip.version_words & 0xfu) * 4;
  }
  struct mp_header6 ip;
  if (!MP_LOAD(frame, at, &ip, sizeof ip) || (ip.version_class_label & 0xf0u) != 0x60u)
    return 0;
  quoted->source = ip.source;
  quoted->destination = ip.destination;
  quoted->protocol = ip.next;
  at += (mp_u32)sizeof ip;
  if (ip.next == MP_IP_FRAGMENT) { /* what does not fit is quoted with it */
    struct {
      mp_u8 next;
      mp_u8 reserved;
      mp_u16 fragment;
    } head;
    if (!MP_LOAD(frame, at, &head, sizeof head) || (mp_from_be16(head.fragment) & MP_IP6_OFFSET))
      return 0;
    quoted->protocol = head.next;
    at += 8;
  }
  return at;
}

/* An ICMP error at p->at: makes the packet's tuple that of the connection which the error is about,
 * when it quotes one and goes to who sent the quoted packet. */
MP_FUNCTION void mp_parse_error(MP_FRAME frame, struct mp_packet* p) {
  struct mp_tuple quoted = {};
  struct mp_icmp_head head; /* as long as what each protocol needs here */
  mp_u32 at = mp_quoted_addresses(frame, p, &quoted);
  if (!at || at + (mp_u32)sizeof head > p->end || !MP_LOAD(frame, at, &head, sizeof head)
      || quoted.source.word[0] != p->tuple.destination.word[0]
      || quoted.source.word[1] != p->tuple.destination.word[1])
    return;
  if (quoted.protocol == MP_IP_TCP || quoted.protocol == MP_IP_UDP) {
    quoted.source_port = (mp_u16)(((mp_u32)head.type << 8) | head.code);
    quoted.destination_port = (mp_u16)mp_from_be16(head.checksum);
  } else if (quoted.protocol == (p->ipv6 ? MP_IP_ICMP6 : MP_IP_ICMP)
             && head.type == (p->ipv6 ? MP_ICMP6_ECHO_REQUEST : MP_ICMP_ECHO_REQUEST)) {
    quoted.source_port = quoted.destination_port = (mp_u16)mp_from_be16(head.identifier);
  } else {
    return;
  }
  p->reporter = p->tuple.source;
  p->tuple = quoted;
  p->tracked = 1;
  p->icmp_error = 1;
}

MP_FUNCTION mp_u32 mp_parse_icmp(MP_FRAME frame, struct mp_packet* p) {
  struct mp_icmp_head icmp;
  if (p->at + (mp_u32)sizeof icmp > p->end || !MP_LOAD(frame, p->at, &icmp, sizeof icmp))
    return MP_TOTAL_malformed;
  int request = 0, reply = 0, error = 0;
  if (p->ipv6) {
    /* RFC 4861 7.1: neighbour discovery is valid only unforwarded, with hop limit 255. */
    if (icmp.type >= 133 && icmp.type <= 137 && p->hop_limit == 255)
      return MP_TOTAL_passed_link;
    error = icmp.type < MP_ICMP6_INFORMATIONAL;
    request = icmp.type == MP_ICMP6_ECHO_REQUEST;
    reply = icmp.type == MP_ICMP6_ECHO_REPLY;
  } else {
    error = icmp.type == MP_ICMP_UNREACHABLE || icmp.type == MP_ICMP_TIME_EXCEEDED
            || icmp.type == MP_ICMP_PARAMETER_PROBLEM;
    request = icmp.type == MP_ICMP_ECHO_REQUEST;
    reply = icmp.type == MP_ICMP_ECHO_REPLY;
  }
  if (error && !p->fragment)
    mp_parse_error(frame, p);
  if (request || reply) {
    p->tuple.source_port = p->tuple.destination_port = (mp_u16)mp_from_be16(icmp.identifier);
    p->tracked = 1;
    p->answer = (mp_u8)reply;
  }
  return MP_PARSED;
}

MP_FUNCTION mp_u32 mp_parse_ports(MP_FRAME frame, struct mp_packet* p) {
  struct {
    mp_u16 source;
    mp_u16 destination;
    mp_u16 length; /* UDP's; TCP: sequence number */
    mp_u16 sequence;
    mp_u32 acknowledged;
    mp_u8 offset; /* TCP: header length in words in the upper half */
    mp_u8 flags;
  } __attribute__((packed)) head;
  if (p->at > p->end) /* after a lying extension header */
    return MP_TOTAL_malformed;
  mp_u32 rest = p->end - p->at;
  if (p->next == MP_IP_TCP) {
    if (rest < 20 || !MP_LOAD(frame, p->at, &head, sizeof head))
      return MP_TOTAL_malformed;
    mp_u32 length = (head.offset >> 4) * 4u;
    if (length < 20 || length > rest)
      return MP_TOTAL_malformed;
    p->tcp_flags = head.flags;
    p->answer = (head.flags & (MP_TCP_SYN | MP_TCP_ACK)) == (MP_TCP_SYN | MP_TCP_ACK);
  } else {
    if (rest < 8 || !MP_LOAD(frame, p->at, &head, 8))
      return MP_TOTAL_malformed;
    mp_u32 length = mp_from_be16(head.length);
    if (length < 8 || (length > rest && !p->fragment))
      return MP_TOTAL_malformed;
  }
  p->tuple.source_port = (mp_u16)mp_from_be16(head.source);
  p->tuple.destination_port = (mp_u16)mp_from_be16(head.destination);
  p->tracked = 1;
  return MP_PARSED;
}

/* What is behind the IP header that mp_parse4 or mp_parse6 read. A later fragment has no ports: it
 * goes with the first (mp_fragment_key). */
MP_FUNCTION mp_u32 mp_parse_transport_of(MP_FRAME frame, struct mp_packet* p) {
  if (p->ipv6) {
    mp_u32 outcome = mp_skip_extensions(frame, p);
    if (outcome != MP_PARSED)
      return outcome;
  }
  p->tuple.protocol = p->next;
  if (p->fragment == MP_FRAGMENT_LATER)
    return MP_PARSED;
  if (p->next == MP_IP_TCP || p->next == MP_IP_UDP)
    return mp_parse_ports(frame, p);
  if (p->next == (p->ipv6 ? MP_IP_ICMP6 : MP_IP_ICMP))
    return mp_parse_icmp(frame, p);
  return MP_TOTAL_unsupported_protocol;
}

#endif
