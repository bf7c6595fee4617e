/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/*
 * The XDP program: the tc program's judgement at the driver (ACC-3). It drops what is refused, and
 * where it may forwards the packets of connections that the tc program has entered. All else, it
 * hands on: the first packet of a connection, what is for the node itself, and what only the stack
 * can forward. Either program deals with a packet completely; the other never counts it.
 *
 * hot path
 */
#include "bpf/prog/kernel.h"

#define MP_FRAME struct xdp_md*
#define MP_HOLDS(xdp, bytes) ((bytes) <= bpf_xdp_get_buff_len(xdp))
#define MP_LOAD(xdp, at, to, size) mp_load(xdp, at, to, size)

#include "bpf/abi/rules.h"

#define MP_DIRECT 1024u /* bytes of a frame that are read without a call */

static __always_inline int mp_load(struct xdp_md* xdp, mp_u32 at, void* to, mp_u32 size) {
  const char* from = (const char*)(long)xdp->data;
  const char* end = (const char*)(long)xdp->data_end;
  if (at > MP_DIRECT || from + at + size > end) /* or it is not in the first buffer */
    return bpf_xdp_load_bytes(xdp, at, to, size) == 0;
  __builtin_memcpy(to, from + at, size);
  return 1;
}

#include "bpf/prog/forward.h"

char mp_license[] SEC("license") = "GPL";

/* Interfaces that take frames from XDP programs, by their index. Writer: loader. */
struct {
  __uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
  __uint(max_entries, 1024);
  __type(key, mp_u32);
  __type(value, mp_u32);
} redirect_targets SEC(".maps");

/* Link header, VLAN tags and IP header. */
__noinline mp_u32 mp_parse_frame(struct xdp_md* xdp, struct mp_packet* p) {
  return p ? mp_parse_link(xdp, p) : MP_TOTAL_malformed;
}

static __always_inline int mp_same_link(const struct mp_link_address* a,
                                        const struct mp_link_address* b) {
  return a->part[0] == b->part[0] && a->part[1] == b->part[1] && a->part[2] == b->part[2];
}

/* Sends the packet where the kernel would route it, when that can be done without the kernel:
 * writes the frame's new headers. Returns the interface, or 0. */
__noinline mp_u32 mp_forward(struct xdp_md* xdp, const struct mp_packet* p) {
  struct bpf_fib_lookup way = {};
  if (!p || mp_is_for_kernel(p) || bpf_xdp_get_buff_len(xdp) != (mp_u64)(xdp->data_end - xdp->data))
    return 0;
  mp_u32 from = xdp->ingress_ifindex;
  struct mp_link link;
  const struct mp_own_link* own = bpf_map_lookup_elem(&own_links, &from);
  if (!own || !mp_load(xdp, 0, &link, sizeof link)
      || !mp_same_link(&link.destination, &own->address)
      || !mp_find_way(xdp, p, from, p->end - p->start, &way))
    return 0;
  mp_u32 to = way.ifindex;
  return bpf_map_lookup_elem(&redirect_targets, &to)
             && mp_write_way((char*)(long)xdp->data, (char*)(long)xdp->data_end, p->ipv6, &way)
           ? to
           : 0;
}

/* A parsed packet through table and policy, and on its way. Returns the outcome; of `allowed` and
 * `observed` *to is the interface that it leaves by. */
__noinline mp_u32 mp_judge_frame(struct xdp_md* xdp,
                                 struct mp_packet* p,
                                 struct mp_totals* t,
                                 mp_u32* to) {
  struct mp_judged* j = mp_begin((mp_u32)bpf_xdp_get_buff_len(xdp), xdp->ingress_ifindex);
  struct mp_flow* flow = 0;
  if (!p || !t || !to || !j)
    return MP_TOTAL_malformed;
  mp_u32 outcome = mp_look(p, t, j, &flow);
  if (mp_is_to_tell(p, j, flow)) /* which the tc program does */
    return MP_TOTAL_handed_on;
  mp_u32 charged = mp_is_charged(p, j);
  if (charged)
    outcome = mp_charge(p, j, 0);
  if (outcome <= MP_LAST_PASSING) {
    *to = j->known && !p->icmp_error ? mp_forward(xdp, p) : 0;
    if (!*to)
      return MP_TOTAL_handed_on;
    if (charged && (outcome = mp_charge(p, j, 1)) == MP_TOTAL_limited)
      *to = 0;
  }
  if (j->looked)
    mp_settle(p, t, j, flow);
  return outcome;
}

static __always_inline mp_u32 mp_outcome(struct xdp_md* xdp, struct mp_totals* t, mp_u32* to) {
  struct mp_packet p = {};
  mp_u32 outcome = mp_parse_frame(xdp, &p);
  if (outcome == MP_PARSED)
    outcome = mp_stays_here(&p);
  if (outcome == MP_PARSED)
    outcome = mp_parse_transport(xdp, &p);
  if (outcome == MP_PARSED)
    outcome = mp_judge_frame(xdp, &p, t, to);
  return outcome;
}

SEC("xdp.frags")
int mp_xdp(struct xdp_md* xdp) {
  mp_u32 zero = 0, to = 0;
  struct mp_totals* t = bpf_map_lookup_elem(&totals, &zero);
  if (!t)
    return XDP_DROP;
  mp_u64 bytes = bpf_xdp_get_buff_len(xdp);
  t->value[MP_TOTAL_packets]++;
  t->value[MP_TOTAL_bytes] += bytes;
  mp_u64 outcome = mp_outcome(xdp, t, &to);
  asm volatile("" : "+r"(outcome)); /* as in mp_ingress */
  if (outcome > MP_LAST_OUTCOME)
    return XDP_DROP;
  t->value[outcome]++;
  if (outcome == MP_TOTAL_allowed)
    t->value[MP_TOTAL_allowed_bytes] += bytes;
  if (to) {
    t->value[MP_TOTAL_forwarded]++;
    return (int)bpf_redirect_map(&redirect_targets, to, 0);
  }
  return outcome <= MP_LAST_PASSING ? XDP_PASS : XDP_DROP;
}

/* mp_judge_alone. Never attached. */
SEC("xdp")
int mp_judge_xdp(struct xdp_md* xdp) {
  struct mp_packet p = {};
  mp_u32 outcome = mp_parse_frame(xdp, &p);
  if (outcome == MP_PARSED)
    outcome = mp_parse_transport(xdp, &p);
  if (outcome != MP_PARSED)
    return (int)outcome;
  mp_u32 words[MP_JUDGED_WORDS] = {};
  outcome = mp_judge_alone(&p, words);
  char* frame = (char*)(long)xdp->data;
  if (frame + sizeof words > (char*)(long)xdp->data_end)
    return MP_TOTAL_malformed;
  __builtin_memcpy(frame, words, sizeof words);
  return (int)outcome;
}
