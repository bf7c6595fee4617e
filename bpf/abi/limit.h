/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/*
 * How much of a limit is used (POL-7), once, for C (BPF) and C++: token buckets of one word each,
 * the place on the tokens' own clock up to which tokens are spent (docs/adr/0007-limits.md).
 *
 * Writer: bpf/prog. Reader: bpf/loader, which also makes the meters.
 */
#ifndef MARCHPROXY_BPF_ABI_LIMIT_H
#define MARCHPROXY_BPF_ABI_LIMIT_H

#include "bpf/abi/flow.h"

/* Which of the limits. The names reach clients and are never renamed; as in the model. */
#define MP_LIMIT_KINDS(X) X(connections) X(max_connections) X(packets) X(bytes)
enum mp_limit_kind {
#define MP_X(name) MP_LIMIT_##name,
  MP_LIMIT_KINDS(MP_X)
#undef MP_X
    MP_LIMIT_COUNT
};

struct mp_buckets {
  mp_u64 connections;
  mp_u64 packets;
  mp_u64 bytes;
};
MP_ASSERT_SIZE(struct mp_buckets, 24);

/* By the key of the limits. */
struct mp_meter {
  struct mp_limits limits;
  struct mp_buckets together; /* of all flows; or of the sources that found no place */
  mp_u64 refused[MP_LIMIT_COUNT];
  mp_u64 crowded; /* packets whose source found no place */
};
MP_ASSERT_SIZE(struct mp_meter, 152);

/* One who has limits for himself. */
struct mp_meter_key {
  mp_u32 limits;
  mp_u32 pad;
  struct mp_address source; /* as mp_counted_source gives it; 0: all together */
};
MP_ASSERT_SIZE(struct mp_meter_key, 24);

MP_FUNCTION struct mp_meter_key mp_meter_key_of(mp_u32 limits, const struct mp_address* source) {
  struct mp_meter_key out = {};
  out.limits = limits;
  if (limits & MP_LIMITS_PER_SOURCE)
    out.source = mp_counted_source(*source);
  return out;
}

/* Tokens that have come in @p nanoseconds since the clock's beginning, in fixed point; rounded
 * down. In halves of 32 bits: BPF has no wider product. */
MP_FUNCTION mp_u64 mp_tokens_at(const struct mp_terms* terms, mp_u64 nanoseconds) {
  mp_u64 a = nanoseconds >> 32, b = nanoseconds & 0xffffffffull;
  mp_u64 c = terms->per_nanosecond >> 32, d = terms->per_nanosecond & 0xffffffffull;
  mp_u64 low = b * d;
  mp_u64 middle = a * d + (low >> 32); /* below 2^64: (2^32-1)^2 + 2^32-1 */
  mp_u64 other = b * c + (middle & 0xffffffffull);
  mp_u64 high = a * c + (middle >> 32) + (other >> 32);
  low = (other << 32) | (low & 0xffffffffull);
  return (high << (64 - MP_TERMS_FRACTION)) | (low >> MP_TERMS_FRACTION);
}

/* A bucket that says nothing a new one would not say. @now CLOCK_MONOTONIC, ns */
MP_FUNCTION int mp_is_full(mp_u64 spent, const struct mp_terms* terms, mp_u64 now) {
  return !terms->burst || spent <= mp_tokens_at(terms, now);
}

#endif
