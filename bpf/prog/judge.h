/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/* A tuple's verdict by an image: the lookup of lookup.h over map pages. */
#ifndef MARCHPROXY_BPF_PROG_JUDGE_H
#define MARCHPROXY_BPF_PROG_JUDGE_H

#include "bpf/abi/lookup.h"
#include "bpf/prog/maps.h"
#include "bpf/prog/parse.h"

/* What could branch is done in the loops' callbacks, the first round setting up: the verifier reads
 * a callback by itself, and would follow the loop once for each way that leads to it. */
struct mp_search {
  void* image;
  mp_u32 groups;
  mp_u32 fan;
  struct mp_match match;
};

static long mp_visit(mp_u32 index, void* context) {
  struct mp_search* s = context;
  if (index == 0) {
    mp_u32 group = mp_group(s->image, s->groups, s->match.protocol, s->match.port);
    return !mp_match_fan(s->image, &s->match, s->fan, group);
  }
  return !mp_match_list(s->image, &s->match);
}

struct mp_descent {
  void* image;
  struct mp_key6 key;
  struct mp_jump jump;
  mp_u32 entry;
  mp_u32 pad;
};

static long mp_descend(mp_u32 index, void* context) {
  struct mp_descent* d = context;
  if (index == 0) {
    d->entry = mp_start6(d->image, d->entry, &d->jump, &d->key);
    return 0;
  }
  return !mp_step6(d->image, &d->entry, &d->key);
}

/* The value for an IPv6 address in the tree with this root and jump table. */
static __noinline mp_u32 mp_find6(void* image,
                                  mp_u32 root,
                                  const struct mp_jump* jump,
                                  const struct mp_address* address) {
  struct mp_descent d = {};
  d.image = image;
  d.key.word[0] = address->word[0];
  d.key.word[1] = address->word[1];
  d.jump = *jump;
  d.entry = root;
  bpf_loop(MP_TREE6_LEVELS + 1, mp_descend, &d, 0);
  return d.entry & MP_ENTRY_NODE ? 0 : d.entry;
}

/* The image in force, or null. To be called once a packet. */
static __always_inline void* mp_image_in_force(void) {
  mp_u32 slot = 0;
  return bpf_map_lookup_elem(&images, &slot);
}

static __always_inline mp_u32 mp_host_order(mp_u64 mapped_word) {
  return bpf_ntohl((mp_u32)(mapped_word >> 32));
}

/* @t as the originator sends. The rule that decides; all 0 when none does. */
static __always_inline struct mp_rule
mp_decide(void* image, const struct mp_image_header* header, const struct mp_tuple* t) {
  struct mp_rule none = {};
  struct mp_search search = {};
  search.image = image;
  search.match.best = MP_NO_RANK;
  search.groups = header->groups;
  if (t->source.word[0] == 0 && (mp_u32)t->source.word[1] == 0xffff0000u) {
    search.match.source = mp_lookup4(image, header->source4, mp_host_order(t->source.word[1]));
    search.fan = mp_lookup4(image, header->target4, mp_host_order(t->destination.word[1]));
  } else {
    search.match.source = mp_find6(image, header->source6, &header->source_jump, &t->source);
    search.fan = mp_find6(image, header->target6, &header->target_jump, &t->destination);
  }
  if (t->protocol == IPPROTO_TCP || t->protocol == IPPROTO_UDP) {
    search.match.protocol = t->protocol == IPPROTO_TCP ? MP_PROTO_TCP : MP_PROTO_UDP;
    search.match.port = t->destination_port;
  } else {
    search.match.protocol = MP_PROTO_ICMP;
  }
  if (search.fan)
    bpf_loop(MP_MAX_LISTS + 1, mp_visit, &search, 0);
  if (search.match.best == MP_NO_RANK)
    return none;
  mp_u32 ref = header->rules + search.match.best;
  const void* page = MP_PAGE(image, ref / MP_PAGE_UNITS);
  if (!page)
    return none;
  return *MP_FIELD(struct mp_rule, page, (ref % MP_PAGE_UNITS) * 16);
}

#endif
