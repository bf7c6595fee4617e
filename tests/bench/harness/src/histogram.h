// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <stdint.h>

typedef uint64_t u64;

/// Monotonic nanoseconds.
u64 now(void);
/// Latencies in nanoseconds: 64 sub-buckets an octave, so a percentile is off by less than 2 %.
void rec(u64 v);
/// Microseconds. @param p  0 to 1
double pct(double p);
double longest(void);
