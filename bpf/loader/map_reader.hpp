// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <span>
#include <vector>

namespace marchproxy::tier_ebpf {

/// Reads a map in batches and hands each key and its @p values_each values to @p to, at most
/// @p limit keys. Entries that come or go meanwhile may be missed.
template <class Key, class Value, class Consumer>
void read_map(int fd, std::size_t values_each, std::size_t limit, Consumer to) {
  constexpr std::uint32_t batch = 512; // far above the longest bucket
  std::vector<Key> keys(batch);
  std::vector<Value> values(batch * values_each);
  std::uint64_t position = 0; // opaque
  bool first = true;
  while (limit > 0) {
    std::uint32_t count = batch;
    bpf_map_batch_opts options{};
    options.sz = sizeof options;
    auto rc = bpf_map_lookup_batch(fd, first ? nullptr : &position, &position, keys.data(),
                                   values.data(), &count, &options);
    if (rc != 0 && errno != ENOENT)
      return;
    for (std::uint32_t i = 0; i < std::min<std::size_t>(count, limit); ++i)
      to(keys[i], std::span{values}.subspan(i * values_each, values_each));
    limit -= std::min<std::size_t>(count, limit);
    if (rc != 0) // ENOENT: that was the last batch
      return;
    first = false;
  }
}

} // namespace marchproxy::tier_ebpf
