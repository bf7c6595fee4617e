/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/* Connections: their table entries, ages and TCP states; and the reports about them. */
#ifndef MARCHPROXY_BPF_PROG_TRACK_H
#define MARCHPROXY_BPF_PROG_TRACK_H

#include "bpf/prog/maps.h"
#include "bpf/prog/parse.h"

static __always_inline int mp_passes(mp_u32 flags) {
  return (flags & MP_RULE_ACTION) != 0 && !(flags & MP_RULE_AUTH);
}

static __always_inline void mp_exchange_ends(struct mp_tuple* t) {
  struct mp_tuple was = *t;
  t->source = was.destination;
  t->destination = was.source;
  t->source_port = was.destination_port;
  t->destination_port = was.source_port;
}

/* True when the entry is of a connection that is over: too long silent, or closed and opened anew
 * by this packet. */
static __always_inline int mp_over(const struct mp_flow* f, const struct mp_packet* p, mp_u64 now) {
  mp_u64 limit = MP_IDLE_DATAGRAM;
  if (f->state == MP_STATE_OPENING)
    limit = MP_IDLE_OPENING;
  if (f->state == MP_STATE_ESTABLISHED)
    limit = MP_IDLE_ESTABLISHED;
  if (f->state == MP_STATE_CLOSED) {
    limit = MP_IDLE_CLOSED;
    if ((p->tcp_flags & (MP_TCP_SYN | MP_TCP_ACK)) == MP_TCP_SYN)
      return 1;
  }
  /* Signed: another CPU may have written a later time than ours. */
  return (long long)(now - f->last_seen) > (long long)limit;
}

/* Counts a packet that passes into its entry and follows the TCP state. @direction 1 = reply. */
static __always_inline void mp_account(
  struct mp_flow* f, const struct mp_packet* p, mp_u32 direction, mp_u64 now, mp_u32 bytes) {
  if (direction) {
    __sync_fetch_and_add(&f->packets[1], 1);
    __sync_fetch_and_add(&f->bytes[1], bytes);
  } else {
    __sync_fetch_and_add(&f->packets[0], 1);
    __sync_fetch_and_add(&f->bytes[0], bytes);
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

/* Enters a connection that its first packet opened. Returns 0 when there is no place. */
static __always_inline int mp_open(const struct mp_flow_key* key,
                                   const struct mp_packet* p,
                                   mp_u32 originator,
                                   mp_u64 verdict,
                                   mp_u64 now,
                                   mp_u32 bytes) {
  struct mp_flow fresh = {};
  fresh.verdict = verdict;
  fresh.created = now;
  fresh.last_seen = now;
  fresh.packets[0] = 1;
  fresh.bytes[0] = bytes;
  fresh.originator = (mp_u8)originator;
  fresh.state = p->tuple.protocol == IPPROTO_TCP ? MP_STATE_OPENING : MP_STATE_DATAGRAM;
  fresh.fins = p->tcp_flags & MP_TCP_FIN;
  if (bpf_map_update_elem(&flows, key, &fresh, BPF_NOEXIST) == 0)
    return 1;
  /* Another CPU may have entered it meanwhile; it judged by the same rules or will be judged again.
   */
  struct mp_flow* there = bpf_map_lookup_elem(&flows, key);
  if (there)
    mp_account(there, p, originator != there->originator, now, bytes);
  return 0;
}

/* Refusals can come at packet rate, and a ring at packet rate loses nearly everything: report some,
 * count all. */
static __always_inline int mp_may_report(mp_u64 now, struct mp_totals* t) {
  mp_u32 zero = 0;
  struct mp_event_budget* budget = bpf_map_lookup_elem(&event_budget, &zero);
  if (!budget)
    return 0;
  mp_u64 tick = now >> MP_EVENT_TICK_BITS;
  if (budget->tick != tick) {
    budget->tick = tick;
    budget->used = 0;
  }
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
