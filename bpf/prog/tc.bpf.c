/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/*
 * The tc program: judges packets that the node would route (ACC-2). Attached to ingress, where each
 * routed packet is seen once. Fails closed: what it cannot read or has no policy for is dropped and
 * counted.
 *
 * hot path
 */
#include "bpf/prog/kernel.h"

#define MP_IMAGE void*
#define MP_PAGE(image, page) mp_page(image, page)
#define MP_AHEAD(pointer) asm volatile("" ::"r"(*(const volatile mp_u32*)(pointer)))

static __always_inline const void* mp_page(void* image, unsigned int page) {
  return bpf_map_lookup_elem(image, &page);
}

#include "bpf/prog/judge.h"
#include "bpf/prog/maps.h"
#include "bpf/prog/parse.h"
#include "bpf/prog/track.h"

char mp_license[] SEC("license") = "GPL";

/* UNSPEC, not OK: filters behind this one still have their say. */
#define MP_PASS TC_ACT_UNSPEC
#define MP_DROP TC_ACT_SHOT

static __always_inline mp_u32 mp_parse_network(struct __sk_buff* skb, struct mp_packet* p) {
  if (skb->protocol == bpf_htons(ETH_P_IP))
    return mp_parse4(skb, p);
  if (skb->protocol == bpf_htons(ETH_P_IPV6))
    return mp_parse6(skb, p);
  return MP_TOTAL_passed_link;
}

/* Not for routing, whatever else is in it. The kernel forwards none of these without multicast
 * routing. */
static __always_inline mp_u32 mp_stays_here(const struct mp_packet* p) {
  const struct mp_address* to = &p->tuple.destination;
  if (p->ipv6 ? (to->word[0] & 0xff) == 0xff : ((to->word[1] >> 32) & 0xf0) == 0xe0)
    return MP_TOTAL_passed_link;
  if (!p->ipv6 && to->word[1] >> 32 == 0xffffffffull)
    return MP_TOTAL_passed_link;
  if (bpf_map_lookup_elem(&local_addresses, to))
    return MP_TOTAL_passed_local;
  return MP_PARSED;
}

static __always_inline mp_u32 mp_outcome_of(mp_u64 verdict) {
  mp_u32 flags = MP_VERDICT_FLAGS(verdict);
  if (mp_passes(flags))
    return MP_TOTAL_allowed;
  if (flags & MP_RULE_ACTION)
    return MP_TOTAL_denied_auth;
  return MP_VERDICT_MAPPING(verdict) ? MP_TOTAL_denied_mapping : MP_TOTAL_denied_implicit;
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
  if (outcome != MP_TOTAL_allowed) {
    c->packets_denied++;
    return;
  }
  c->packets++;
  c->bytes += bytes;
  c->flows += opened;
}

/* A parsed packet through table and policy. Global, like mp_parse_transport: the verifier then
 * reads it by itself, not once for each way that leads to it, which halves the steps. */
__noinline mp_u32 mp_judge_packet(struct __sk_buff* skb, struct mp_packet* p, struct mp_totals* t) {
  if (!p || !t)
    return MP_TOTAL_malformed;
  void* image = mp_image_in_force();
  if (!image)
    return MP_TOTAL_no_image;
  const struct mp_image_header* header = MP_PAGE(image, 0);
  if (!header)
    return MP_TOTAL_no_image;
  mp_u64 now = bpf_ktime_get_coarse_ns();
  struct mp_answer answer = {0, header->revision};
  struct mp_flow_key key;
  mp_u32 exchanged = mp_flow_key_of(&p->tuple, &key);
  struct mp_flow* flow = p->tracked ? bpf_map_lookup_elem(&flows, &key) : 0;
  if (flow && mp_over(flow, p, now)) {
    bpf_map_delete_elem(&flows, &key);
    t->value[MP_TOTAL_expired]++;
    flow = 0;
  }
  if (!flow && p->answer)
    return MP_TOTAL_no_connection;

  mp_u32 reply = flow ? exchanged != flow->originator : 0;
  mp_u32 known = 0;
  if (flow) {
    answer.verdict = *(volatile mp_u64*)&flow->verdict;
    known = MP_VERDICT_GENERATION(answer.verdict) == (answer.revision & MP_GENERATION_MASK);
  }
  if (known) {
    t->value[MP_TOTAL_tracked_hits]++;
  } else {
    if (reply)
      mp_exchange_ends(&p->tuple);
    struct mp_rule rule = mp_decide(image, header, &p->tuple);
    answer.verdict = MP_VERDICT(answer.revision, rule.mapping, rule.flags);
  }
  mp_u32 outcome = mp_outcome_of(answer.verdict);
  mp_u32 opened = 0;
  if (flow) {
    if (!known) {
      *(volatile mp_u64*)&flow->verdict = answer.verdict;
      t->value[MP_TOTAL_revalidated]++;
      if (outcome != MP_TOTAL_allowed)
        mp_report(t, MP_EVENT_CUT, &p->tuple, &answer, now, skb->ifindex);
    }
    if (outcome == MP_TOTAL_allowed)
      mp_account(flow, p, reply, now, skb->len);
  } else if (outcome != MP_TOTAL_allowed) {
    /* Not entered: a flood of refusals must not push connections out of the table. */
    mp_report(t, MP_EVENT_DENIED, &p->tuple, &answer, now, skb->ifindex);
  } else if (p->tracked && !(p->tcp_flags & MP_TCP_RST)) {
    opened = (mp_u32)mp_open(&key, p, exchanged, answer.verdict, now, skb->len);
    t->value[opened ? MP_TOTAL_new_flows : MP_TOTAL_untracked]++;
    if (opened)
      mp_report(t, MP_EVENT_OPENED, &p->tuple, &answer, now, skb->ifindex);
  }
  mp_count_mapping(answer.verdict, outcome, skb->len, opened);
  return outcome;
}

static __always_inline mp_u32 mp_outcome(struct __sk_buff* skb, struct mp_totals* t) {
  struct mp_packet p = {};
  mp_u32 outcome = mp_parse_network(skb, &p);
  if (outcome == MP_PARSED || outcome == MP_TOTAL_fragments) {
    mp_u32 here = mp_stays_here(&p); /* the stack reassembles what is meant for it */
    if (here != MP_PARSED)
      return here;
  }
  if (outcome == MP_PARSED)
    outcome = mp_parse_transport(skb, &p);
  if (outcome == MP_PARSED)
    outcome = mp_judge_packet(skb, &p, t);
  return outcome;
}

SEC("tc")
int mp_ingress(struct __sk_buff* skb) {
  mp_u32 zero = 0;
  struct mp_totals* t = bpf_map_lookup_elem(&totals, &zero);
  if (!t)
    return MP_DROP;
  t->value[MP_TOTAL_packets]++;
  t->value[MP_TOTAL_bytes] += skb->len;
  mp_u64 outcome = mp_outcome(skb, t);
  asm volatile(
    ""
    : "+r"(
      outcome)); /* or clang checks a copy, and the verifier does not see that this is in range */
  if (outcome == MP_TOTAL_allowed)
    t->value[MP_TOTAL_allowed_bytes] += skb->len;
  if (outcome > MP_LAST_OUTCOME)
    return MP_DROP;
  t->value[outcome]++;
  return outcome <= MP_LAST_PASSING ? MP_PASS : MP_DROP;
}

/*
 * The verdict alone, for test runs by the loader: the same reading and the same lookup, without
 * table, counters and local addresses. Never attached. The answer is in cb, and the return value is
 * the outcome.
 */
SEC("tc")
int mp_judge(struct __sk_buff* skb) {
  struct mp_packet p = {};
  mp_u32 outcome = mp_parse_network(skb, &p);
  if (outcome == MP_PARSED)
    outcome = mp_parse_transport(skb, &p);
  if (outcome != MP_PARSED)
    return (int)outcome;
  void* image = mp_image_in_force();
  const struct mp_image_header* header = image ? MP_PAGE(image, 0) : 0;
  if (!header)
    return MP_TOTAL_no_image;
  struct mp_rule rule = mp_decide(image, header, &p.tuple);
  skb->cb[MP_JUDGED_FLAGS] = rule.flags;
  skb->cb[MP_JUDGED_MAPPING_LOW] = (mp_u32)rule.mapping;
  skb->cb[MP_JUDGED_MAPPING_HIGH] = (mp_u32)(rule.mapping >> 32);
  skb->cb[MP_JUDGED_REVISION_LOW] = (mp_u32)header->revision;
  skb->cb[MP_JUDGED_REVISION_HIGH] = (mp_u32)(header->revision >> 32);
  return (int)mp_outcome_of(MP_VERDICT(header->revision, rule.mapping, rule.flags));
}
