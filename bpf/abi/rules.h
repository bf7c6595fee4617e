/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/*
 * The rule image: one policy program as every tier reads it, for C (BPF) and C++. lookup.h has the
 * lookup.
 *
 * Writer: actors/policy (compiler). Readers: actors/policy (evaluator), bpf/prog (tc), and whatever
 * tier comes next.
 *
 * An image is an array of 4 KiB pages. A "ref" counts 16-byte units from its start, an "entry
 * index" counts 4-byte words; 0 is "nothing" for both, since page 0 is the header. No structure
 * crosses a page. The whole image is replaced at once, so whoever took its pointer once judges by
 * exactly one revision (ACC-7).
 *
 * Lookup: source address -> source class and destination address -> fan, each by a radix tree whose
 * nodes are one cache line; protocol and port -> group. The fan has a list for each group and one
 * for the atoms that no group takes; each list has its atoms in rank order, the first match
 * deciding, and behind them what each means. What a lookup reads one after the other stands side by
 * side: a fan is followed by the first list of its own. Source classes are numbered so that the
 * classes inside a prefix are an interval (preorder of the prefix tree): an atom matches by two
 * comparisons. docs/architecture/policy-image.md explains the structure and its bounds.
 */
#ifndef MARCHPROXY_BPF_ABI_RULES_H
#define MARCHPROXY_BPF_ABI_RULES_H

#ifdef __cplusplus
#include <cstdint>
using mp_u8 = std::uint8_t;
using mp_u16 = std::uint16_t;
using mp_u32 = std::uint32_t;
using mp_u64 = std::uint64_t;
#define MP_ASSERT_SIZE(type, size) static_assert(sizeof(type) == (size), #type)
#define MP_FUNCTION static inline
#else
typedef unsigned char mp_u8;
typedef unsigned short mp_u16;
typedef unsigned int mp_u32;
typedef unsigned long long mp_u64;
#define MP_ASSERT_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type)
#define MP_FUNCTION static inline __attribute__((always_inline))
#endif

#define MP_IMAGE_MAGIC 0x4d505231u /* "MPR1" */
#define MP_IMAGE_LAYOUT 4u
#define MP_PAGE_SIZE 4096u
#define MP_PAGE_UNITS 256u    /* 16-byte units in a page */
#define MP_PAGE_ENTRIES 1024u /* 4-byte words in a page */
#define MP_LIST_ATOMS 16u     /* atoms in one list at most */
#define MP_GROUPS 16u         /* lists of a fan; number 0 is for atoms that no group takes */
#define MP_JUMP_KEYS 5u       /* keys of one bucket of a jump table */
#define MP_MAX_LISTS 96u      /* lists one lookup may visit; the compiler refuses more */
#define MP_TREE6_LEVELS 17u   /* nodes on a path of the IPv6 tree at most */
#define MP_NO_RANK 0xffffffffu
#define MP_ENTRY_NODE 0x80000000u /* an entry is a node's ref with this bit, or a value without */
#define MP_CLASS_MASK 0x00ffffffu

/* atom.src_low's top byte: protocols */
#define MP_PROTO_TCP 0x01u
#define MP_PROTO_UDP 0x02u
#define MP_PROTO_ICMP 0x04u
/* atom.src_high's top byte: not stopped by the private-range guard (a deny, or it may) */
#define MP_ATOM_PRIVATE_OK 0x01u

/* rule.flags */
#define MP_RULE_ACTION 0x03u /* 0 deny, 1 allow, 2 bypass */
#define MP_RULE_AUTH 0x04u   /* an allow that needs credentials */
#define MP_RULE_PRIVATE 0x08u
#define MP_RULE_OBSERVE 0x10u /* what it refuses passes, and is counted and told */
#define MP_RULE_DRAIN 0x40u   /* of what it lets in, when a revision refuses it: it ends later */
#define MP_RULE_FINISH 0x80u  /* likewise: it goes on until it ends by itself */
#define MP_RULE_DRAIN_SHIFT 8 /* seconds of MP_RULE_DRAIN, above the flags of a verdict */
#define MP_RULE_LIMITED 0x20u /* of a verdict, not of a rule: limits hold for the flow */

/* A hash table that starts the descent into an IPv6 tree further down: of the keys with one length
 * of prefix it has most, so that few descents start at the root. Bucket of a key:
 * ((word[0] & mask) * MP_JUMP_FACTOR) >> shift. */
struct mp_jump {
  mp_u64 mask;
  mp_u32 buckets; /* ref of the first; 0 = no table */
  mp_u32 shift;
};
MP_ASSERT_SIZE(struct mp_jump, 16);
#define MP_JUMP_FACTOR 0x9e3779b97f4a7c15ull

/* 64-byte aligned. An unused place has entry 0. */
struct mp_jump_bucket {
  mp_u64 key[MP_JUMP_KEYS];
  mp_u32 entry[MP_JUMP_KEYS];
  mp_u32 pad;
};
MP_ASSERT_SIZE(struct mp_jump_bucket, 64);

/* First bytes of page 0. */
struct mp_image_header {
  mp_u32 magic;
  mp_u32 layout;
  mp_u64 revision;
  mp_u32 pages;      /* of the whole image */
  mp_u32 rule_count; /* ranks */
  mp_u32 source4; /* entry index of 65,536 entries, by the address's first 16 bits; page-aligned */
  mp_u32 target4; /* likewise for destinations */
  mp_u32
    source6; /* entry: root of the IPv6 source tree, or a value when there are no IPv6 prefixes */
  mp_u32 target6;     /* likewise */
  mp_u32 cluster_low; /* low 32 bits of the cluster's id */
  mp_u8 hash[16];     /* first half of the program's hash */
  mp_u32 groups;      /* entry: two-level tree by port; value: TCP's group | UDP's group << 4 */
  struct mp_jump source_jump;
  struct mp_jump target_jump;
  mp_u32 limited4; /* as target4: destinations -> mp_limited_list of the services with limits that
                      are there; 0 when no address leads to any */
  mp_u32 limited6; /* as target6; an entry, 0 likewise */
  struct mp_jump limited_jump;
};
MP_ASSERT_SIZE(struct mp_image_header, 120);

/* What a destination leads to: lists by group, 0 = none. 128-byte aligned: a reader asks for the 64
 * bytes behind it too, where its list is likely to be. */
struct mp_fan {
  mp_u32 list[MP_GROUPS];
};
MP_ASSERT_SIZE(struct mp_fan, 64);

/* 256 slots as runs: bit s of the bitmap is set where slot s starts a new run (bit 0 always is).
 * Run r's entry is inline_entries[r] when entries == 0, else the word at entry index entries + r.
 * 64-byte aligned. */
struct mp_node {
  mp_u64 bitmap[4];
  mp_u32 entries;
  mp_u8 rank[4]; /* runs started in the words before this one */
  mp_u32 inline_entries[6];
};
MP_ASSERT_SIZE(struct mp_node, 64);

/* A node of the IPv6 tree: for keys with (key & mask) == prefix look slot key[at] up in node, for
 * others the answer is outer. 128-byte aligned. */
struct mp_node6 {
  mp_u64 prefix[2]; /* bytes in address order */
  mp_u64 mask[2];
  mp_u32 at;
  mp_u32 outer;
  mp_u32 pad[6];
  struct mp_node node;
};
MP_ASSERT_SIZE(struct mp_node6, 128);

/* Followed by `count` atoms in ascending rank and the `count` rules of these, or, when index != 0,
 * by none: then the list for a source class is the value that the three-level tree at entry `index`
 * holds for it (key: the class's 24 bits). */
struct mp_list {
  mp_u32 next;     /* list to go on with, 0 = none */
  mp_u32 rest_min; /* smallest rank in next and beyond: nothing better comes when it is not below
                      the best so far */
  mp_u32 index;
  mp_u32 count;
};
MP_ASSERT_SIZE(struct mp_list, 16);

struct mp_atom {
  mp_u32 src_low;  /* class | protocols << 24 */
  mp_u32 src_high; /* class | MP_ATOM_ flags << 24; both ends included */
  mp_u16 port_low;
  mp_u16 port_high;
  mp_u32 rank; /* smaller decides; equal ones have equal rules */
};
MP_ASSERT_SIZE(struct mp_atom, 16);

struct mp_rule {
  mp_u64 mapping; /* 0: of what no mapping decides, in a cluster that is observed */
  mp_u32 flags;
  mp_u32 limits; /* ref of the mapping's mp_limits; 0 = none */
};
MP_ASSERT_SIZE(struct mp_rule, 16);

/* A token bucket's rate and size. Tokens are counted in fixed point, `point` bits being a token's
 * fraction. */
struct mp_terms {
  mp_u64 per_nanosecond; /* with MP_TERMS_FRACTION more bits of fraction */
  mp_u64 burst;          /* 0 = no such limit */
  mp_u32 point;
  mp_u32 pad;
};
MP_ASSERT_SIZE(struct mp_terms, 24);
#define MP_TERMS_FRACTION 55u

/* The limits of a mapping or a service (POL-7), as far as packets can be held to them. */
struct mp_limits {
  mp_u64 of;              /* id | MP_LIMITS_OF_SERVICE */
  mp_u32 key;             /* tells these limits from others, also when they change; never 0 */
  mp_u32 max_connections; /* 0 = any number */
  struct mp_terms connections;
  struct mp_terms packets;
  struct mp_terms bytes;
};
MP_ASSERT_SIZE(struct mp_limits, 88);
#define MP_LIMITS_UNITS 6u                /* that one takes in an image */
#define MP_LIMITS_OF_SERVICE (1ull << 63) /* the id is a service's, else a mapping's */
#define MP_LIMITS_PER_SOURCE 1u           /* in a key: each source has them for itself */

/* Followed by `count` entries, the first that fits deciding; then go on with the next list. */
struct mp_limited_list {
  mp_u32 next; /* 0 = none */
  mp_u32 count;
  mp_u32 pad[2];
};
MP_ASSERT_SIZE(struct mp_limited_list, 16);
#define MP_LIMITED_ENTRIES 64u /* of one list at most */
#define MP_LIMITED_STEPS                                                                           \
  1024u /* entries and lists of an address at most; the compiler refuses more */

/* A service with limits, and some of its ports. */
struct mp_limited {
  mp_u16 port_low;
  mp_u16 port_high;
  mp_u32 protocols; /* MP_PROTO_ */
  mp_u32 limits;    /* ref */
  mp_u32 pad;
};
MP_ASSERT_SIZE(struct mp_limited, 16);

struct mp_key6 {
  mp_u64 word[2]; /* the address's 16 bytes */
};

#endif
