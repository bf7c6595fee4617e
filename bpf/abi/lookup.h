/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/*
 * The lookup in a rule image, once, for C (BPF) and C++. Before including it a reader defines
 *   MP_IMAGE               type through which an image is reached
 *   MP_PAGE(image, page)   pointer to the page's first byte, or null; page is a u32
 *   MP_AHEAD(pointer)      has the line there fetched, when nothing waits for it yet
 * In BPF each access goes through a map lookup, in user space it is an addition.
 */
#ifndef MARCHPROXY_BPF_ABI_LOOKUP_H
#define MARCHPROXY_BPF_ABI_LOOKUP_H

#include "bpf/abi/rules.h"

#define MP_FIELD(type, page, byte_offset) ((const type*)((const mp_u8*)(page) + (byte_offset)))

MP_FUNCTION mp_u32 mp_popcount(mp_u64 x) {
#ifdef __POPCNT__
  return (mp_u32)__builtin_popcountll(x);
#else /* BPF has no such instruction, and for processors that may lack it the builtin is a call */
  x = x - ((x >> 1) & 0x5555555555555555ull);
  x = (x & 0x3333333333333333ull) + ((x >> 2) & 0x3333333333333333ull);
  x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0full;
  return (mp_u32)((x * 0x0101010101010101ull) >> 56);
#endif
}

/* The word at an entry index. */
MP_FUNCTION mp_u32 mp_entry(MP_IMAGE image, mp_u32 index) {
  const void* page = MP_PAGE(image, index / MP_PAGE_ENTRIES);
  if (!page)
    return 0;
  return *MP_FIELD(mp_u32, page, (index % MP_PAGE_ENTRIES) * 4);
}

/* The run of @node that a slot is in. */
MP_FUNCTION mp_u32 mp_run(const struct mp_node* node, mp_u32 slot) {
  mp_u32 word = (slot >> 6) & 3;
  mp_u64 upto = ~0ull >> (63 - (slot & 63));
  return node->rank[word] + mp_popcount(node->bitmap[word] & upto) - 1;
}

MP_FUNCTION mp_u32 mp_slot(MP_IMAGE image, const struct mp_node* node, mp_u32 slot) {
  mp_u32 run = mp_run(node, slot);
  if (node->entries)
    return mp_entry(image, node->entries + (run & 0xff));
  run &= 7;
  if (run > 5)
    return 0;
  return node->inline_entries[run];
}

/* One step down from @entry, which has MP_ENTRY_NODE set. */
MP_FUNCTION mp_u32 mp_step(MP_IMAGE image, mp_u32 entry, mp_u32 slot) {
  mp_u32 ref = entry & ~MP_ENTRY_NODE;
  const void* page = MP_PAGE(image, ref / MP_PAGE_UNITS);
  if (!page)
    return 0;
  return mp_slot(image, MP_FIELD(struct mp_node, page, ((ref % MP_PAGE_UNITS) & 0xfcu) * 16), slot);
}

/* As mp_step, for an entry that may be a value already. */
MP_FUNCTION mp_u32 mp_down(MP_IMAGE image, mp_u32 entry, mp_u32 slot) {
  return entry & MP_ENTRY_NODE ? mp_step(image, entry, slot) : entry;
}

/* The value for an IPv4 address (host order) in the tree whose first level is at @root. */
MP_FUNCTION mp_u32 mp_lookup4(MP_IMAGE image, mp_u32 root, mp_u32 address) {
  mp_u32 entry = mp_entry(image, root + (address >> 16));
  entry = mp_down(image, entry, (address >> 8) & 0xff);
  return mp_down(image, entry, address & 0xff) & ~MP_ENTRY_NODE;
}

/* Places in, or values of, the trees for sources and for destinations. */
struct mp_ends {
  mp_u32 source;
  mp_u32 target;
};

/* mp_lookup4 for both ends of a flow, level by level: the lines of one tree are on their way while
 * the other's are awaited. */
MP_FUNCTION struct mp_ends
mp_lookup4_ends(MP_IMAGE image, struct mp_ends roots, mp_u32 source, mp_u32 destination) {
  struct mp_ends at;
  at.source = mp_entry(image, roots.source + (source >> 16));
  at.target = mp_entry(image, roots.target + (destination >> 16));
  at.source = mp_down(image, at.source, (source >> 8) & 0xff);
  at.target = mp_down(image, at.target, (destination >> 8) & 0xff);
  at.source = mp_down(image, at.source, source & 0xff) & ~MP_ENTRY_NODE;
  at.target = mp_down(image, at.target, destination & 0xff) & ~MP_ENTRY_NODE;
  return at;
}

/* One level down the IPv6 tree: returns 1 to go on; 0 when *entry is the value. */
MP_FUNCTION int mp_step6(MP_IMAGE image, mp_u32* entry, const struct mp_key6* key) {
  if (!(*entry & MP_ENTRY_NODE))
    return 0;
  mp_u32 ref = *entry & ~MP_ENTRY_NODE;
  *entry = 0;
  const void* page = MP_PAGE(image, ref / MP_PAGE_UNITS);
  if (!page)
    return 0;
  const struct mp_node6* at = MP_FIELD(struct mp_node6, page, ((ref % MP_PAGE_UNITS) & 0xf8u) * 16);
  if ((key->word[0] & at->mask[0]) != at->prefix[0]
      || (key->word[1] & at->mask[1]) != at->prefix[1]) {
    *entry = at->outer;
    return 0;
  }
  mp_u64 word = at->at & 8 ? key->word[1] : key->word[0]; /* byte order: little-endian machines */
  *entry = mp_slot(image, &at->node, (mp_u32)(word >> ((at->at & 7) * 8)) & 0xff);
  return 1;
}

/* Where to start for @key in the tree with @root and @jump. */
MP_FUNCTION mp_u32 mp_start6(MP_IMAGE image,
                             mp_u32 root,
                             const struct mp_jump* jump,
                             const struct mp_key6* key) {
  if (!jump->buckets)
    return root;
  mp_u64 wanted = key->word[0] & jump->mask;
  mp_u32 ref = jump->buckets + (mp_u32)((wanted * MP_JUMP_FACTOR) >> (jump->shift & 63)) * 4;
  const void* page = MP_PAGE(image, ref / MP_PAGE_UNITS);
  if (!page)
    return root;
  const struct mp_jump_bucket* bucket =
    MP_FIELD(struct mp_jump_bucket, page, ((ref % MP_PAGE_UNITS) & 0xfcu) * 16);
  for (mp_u32 i = 0; i < MP_JUMP_KEYS; ++i)
    if (bucket->key[i] == wanted && bucket->entry[i])
      return bucket->entry[i];
  return root;
}

#ifdef __cplusplus
/* The value for an IPv6 address in the tree that starts at @entry. In BPF the kernel loops over
 * mp_step6: its verifier would follow this loop through every combination of branches. */
MP_FUNCTION mp_u32 mp_lookup6(MP_IMAGE image, mp_u32 entry, const struct mp_key6* key) {
  for (mp_u32 level = 0; level < MP_TREE6_LEVELS && mp_step6(image, &entry, key); ++level) {
  }
  return entry & MP_ENTRY_NODE ? 0 : entry;
}

/* mp_lookup6 for both ends of a flow, level by level as mp_lookup4_ends. */
MP_FUNCTION struct mp_ends mp_lookup6_ends(MP_IMAGE image,
                                           struct mp_ends at,
                                           const struct mp_key6* source,
                                           const struct mp_key6* destination) {
  for (mp_u32 level = 0; level < MP_TREE6_LEVELS; ++level) {
    int more = mp_step6(image, &at.source, source);
    more |= mp_step6(image, &at.target, destination);
    if (!more)
      break;
  }
  if (at.source & MP_ENTRY_NODE)
    at.source = 0;
  if (at.target & MP_ENTRY_NODE)
    at.target = 0;
  return at;
}
#endif

/* The group of a flow, 0 when no group has its port. ICMP has none. */
MP_FUNCTION mp_u32 mp_group(MP_IMAGE image, mp_u32 groups, mp_u32 protocol, mp_u32 port) {
  if (protocol != MP_PROTO_TCP && protocol != MP_PROTO_UDP)
    return 0;
  groups = mp_down(image, groups, (port >> 8) & 0xff);
  groups = mp_down(image, groups, port & 0xff);
  return (protocol == MP_PROTO_TCP ? groups : groups >> 4) & 0xf;
}

/* The list for a source class in an index tree (three levels of eight bits). */
MP_FUNCTION mp_u32 mp_lookup_index(MP_IMAGE image, mp_u32 entry, mp_u32 source) {
  entry = mp_down(image, entry, (source >> 16) & 0xff);
  entry = mp_down(image, entry, (source >> 8) & 0xff);
  entry = mp_down(image, entry, source & 0xff);
  return entry & MP_ENTRY_NODE ? 0 : entry;
}

/* Where a match is at; zero-initialise, set the query, call mp_match_fan and, when that returned 1,
 * mp_match_list until it returns 0. */
struct mp_match {
  mp_u32 source;   /* class */
  mp_u32 protocol; /* MP_PROTO_ */
  mp_u32 require;  /* MP_ATOM_ flags that an atom must have */
  mp_u32 port;     /* destination port; 0 for ICMP */
  mp_u32 list;     /* next list to visit */
  mp_u32 resume;   /* list to go on with after an index's chain */
  mp_u32 resume_min;
  mp_u32 after; /* list to go on with when all others are done */
  mp_u32 best;  /* smallest matching rank so far; start with MP_NO_RANK */
  mp_u32 rule;  /* its rule's ref */
};

/* Starts a match at the fan with this ref. Returns 0 when it has no list for the group. */
MP_FUNCTION int mp_match_fan(MP_IMAGE image, struct mp_match* m, mp_u32 ref, mp_u32 group) {
  const void* page = ref ? MP_PAGE(image, ref / MP_PAGE_UNITS) : 0;
  if (!page)
    return 0;
  const struct mp_fan* fan = MP_FIELD(struct mp_fan, page, ((ref % MP_PAGE_UNITS) & 0xf8u) * 16);
  MP_AHEAD(fan + 1);
  mp_u32 any = fan->list[0];
  mp_u32 exact = fan->list[group & (MP_GROUPS - 1)];
  m->resume = 0;
  m->after = exact && exact != any ? any : 0;
  m->list = exact ? exact : any;
  return m->list != 0;
}

/* In BPF conditions are joined by arithmetic: a comparison there is a branch, and the verifier
 * would follow each of the ways that a list of atoms has. */
#ifdef __cplusplus
#define MP_OR ||
MP_FUNCTION mp_u64 mp_below(mp_u64 a, mp_u64 b) {
  return a < b;
}
#else
#define MP_OR |
MP_FUNCTION mp_u64 mp_below(mp_u64 a, mp_u64 b) {
  mp_u64 difference = a - b;
  asm("" : "+r"(difference)); /* or clang finds the comparison in it */
  return difference >> 63;
}
#endif

MP_FUNCTION int mp_atom_matches(const struct mp_atom* a, const struct mp_match* m) {
  mp_u32 low = a->src_low, high = a->src_high;
  mp_u32 lacks = ((high >> 24) & m->require) ^ m->require;
  return !(mp_below(m->source, low & MP_CLASS_MASK)        //
           MP_OR mp_below(high & MP_CLASS_MASK, m->source) //
           MP_OR mp_below((low >> 24) & m->protocol, 1)    //
           MP_OR mp_below(0, lacks)                        //
           MP_OR mp_below(m->port, a->port_low)            //
           MP_OR mp_below(a->port_high, m->port));
}

/* Visits one list. Returns 0 when nothing better can come. */
MP_FUNCTION int mp_match_list(MP_IMAGE image, struct mp_match* m) {
  mp_u32 ref = m->list;
  const void* page = MP_PAGE(image, ref / MP_PAGE_UNITS);
  if (!page)
    return 0;
  mp_u32 unit = ref % MP_PAGE_UNITS;
  const struct mp_list* head = MP_FIELD(struct mp_list, page, unit * 16);
  mp_u32 next = head->next, rest_min = head->rest_min;
  if (head->index) {
    m->resume = next;
    m->resume_min = rest_min;
    next = mp_lookup_index(image, head->index, m->source);
    rest_min = 0;
  } else {
    mp_u32 count = head->count;
    for (mp_u32 i = 0; i < MP_LIST_ATOMS; ++i) {
      if (i >= count)
        break;
      const struct mp_atom* a =
        MP_FIELD(struct mp_atom, page, ((unit + 1 + i) % MP_PAGE_UNITS) * 16);
      if (mp_atom_matches(a, m)) {
        if (a->rank < m->best) {
          m->best = a->rank;
          m->rule = ref + 1 + count + i;
        }
        break;
      }
    }
  }
  if (!next || rest_min >= m->best) {
    next = m->resume;
    rest_min = m->resume_min;
    m->resume = 0;
    if (!next || rest_min >= m->best) {
      next = m->after;
      m->after = 0;
      if (!next)
        return 0;
    }
  }
  m->list = next;
  return 1;
}

/* The rule of a match whose best is not MP_NO_RANK. Null never happens in an image that the
 * compiler made. */
MP_FUNCTION const struct mp_rule* mp_matched_rule(MP_IMAGE image, const struct mp_match* m) {
  const void* page = MP_PAGE(image, m->rule / MP_PAGE_UNITS);
  return page ? MP_FIELD(struct mp_rule, page, (m->rule % MP_PAGE_UNITS) * 16) : 0;
}

#endif
