// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/counter_entries.hpp"

#include "bpf/loader/map_reader.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

namespace marchproxy::tier_ebpf {

namespace {

std::size_t cpus() {
  return static_cast<std::size_t>(libbpf_num_possible_cpus());
}

} // namespace

result<void> counter_entries::add(const policy::program& program) {
  const std::vector<mp_mapping_counters> zero(cpus());
  for (const auto& m : program.rules().mappings) {
    if (!m.active)
      continue;
    auto id = m.id.value;
    if (id > MP_MAPPING_MAX)
      return fail(errc::too_large,
                  "mapping " + std::to_string(id) + ": the eBPF tier takes ids of 32 bits");
    if (known_.contains(id))
      continue;
    if (bpf_map_update_elem(fd_, &id, zero.data(), BPF_NOEXIST) != 0)
      return fail(errc::unavailable, "counters of mapping " + std::to_string(id) + ": "
                                       + std::string{std::strerror(errno)});
    known_.insert(id);
  }
  return {};
}

void counter_entries::keep_only(const policy::program* program) {
  std::unordered_set<std::uint64_t> wanted;
  if (program != nullptr)
    for (const auto& m : program->rules().mappings)
      if (m.active)
        wanted.insert(m.id.value);
  std::erase_if(known_, [&](std::uint64_t id) {
    if (wanted.contains(id))
      return false;
    bpf_map_delete_elem(fd_, &id);
    return true;
  });
}

std::unordered_map<mapping_id, mp_mapping_counters> counter_entries::read() const {
  std::unordered_map<mapping_id, mp_mapping_counters> out;
  auto sum = [&](std::uint64_t id, std::span<const mp_mapping_counters> each) {
    auto& total = out[mapping_id{id}];
    for (const auto& c : each) {
      total.packets += c.packets;
      total.bytes += c.bytes;
      total.flows += c.flows;
      total.packets_denied += c.packets_denied;
    }
  };
  read_map<std::uint64_t, mp_mapping_counters>(fd_, cpus(), std::numeric_limits<std::size_t>::max(),
                                               sum);
  return out;
}

} // namespace marchproxy::tier_ebpf
