/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/* A tuple's verdict by an image: the lookup of lookup.h over map pages. */
#ifndef MARCHPROXY_BPF_PROG_JUDGE_H
#define MARCHPROXY_BPF_PROG_JUDGE_H

#include "bpf/abi/lookup_limits.h"
#include "bpf/abi/track.h"
#include "bpf/prog/maps.h"

/* Always 0, which the verifier does not know. Before Linux 6.8 it reads a loop's callback once,
 * with the values of the first round, and takes out of the program what these do not reach. So
 * whatever a later round finds changed has to begin with this. Writer: nobody. */
volatile mp_u32 unknown_zero;

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

static __always_inline void mp_begin_match(struct mp_match* m) {
  mp_u32 zero = unknown_zero;
  m->list = m->resume = m->resume_min = m->after = m->rule = zero;
  m->best = zero ^ MP_NO_RANK;
}

struct mp_descent {
  void* image;
  struct mp_key6 source;
  struct mp_key6 destination;
  struct mp_ends at;
};

/* mp_lookup6_ends, a level a round. */
static long mp_descend(mp_u32 index, void* context) {
  struct mp_descent* d = context;
  if (index == 0) {
    const struct mp_image_header* header = MP_PAGE(d->image, 0);
    if (!header)
      return 1;
    d->at.source = mp_start6(d->image, header->source6, &header->source_jump, &d->source);
    d->at.target = mp_start6(d->image, header->target6, &header->target_jump, &d->destination);
    return 0;
  }
  int more = mp_step6(d->image, &d->at.source, &d->source);
  more |= mp_step6(d->image, &d->at.target, &d->destination);
  return !more;
}

/* By pointer: a BPF function returns no structure. */
static __noinline void mp_find6(void* image,
                                const struct mp_address* source,
                                const struct mp_address* destination,
                                struct mp_ends* at) {
  struct mp_descent d = {};
  d.image = image;
  d.source.word[0] = source->word[0];
  d.source.word[1] = source->word[1];
  d.destination.word[0] = destination->word[0];
  d.destination.word[1] = destination->word[1];
  d.at.source = d.at.target = unknown_zero;
  bpf_loop(MP_TREE6_LEVELS + 1, mp_descend, &d, 0);
  at->source = d.at.source & MP_ENTRY_NODE ? 0 : d.at.source;
  at->target = d.at.target & MP_ENTRY_NODE ? 0 : d.at.target;
}

static __always_inline mp_u32 mp_host_order(mp_u64 mapped_word) {
  return bpf_ntohl((mp_u32)(mapped_word >> 32));
}

static __always_inline mp_u32 mp_protocol_of(const struct mp_tuple* t) {
  if (t->protocol == MP_IP_TCP)
    return MP_PROTO_TCP;
  return t->protocol == MP_IP_UDP ? MP_PROTO_UDP : MP_PROTO_ICMP;
}

/* The header of the image in force, or null. */
static __always_inline const struct mp_image_header* mp_header_in_force(void) {
  mp_u32 slot = 0;
  void* image = bpf_map_lookup_elem(&images, &slot);
  return image ? MP_PAGE(image, 0) : 0;
}

struct mp_limited_walk {
  void* image;
  struct mp_key6 destination; /* of IPv6 */
  struct mp_limited_search search;
};

/* The levels of the IPv6 tree first, a round each, then the lists. */
static long mp_walk_limited(mp_u32 index __attribute__((unused)), void* context) {
  struct mp_limited_walk* w = context;
  if (w->search.list & MP_ENTRY_NODE) {
    mp_step6(w->image, &w->search.list, &w->destination);
    return 0;
  }
  return !mp_search_limited(w->image, &w->search);
}

static __always_inline mp_u32 mp_limits_key(void* image, mp_u32 ref) {
  const struct mp_limits* limits = mp_limits_at(image, ref);
  return limits ? limits->key : 0;
}

struct mp_decision {
  struct mp_rule rule; /* all 0 when none decides */
  mp_u64 revision;
  mp_u32 limits[2];    /* keys: of the mapping, of the service; with MP_RULE_LIMITED */
  mp_u64 ask_services; /* some services have limits */
};

/* @t as the originator sends. Returns 0 when no policy is in force.
 *
 * A global function: the verifier reads it by itself, and not once for each of the ways that lead
 * to it. Such a function takes no map, so it takes the image in force anew; a caller goes by the
 * revision that comes back. */
__noinline int mp_decide(const struct mp_tuple* t, struct mp_decision* d) {
  mp_u32 slot = 0;
  void* image = bpf_map_lookup_elem(&images, &slot);
  const struct mp_image_header* header = image ? MP_PAGE(image, 0) : 0;
  if (!header || !t || !d)
    return 0;
  d->revision = header->revision;
  struct mp_search search = {};
  search.image = image;
  mp_begin_match(&search.match);
  search.groups = header->groups;
  struct mp_ends ends = {};
  if (mp_is_mapped(&t->source)) {
    struct mp_ends roots = {header->source4, header->target4};
    ends = mp_lookup4_ends(image, roots, mp_host_order(t->source.word[1]),
                           mp_host_order(t->destination.word[1]));
  } else {
    mp_find6(image, &t->source, &t->destination, &ends);
  }
  search.match.source = ends.source;
  search.fan = ends.target;
  search.match.protocol = mp_protocol_of(t);
  search.match.port = search.match.protocol == MP_PROTO_ICMP ? 0 : t->destination_port;
  if (search.fan)
    bpf_loop(MP_MAX_LISTS + 1, mp_visit, &search, 0);
  if (search.match.best != MP_NO_RANK) {
    const struct mp_rule* rule = mp_matched_rule(image, &search.match);
    if (rule) {
      d->rule = *rule;
      d->rule.flags = mp_flags_for(rule->flags, &t->destination);
      d->limits[0] = mp_limits_key(image, rule->limits);
    }
  }
  d->ask_services = header->limited4 | header->limited6;
  return 1;
}

/* Adds the limits of the service that @t goes to. Returns 0 when the image in force is not the one
 * that decided. A global function, as mp_decide. */
__noinline int mp_find_limited(const struct mp_tuple* t, struct mp_decision* d) {
  mp_u32 slot = 0;
  void* image = bpf_map_lookup_elem(&images, &slot);
  const struct mp_image_header* header = image ? MP_PAGE(image, 0) : 0;
  if (!header || !t || !d || header->revision != d->revision)
    return 0;
  struct mp_limited_walk w = {};
  w.image = image;
  w.search.at = w.search.found = unknown_zero;
  if (mp_is_mapped(&t->source)) {
    if (header->limited4)
      w.search.list = mp_lookup4(image, header->limited4, mp_host_order(t->destination.word[1]));
  } else if (header->limited6) {
    w.destination.word[0] = t->destination.word[0];
    w.destination.word[1] = t->destination.word[1];
    w.search.list = mp_start6(image, header->limited6, &header->limited_jump, &w.destination);
  }
  if (!w.search.list)
    return 1;
  w.search.protocol = mp_protocol_of(t);
  w.search.port = w.search.protocol == MP_PROTO_ICMP ? 0 : t->destination_port;
  bpf_loop(MP_TREE6_LEVELS + MP_LIMITED_STEPS, mp_walk_limited, &w, 0);
  d->limits[1] = mp_limits_key(image, w.search.found);
  return 1;
}

/* Verdict and limits, of one revision. A switch waits for the programs that run, so a packet sees
 * one at most. */
static __always_inline int mp_decide_all(const struct mp_tuple* t, struct mp_decision* d) {
  if (!mp_decide(t, d))
    return 0;
  if (d->ask_services && !mp_find_limited(t, d)) {
    mp_decide(t, d);
    mp_find_limited(t, d);
  }
  if (d->limits[0] | d->limits[1])
    d->rule.flags |= MP_RULE_LIMITED;
  return 1;
}

/* The verdict alone, for test runs by the loader, on a parsed packet: without connections, counters
 * and local addresses. @words MP_JUDGED_. Returns the outcome. */
static __always_inline mp_u32 mp_judge_alone(struct mp_packet* p, mp_u32* words) {
  if (p->fragment == MP_FRAGMENT_LATER)
    return MP_TOTAL_fragments;
  if (p->icmp_error)
    mp_forget_quote(p);
  struct mp_decision d = {};
  if (!mp_decide_all(&p->tuple, &d))
    return MP_TOTAL_no_image;
  words[MP_JUDGED_FLAGS] = d.rule.flags;
  words[MP_JUDGED_MAPPING] = (mp_u32)d.rule.mapping;
  words[MP_JUDGED_LIMITS] = mp_limits_word(d.limits[0], d.limits[1]);
  words[MP_JUDGED_REVISION_LOW] = (mp_u32)d.revision;
  words[MP_JUDGED_REVISION_HIGH] = (mp_u32)(d.revision >> 32);
  return mp_outcome_of(MP_VERDICT(d.revision, d.rule.mapping, d.rule.flags));
}

#endif
