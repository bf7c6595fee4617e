/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/* What a packet changes: its connection's entry, counters, reports.
 *
 * hot path
 */
#ifndef MARCHPROXY_BPF_PROG_SETTLE_H
#define MARCHPROXY_BPF_PROG_SETTLE_H

#include "bpf/prog/connections.h"

/* Enters a connection that its first packet opened. Returns 0 when there is no place. A function,
 * for its stack. */
static __noinline int mp_open(const struct mp_packet* p, struct mp_judged* j) {
  struct mp_flow fresh = mp_first_of(p, j->exchanged, j->answer.verdict, j->now, j->bytes);
  fresh.limits[0] = j->limits[0];
  fresh.limits[1] = j->limits[1];
  fresh.flags = j->limits[0] | j->limits[1] ? MP_FLOW_HELD : 0;
  fresh.drain = j->drain;
  if (bpf_map_update_elem(&openings, &j->key, &fresh, BPF_NOEXIST) == 0) {
    if (fresh.flags)
      mp_hold(&j->key, &fresh, 1);
    return 1;
  }
  /* Another CPU may have entered it meanwhile; it judged by the same rules or will be judged again.
   */
  struct mp_flow* there = bpf_map_lookup_elem(&openings, &j->key);
  if (there)
    mp_account(there, p, j->exchanged != there->originator, j->now, j->bytes);
  return 0;
}

/* Moves a connection from the openings to the confirmed ones. What another CPU counts into the old
 * entry meanwhile is lost. */
static __noinline void
mp_confirm(struct mp_judged* j, const struct mp_flow* flow, struct mp_totals* t) {
  struct mp_flow entry = *flow;
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

static __noinline void mp_enter_fragment(const struct mp_packet* p, mp_u64 now) {
  struct mp_fragment_key key = mp_fragment_key_of(p);
  struct mp_fragment first = mp_fragment_of(p, now);
  bpf_map_update_elem(&fragments, &key, &first, BPF_ANY);
}

/* A connection was judged anew, and turns to the limits that hold now. @stays it is not cut */
static __noinline void
mp_renew(struct mp_judged* j, struct mp_flow* flow, struct mp_totals* t, mp_u32 stays) {
  *(volatile mp_u64*)&flow->verdict = j->answer.verdict;
  t->value[MP_TOTAL_revalidated]++;
  t->value[MP_TOTAL_spared] += (mp_u32)mp_renew_grace(flow, j->spared, j->drain, j->now);
  mp_u32 held = flow->flags & MP_FLOW_HELD;
  if (!held && !(MP_VERDICT_FLAGS(j->answer.verdict) & MP_RULE_LIMITED))
    return;
  if (held)
    mp_hold(&j->key, flow, 0);
  flow->limits[0] = j->limits[0];
  flow->limits[1] = j->limits[1];
  flow->flags &= (mp_u8)~MP_FLOW_HELD;
  if (stays && (j->limits[0] | j->limits[1])) {
    flow->flags |= MP_FLOW_HELD;
    mp_hold(&j->key, flow, 1);
  }
}

static __always_inline void mp_settle_known(struct mp_packet* p,
                                            struct mp_totals* t,
                                            struct mp_judged* j,
                                            struct mp_flow* flow,
                                            mp_u32 passes) {
  mp_u32 observed = j->outcome == MP_TOTAL_observed;
  mp_u32 stays = passes || j->outcome == MP_TOTAL_limited;
  if (!j->known) {
    mp_renew(j, flow, t, stays);
    if (!stays || observed)
      mp_report(t, observed ? MP_EVENT_OBSERVED : MP_EVENT_CUT, &p->tuple, &j->answer, j->now,
                j->ifindex);
  }
  if (!passes)
    return;
  mp_account(flow, p, j->reply, j->now, j->bytes);
  if ((flow->flags & MP_FLOW_HELD) && flow->state == MP_STATE_CLOSED) {
    flow->flags &= (mp_u8)~MP_FLOW_HELD;
    mp_hold(&j->key, flow, 0);
  }
  if (j->opening && mp_is_confirmed(flow, j->reply))
    mp_confirm(j, flow, t);
}

/* Counts, enters and reports what mp_look found. */
static __always_inline void
mp_settle(struct mp_packet* p, struct mp_totals* t, struct mp_judged* j, struct mp_flow* flow) {
  if (j->known)
    t->value[MP_TOTAL_tracked_hits]++;
  if (p->icmp_error) /* about the connection, not of it */
    return;
  mp_u32 passes = j->outcome <= MP_LAST_PASSING;
  mp_u32 opened = 0;
  mp_u32 event = MP_EVENT_OPENED;
  if (j->outcome == MP_TOTAL_observed)
    event = MP_EVENT_OBSERVED;
  if (!passes)
    event = j->outcome == MP_TOTAL_limited ? MP_EVENT_LIMITED : MP_EVENT_DENIED;
  if (flow) {
    mp_settle_known(p, t, j, flow, passes);
  } else if (passes && j->opens) {
    opened = (mp_u32)mp_open(p, j);
    t->value[opened ? MP_TOTAL_new_flows : MP_TOTAL_untracked]++;
  }
  /* Refusals are not entered: a flood of them must not push connections out of the table. */
  if (!flow && (opened || !passes))
    mp_report(t, event, &p->tuple, &j->answer, j->now, j->ifindex);
  if (passes && p->fragment == MP_FRAGMENT_FIRST) {
    if (j->reply && !j->known) /* mp_look exchanged them */
      mp_exchange_ends(&p->tuple);
    mp_enter_fragment(p, j->now);
  }
  mp_count_mapping(j->answer.verdict, j->outcome, j->bytes, opened);
}

#endif
