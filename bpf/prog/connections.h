/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/*
 * A packet through connection table and policy, for every hook. Before including it a program
 * defines how frames are read (bpf/abi/parse.h).
 *
 * First mp_look, which changes nothing but entries that are over; then, for a packet that is to be
 * dealt with here, mp_settle.
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
#include "bpf/abi/track.h"
#include "bpf/prog/judge.h"
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

/* What is found out about one packet. */
struct mp_judged {
  struct mp_flow_key key;
  struct mp_answer answer;
  struct mp_flow* flow; /* its connection's entry, or null */
  mp_u32 opening;       /* which is among the openings */
  mp_u64 now;
  mp_u32 bytes;   /* set by the hook */
  mp_u32 ifindex; /* likewise */
  mp_u32 exchanged;
  mp_u32 reply;
  mp_u32 known;  /* the entry's verdict is of the revision in force */
  mp_u32 looked; /* it came as far as a verdict */
  mp_u32 outcome;
};

static __always_inline int mp_find_first(struct mp_packet* p, mp_u64 now) {
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

static __always_inline void mp_remove_flow(struct mp_judged* j) {
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

/* The packet's outcome, by its connection's verdict or the policy's. */
static __always_inline mp_u32 mp_look(struct mp_packet* p,
                                      struct mp_totals* t,
                                      struct mp_judged* j) {
  const struct mp_image_header* header = mp_header_in_force();
  if (!header)
    return MP_TOTAL_no_image;
  j->now = bpf_ktime_get_coarse_ns();
  j->answer.revision = header->revision;
  if (p->fragment == MP_FRAGMENT_LATER && !mp_find_first(p, j->now))
    return MP_TOTAL_fragments;
  j->exchanged = mp_flow_key_of(&p->tuple, &j->key);
  struct mp_flow* flow = p->tracked ? mp_find_flow(j) : 0;
  if (flow && mp_over(flow, p, j->now)) {
    if (!p->icmp_error) {
      mp_remove_flow(j);
      t->value[MP_TOTAL_expired]++;
    }
    flow = 0;
  }
  j->flow = flow;
  if (flow) {
    j->reply = j->exchanged != flow->originator;
    j->answer.verdict = *(volatile mp_u64*)&flow->verdict;
    j->known =
      MP_VERDICT_GENERATION(j->answer.verdict) == (j->answer.revision & MP_GENERATION_MASK);
  } else if (p->answer) {
    return MP_TOTAL_no_connection;
  } else if (p->icmp_error) {
    mp_forget_quote(p);
  }
  if (!j->known) {
    if (j->reply)
      mp_exchange_ends(&p->tuple);
    struct mp_decision d = {};
    if (!mp_decide(&p->tuple, &d))
      return MP_TOTAL_no_image;
    j->answer.revision = d.revision;
    j->answer.verdict = MP_VERDICT(d.revision, d.rule.mapping, d.rule.flags);
  }
  j->outcome = mp_outcome_of(j->answer.verdict);
  if (!flow && p->tracked && j->outcome <= MP_LAST_PASSING && mp_source_is_full(&p->tuple.source))
    return MP_TOTAL_source_full;
  j->looked = 1;
  return j->outcome <= MP_LAST_PASSING && p->icmp_error ? MP_TOTAL_passed_icmp_error : j->outcome;
}

/* Enters a connection that its first packet opened. Returns 0 when there is no place. A function,
 * so that the entry is not on the stack while the policy is asked: 512 bytes are little. */
static __noinline int mp_open(const struct mp_packet* p, struct mp_judged* j) {
  struct mp_flow fresh = mp_first_of(p, j->exchanged, j->answer.verdict, j->now, j->bytes);
  if (bpf_map_update_elem(&openings, &j->key, &fresh, BPF_NOEXIST) == 0)
    return 1;
  /* Another CPU may have entered it meanwhile; it judged by the same rules or will be judged again.
   */
  struct mp_flow* there = bpf_map_lookup_elem(&openings, &j->key);
  if (there)
    mp_account(there, p, j->exchanged != there->originator, j->now, j->bytes);
  return 0;
}

/* Moves a connection from the openings to the confirmed ones. What another CPU counts into the old
 * entry meanwhile is lost. */
static __noinline void mp_confirm(struct mp_judged* j, struct mp_totals* t) {
  struct mp_flow entry = *j->flow;
  if (bpf_map_update_elem(&flows, &j->key, &entry, BPF_NOEXIST) == 0) {
    const struct mp_address* opened_by =
      entry.originator ? &j->key.ends.destination : &j->key.ends.source;
    struct mp_address counted = mp_counted_source(*opened_by);
    mp_u32 one = 1;
    mp_u32* held = bpf_map_lookup_elem(&sources, &counted);
    if (held)
      __sync_fetch_and_add(held, 1);
    else
      bpf_map_update_elem(&sources, &counted, &one, BPF_ANY);
    t->value[MP_TOTAL_confirmed]++;
  }
  bpf_map_delete_elem(&openings, &j->key);
}

static __always_inline void mp_enter_fragment(const struct mp_packet* p, mp_u64 now) {
  struct mp_fragment_key key = mp_fragment_key_of(p);
  struct mp_fragment first = mp_fragment_of(p, now);
  bpf_map_update_elem(&fragments, &key, &first, BPF_ANY);
}

/* Counts, enters and reports what mp_look found. */
static __always_inline void
mp_settle(struct mp_packet* p, struct mp_totals* t, struct mp_judged* j) {
  if (j->known)
    t->value[MP_TOTAL_tracked_hits]++;
  if (p->icmp_error) /* about the connection, not of it */
    return;
  mp_u32 passes = j->outcome <= MP_LAST_PASSING;
  mp_u32 observed = j->outcome == MP_TOTAL_observed;
  mp_u32 opened = 0;
  if (j->flow) {
    if (!j->known) {
      *(volatile mp_u64*)&j->flow->verdict = j->answer.verdict;
      t->value[MP_TOTAL_revalidated]++;
      if (!passes || observed)
        mp_report(t, observed ? MP_EVENT_OBSERVED : MP_EVENT_CUT, &p->tuple, &j->answer, j->now,
                  j->ifindex);
    }
    if (passes)
      mp_account(j->flow, p, j->reply, j->now, j->bytes);
    if (passes && j->opening && mp_is_confirmed(j->flow, j->reply))
      mp_confirm(j, t);
  } else if (!passes) {
    /* Not entered: a flood of refusals must not push connections out of the table. */
    mp_report(t, MP_EVENT_DENIED, &p->tuple, &j->answer, j->now, j->ifindex);
  } else if (p->tracked && !(p->tcp_flags & MP_TCP_RST)) {
    opened = (mp_u32)mp_open(p, j);
    t->value[opened ? MP_TOTAL_new_flows : MP_TOTAL_untracked]++;
    if (opened)
      mp_report(t, observed ? MP_EVENT_OBSERVED : MP_EVENT_OPENED, &p->tuple, &j->answer, j->now,
                j->ifindex);
  }
  if (passes && p->fragment == MP_FRAGMENT_FIRST) {
    if (j->reply && !j->known) /* mp_look exchanged them */
      mp_exchange_ends(&p->tuple);
    mp_enter_fragment(p, j->now);
  }
  mp_count_mapping(j->answer.verdict, j->outcome, j->bytes, opened);
}

#endif
