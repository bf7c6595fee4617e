/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/* Every map of the packet programs but the room of connections.h, with its writer and its reader.
 * The XDP program works on the tc program's, all but the totals: the loader sees to that. "The
 * program" below is either. */
#ifndef MARCHPROXY_BPF_PROG_MAPS_H
#define MARCHPROXY_BPF_PROG_MAPS_H

#include "bpf/abi/limit.h"
#include "bpf/prog/kernel.h"

#define MP_FLOWS_MAX 262144
#define MP_FRAGMENTS_MAX 16384
#define MP_SOURCES_MAX 65536
#define MP_METERS_MAX 131072

/* One page of an image an element. The loader makes one such map for each revision; this one only
 * tells the verifier what they look like. BPF_F_INNER_MAP: each may have its own number of pages.
 */
struct mp_image_map {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __uint(key_size, 4);
  __uint(value_size, MP_PAGE_SIZE);
  __uint(map_flags, BPF_F_INNER_MAP | BPF_F_MMAPABLE);
};

/* Slot 0: the image in force. Writer: loader, commit. Reader: the program, once a packet: whatever
 * it then reads is of one revision (ACC-7). */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, 1);
  __uint(key_size, 4);
  __array(values, struct mp_image_map);
} images SEC(".maps");

/* Addresses of this node, broadcast addresses of its networks included. Writer: loader. Reader: the
 * program. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 4096);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct mp_address);
  __type(value, mp_u8);
} local_addresses SEC(".maps");

/* Confirmed connections. Writer: the program; the loader removes what is over. Reader: the program,
 * loader. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, MP_FLOWS_MAX);
  __type(key, struct mp_flow_key);
  __type(value, struct mp_flow);
} flows SEC(".maps");

/* Connections that are not confirmed. Likewise. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, MP_FLOWS_MAX / 4);
  __type(key, struct mp_flow_key);
  __type(value, struct mp_flow);
} openings SEC(".maps");

/* Confirmed connections by mp_counted_source, as they come; the loader sets them right every now
 * and then, since nothing tells when an entry gives way to another. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, MP_SOURCES_MAX);
  __type(key, struct mp_address);
  __type(value, mp_u32);
} sources SEC(".maps");

/* Limits and how much of them is used, by their key. Writer: the loader makes and removes them, the
 * program counts. Reader: the program, loader. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, MP_METERS_MAX);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, mp_u32);
  __type(value, struct mp_meter);
} meters SEC(".maps");

/* Of limits that each source has for itself. No LRU: giving up a bucket would sell its source a new
 * burst. Writer: the program; the loader removes what is full. Reader: likewise. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, MP_SOURCES_MAX);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct mp_meter_key);
  __type(value, struct mp_buckets);
} source_meters SEC(".maps");

/* Open connections under limits that have a max_connections, as they come and go; the loader sets
 * them right every now and then, as with `sources`. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, MP_SOURCES_MAX);
  __type(key, struct mp_meter_key);
  __type(value, mp_u32);
} open_connections SEC(".maps");

/* Datagrams in fragments. The program's own. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, MP_FRAGMENTS_MAX);
  __type(key, struct mp_fragment_key);
  __type(value, struct mp_fragment);
} fragments SEC(".maps");

/* By interface where the programs forward: the address that frames for this node have. Writer:
 * loader. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, mp_u32);
  __type(value, struct mp_own_link);
} own_links SEC(".maps");

/* Writer: the program, each its own. Reader: loader. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, mp_u32);
  __type(value, struct mp_totals);
} totals SEC(".maps");

/* Chunks of counters by mapping id / MP_CHUNK_MAPPINGS % MP_BLOCK_CHUNKS. */
struct mp_counter_block {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, MP_BLOCK_CHUNKS);
  __uint(key_size, 4);
  __uint(value_size, sizeof(struct mp_mapping_chunk));
};

/* By mapping id / MP_BLOCK_MAPPINGS. Blocks are made and removed by the loader, and counted up by
 * the program. Arrays, because a hash's bucket and element would be two more lines of memory for
 * each packet that finds them in no cache. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, MP_COUNTER_BLOCKS);
  __uint(key_size, 4);
  __array(values, struct mp_counter_block);
} mapping_counters SEC(".maps");

/* Writer: the program. Reader: loader. */
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 1 << 20);
} events SEC(".maps");

/* How many refusals this CPU reported in which tick, and told their sender. The programs' own. */
struct mp_event_budget {
  mp_u64 tick;
  mp_u32 used;
  mp_u32 told;
};
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, mp_u32);
  __type(value, struct mp_event_budget);
} event_budget SEC(".maps");

#endif
