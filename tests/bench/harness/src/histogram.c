// SPDX-License-Identifier: AGPL-3.0-only
#include "tests/bench/harness/src/histogram.h"

#include <time.h>

u64 now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

enum { SUB = 64, NB = 44 * SUB };
static u64 hist[NB], hcount, hmax;
static int bucket(u64 v) {
  if (v < SUB)
    return v;
  int e = 63 - __builtin_clzll(v);
  int b = (e - 5) * SUB + ((v >> (e - 6)) & (SUB - 1));
  return b < NB ? b : NB - 1;
}
static u64 bval(int b) {
  if (b < SUB)
    return b;
  int e = b / SUB + 5;
  return (1ull << e) + ((u64)(b % SUB) << (e - 6));
}
void rec(u64 v) {
  hist[bucket(v)]++;
  hcount++;
  if (v > hmax)
    hmax = v;
}
double pct(double p) {
  u64 t = hcount * p, s = 0;
  for (int i = 0; i < NB; i++) {
    s += hist[i];
    if (s > t)
      return bval(i) / 1000.0;
  }
  return hmax / 1000.0;
}

double longest(void) {
  return hmax / 1e3;
}
