/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/* Packets held to the limits of their mapping and their service (POL-7). */
#ifndef MARCHPROXY_BPF_PROG_LIMITS_H
#define MARCHPROXY_BPF_PROG_LIMITS_H

#include "bpf/prog/maps.h"

/* CPUs that take from one bucket at the same moment before a packet counts as beyond it. */
#define MP_TRIES 16

/* What a packet takes of its limits. */
struct mp_toll {
  struct mp_address source; /* of who opened the connection */
  mp_u32 limits[2];         /* keys, 0 = none */
  mp_u64 now;               /* CLOCK_MONOTONIC, ns */
  mp_u32 bytes;
  mp_u32 opens; /* it opens a connection */
};

/* Whether @tokens are in a bucket, and takes them if so. @really 0: only looks */
static __always_inline int
mp_take(mp_u64* spent, const struct mp_terms* terms, mp_u64 tokens, mp_u64 now, mp_u32 really) {
  if (!terms->burst)
    return 1;
  mp_u64 at = mp_tokens_at(terms, now);
  mp_u64 wanted = tokens << (terms->point & 31);
  for (int i = 0; i < MP_TRIES; ++i) {
    mp_u64 was = *(volatile mp_u64*)spent;
    mp_u64 from = was > at ? was : at;
    if (from - at + wanted > terms->burst)
      return 0;
    if (!really || __sync_val_compare_and_swap(spent, was, from + wanted) == was)
      return 1;
  }
  return 0;
}

static __always_inline int mp_has_room(const struct mp_meter_key* key, mp_u32 most) {
  const mp_u32* open = bpf_map_lookup_elem(&open_connections, key);
  return !open || *(const volatile mp_u32*)open < most;
}

/* Buckets of the toll's source; null when it has none yet and is not @really to take. */
static __always_inline struct mp_buckets*
mp_buckets_of(struct mp_meter* meter, const struct mp_meter_key* key, mp_u32 really) {
  if (!(key->limits & MP_LIMITS_PER_SOURCE))
    return &meter->together;
  struct mp_buckets* own = bpf_map_lookup_elem(&source_meters, key);
  if (own || !really)
    return own;
  /* Goes on with what those without a place have spent, or they would buy themselves a burst. */
  struct mp_buckets fresh = meter->together;
  bpf_map_update_elem(&source_meters, key, &fresh, BPF_NOEXIST);
  own = bpf_map_lookup_elem(&source_meters, key);
  if (own)
    return own;
  __sync_fetch_and_add(&meter->crowded, 1);
  return &meter->together;
}

/* Which limit stands in a packet's way, else MP_LIMIT_COUNT. @really takes what it needs on the way
 */
static __always_inline mp_u32 mp_stands(const struct mp_toll* toll,
                                        const struct mp_limits* l,
                                        struct mp_buckets* b,
                                        const struct mp_meter_key* key,
                                        mp_u32 really) {
  if (toll->opens && l->max_connections && !mp_has_room(key, l->max_connections))
    return MP_LIMIT_max_connections;
  if (toll->opens && !mp_take(&b->connections, &l->connections, 1, toll->now, really))
    return MP_LIMIT_connections;
  if (!mp_take(&b->packets, &l->packets, 1, toll->now, really))
    return MP_LIMIT_packets;
  if (!mp_take(&b->bytes, &l->bytes, toll->bytes, toll->now, really))
    return MP_LIMIT_bytes;
  return MP_LIMIT_COUNT;
}

/* Takes what a packet needs of one of its two limits, all or nothing, or looks whether it is there.
 * Returns as mp_stands; what stands in the way is counted. */
__noinline mp_u32 mp_enter(const struct mp_toll* toll, mp_u32 which, mp_u32 really) {
  if (!toll)
    return MP_LIMIT_packets;
  mp_u32 limits = toll->limits[which & 1];
  if (!limits)
    return MP_LIMIT_COUNT;
  struct mp_meter* meter = bpf_map_lookup_elem(&meters, &limits);
  if (!meter)
    return MP_LIMIT_packets; /* never: the loader makes them before the image */
  struct mp_meter_key key = mp_meter_key_of(limits, &toll->source);
  struct mp_buckets* b = mp_buckets_of(meter, &key, really);
  if (!b)
    return MP_LIMIT_COUNT;
  mp_u32 stands = mp_stands(toll, &meter->limits, b, &key, 0);
  if (stands == MP_LIMIT_COUNT && really)
    stands = mp_stands(toll, &meter->limits, b, &key, 1);
  if (stands < MP_LIMIT_COUNT)
    __sync_fetch_and_add(&meter->refused[stands], 1);
  return stands;
}

/* Of both, or of none; but what another CPU takes at the same moment can leave a packet with half
 * of it taken. Returns as mp_enter. */
static __always_inline mp_u32 mp_pay(const struct mp_toll* toll, mp_u32 really) {
  if (toll->limits[1]) {
    mp_u32 stands = mp_enter(toll, 1, 0);
    if (stands != MP_LIMIT_COUNT)
      return stands;
  }
  mp_u32 stands = mp_enter(toll, 0, really);
  if (stands == MP_LIMIT_COUNT && really)
    stands = mp_enter(toll, 1, 1);
  return stands;
}

/* A connection counts as open under these limits, or no more. A global function, as mp_decide. */
__noinline int mp_hold(const struct mp_flow_key* key, const struct mp_flow* flow, mp_u32 begins) {
  if (!key || !flow)
    return 0;
  const struct mp_address* source = flow->originator ? &key->ends.destination : &key->ends.source;
  for (int i = 0; i < 2; ++i) {
    mp_u32 limits = flow->limits[i];
    struct mp_meter* meter = limits ? bpf_map_lookup_elem(&meters, &limits) : 0;
    if (!meter || !meter->limits.max_connections)
      continue;
    struct mp_meter_key whose = mp_meter_key_of(limits, source);
    mp_u32 one = 1;
    mp_u32* open = bpf_map_lookup_elem(&open_connections, &whose);
    if (open && begins)
      __sync_fetch_and_add(open, 1);
    else if (open && *(volatile mp_u32*)open)
      __sync_fetch_and_sub(open, 1);
    else if (begins)
      bpf_map_update_elem(&open_connections, &whose, &one, BPF_NOEXIST);
  }
  return 0;
}

#endif
