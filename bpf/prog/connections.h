/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/*
 * A packet through connection table and policy, for every hook. Before including it a program
 * defines how frames are read (bpf/abi/parse.h).
 *
 * First mp_look, which changes nothing but entries that are over; then, for a packet that is to be
 * dealt with here, mp_settle (settle.h).
 *
 * hot path
 */
#ifndef MARCHPROXY_BPF_PROG_CONNECTIONS_H
#define MARCHPROXY_BPF_PROG_CONNECTIONS_H

#include "bpf/prog/kernel.h"

#define MP_IMAGE void*
#define MP_PAGE(image, page) mp_page(image, page)
#define MP_AHEAD(pointer) asm volatile("" ::"r"(*(const volatile mp_u32*)(pointer)))
#define MP_COUNT(counter, n) __sync_fetch_and_add(&(counter), n)

#include "bpf/abi/rules.h"

static __always_inline const void* mp_page(void* image, unsigned int page) {
  return bpf_map_lookup_elem(image, &page);
}

#include "bpf/abi/parse.h"
#include "bpf/abi/refusal.h"
#include "bpf/abi/track.h"
#include "bpf/prog/judge.h"
#include "bpf/prog/limits.h"
#include "bpf/prog/maps.h"
#include "bpf/prog/report.h"

/* Of one source; set by the loader. */
const volatile mp_u32 connections_of_source = 0xffffffffu;

/* Global functions: the verifier then reads each by itself, not once for each way that leads to it,
 * which halves the steps. */
__noinline mp_u32 mp_parse_transport(MP_FRAME frame, struct mp_packet* p) {
  return p ? mp_parse_transport_of(frame, p) : MP_TOTAL_malformed;
}

/* Not for routing, whatever else is in it. */
static __always_inline mp_u32 mp_stays_here(const struct mp_packet* p) {
  if (mp_is_to_group(p))
    return MP_TOTAL_passed_link;
  if (bpf_map_lookup_elem(&local_addresses, &p->tuple.destination))
    return MP_TOTAL_passed_local;
  return MP_PARSED;
}

static __always_inline void
mp_count_mapping(mp_u64 verdict, mp_u32 outcome, mp_u32 bytes, mp_u32 opened) {
  mp_u64 id = MP_VERDICT_MAPPING(verdict);
  mp_u32 block = (mp_u32)(id / MP_BLOCK_MAPPINGS);
  mp_u32 in_block = (mp_u32)(id / MP_CHUNK_MAPPINGS) % MP_BLOCK_CHUNKS;
  void* chunks = id ? bpf_map_lookup_elem(&mapping_counters, &block) : 0;
  struct mp_mapping_chunk* chunk = chunks ? bpf_map_lookup_elem(chunks, &in_block) : 0;
  if (!chunk)
    return;
  struct mp_mapping_counters* c = &chunk->of[id % MP_CHUNK_MAPPINGS];
  if (outcome > MP_LAST_PASSING) {
    c->packets_denied++;
    return;
  }
  c->packets++;
  c->bytes += bytes;
  c->flows += opened;
}

/* What is found out about one packet; but for its connection's entry, which goes beside it, as a
 * pointer to a map's value can lie in no map. */
struct mp_judged {
  struct mp_flow_key key;
  struct mp_answer answer;
  mp_u32 limits[2]; /* keys */
  mp_u64 now;
  mp_u32 bytes;
  mp_u32 ifindex;
  mp_u32 outcome;
  mp_u32 drain;  /* of a verdict that is new, seconds */
  mp_u8 opening; /* the entry is among the openings */
  mp_u8 exchanged;
  mp_u8 reply;
  mp_u8 known;  /* the entry's verdict is of the revision in force */
  mp_u8 looked; /* it came as far as a verdict */
  mp_u8 spared; /* refused, and goes on */
  mp_u8 opens;  /* it opens a connection, if it passes */
  mp_u8 pad;
};

/* Room for it, since the stack is short. The programs' own, a packet at a time: on a CPU neither
 * interrupts the other. Only a test run of an attached program can be interrupted by a packet,
 * before Linux 6.10; nothing but tests does such runs. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, mp_u32);
  __type(value, struct mp_judged);
} judged SEC(".maps");

static __always_inline struct mp_judged* mp_begin(mp_u32 bytes, mp_u32 ifindex) {
  mp_u32 zero = 0;
  struct mp_judged* j = bpf_map_lookup_elem(&judged, &zero);
  if (!j)
    return 0;
  __builtin_memset(j, 0, sizeof *j);
  j->bytes = bytes;
  j->ifindex = ifindex;
  return j;
}

/* Functions, since fragments are rare and the stack is short. */
static __noinline int mp_find_first(struct mp_packet* p, mp_u64 now) {
  struct mp_fragment_key key = mp_fragment_key_of(p);
  return mp_join_fragment(p, bpf_map_lookup_elem(&fragments, &key), now);
}

static __always_inline struct mp_flow* mp_find_flow(struct mp_judged* j) {
  struct mp_flow* found = bpf_map_lookup_elem(&flows, &j->key);
  if (found)
    return found;
  j->opening = 1;
  return bpf_map_lookup_elem(&openings, &j->key);
}

static __always_inline void mp_remove_flow(struct mp_judged* j, const struct mp_flow* flow) {
  if (flow->flags & MP_FLOW_HELD)
    mp_hold(&j->key, flow, 0);
  if (j->opening)
    bpf_map_delete_elem(&openings, &j->key);
  else
    bpf_map_delete_elem(&flows, &j->key);
}

static __always_inline int mp_source_is_full(const struct mp_address* source) {
  struct mp_address counted = mp_counted_source(*source);
  const mp_u32* held = bpf_map_lookup_elem(&sources, &counted);
  return held && *held >= connections_of_source;
}

/* The policy's answer to a connection that is new, or that is judged anew. Returns 0 when no policy
 * is in force. A function, for its stack. */
static __noinline int
mp_ask(const struct mp_packet* p, struct mp_judged* j, const struct mp_flow* flow) {
  struct mp_decision d = {};
  if (!mp_decide_all(&p->tuple, &d))
    return 0;
  j->limits[0] = d.limits[0];
  j->limits[1] = d.limits[1];
  j->drain = mp_drain_of(d.rule.flags);
  j->answer.revision = d.revision;
  j->answer.verdict = MP_VERDICT(d.revision, d.rule.mapping, d.rule.flags);
  if (flow && mp_outcome_of(j->answer.verdict) > MP_LAST_PASSING && mp_is_spared(flow, j->now)) {
    j->spared = 1;
    j->limits[0] = 0;
    j->answer.verdict = mp_spared_verdict(flow, d.revision, d.limits[1]);
  }
  return 1;
}

/* The packet's outcome, by its connection's verdict or the policy's. @entry its connection's, null
 * when it has none yet */
static __always_inline mp_u32 mp_look(struct mp_packet* p,
                                      struct mp_totals* t,
                                      struct mp_judged* j,
                                      struct mp_flow** entry) {
  const struct mp_image_header* header = mp_header_in_force();
  if (!header)
    return MP_TOTAL_no_image;
  j->now = bpf_ktime_get_coarse_ns();
  j->answer.revision = header->revision;
  if (p->fragment == MP_FRAGMENT_LATER && !mp_find_first(p, j->now))
    return MP_TOTAL_fragments;
  j->exchanged = (mp_u8)mp_flow_key_of(&p->tuple, &j->key);
  struct mp_flow* flow = p->tracked ? mp_find_flow(j) : 0;
  if (flow && mp_over(flow, p, j->now)) {
    if (!p->icmp_error) {
      mp_remove_flow(j, flow);
      t->value[MP_TOTAL_expired]++;
    }
    flow = 0;
  }
  *entry = flow;
  if (flow) {
    j->reply = j->exchanged != flow->originator;
    j->answer.verdict = *(volatile mp_u64*)&flow->verdict;
    j->known = MP_VERDICT_GENERATION(j->answer.verdict) == (j->answer.revision & MP_GENERATION_MASK)
               && !mp_is_drained(flow, j->now);
    j->limits[0] = flow->limits[0];
    j->limits[1] = flow->limits[1];
  } else if (p->answer) {
    return MP_TOTAL_no_connection;
  } else if (p->icmp_error) {
    mp_forget_quote(p);
  }
  if (!j->known) {
    if (j->reply)
      mp_exchange_ends(&p->tuple);
    if (!mp_ask(p, j, flow))
      return MP_TOTAL_no_image;
  }
  j->outcome = mp_outcome_of(j->answer.verdict);
  if (!flow && p->tracked && j->outcome <= MP_LAST_PASSING && mp_source_is_full(&p->tuple.source))
    return MP_TOTAL_source_full;
  j->looked = 1;
  j->opens = !flow && p->tracked && !(p->tcp_flags & MP_TCP_RST);
  return j->outcome <= MP_LAST_PASSING && p->icmp_error ? MP_TOTAL_passed_icmp_error : j->outcome;
}

/* Whether a packet is to be held to limits. */
static __always_inline int mp_is_charged(const struct mp_packet* p, const struct mp_judged* j) {
  return j->looked && (MP_VERDICT_FLAGS(j->answer.verdict) & MP_RULE_LIMITED)
         && mp_is_let_through(j->outcome) && !p->icmp_error;
}

/* Holds it to them. Returns its outcome then. @really 0: only looks, since the packet may be handed
 * on. A function, for its stack. */
static __noinline mp_u32 mp_charge(const struct mp_packet* p, struct mp_judged* j, mp_u32 really) {
  struct mp_toll toll = {};
  toll.limits[0] = j->limits[0];
  toll.limits[1] = j->limits[1];
  /* mp_look exchanged the ends of a reply that it judged anew. */
  toll.source = j->reply && j->known ? p->tuple.destination : p->tuple.source;
  toll.now = bpf_ktime_get_ns();
  toll.bytes = j->bytes;
  toll.opens = j->opens;
  if (mp_pay(&toll, really) != MP_LIMIT_COUNT)
    j->outcome = MP_TOTAL_limited;
  return j->outcome;
}

/* Whether the sender of a packet is to be told that its connection was cut. @flow its entry */
static __always_inline int
mp_is_to_tell(const struct mp_packet* p, const struct mp_judged* j, const struct mp_flow* flow) {
  if (!flow || !j->looked || j->outcome <= MP_LAST_PASSING || j->outcome == MP_TOTAL_limited
      || !mp_is_told(p))
    return 0;
  const struct mp_event_budget* budget = mp_budget_at(j->now);
  return budget && budget->told < MP_TOLD_A_TICK;
}

#endif
