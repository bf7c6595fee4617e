/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/*
 * Hands the packets that the node would route to the packet worker's AF_XDP sockets, and leaves to
 * the kernel what is its own: anything but IP, multicast and broadcast, neighbour discovery, and
 * what is for an address of this node. It judges nothing. Packets for the worker go nowhere else:
 * without a socket they are dropped, so that a worker that died lets nothing through.
 *
 * hot path
 */
#include "bpf/prog/kernel.h"

#define MP_FRAME struct xdp_md*
#define MP_HOLDS(context, bytes) ((bytes) <= (context)->data_end - (context)->data)
#define MP_LOAD(context, at, to, size) (bpf_xdp_load_bytes(context, at, to, size) == 0)

#include "bpf/abi/parse.h"

/* By receive queue. Writer: af_xdp::redirect. Reader: the program. */
struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, 256);
  __type(key, mp_u32);
  __type(value, mp_u32);
} sockets SEC(".maps");

/* Addresses of this node, broadcast and anycast ones included. Writer: af_xdp::redirect. Reader:
 * the program. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 4096);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct mp_address);
  __type(value, mp_u8);
} local_addresses SEC(".maps");

char mp_license[] SEC("license") = "GPL";

/* Returns 1 for the kernel's own. What cannot be read goes to the worker, which counts it. */
static __always_inline int mp_is_kernels(struct xdp_md* context) {
  struct mp_packet p = {};
  mp_u8 link;
  if (MP_LOAD(context, 0, &link, 1) && (link & 1)) /* to a group of hosts */
    return 1;
  mp_u32 outcome = mp_parse_link(context, &p);
  if (outcome != MP_PARSED)
    return outcome == MP_TOTAL_passed_link;
  if (mp_is_to_group(&p) || bpf_map_lookup_elem(&local_addresses, &p.tuple.destination))
    return 1;
  /* Neighbour discovery */
  return p.ipv6 && p.next == MP_IP_ICMP6 && mp_parse_icmp(context, &p) == MP_TOTAL_passed_link;
}

SEC("xdp")
int mp_to_worker(struct xdp_md* context) {
  if (mp_is_kernels(context))
    return XDP_PASS;
  return (int)bpf_redirect_map(&sockets, context->rx_queue_index, XDP_DROP);
}
