/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/*
 * What the sender of a refused packet is told, once, for C (BPF) and C++: a TCP reset (RFC 9293
 * 3.10.7.1), or else an ICMP message that communication is prohibited (RFC 1812 5.2.7.1, RFC 4443
 * 3.1). For connections that were let through before: nobody else is answered, as one who forges
 * sources could have others flooded.
 *
 * Before including it a reader defines what parse.h wants.
 */
#ifndef MARCHPROXY_BPF_ABI_REFUSAL_H
#define MARCHPROXY_BPF_ABI_REFUSAL_H

#include "bpf/abi/packet.h"

#define MP_REFUSAL_HOPS 64
#define MP_IP_WHOLE 0x4000 /* don't fragment */
#define MP_ICMP_PROHIBITED 13
#define MP_ICMP6_UNREACHABLE 1
#define MP_ICMP6_PROHIBITED 1
#define MP_QUOTED_BYTES 8u /* of the transport header, which is all that RFC 792 asks for */

struct mp_tcp_head {
  mp_u16 source;
  mp_u16 destination;
  mp_u32 sequence;
  mp_u32 acknowledged;
  mp_u8 offset; /* words in the upper half */
  mp_u8 flags;
  mp_u16 window;
  mp_u16 checksum;
  mp_u16 urgent;
};
MP_ASSERT_SIZE(struct mp_tcp_head, 20);

struct mp_prohibited4 {
  mp_u8 type;
  mp_u8 code;
  mp_u16 checksum;
  mp_u32 unused;
  struct mp_header4 quoted;
  mp_u32 begin[MP_QUOTED_BYTES / 4];
};
MP_ASSERT_SIZE(struct mp_prohibited4, 36);

struct mp_prohibited6 {
  mp_u8 type;
  mp_u8 code;
  mp_u16 checksum;
  mp_u32 unused;
  struct mp_header6 quoted;
  mp_u32 begin[MP_QUOTED_BYTES / 4];
};
MP_ASSERT_SIZE(struct mp_prohibited6, 56);

/* An Ethernet frame that starts at `link`. */
struct mp_refusal {
  mp_u16 pad; /* so that addresses are where a CPU likes them */
  struct mp_link link;
  union {
    struct {
      struct mp_header4 ip;
      union {
        struct mp_tcp_head reset;
        struct mp_prohibited4 prohibited;
      };
    } v4;
    struct {
      struct mp_header6 ip;
      union {
        struct mp_tcp_head reset;
        struct mp_prohibited6 prohibited;
      };
    } v6;
  };
};
MP_ASSERT_SIZE(struct mp_refusal, 112);

typedef mp_u32 __attribute__((may_alias)) mp_word;

/* Adds @words 4-byte words to a ones' complement sum (RFC 1071). */
MP_FUNCTION mp_u64 mp_add_words(mp_u64 sum, const void* bytes, mp_u32 words) {
  const mp_word* word = (const mp_word*)bytes;
  for (mp_u32 i = 0; i < words; ++i)
    sum += word[i];
  return sum;
}

MP_FUNCTION mp_u16 mp_checksum_of(mp_u64 sum) {
  sum = (sum & 0xffffffffull) + (sum >> 32);
  sum = (sum & 0xffffffffull) + (sum >> 32);
  sum = (sum & 0xffffull) + (sum >> 16);
  sum = (sum & 0xffffull) + (sum >> 16);
  return (mp_u16)~sum;
}

MP_FUNCTION mp_u32 mp_swap32(mp_u32 x) {
  return __builtin_bswap32(x);
}

/* Whether anybody is to be told of a refused packet of a connection that is known. */
MP_FUNCTION int mp_is_told(const struct mp_packet* p) {
  if (p->fragment || p->icmp_error || p->options || p->start != MP_LINK_BYTES)
    return 0;
  if (p->tuple.protocol == MP_IP_TCP)
    return !(p->tcp_flags & MP_TCP_RST);
  return !p->answer; /* an echo reply is no reason for a message */
}

/* The reset that answers the segment with @was and @bytes behind its header. */
MP_FUNCTION void mp_reset_of(const struct mp_tcp_head* was, mp_u32 bytes, struct mp_tcp_head* out) {
  out->source = was->destination;
  out->destination = was->source;
  out->offset = sizeof *out / 4 << 4;
  out->flags = MP_TCP_RST;
  if (was->flags & MP_TCP_ACK) {
    out->sequence = was->acknowledged;
    return;
  }
  mp_u32 length = bytes + !!(was->flags & MP_TCP_SYN) + !!(was->flags & MP_TCP_FIN);
  out->acknowledged = mp_swap32(mp_swap32(was->sequence) + length);
  out->flags = MP_TCP_RST | MP_TCP_ACK;
}

MP_FUNCTION mp_u32 mp_refuse4(MP_FRAME frame, const struct mp_packet* p, struct mp_refusal* out) {
  struct mp_header4* ip = &out->v4.ip;
  struct mp_prohibited4* said = &out->v4.prohibited;
  struct mp_tcp_head was;
  struct mp_header4 quoted;
  int tcp = p->tuple.protocol == MP_IP_TCP;
  mp_u32 bytes = (mp_u32)sizeof *ip;
  if (!MP_LOAD(frame, p->start, &quoted, sizeof quoted))
    return 0;
  ip->version_words = 0x45;
  ip->ttl = MP_REFUSAL_HOPS;
  ip->fragment = mp_from_be16(MP_IP_WHOLE);
  ip->source = quoted.destination;
  ip->destination = quoted.source;
  if (tcp) {
    if (!MP_LOAD(frame, p->at, &was, sizeof was))
      return 0;
    ip->protocol = MP_IP_TCP;
    bytes += (mp_u32)sizeof out->v4.reset;
    mp_reset_of(&was, p->end - p->at - (was.offset >> 4) * 4u, &out->v4.reset);
    mp_u64 sum = (mp_u64)ip->source + ip->destination + mp_from_be16(MP_IP_TCP)
                 + mp_from_be16(sizeof out->v4.reset);
    out->v4.reset.checksum =
      mp_checksum_of(mp_add_words(sum, &out->v4.reset, sizeof out->v4.reset / 4));
  } else {
    if (!MP_LOAD(frame, p->at, &said->begin, MP_QUOTED_BYTES))
      return 0;
    ip->protocol = MP_IP_ICMP;
    bytes += (mp_u32)sizeof *said;
    said->type = MP_ICMP_UNREACHABLE;
    said->code = MP_ICMP_PROHIBITED;
    said->quoted = quoted;
    said->checksum = mp_checksum_of(mp_add_words(0, said, sizeof *said / 4));
  }
  ip->total_length = mp_from_be16((mp_u16)bytes);
  ip->checksum = mp_checksum_of(mp_add_words(0, ip, sizeof *ip / 4));
  return MP_LINK_BYTES + bytes;
}

MP_FUNCTION mp_u32 mp_refuse6(MP_FRAME frame, const struct mp_packet* p, struct mp_refusal* out) {
  struct mp_header6* ip = &out->v6.ip;
  struct mp_prohibited6* said = &out->v6.prohibited;
  struct mp_tcp_head was;
  int tcp = p->tuple.protocol == MP_IP_TCP;
  mp_u16 bytes = tcp ? sizeof out->v6.reset : sizeof *said;
  if (!MP_LOAD(frame, p->start, &said->quoted, sizeof said->quoted))
    return 0;
  ip->version_class_label = 0x60u;
  ip->payload_length = mp_from_be16(bytes);
  ip->next = tcp ? MP_IP_TCP : MP_IP_ICMP6;
  ip->hop_limit = MP_REFUSAL_HOPS;
  ip->source = said->quoted.destination;
  ip->destination = said->quoted.source;
  mp_u64 sum = mp_add_words(0, &ip->source, sizeof(struct mp_address) / 2);
  sum += (mp_u64)mp_from_be16(bytes) + mp_from_be16(ip->next);
  if (tcp) {
    __builtin_memset(said, 0, sizeof *said);
    if (!MP_LOAD(frame, p->at, &was, sizeof was))
      return 0;
    mp_reset_of(&was, p->end - p->at - (was.offset >> 4) * 4u, &out->v6.reset);
    out->v6.reset.checksum =
      mp_checksum_of(mp_add_words(sum, &out->v6.reset, sizeof out->v6.reset / 4));
  } else {
    if (!MP_LOAD(frame, p->at, &said->begin, MP_QUOTED_BYTES))
      return 0;
    said->type = MP_ICMP6_UNREACHABLE;
    said->code = MP_ICMP6_PROHIBITED;
    said->checksum = mp_checksum_of(mp_add_words(sum, said, sizeof *said / 4));
  }
  return MP_LINK_BYTES + (mp_u32)sizeof *ip + bytes;
}

/* The answer to a packet that mp_is_told, but for its link header. @out all 0. Returns the frame's
 * bytes; 0: there is none. */
MP_FUNCTION mp_u32 mp_refuse(MP_FRAME frame, const struct mp_packet* p, struct mp_refusal* out) {
  return p->ipv6 ? mp_refuse6(frame, p, out) : mp_refuse4(frame, p, out);
}

#endif
