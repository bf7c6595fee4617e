// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/counter_entries.hpp"

#include "bpf/loader/map_reader.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace marchproxy::tier_ebpf {

namespace {

std::size_t cpus() {
  return static_cast<std::size_t>(libbpf_num_possible_cpus());
}

std::uint32_t block_of(mapping_id id) noexcept {
  return static_cast<std::uint32_t>(id.value / MP_BLOCK_MAPPINGS);
}

tl::unexpected<error> kernel_refuses(const char* what) {
  return fail(errc::unavailable, std::string{"counters: "} + what + ": " + std::strerror(errno));
}

} // namespace

result<descriptor> make_counter_block() {
  descriptor out{bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "mp_counters", sizeof(mp_u32),
                                sizeof(mp_mapping_chunk), MP_BLOCK_CHUNKS, nullptr)};
  if (!out)
    return kernel_refuses("block");
  return out;
}

result<void> counter_entries::add(const policy::program& program) {
  std::unordered_map<std::uint32_t, descriptor> made;
  for (const auto& m : program.rules().mappings) {
    if (!m.active)
      continue;
    if (m.id.value > MP_COUNTED_MAX)
      return fail(errc::too_large, "mapping " + std::to_string(m.id.value)
                                     + ": the eBPF tier takes ids up to "
                                     + std::to_string(MP_COUNTED_MAX));
    const auto key = block_of(m.id);
    if (blocks_.contains(key) || made.contains(key))
      continue;
    auto block = by_->make_counter_block();
    if (!block)
      return tl::unexpected(block.error());
    made.emplace(key, std::move(*block));
  }
  if (made.empty())
    return {};
  // At once: the kernel waits for the packets under way after each update.
  std::vector<std::uint32_t> keys;
  std::vector<int> fds;
  for (const auto& [key, block] : made) {
    keys.push_back(key);
    fds.push_back(block.get());
  }
  auto count = static_cast<std::uint32_t>(keys.size());
  bpf_map_batch_opts options{};
  options.sz = sizeof options;
  if (bpf_map_update_batch(fd_, keys.data(), fds.data(), &count, &options) != 0)
    return kernel_refuses("blocks");
  blocks_.merge(made);
  return {};
}

void counter_entries::keep_only(const policy::program* program) {
  std::unordered_set<std::uint32_t> wanted;
  if (program != nullptr)
    for (const auto& m : program->rules().mappings)
      if (m.active)
        wanted.insert(block_of(m.id));
  std::erase_if(blocks_, [&](const auto& block) {
    if (wanted.contains(block.first))
      return false;
    bpf_map_delete_elem(fd_, &block.first);
    return true;
  });
}

std::unordered_map<mapping_id, mp_mapping_counters>
counter_entries::read(const policy::program& program) const {
  std::unordered_map<std::uint32_t, std::vector<mp_mapping_counters>> sums;
  for (const auto& [key, block] : blocks_) {
    auto& sum = sums.try_emplace(key, MP_BLOCK_MAPPINGS).first->second;
    auto add_chunk = [&](std::uint32_t chunk, std::span<const mp_mapping_chunk> each) {
      for (const auto& cpu : each)
        for (std::size_t i = 0; i < MP_CHUNK_MAPPINGS; ++i) {
          auto& total = sum[chunk * MP_CHUNK_MAPPINGS + i];
          total.packets += cpu.of[i].packets;
          total.bytes += cpu.of[i].bytes;
          total.flows += cpu.of[i].flows;
          total.packets_denied += cpu.of[i].packets_denied;
        }
    };
    read_map<std::uint32_t, mp_mapping_chunk>(block.get(), cpus(),
                                              std::numeric_limits<std::size_t>::max(), add_chunk);
  }
  std::unordered_map<mapping_id, mp_mapping_counters> out;
  for (const auto& m : program.rules().mappings)
    if (m.active)
      if (const auto found = sums.find(block_of(m.id)); found != sums.end())
        out[m.id] = found->second[m.id.value % MP_BLOCK_MAPPINGS];
  return out;
}

} // namespace marchproxy::tier_ebpf
