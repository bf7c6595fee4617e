/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/* Makes frames and swallows them: the ends of a cable whose middle is measured. */
#include "bpf/prog/kernel.h"

char mp_license[] SEC("license") = "GPL";

#define SOURCE_PORT_AT 34 /* of UDP in IPv4 without options */
#define FIRST_PORT 1024u
#define HEADER_BYTES 42

/* Set by the benchmark. */
const volatile __u32 to_ifindex;
__u32 flows = 64;
/* Of the frames. The kernel makes them once and uses them again as they come back: with one hop
 * less to live, another destination, other link addresses. */
char headers[HEADER_BYTES] = {1};

/* Frames that arrived. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} arrived SEC(".maps");

/* How many were made. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} made SEC(".maps");

SEC("xdp")
int generate(struct xdp_md* xdp) {
  __u32 zero = 0;
  __u64* n = bpf_map_lookup_elem(&made, &zero);
  char* frame = (char*)(long)xdp->data;
  if (!n || frame + HEADER_BYTES > (char*)(long)xdp->data_end)
    return XDP_ABORTED;
  __builtin_memcpy(frame, headers, HEADER_BYTES);
  __u32 each = flows ? flows : 1;
  *(__u16*)(frame + SOURCE_PORT_AT) = bpf_htons((__u16)(FIRST_PORT + (__u32)(*n)++ % each));
  return (int)bpf_redirect(to_ifindex, 0);
}

SEC("xdp")
int swallow(struct xdp_md* xdp) {
  (void)xdp;
  __u32 zero = 0;
  __u64* n = bpf_map_lookup_elem(&arrived, &zero);
  if (n)
    ++*n;
  return XDP_DROP;
}
