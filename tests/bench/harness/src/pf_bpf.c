// SPDX-License-Identifier: AGPL-3.0-only
// Floors in the kernel: stateful L4 DNAT (per-flow LRU table, both directions) as tc-BPF and XDP.
// Addresses, interface numbers and MAC addresses are those of networks.py.
/* These depend on each other in this order. */
/* clang-format off */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
/* clang-format on */

char _license[] SEC("license") = "GPL";
#define IP4(a, b, c, d) bpf_htonl(((a) << 24) | ((b) << 16) | ((c) << 8) | (d))
#define VIP IP4(10, 201, 1, 1)
#define RS IP4(10, 201, 2, 2)
#define IF_C 101
#define IF_S 102
struct key {
  __u32 s, d;
  __u16 sp, dp;
  __u32 pr;
};
struct val {
  __u32 ip;
  __u16 port;
  __u16 pad;
};
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 262144);
  __type(key, struct key);
  __type(value, struct val);
} flows SEC(".maps");
static const __u8 mac_c[6] = {2, 0, 0, 0, 1, 2}, mac_pc[6] = {2, 0, 0, 0, 1, 1},
                  mac_ps[6] = {2, 0, 0, 0, 2, 1}, mac_s[6] = {2, 0, 0, 0, 2, 2};
struct l4 {
  __u16 sp, dp;
};
static __always_inline struct val* track(struct iphdr* ip, struct l4* p, int c2s) {
  struct key k = {ip->saddr, ip->daddr, p->sp, p->dp, ip->protocol};
  struct val* v = bpf_map_lookup_elem(&flows, &k);
  if (v)
    return v;
  if (!c2s)
    return 0;
  struct val nv = {RS, p->dp, 0}, rv = {ip->daddr, p->dp, 0};
  struct key rk = {RS, ip->saddr, p->dp, p->sp, ip->protocol};
  bpf_map_update_elem(&flows, &rk, &rv, BPF_ANY);
  bpf_map_update_elem(&flows, &k, &nv, BPF_ANY);
  return bpf_map_lookup_elem(&flows, &k);
}
static __always_inline int
want(struct iphdr* ip,
     struct l4* p,
     int c2s) { // forwarded ports: 7900-7999 map to the origin's same port
  __u16 port = bpf_ntohs(c2s ? p->dp : p->sp);
  return (c2s ? ip->daddr == VIP : ip->saddr == RS) && port >= 7900 && port < 8000;
}
static __always_inline int tc(struct __sk_buff* skb, int c2s) {
  void *d = (void*)(long)skb->data, *e = (void*)(long)skb->data_end;
  struct ethhdr* eth = d;
  struct iphdr* ip = d + 14;
  struct l4* p = d + 34;
  if (d + 38 > e) {
    if (bpf_skb_pull_data(skb, 54))
      return TC_ACT_OK;
    d = (void*)(long)skb->data;
    e = (void*)(long)skb->data_end;
    eth = d;
    ip = d + 14;
    p = d + 34;
    if (d + 38 > e)
      return TC_ACT_OK;
  }
  if (eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5
      || (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP) || !want(ip, p, c2s))
    return TC_ACT_OK;
  struct val* v = track(ip, p, c2s);
  if (!v)
    return TC_ACT_OK;
  __u32 old = c2s ? ip->daddr : ip->saddr, nw = v->ip;
  int udp = ip->protocol == IPPROTO_UDP;
  __builtin_memcpy(eth->h_dest, c2s ? mac_s : mac_c, 6);
  __builtin_memcpy(eth->h_source, c2s ? mac_ps : mac_pc, 6);
  int coff = udp ? 34 + 6 : 34 + 16;
  bpf_l4_csum_replace(skb, coff, old, nw, BPF_F_PSEUDO_HDR | (udp ? BPF_F_MARK_MANGLED_0 : 0) | 4);
  bpf_l3_csum_replace(skb, 14 + 10, old, nw, 4);
  bpf_skb_store_bytes(skb, c2s ? 14 + 16 : 14 + 12, &nw, 4, 0);
  return bpf_redirect(c2s ? IF_S : IF_C, 0);
}
SEC("tc") int tc_c2s(struct __sk_buff* skb) {
  return tc(skb, 1);
}
SEC("tc") int tc_s2c(struct __sk_buff* skb) {
  return tc(skb, 0);
}
static __always_inline void fix(__u16* c, __u32 o, __u32 n) {
  __u32 s = (__u16) ~*c;
  s += (__u16) ~(o & 0xffff);
  s += (__u16) ~(o >> 16);
  s += n & 0xffff;
  s += n >> 16;
  s = (s & 0xffff) + (s >> 16);
  s = (s & 0xffff) + (s >> 16);
  *c = ~s;
}
static __always_inline int xd(struct xdp_md* x, int c2s) {
  void *d = (void*)(long)x->data, *e = (void*)(long)x->data_end;
  struct ethhdr* eth = d;
  struct iphdr* ip = d + 14;
  struct l4* p = d + 34;
  if (d + 42 > e)
    return XDP_PASS;
  if (eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5 || !want(ip, p, c2s))
    return XDP_PASS;
  __u16* c;
  if (ip->protocol == IPPROTO_UDP)
    c = d + 40;
  else if (ip->protocol == IPPROTO_TCP) {
    if (d + 54 > e)
      return XDP_PASS;
    c = d + 50;
  } else
    return XDP_PASS;
  struct val* v = track(ip, p, c2s);
  if (!v)
    return XDP_PASS;
  __u32 old = c2s ? ip->daddr : ip->saddr, nw = v->ip;
  if (*c || ip->protocol == IPPROTO_TCP)
    fix(c, old, nw);
  fix(&ip->check, old, nw);
  if (c2s)
    ip->daddr = nw;
  else
    ip->saddr = nw;
  __builtin_memcpy(eth->h_dest, c2s ? mac_s : mac_c, 6);
  __builtin_memcpy(eth->h_source, c2s ? mac_ps : mac_pc, 6);
  return bpf_redirect(c2s ? IF_S : IF_C, 0);
}
SEC("xdp") int xdp_c2s(struct xdp_md* x) {
  return xd(x, 1);
}
SEC("xdp") int xdp_s2c(struct xdp_md* x) {
  return xd(x, 0);
}
SEC("xdp") int xdp_pass(struct xdp_md* x) {
  return XDP_PASS;
}
