/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/* Reports about connections and refusals, by the ring of events. */
#ifndef MARCHPROXY_BPF_PROG_REPORT_H
#define MARCHPROXY_BPF_PROG_REPORT_H

#include "bpf/prog/maps.h"

/* Refusals can come at packet rate, and a ring at packet rate loses nearly everything: report some,
 * count all. */
static __always_inline struct mp_event_budget* mp_budget_at(mp_u64 now) {
  mp_u32 zero = 0;
  struct mp_event_budget* budget = bpf_map_lookup_elem(&event_budget, &zero);
  mp_u64 tick = now >> MP_EVENT_TICK_BITS;
  if (budget && budget->tick != tick) {
    budget->tick = tick;
    budget->used = 0;
    budget->told = 0;
  }
  return budget;
}

static __always_inline int mp_may_report(mp_u64 now, struct mp_totals* t) {
  struct mp_event_budget* budget = mp_budget_at(now);
  if (!budget)
    return 0;
  if (budget->used >= MP_DENIED_EVENTS_A_TICK) {
    t->value[MP_TOTAL_events_skipped]++;
    return 0;
  }
  budget->used++;
  return 1;
}

/* Everything that a report says about the policy's answer. */
struct mp_answer {
  mp_u64 verdict;
  mp_u64 revision;
};

static __always_inline void mp_report(struct mp_totals* t,
                                      mp_u32 type,
                                      const struct mp_tuple* tuple,
                                      const struct mp_answer* answer,
                                      mp_u64 now,
                                      mp_u32 ifindex) {
  if (type != MP_EVENT_OPENED && !mp_may_report(now, t))
    return;
  struct mp_event* e = bpf_ringbuf_reserve(&events, sizeof *e, 0);
  if (!e) {
    t->value[MP_TOTAL_events_lost]++;
    return;
  }
  e->time = now;
  e->verdict = answer->verdict;
  e->revision = answer->revision;
  e->type = type;
  e->ifindex = ifindex;
  e->tuple = *tuple;
  bpf_ringbuf_submit(e, 0);
}

#endif
