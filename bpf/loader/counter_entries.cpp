// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/counter_entries.hpp"

#include "bpf/loader/map_reader.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <limits>
#include <string>
#include <thread>
#include <vector>

namespace marchproxy::tier_ebpf {

namespace {

std::size_t cpus() {
  return static_cast<std::size_t>(libbpf_num_possible_cpus());
}

/// Without memory from the per-CPU allocator, which is refilled in the background, it tries again
/// until @p deadline.
bool make_entry(int fd,
                std::uint64_t key,
                const std::vector<mp_mapping_chunk>& zero,
                std::chrono::steady_clock::time_point deadline) {
  while (bpf_map_update_elem(fd, &key, zero.data(), BPF_NOEXIST) != 0) {
    if (errno != ENOMEM || std::chrono::steady_clock::now() >= deadline)
      return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  return true;
}

} // namespace

result<void> counter_entries::add(const policy::program& program) {
  const std::vector<mp_mapping_chunk> zero(cpus());
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{5};
  for (const auto& m : program.rules().mappings) {
    if (!m.active)
      continue;
    if (m.id.value > MP_MAPPING_MAX)
      return fail(errc::too_large,
                  "mapping " + std::to_string(m.id.value) + ": the eBPF tier takes ids of 32 bits");
    auto key = m.id.value / MP_CHUNK_MAPPINGS;
    if (known_.contains(key))
      continue;
    if (!make_entry(fd_, key, zero, deadline))
      return fail(errc::unavailable, "counters of mapping " + std::to_string(m.id.value) + ": "
                                       + std::string{std::strerror(errno)});
    known_.insert(key);
  }
  return {};
}

void counter_entries::keep_only(const policy::program* program) {
  std::unordered_set<std::uint64_t> wanted;
  if (program != nullptr)
    for (const auto& m : program->rules().mappings)
      if (m.active)
        wanted.insert(m.id.value / MP_CHUNK_MAPPINGS);
  std::erase_if(known_, [&](std::uint64_t key) {
    if (wanted.contains(key))
      return false;
    bpf_map_delete_elem(fd_, &key);
    return true;
  });
}

std::unordered_map<mapping_id, mp_mapping_counters>
counter_entries::read(const policy::program& program) const {
  std::unordered_map<std::uint64_t, mp_mapping_chunk> chunks;
  auto sum = [&](std::uint64_t key, std::span<const mp_mapping_chunk> each) {
    auto& total = chunks[key];
    for (const auto& cpu : each)
      for (std::size_t i = 0; i < MP_CHUNK_MAPPINGS; ++i) {
        total.of[i].packets += cpu.of[i].packets;
        total.of[i].bytes += cpu.of[i].bytes;
        total.of[i].flows += cpu.of[i].flows;
        total.of[i].packets_denied += cpu.of[i].packets_denied;
      }
  };
  read_map<std::uint64_t, mp_mapping_chunk>(fd_, cpus(), std::numeric_limits<std::size_t>::max(),
                                            sum);
  std::unordered_map<mapping_id, mp_mapping_counters> out;
  for (const auto& m : program.rules().mappings)
    if (m.active)
      out[m.id] = chunks[m.id.value / MP_CHUNK_MAPPINGS].of[m.id.value % MP_CHUNK_MAPPINGS];
  return out;
}

} // namespace marchproxy::tier_ebpf
