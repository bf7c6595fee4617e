/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/*
 * The tc program: judges packets that the node would route (ACC-2). Attached to ingress, where each
 * routed packet is seen once. Fails closed: what it cannot read or has no policy for is dropped and
 * counted.
 *
 * hot path
 */
#include "bpf/prog/kernel.h"

#define MP_FRAME struct __sk_buff*
#define MP_HOLDS(skb, bytes) mp_holds(skb, bytes)
#define MP_LOAD(skb, at, to, size) (mp_copy(skb, at, to, size) == 0)

#include "bpf/abi/flow.h"

/* Copies, so that it does not matter how the kernel laid the packet out. Relative to the network
 * header: after a generic XDP program, a packet may come without its link header before it. */
#define mp_copy(skb, at, to, size)                                                                 \
  bpf_skb_load_bytes_relative(skb, (at)-MP_LINK_BYTES, to, size, BPF_HDR_START_NET)

static __always_inline int mp_holds(struct __sk_buff* skb, mp_u32 bytes) {
  mp_u8 last;
  return bytes <= skb->len || mp_copy(skb, bytes - 1, &last, sizeof last) == 0;
}

#include "bpf/prog/forward.h"

char mp_license[] SEC("license") = "GPL";

/* UNSPEC, not OK: filters behind this one still have their say. */
#define MP_PASS TC_ACT_UNSPEC
#define MP_DROP TC_ACT_SHOT

#define MP_PACKET_HOST 0 /* <linux/if_packet.h> */

/* Frames that are not for this node's link address are dropped by the stack. */
__noinline mp_u32 mp_parse_frame(struct __sk_buff* skb, struct mp_packet* p) {
  if (!p)
    return MP_TOTAL_malformed;
  if (skb->pkt_type != MP_PACKET_HOST)
    return MP_TOTAL_passed_link;
  p->start = MP_LINK_BYTES;
  if (skb->protocol == bpf_htons(MP_ETHER_IP4))
    return mp_parse4(skb, p);
  if (skb->protocol == bpf_htons(MP_ETHER_IP6))
    return mp_parse6(skb, p);
  return MP_TOTAL_passed_link;
}

/* Sends the packet where the kernel would route it, when that can be done without the kernel:
 * writes its new headers. Returns the interface, or 0. */
__noinline mp_u32 mp_forward(struct __sk_buff* skb, const struct mp_packet* p) {
  struct bpf_fib_lookup way = {};
  mp_u32 from = skb->ifindex;
  const struct mp_own_link* own = bpf_map_lookup_elem(&own_links, &from);
  if (!p || !own || !own->by_tc || skb->vlan_present || mp_is_for_kernel(p)
      || !mp_find_way(skb, p, from, 0, &way)
      || !mp_write_way((char*)(long)skb->data, (char*)(long)skb->data_end, p->ipv6, &way))
    return 0;
  return way.ifindex;
}

/* Room for what a sender is told. The program's own. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, mp_u32);
  __type(value, struct mp_refusal);
} refusal SEC(".maps");

/* Turns a refused packet into what its sender is told. Returns the interface that it leaves by, or
 * 0. A packet of this machine whose checksum was left to a card keeps its mark for that: the answer
 * is good for a sender on this machine, and not if it is forwarded from there. */
__noinline mp_u32 mp_tell(struct __sk_buff* skb, const struct mp_packet* p) {
  mp_u32 zero = 0;
  struct mp_refusal* r = bpf_map_lookup_elem(&refusal, &zero);
  struct mp_event_budget* budget = bpf_map_lookup_elem(&event_budget, &zero);
  struct mp_link was;
  if (!p || !r || !budget || bpf_skb_load_bytes(skb, 0, &was, sizeof was) != 0
      || was.protocol != skb->protocol) /* without its link header */
    return 0;
  __builtin_memset(r, 0, sizeof *r);
  mp_u32 bytes = mp_refuse(skb, p, r);
  if (!bytes)
    return 0;
  r->link.destination = was.source;
  r->link.source = was.destination;
  r->link.protocol = was.protocol;
  if (bpf_skb_change_tail(skb, bytes, 0) != 0)
    return 0;
  /* One call for each size, as the verifier wants to know it. */
  long failed = bytes == 54   ? bpf_skb_store_bytes(skb, 0, &r->link, 54, BPF_F_INVALIDATE_HASH)
                : bytes == 70 ? bpf_skb_store_bytes(skb, 0, &r->link, 70, BPF_F_INVALIDATE_HASH)
                : bytes == 74 ? bpf_skb_store_bytes(skb, 0, &r->link, 74, BPF_F_INVALIDATE_HASH)
                              : bpf_skb_store_bytes(skb, 0, &r->link, 110, BPF_F_INVALIDATE_HASH);
  if (failed)
    return 0;
  budget->told++;
  return skb->ifindex;
}

/* A parsed packet through table and policy. @to the interface that it, or the answer to it, leaves
 * by; 0 for the kernel's routing. */
__noinline mp_u32 mp_judge_packet(struct __sk_buff* skb,
                                  struct mp_packet* p,
                                  struct mp_totals* t,
                                  mp_u32* to) {
  struct mp_judged* j = mp_begin(skb->len, skb->ifindex);
  struct mp_flow* flow = 0;
  if (!p || !t || !to || !j)
    return MP_TOTAL_malformed;
  mp_u32 outcome = mp_look(p, t, j, &flow);
  if (mp_is_charged(p, j))
    outcome = mp_charge(p, j, 1);
  if (j->looked)
    mp_settle(p, t, j, flow);
  if (mp_is_let_through(outcome) && j->known)
    *to = mp_forward(skb, p);
  else if (mp_is_to_tell(p, j, flow))
    *to = mp_tell(skb, p);
  return outcome;
}

static __always_inline mp_u32 mp_outcome(struct __sk_buff* skb, struct mp_totals* t, mp_u32* to) {
  struct mp_packet p = {};
  mp_u32 outcome = mp_parse_frame(skb, &p);
  if (outcome == MP_PARSED)
    outcome = mp_stays_here(&p); /* the stack reassembles what is meant for it */
  if (outcome == MP_PARSED)
    outcome = mp_parse_transport(skb, &p);
  if (outcome == MP_PARSED)
    outcome = mp_judge_packet(skb, &p, t, to);
  return outcome;
}

SEC("tc")
int mp_ingress(struct __sk_buff* skb) {
  mp_u32 zero = 0, to = 0;
  struct mp_totals* t = bpf_map_lookup_elem(&totals, &zero);
  if (!t)
    return MP_DROP;
  t->value[MP_TOTAL_packets]++;
  t->value[MP_TOTAL_bytes] += skb->len;
  mp_u64 outcome = mp_outcome(skb, t, &to);
  asm volatile(
    ""
    : "+r"(
      outcome)); /* or clang checks a copy, and the verifier does not see that this is in range */
  if (outcome == MP_TOTAL_allowed)
    t->value[MP_TOTAL_allowed_bytes] += skb->len;
  if (outcome > MP_LAST_OUTCOME)
    return MP_DROP;
  t->value[outcome]++;
  if (to) {
    t->value[outcome <= MP_LAST_PASSING ? MP_TOTAL_forwarded : MP_TOTAL_told]++;
    return (int)bpf_redirect(to, 0);
  }
  return outcome <= MP_LAST_PASSING ? MP_PASS : MP_DROP;
}

/* mp_judge_alone. Never attached. */
SEC("tc")
int mp_judge(struct __sk_buff* skb) {
  struct mp_packet p = {};
  mp_u32 outcome = mp_parse_frame(skb, &p);
  if (outcome == MP_PARSED)
    outcome = mp_parse_transport(skb, &p);
  if (outcome != MP_PARSED)
    return (int)outcome;
  mp_u32 words[MP_JUDGED_WORDS] = {};
  outcome = mp_judge_alone(&p, words);
  for (int i = 0; i < MP_JUDGED_WORDS; ++i)
    skb->cb[i] = words[i];
  return (int)outcome;
}
