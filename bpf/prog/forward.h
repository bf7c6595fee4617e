/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/* Packets of connections in the table, sent on without the kernel's routing and netfilter; where
 * the loader has said so (own_links). */
#ifndef MARCHPROXY_BPF_PROG_FORWARD_H
#define MARCHPROXY_BPF_PROG_FORWARD_H

#include "bpf/prog/settle.h"

/* <sys/socket.h> does not compile for this target. */
#define MP_AF_INET 2
#define MP_AF_INET6 10

/* What the kernel has to see: answers of its own, VLAN tags, options. */
static __always_inline int mp_is_for_kernel(const struct mp_packet* p) {
  return p->start != MP_LINK_BYTES || p->options || p->hop_limit <= 1;
}

/* Where the kernel would route the packet, when it knows the next hop's address. @bytes of the IP
 * packet for the MTU; 0 when the kernel shall look at the packet itself. */
static __always_inline int mp_find_way(void* context,
                                       const struct mp_packet* p,
                                       mp_u32 ifindex,
                                       mp_u32 bytes,
                                       struct bpf_fib_lookup* way) {
  way->l4_protocol = p->tuple.protocol;
  way->sport = bpf_htons(p->tuple.source_port);
  way->dport = bpf_htons(p->tuple.destination_port);
  way->tot_len = (mp_u16)bytes;
  way->ifindex = ifindex;
  if (p->ipv6) {
    way->family = MP_AF_INET6;
    __builtin_memcpy(way->ipv6_src, &p->tuple.source, 16);
    __builtin_memcpy(way->ipv6_dst, &p->tuple.destination, 16);
  } else {
    way->family = MP_AF_INET;
    way->ipv4_src = (mp_u32)(p->tuple.source.word[1] >> 32);
    way->ipv4_dst = (mp_u32)(p->tuple.destination.word[1] >> 32);
  }
  return bpf_fib_lookup(context, way, sizeof *way, 0) == BPF_FIB_LKUP_RET_SUCCESS;
}

/* New link header, one hop less to live; in an untagged frame. Returns 0 when its first bytes are
 * not in one piece. */
static __always_inline int
mp_write_way(char* frame, const char* end, int ipv6, const struct bpf_fib_lookup* way) {
  if (ipv6) {
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
  struct mp_link* link = (struct mp_link*)frame;
  __builtin_memcpy(&link->destination, way->dmac, sizeof link->destination);
  __builtin_memcpy(&link->source, way->smac, sizeof link->source);
  return 1;
}

#endif
