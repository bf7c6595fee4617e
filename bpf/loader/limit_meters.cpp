// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/limit_meters.hpp"

#include "bpf/loader/map_reader.hpp"

#include <bpf/bpf.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <limits>
#include <string>
#include <unordered_set>

namespace marchproxy::tier_ebpf {

namespace {

constexpr auto all = std::numeric_limits<std::size_t>::max();
constexpr std::array<std::string_view, MP_LIMIT_COUNT> kind_names{
#define MP_X(name) #name,
  MP_LIMIT_KINDS(MP_X)
#undef MP_X
};

std::uint64_t now() noexcept {
  timespec at{};
  ::clock_gettime(CLOCK_MONOTONIC, &at);
  return static_cast<std::uint64_t>(at.tv_sec) * 1'000'000'000U
         + static_cast<std::uint64_t>(at.tv_nsec);
}

} // namespace

std::string_view to_string(mp_limit_kind kind) noexcept {
  return kind_names.at(static_cast<std::size_t>(kind));
}

result<void> limit_meters::add(const policy::program& program) {
  for (const auto& limits : program.limits()) {
    if (const auto found = known_.find(limits.key); found != known_.end()) {
      if (std::memcmp(&found->second, &limits, sizeof limits) != 0)
        return fail(errc::conflict, "limits: two of them have one key; change one a little");
      continue;
    }
    mp_meter fresh{};
    fresh.limits = limits;
    if (bpf_map_update_elem(fds_.meters, &limits.key, &fresh, BPF_NOEXIST) != 0 && errno != EEXIST)
      return fail(errno == E2BIG ? errc::too_large : errc::unavailable,
                  std::string{"limits: "} + std::strerror(errno));
    known_.emplace(limits.key, limits);
  }
  return {};
}

void limit_meters::keep_only(const policy::program* program) {
  std::unordered_set<std::uint32_t> wanted;
  if (program != nullptr)
    for (const auto& limits : program->limits())
      wanted.insert(limits.key);
  std::erase_if(known_, [&](const auto& one) {
    if (wanted.contains(one.first))
      return false;
    bpf_map_delete_elem(fds_.meters, &one.first);
    return true;
  });
}

std::vector<limited_count> limit_meters::read(const policy::program& program) const {
  std::vector<limited_count> out;
  for (const auto& limits : program.limits()) {
    mp_meter meter{};
    if (bpf_map_lookup_elem(fds_.meters, &limits.key, &meter) != 0)
      continue;
    limited_count one;
    one.id = limits.of & ~MP_LIMITS_OF_SERVICE;
    one.of_service = (limits.of & MP_LIMITS_OF_SERVICE) != 0;
    std::memcpy(one.refused.data(), meter.refused, sizeof meter.refused);
    one.crowded = meter.crowded;
    out.push_back(one);
  }
  return out;
}

void limit_meters::count(const mp_flow_key& key, const mp_flow& flow, open_counts& to) {
  if ((flow.flags & MP_FLOW_HELD) == 0)
    return;
  const auto& source = flow.originator != 0 ? key.ends.destination : key.ends.source;
  for (auto limits : flow.limits)
    if (limits != 0)
      ++to[mp_meter_key_of(limits, &source)];
}

void limit_meters::sweep(const open_counts& counted) const {
  std::vector<mp_meter_key> over;
  open_counts wrong;
  read_map<mp_meter_key, mp_u32>(fds_.open_connections, 1, all,
                                 [&](const mp_meter_key& key, std::span<const mp_u32> told) {
                                   const auto found = counted.find(key);
                                   if (found == counted.end())
                                     over.push_back(key);
                                   else if (found->second != told.front())
                                     wrong.insert(*found);
                                 });
  for (const auto& key : over)
    bpf_map_delete_elem(fds_.open_connections, &key);
  for (const auto& [key, open] : wrong)
    bpf_map_update_elem(fds_.open_connections, &key, &open, BPF_EXIST);

  over.clear();
  std::unordered_map<std::uint32_t, mp_limits> terms;
  const auto at = now();
  read_map<mp_meter_key, mp_buckets>(
    fds_.source_meters, 1, all, [&](const mp_meter_key& key, std::span<const mp_buckets> b) {
      auto [found, fresh] = terms.try_emplace(key.limits);
      if (mp_meter meter{}; fresh && bpf_map_lookup_elem(fds_.meters, &key.limits, &meter) == 0)
        found->second = meter.limits;
      const auto& t = found->second; // of limits that are gone: no terms, so nothing is kept
      if (mp_is_full(b.front().connections, &t.connections, at) != 0
          && mp_is_full(b.front().packets, &t.packets, at) != 0
          && mp_is_full(b.front().bytes, &t.bytes, at) != 0)
        over.push_back(key);
    });
  for (const auto& key : over)
    bpf_map_delete_elem(fds_.source_meters, &key);
}

} // namespace marchproxy::tier_ebpf
