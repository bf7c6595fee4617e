/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/*
 * What the tc program keeps and says about traffic: connections, counters, events. Once, for C
 * (BPF) and C++.
 *
 * Writer: bpf/prog. Reader: bpf/loader, which also makes the entries of the mapping counters.
 */
#ifndef MARCHPROXY_BPF_ABI_FLOW_H
#define MARCHPROXY_BPF_ABI_FLOW_H

#include "bpf/abi/rules.h"

#define MP_LINK_BYTES 14u /* of an Ethernet header */

/* 16 bytes in network order; IPv4 as ::ffff:a.b.c.d, which no IPv6 header may carry. */
struct mp_address {
  mp_u64 word[2];
};
MP_ASSERT_SIZE(struct mp_address, 16);

MP_FUNCTION int mp_is_mapped(const struct mp_address* a) {
  return a->word[0] == 0 && (a->word[1] & 0xffffffffull) == 0xffff0000ull;
}

/* Connections are counted by the source that opened them: of IPv6 by its network. */
MP_FUNCTION struct mp_address mp_counted_source(struct mp_address source) {
  if (!mp_is_mapped(&source))
    source.word[1] = 0; /* a /64 */
  return source;
}

/* One direction of a connection. Ports in host order; for ICMP echo both are the identifier, else
 * 0. */
struct mp_tuple {
  struct mp_address source;
  struct mp_address destination;
  mp_u16 source_port;
  mp_u16 destination_port;
  mp_u8 protocol; /* IP protocol number */
  mp_u8 pad[3];   /* 0 */
};
MP_ASSERT_SIZE(struct mp_tuple, 40);

/* A connection: the tuple with its smaller end as source, so that both directions have one key. */
struct mp_flow_key {
  struct mp_tuple ends;
};
MP_ASSERT_SIZE(struct mp_flow_key, 40);

/* Returns 1 when the ends were exchanged. The order is any total order: both sides just have to use
 * this one. */
MP_FUNCTION mp_u32 mp_flow_key_of(const struct mp_tuple* t, struct mp_flow_key* key) {
  mp_u32 exchange;
  if (t->source.word[0] != t->destination.word[0])
    exchange = t->source.word[0] > t->destination.word[0];
  else if (t->source.word[1] != t->destination.word[1])
    exchange = t->source.word[1] > t->destination.word[1];
  else
    exchange = t->source_port > t->destination_port;
  key->ends = *t;
  if (exchange) {
    key->ends.source = t->destination;
    key->ends.destination = t->source;
    key->ends.source_port = t->destination_port;
    key->ends.destination_port = t->source_port;
  }
  return exchange;
}

/* The fragments of one datagram. */
struct mp_fragment_key {
  struct mp_address source;
  struct mp_address destination;
  mp_u32 id;       /* as it is in the header */
  mp_u32 protocol; /* of IPv6 0 */
};
MP_ASSERT_SIZE(struct mp_fragment_key, 40);

/* Of a datagram whose first fragment was let through: what the later ones do not carry. */
struct mp_fragment {
  mp_u64 seen; /* CLOCK_MONOTONIC_COARSE, ns */
  mp_u16 source_port;
  mp_u16 destination_port;
  mp_u8 protocol;
  mp_u8 pad[3];
};
MP_ASSERT_SIZE(struct mp_fragment, 16);
#define MP_FRAGMENT_LIFE (30ull * 1000000000ull) /* as long as the stack waits for the rest */

/*
 * A verdict in one word, so that reading it never mixes two of them:
 *   63..40 generation: the low 24 bits of the revision
 *   39..8  mapping id, 0 = implicit deny
 *   7..0   MP_RULE_ flags of the deciding mapping, and MP_RULE_LIMITED
 */
#define MP_GENERATION_MASK 0xffffffull
#define MP_MAPPING_MAX 0xffffffffull
#define MP_VERDICT(revision, mapping, flags)                                                       \
  ((((revision)&MP_GENERATION_MASK) << 40) | (((mapping)&MP_MAPPING_MAX) << 8) | ((flags)&0xffull))
#define MP_VERDICT_GENERATION(verdict) ((verdict) >> 40)
#define MP_VERDICT_MAPPING(verdict) (((verdict) >> 8) & MP_MAPPING_MAX)
#define MP_VERDICT_FLAGS(verdict) ((verdict)&0xffull)

/* flow.state */
#define MP_STATE_OPENING 1u     /* TCP: no packet back and forth yet */
#define MP_STATE_ESTABLISHED 2u /* TCP: both ends have spoken */
#define MP_STATE_CLOSED 3u      /* TCP: a reset, or FIN from both ends */
#define MP_STATE_DATAGRAM 4u    /* UDP and ICMP echo */

/* An entry that was idle for longer counts as absent. Nanoseconds. */
#define MP_IDLE_OPENING (60ull * 1000000000ull)
#define MP_IDLE_ESTABLISHED (7200ull * 1000000000ull)
#define MP_IDLE_CLOSED (10ull * 1000000000ull)
#define MP_IDLE_DATAGRAM (60ull * 1000000000ull)

/*
 * A connection that was let through at least once. Packets and bytes: 0 as the originator sends, 1
 * the replies.
 *
 * It is in one of two tables. It begins among the openings, and moves to the confirmed ones when
 * its originator sends after an answer came: a flood of first packets, whose sources hear no
 * answer, only pushes out others like them.
 */
struct mp_flow {
  mp_u64 verdict;   /* written as one word; of an older generation: judge again before use */
  mp_u64 created;   /* CLOCK_MONOTONIC_COARSE, ns */
  mp_u64 last_seen; /* likewise */
  mp_u64 packets[2];
  mp_u64 bytes[2];
  mp_u8 originator; /* 1: the key's destination end opened it */
  mp_u8 state;      /* MP_STATE_ */
  mp_u8 fins;       /* bit d: FIN seen in direction d */
  mp_u8 flags;      /* MP_FLOW_ */
  mp_u32 drain;     /* of a verdict with MP_RULE_DRAIN: seconds; MP_FLOW_REVOKED: when it ends, in
                       seconds of the clock */
  mp_u32 limits[2]; /* keys: of its mapping's, of its service's; 0 = none */
};
MP_ASSERT_SIZE(struct mp_flow, 72);

#define MP_FLOW_HELD 1u      /* counts as open under its limits */
#define MP_FLOW_REVOKED 2u   /* a revision refuses it, and it goes on as its mapping says */
#define MP_FLOW_CONFIRMED 4u /* the packet worker's; in BPF it has a table of its own */

/* True when nothing came for so long that the connection counts as absent. */
MP_FUNCTION int mp_is_silent(const struct mp_flow* f, mp_u64 now) {
  mp_u64 limit = MP_IDLE_DATAGRAM;
  if (f->state == MP_STATE_OPENING)
    limit = MP_IDLE_OPENING;
  if (f->state == MP_STATE_ESTABLISHED)
    limit = MP_IDLE_ESTABLISHED;
  if (f->state == MP_STATE_CLOSED)
    limit = MP_IDLE_CLOSED;
  mp_u64 idle = now - f->last_seen; /* below 0 if another CPU wrote it */
  return idle > limit && idle >> 63 == 0;
}

/*
 * What the program counts, in all. The first group are outcomes: each packet has exactly one, so
 * they add up to `packets`. The names reach clients and are never renamed. A packet is what the
 * program sees: after receive offload a burst of segments is one packet, and its bytes include the
 * link header.
 */
#define MP_OUTCOMES(X)                                                                             \
  X(passed_local, "to an address of this node: left to the stack")                                 \
  X(passed_link, "not routed IP: ARP, neighbour discovery, multicast, broadcast, other protocols") \
  X(passed_icmp_error, "ICMP and ICMPv6 error messages about connections that are let through")    \
  X(handed_on, "by the XDP program: left to the tc program, which judges it")                      \
  X(allowed, "let through by a mapping")                                                           \
  X(observed, "would be refused: let through because it is only observed")                         \
  X(denied_implicit, "refused: no mapping matches")                                                \
  X(denied_mapping, "refused by a mapping")                                                        \
  X(denied_auth, "refused: the mapping asks for credentials, which a routed packet cannot show")   \
  X(malformed, "refused: truncated or contradictory headers")                                      \
  X(fragments, "refused: a fragment whose first was not seen, or refused")                         \
  X(unsupported_protocol, "refused: a protocol that no mapping can name")                          \
  X(source_full, "refused: its source has as many connections open as one may have")               \
  X(limited, "refused: beyond a limit of its mapping, or of the service it goes to")               \
  X(no_connection, "refused: an answer to nothing that is known")                                  \
  X(no_image, "refused: no policy is in force")
#define MP_MORE_TOTALS(X)                                                                          \
  X(packets, "packets seen")                                                                       \
  X(bytes, "bytes of the packets seen")                                                            \
  X(allowed_bytes, "bytes of the packets let through by a mapping")                                \
  X(forwarded, "packets let through that a packet program sent on itself")                         \
  X(new_flows, "connections entered into the table")                                               \
  X(confirmed, "connections that moved to the table of those with both ends alive")                \
  X(tracked_hits, "packets judged by their connection's verdict")                                  \
  X(revalidated, "connections judged again because the revision changed")                          \
  X(spared, "connections that a revision refused, and that go on as their mapping says")           \
  X(told,                                                                                          \
    "packets of connections that were cut whose sender was told by a reset or an ICMP message")    \
  X(expired,                                                                                       \
    "table entries that were too old, or closed, when their addresses and ports came again")       \
  X(untracked, "connections let through that found no place in the table")                         \
  X(events_lost, "events that found the ring full")                                                \
  X(events_skipped, "refusals beyond the number that is reported")
#define MP_TOTALS(X) MP_OUTCOMES(X) MP_MORE_TOTALS(X)

enum mp_total {
#define MP_X(name, text) MP_TOTAL_##name,
  MP_TOTALS(MP_X)
#undef MP_X
    MP_TOTAL_COUNT
};
#define MP_LAST_PASSING MP_TOTAL_observed /* outcomes up to here let the packet on */
#define MP_LAST_OUTCOME MP_TOTAL_no_image

struct mp_totals {
  mp_u64 value[MP_TOTAL_COUNT];
};
MP_ASSERT_SIZE(struct mp_totals, 30 * 8);

struct mp_mapping_counters {
  mp_u64 packets; /* let through, of an observed mapping also what it would refuse */
  mp_u64 bytes;
  mp_u64 flows;          /* connections that it let in */
  mp_u64 packets_denied; /* refused by it, those for want of credentials included */
};
MP_ASSERT_SIZE(struct mp_mapping_counters, 32);

/* Counters of 32 mappings with neighbouring ids. One at a time, 100,000 mappings took the kernel's
 * per-CPU allocator 2.7 s. */
#define MP_CHUNK_MAPPINGS 32u
#define MP_BLOCK_CHUNKS 32u /* of one inner map */
#define MP_BLOCK_MAPPINGS (MP_CHUNK_MAPPINGS * MP_BLOCK_CHUNKS)
#define MP_COUNTER_BLOCKS 65536u
#define MP_COUNTED_MAX                                                                             \
  (MP_BLOCK_MAPPINGS * MP_COUNTER_BLOCKS - 1u) /* greatest id with counters                        \
                                                */
struct mp_mapping_chunk {
  struct mp_mapping_counters of[MP_CHUNK_MAPPINGS];
};
MP_ASSERT_SIZE(struct mp_mapping_chunk, 1024);

/* A link address, as it is in a frame. */
struct mp_link_address {
  mp_u16 part[3];
};
MP_ASSERT_SIZE(struct mp_link_address, 6);

/* Of an interface where the packet programs forward by themselves. */
struct mp_own_link {
  struct mp_link_address address; /* that frames for this node have */
  mp_u16 by_tc;                   /* the tc program forwards too */
};
MP_ASSERT_SIZE(struct mp_own_link, 8);

#define MP_EVENT_OPENED 1u  /* a connection was let in */
#define MP_EVENT_DENIED 2u  /* a packet that belongs to no connection was refused */
#define MP_EVENT_CUT 3u     /* a connection was refused when it was judged again */
#define MP_EVENT_LIMITED 5u /* a connection was refused by a limit */
#define MP_EVENT_OBSERVED                                                                          \
  4u /* a connection was let in, or stays, that is only not refused because                        \
      * that is observed */

/* At most this many refusals, those that are only observed among them, are reported in one tick of
 * 2^24 ns by each CPU. Openings are always reported. As many senders are told. */
#define MP_DENIED_EVENTS_A_TICK 64u
#define MP_TOLD_A_TICK 64u
#define MP_EVENT_TICK_BITS 24

struct mp_event {
  mp_u64 time; /* CLOCK_MONOTONIC_COARSE, ns */
  mp_u64 verdict;
  mp_u64 revision;
  mp_u32 type; /* MP_EVENT_ */
  mp_u32 ifindex;
  struct mp_tuple tuple; /* as the originator sends */
};
MP_ASSERT_SIZE(struct mp_event, 72);

/* Which limits hold, in a word that other limits hardly have. */
MP_FUNCTION mp_u32 mp_limits_word(mp_u32 of_mapping, mp_u32 of_service) {
  return of_mapping ^ ((of_service << 16) | (of_service >> 16));
}

/* What the programs for test runs find out: mp_judge leaves it in the context's cb[5], mp_judge_xdp
 * over the frame's first bytes. */
#define MP_JUDGED_FLAGS 0
#define MP_JUDGED_MAPPING 1
#define MP_JUDGED_LIMITS 2 /* mp_limits_word */
#define MP_JUDGED_REVISION_LOW 3
#define MP_JUDGED_REVISION_HIGH 4
#define MP_JUDGED_WORDS 5

#endif
