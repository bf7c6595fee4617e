/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/* The limits of a flow in a rule image (POL-7), once, for C (BPF) and C++. */
#ifndef MARCHPROXY_BPF_ABI_LOOKUP_LIMITS_H
#define MARCHPROXY_BPF_ABI_LOOKUP_LIMITS_H

#include "bpf/abi/lookup.h"

/* Where a search for the service whose limits hold is at. Set list, protocol and port, the rest 0.
 */
struct mp_limited_search {
  mp_u32 list; /* the destination's */
  mp_u32 at;
  mp_u32 protocol; /* MP_PROTO_ */
  mp_u32 port;     /* destination port; 0 for ICMP */
  mp_u32 found;    /* ref of its mp_limits */
};

/* Looks at one entry, or goes on to the next list. Returns 0 when the search is over. */
MP_FUNCTION int mp_search_limited(MP_IMAGE image, struct mp_limited_search* s) {
  const void* page = s->list ? MP_PAGE(image, s->list / MP_PAGE_UNITS) : 0;
  if (!page)
    return 0;
  mp_u32 unit = s->list % MP_PAGE_UNITS;
  const struct mp_limited_list* list = MP_FIELD(struct mp_limited_list, page, unit * 16);
  if (s->at >= list->count) {
    s->list = list->next;
    s->at = 0;
    return s->list != 0;
  }
  const struct mp_limited* one =
    MP_FIELD(struct mp_limited, page, ((unit + 1 + s->at) % MP_PAGE_UNITS) * 16);
  s->at++;
  if (!(one->protocols & s->protocol) || s->port < one->port_low || s->port > one->port_high)
    return 1;
  s->found = one->limits;
  return 0;
}

/* The limits with this ref, or null. */
MP_FUNCTION const struct mp_limits* mp_limits_at(MP_IMAGE image, mp_u32 ref) {
  const void* page = ref ? MP_PAGE(image, ref / MP_PAGE_UNITS) : 0;
  mp_u32 unit = ref % MP_PAGE_UNITS;
  return page && unit <= MP_PAGE_UNITS - MP_LIMITS_UNITS
           ? MP_FIELD(struct mp_limits, page, unit * 16)
           : 0;
}

#endif
