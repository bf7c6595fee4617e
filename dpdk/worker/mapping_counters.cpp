// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/worker/mapping_counters.hpp"

#include "dpdk/worker/counting.hpp"

#include <string>
#include <unordered_set>
#include <utility>

namespace marchproxy::packet_worker {

namespace {

std::uint32_t block_of(mapping_id id) noexcept {
  return static_cast<std::uint32_t>(id.value / mapping_counters::of_block);
}

} // namespace

result<void> mapping_counters::add(const policy::program& program) {
  for (const auto& m : program.rules().mappings)
    if (m.active && m.id.value > MP_COUNTED_MAX)
      return fail(errc::too_large, "mapping " + std::to_string(m.id.value)
                                     + ": packet workers take ids up to "
                                     + std::to_string(MP_COUNTED_MAX));
  for (const auto& m : program.rules().mappings) {
    if (!m.active)
      continue;
    auto key = block_of(m.id);
    auto [at, fresh] = blocks_.try_emplace(key);
    if (!fresh)
      continue;
    at->second = std::make_unique<block>();
    directory_[key].store(at->second.get(), std::memory_order_release);
  }
  return {};
}

std::vector<std::unique_ptr<mapping_counters::block>>
mapping_counters::keep_only(const policy::program* program) {
  std::unordered_set<std::uint32_t> wanted;
  if (program != nullptr)
    for (const auto& m : program->rules().mappings)
      if (m.active)
        wanted.insert(block_of(m.id));
  std::vector<std::unique_ptr<block>> out;
  for (auto at = blocks_.begin(); at != blocks_.end();) {
    if (wanted.contains(at->first)) {
      ++at;
      continue;
    }
    directory_[at->first].store(nullptr, std::memory_order_release);
    out.push_back(std::move(at->second));
    at = blocks_.erase(at);
  }
  return out;
}

void mapping_counters::read(const policy::program& program,
                            std::unordered_map<mapping_id, mp_mapping_counters>& sums) const {
  for (const auto& m : program.rules().mappings) {
    const auto found = m.active ? blocks_.find(block_of(m.id)) : blocks_.end();
    if (found == blocks_.end())
      continue;
    const auto& from = (*found->second)[m.id.value % of_block];
    auto& sum = sums[m.id];
    sum.packets += read_of(from.packets);
    sum.bytes += read_of(from.bytes);
    sum.flows += read_of(from.flows);
    sum.packets_denied += read_of(from.packets_denied);
  }
}

} // namespace marchproxy::packet_worker
