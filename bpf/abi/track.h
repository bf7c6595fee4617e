/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/*
 * Connections: their ages, TCP states and counters, once, for C (BPF) and C++. Before including it
 * a reader defines MP_COUNT(counter, n)  adds to a counter of a connection, which others may do at
 * the same time
 */
#ifndef MARCHPROXY_BPF_ABI_TRACK_H
#define MARCHPROXY_BPF_ABI_TRACK_H

#include "bpf/abi/packet.h"

MP_FUNCTION int mp_passes(mp_u32 flags) {
  return (flags & MP_RULE_ACTION) != 0 && !(flags & MP_RULE_AUTH);
}

MP_FUNCTION mp_u32 mp_outcome_of(mp_u64 verdict) {
  mp_u32 flags = (mp_u32)MP_VERDICT_FLAGS(verdict);
  if (mp_passes(flags))
    return MP_TOTAL_allowed;
  if (flags & MP_RULE_OBSERVE)
    return MP_TOTAL_observed;
  if (flags & MP_RULE_ACTION)
    return MP_TOTAL_denied_auth;
  return MP_VERDICT_MAPPING(verdict) ? MP_TOTAL_denied_mapping : MP_TOTAL_denied_implicit;
}

/* Whether an outcome is that of a connection that passes. */
MP_FUNCTION int mp_is_let_through(mp_u32 outcome) {
  return outcome == MP_TOTAL_allowed || outcome == MP_TOTAL_observed;
}

/* Addresses that observation leads nobody to: special ranges that are no site's, as is_reserved()
 * of actors/base. */
MP_FUNCTION int mp_is_reserved(const struct mp_address* a) {
  mp_u64 head = a->word[0], tail = a->word[1]; /* first byte lowest: little-endian machines */
  if (mp_is_mapped(a)) {
    mp_u32 first = (tail >> 32) & 0xff;
    return first == 0 || first == 127 || first >= 224 /* this host, loopback, multicast ... */
           || ((tail >> 32) & 0xffff) == 0xfea9       /* 169.254/16: metadata */
           || ((tail >> 32) & 0xffffff) == 0x0000c0;  /* 192.0.0/24 */
  }
  mp_u32 third = (mp_u32)tail;                              /* bytes 8 to 11 */
  return (head == 0 && (third == 0 || third == 0xffff))     /* ::/96, ::ffff:0:0:0/96 */
         || (head == 0x9bff6400ull && third == 0)           /* 64:ff9b::/96 */
         || (head & 0xffffffffffffull) == 0x01009bff6400ull /* 64:ff9b:1::/48 */
         || head == 0x0001ull                               /* 100::/64 */
         || (head & 0xffffffffull) == 0x0120ull             /* 2001::/32 */
         || (head & 0xffff) == 0x0220                       /* 2002::/16 */
         || (head & 0xc0ff) == 0x80fe                       /* fe80::/10 */
         || (head & 0xff) == 0xff;                          /* ff00::/8 */
}

/* The flags that a rule has for a flow to @destination. */
MP_FUNCTION mp_u32 mp_flags_for(mp_u32 flags, const struct mp_address* destination) {
  if ((flags & (MP_RULE_OBSERVE | MP_RULE_PRIVATE)) == MP_RULE_OBSERVE
      && mp_is_reserved(destination))
    return flags & ~MP_RULE_OBSERVE;
  return flags;
}

MP_FUNCTION mp_u32 mp_seconds(mp_u64 now) {
  return (mp_u32)(now / 1000000000ull);
}

/* Seconds that a rule grants the connections it has let in when a revision refuses them. */
MP_FUNCTION mp_u32 mp_drain_of(mp_u32 flags) {
  return flags & MP_RULE_DRAIN ? flags >> MP_RULE_DRAIN_SHIFT : 0;
}

/* Whether the time is over that a refused connection was granted: then it is judged again. */
MP_FUNCTION int mp_is_drained(const struct mp_flow* f, mp_u64 now) {
  return (f->flags & MP_FLOW_REVOKED) && (MP_VERDICT_FLAGS(f->verdict) & MP_RULE_DRAIN)
         && (int)(mp_seconds(now) - f->drain) >= 0;
}

/* Whether a connection that is refused by the revision in force goes on all the same, as its
 * mapping says (POL-12). @f with its verdict of the revision before */
MP_FUNCTION int mp_is_spared(const struct mp_flow* f, mp_u64 now) {
  mp_u32 flags = (mp_u32)MP_VERDICT_FLAGS(f->verdict);
  if (!mp_passes(flags) || !(flags & (MP_RULE_FINISH | MP_RULE_DRAIN)))
    return 0;
  return !mp_is_drained(f, now);
}

/* The verdict that a spared connection has in @revision: that of its own mapping, under the limits
 * of where it goes. */
MP_FUNCTION mp_u64 mp_spared_verdict(const struct mp_flow* f, mp_u64 revision, mp_u32 limits) {
  mp_u32 flags = (mp_u32)MP_VERDICT_FLAGS(f->verdict) & ~MP_RULE_LIMITED;
  if (limits)
    flags |= MP_RULE_LIMITED;
  return MP_VERDICT(revision, MP_VERDICT_MAPPING(f->verdict), flags);
}

/* Enters what a connection that was judged anew is granted. @spared it is refused, and goes on;
 * @drain what its new rule grants. Returns 1 when it has just begun to be spared. */
MP_FUNCTION int mp_renew_grace(struct mp_flow* f, mp_u32 spared, mp_u32 drain, mp_u64 now) {
  if (!spared) {
    f->flags &= (mp_u8)~MP_FLOW_REVOKED;
    f->drain = drain;
    return 0;
  }
  if (f->flags & MP_FLOW_REVOKED)
    return 0;
  f->flags |= MP_FLOW_REVOKED;
  f->drain += mp_seconds(now);
  return 1;
}

MP_FUNCTION void mp_exchange_ends(struct mp_tuple* t) {
  struct mp_tuple was = *t;
  t->source = was.destination;
  t->destination = was.source;
  t->source_port = was.destination_port;
  t->destination_port = was.source_port;
}

/* True when the entry is of a connection that is over: too long silent, or closed and opened anew
 * by this packet. */
MP_FUNCTION int mp_over(const struct mp_flow* f, const struct mp_packet* p, mp_u64 now) {
  return mp_is_silent(f, now)
         || (f->state == MP_STATE_CLOSED
             && (p->tcp_flags & (MP_TCP_SYN | MP_TCP_ACK)) == MP_TCP_SYN);
}

/* Counts a packet that passes into its entry and follows the TCP state. @direction 1 = reply. */
MP_FUNCTION void mp_account(
  struct mp_flow* f, const struct mp_packet* p, mp_u32 direction, mp_u64 now, mp_u32 bytes) {
  if (direction) {
    MP_COUNT(f->packets[1], 1);
    MP_COUNT(f->bytes[1], bytes);
  } else {
    MP_COUNT(f->packets[0], 1);
    MP_COUNT(f->bytes[0], bytes);
  }
  if (f->last_seen != now)
    f->last_seen = now;
  if (f->state == MP_STATE_DATAGRAM)
    return;
  if (p->tcp_flags & MP_TCP_RST) {
    f->state = MP_STATE_CLOSED;
  } else if (p->tcp_flags & MP_TCP_FIN) {
    f->fins |= direction ? 2 : 1;
    if (f->fins == 3)
      f->state = MP_STATE_CLOSED;
  } else if (f->state == MP_STATE_OPENING && !direction && !(p->tcp_flags & MP_TCP_SYN)
             && f->packets[1]) {
    f->state = MP_STATE_ESTABLISHED;
  }
}

/* Whether a connection in the table of openings is one of both ends, now that a packet was
 * accounted.
 * @direction as for mp_account */
MP_FUNCTION int mp_is_confirmed(const struct mp_flow* f, mp_u32 direction) {
  return !direction && f->packets[1] != 0;
}

/* The entry of a connection that this packet opens. @originator as mp_flow_key_of returned it */
MP_FUNCTION struct mp_flow mp_first_of(
  const struct mp_packet* p, mp_u32 originator, mp_u64 verdict, mp_u64 now, mp_u32 bytes) {
  struct mp_flow out = {};
  out.verdict = verdict;
  out.created = now;
  out.last_seen = now;
  out.packets[0] = 1;
  out.bytes[0] = bytes;
  out.originator = (mp_u8)originator;
  out.state = p->tuple.protocol == MP_IP_TCP ? MP_STATE_OPENING : MP_STATE_DATAGRAM;
  out.fins = p->tcp_flags & MP_TCP_FIN;
  return out;
}

/* Later fragments of the datagram that @p begins go where it goes. */
MP_FUNCTION struct mp_fragment mp_fragment_of(const struct mp_packet* p, mp_u64 now) {
  struct mp_fragment out = {};
  out.seen = now;
  out.source_port = p->tuple.source_port;
  out.destination_port = p->tuple.destination_port;
  out.protocol = p->tuple.protocol;
  return out;
}

/* Gives a later fragment its ports. Returns 0 when there is no first one, or too long ago. */
MP_FUNCTION int mp_join_fragment(struct mp_packet* p, const struct mp_fragment* first, mp_u64 now) {
  if (!first || (long long)(now - first->seen) > (long long)MP_FRAGMENT_LIFE)
    return 0;
  p->tuple.source_port = first->source_port;
  p->tuple.destination_port = first->destination_port;
  p->tuple.protocol = first->protocol;
  p->tracked = 1;
  return 1;
}

#endif
