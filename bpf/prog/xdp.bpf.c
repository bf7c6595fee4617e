/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/*
 * The XDP program: the tc program's judgement at the driver (ACC-3). It drops what is refused, and
 * forwards the packets of connections that the tc program has entered. All else, it hands on: the
 * first packet of a connection, what is for the node itself, and what only the stack can forward.
 * Either program deals with a packet completely; the other never counts it.
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

#include "bpf/prog/connections.h"

char mp_license[] SEC("license") = "GPL";

/* <sys/socket.h> does not compile for this target. */
#define MP_AF_INET 2
#define MP_AF_INET6 10

/* Interfaces that take frames from XDP programs, by their index. Writer: loader. */
struct {
  __uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
  __uint(max_entries, 1024);
  __type(key, mp_u32);
  __type(value, mp_u32);
} redirect_targets SEC(".maps");

/* By interface: the address that frames for this node have. Writer: loader. */
struct mp_link_address {
  mp_u16 part[3];
};
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, mp_u32);
  __type(value, struct mp_link_address);
} own_links SEC(".maps");

struct mp_link {
  struct mp_link_address destination;
  struct mp_link_address source;
  mp_u16 protocol;
};
MP_ASSERT_SIZE(struct mp_link, MP_LINK_BYTES);

/* Link header, VLAN tags and IP header. */
__noinline mp_u32 mp_parse_frame(struct xdp_md* xdp, struct mp_packet* p) {
  struct mp_link link;
  if (!p || !mp_load(xdp, 0, &link, sizeof link))
    return MP_TOTAL_malformed;
  p->start = sizeof link;
  mp_u32 protocol = mp_from_be16(link.protocol);
  for (int i = 0; i < 2 && (protocol == MP_ETHER_TAG || protocol == MP_ETHER_SERVICE_TAG); ++i) {
    struct {
      mp_u16 tag;
      mp_u16 protocol;
    } tagged;
    if (!mp_load(xdp, p->start, &tagged, sizeof tagged))
      return MP_TOTAL_malformed;
    p->start += MP_TAG_BYTES;
    protocol = mp_from_be16(tagged.protocol);
  }
  if (protocol == MP_ETHER_IP4)
    return mp_parse4(xdp, p);
  return protocol == MP_ETHER_IP6 ? mp_parse6(xdp, p) : MP_TOTAL_passed_link;
}

static __always_inline int mp_same_link(const struct mp_link_address* a,
                                        const struct mp_link_address* b) {
  return a->part[0] == b->part[0] && a->part[1] == b->part[1] && a->part[2] == b->part[2];
}

static __always_inline void mp_write_link(struct mp_link* link, const struct bpf_fib_lookup* way) {
  __builtin_memcpy(&link->destination, way->dmac, sizeof link->destination);
  __builtin_memcpy(&link->source, way->smac, sizeof link->source);
}

/* One hop less to live, in an untagged frame. Returns 0 when the frame is too short. */
static __always_inline int
mp_write_hop(struct xdp_md* xdp, const struct mp_packet* p, const struct bpf_fib_lookup* way) {
  char* frame = (char*)(long)xdp->data;
  const char* end = (const char*)(long)xdp->data_end;
  if (p->ipv6) {
    struct mp_header6* ip = (struct mp_header6*)(frame + MP_LINK_BYTES);
    if ((const char*)(ip + 1) > end)
      return 0;
    ip->hop_limit--;
  } else {
    struct mp_header4* ip = (struct mp_header4*)(frame + MP_LINK_BYTES);
    if ((const char*)(ip + 1) > end)
      return 0;
    ip->ttl--;
    mp_u32 sum = (mp_u32)ip->checksum + bpf_htons(0x0100); /* RFC 1624 */
    ip->checksum = (mp_u16)(sum + (sum >= 0xffff));
  }
  mp_write_link((struct mp_link*)frame, way);
  return 1;
}

/* Sends the packet where the kernel would route it, when that can be done without the kernel:
 * writes the frame's new headers. Returns the interface, or 0. */
__noinline mp_u32 mp_forward(struct xdp_md* xdp, const struct mp_packet* p) {
  struct bpf_fib_lookup way = {};
  if (!p || p->start != MP_LINK_BYTES || p->options || p->hop_limit <= 1
      || bpf_xdp_get_buff_len(xdp) != (mp_u64)(xdp->data_end - xdp->data))
    return 0;
  mp_u32 from = xdp->ingress_ifindex;
  struct mp_link link;
  const struct mp_link_address* own = bpf_map_lookup_elem(&own_links, &from);
  if (!own || !mp_load(xdp, 0, &link, sizeof link) || !mp_same_link(&link.destination, own))
    return 0;
  way.l4_protocol = p->tuple.protocol;
  way.sport = bpf_htons(p->tuple.source_port);
  way.dport = bpf_htons(p->tuple.destination_port);
  way.tot_len = (mp_u16)(p->end - p->start);
  way.ifindex = from;
  if (p->ipv6) {
    way.family = MP_AF_INET6;
    __builtin_memcpy(way.ipv6_src, &p->tuple.source, 16);
    __builtin_memcpy(way.ipv6_dst, &p->tuple.destination, 16);
  } else {
    way.family = MP_AF_INET;
    way.ipv4_src = (mp_u32)(p->tuple.source.word[1] >> 32);
    way.ipv4_dst = (mp_u32)(p->tuple.destination.word[1] >> 32);
  }
  if (bpf_fib_lookup(xdp, &way, sizeof way, 0) != BPF_FIB_LKUP_RET_SUCCESS)
    return 0;
  mp_u32 to = way.ifindex;
  return bpf_map_lookup_elem(&redirect_targets, &to) && mp_write_hop(xdp, p, &way) ? to : 0;
}

/* A parsed packet through table and policy, and on its way. Returns the outcome; of `allowed` and
 * `observed` *to is the interface that it leaves by. */
__noinline mp_u32 mp_judge_frame(struct xdp_md* xdp,
                                 struct mp_packet* p,
                                 struct mp_totals* t,
                                 mp_u32* to) {
  if (!p || !t || !to)
    return MP_TOTAL_malformed;
  struct mp_judged j = {};
  j.bytes = (mp_u32)bpf_xdp_get_buff_len(xdp);
  j.ifindex = xdp->ingress_ifindex;
  mp_u32 outcome = mp_look(p, t, &j);
  if (outcome <= MP_LAST_PASSING) {
    *to = j.known && !p->icmp_error ? mp_forward(xdp, p) : 0;
    if (!*to)
      return MP_TOTAL_handed_on;
  }
  if (j.looked)
    mp_settle(p, t, &j);
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
  if (outcome == MP_TOTAL_allowed || outcome == MP_TOTAL_observed)
    return (int)bpf_redirect_map(&redirect_targets, to, 0);
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
