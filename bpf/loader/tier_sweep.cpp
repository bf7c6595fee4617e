// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/map_reader.hpp"
#include "bpf/loader/tier_state.hpp"
#include "bpf/loader/traffic.hpp"

#include <bpf/bpf.h>

#include <cstring>
#include <limits>
#include <unordered_map>

namespace marchproxy::tier_ebpf {

namespace {

constexpr auto all = std::numeric_limits<std::size_t>::max();

struct address_hash {
  std::size_t operator()(const mp_address& a) const noexcept {
    return std::hash<mp_u64>{}(a.word[0] * 0x9e3779b97f4a7c15ULL ^ a.word[1]);
  }
};
struct same_address {
  bool operator()(const mp_address& a, const mp_address& b) const noexcept {
    return a.word[0] == b.word[0] && a.word[1] == b.word[1];
  }
};
using held_by_source = std::unordered_map<mp_address, mp_u32, address_hash, same_address>;

/// Makes the kernel's numbers those that were counted.
void correct(int fd, const held_by_source& held) {
  std::vector<mp_address> gone;
  held_by_source wrong;
  read_map<mp_address, mp_u32>(fd, 1, all, [&](const mp_address& a, std::span<const mp_u32> told) {
    auto found = held.find(a);
    if (found == held.end())
      gone.push_back(a);
    else if (found->second != told.front())
      wrong.insert(*found);
  });
  for (const auto& a : gone)
    bpf_map_delete_elem(fd, &a);
  for (const auto& [a, count] : wrong)
    bpf_map_update_elem(fd, &a, &count, BPF_EXIST);
}

} // namespace

sweep_report tier::sweep() const {
  sweep_report out;
  held_by_source held;
  limit_meters::open_counts open;
  const auto now = static_cast<mp_u64>(coarse_now().count());
  for (auto fd : {state_->fds.flows, state_->fds.openings}) {
    std::vector<mp_flow_key> over;
    read_map<mp_flow_key, mp_flow>(
      fd, 1, all, [&](const mp_flow_key& key, std::span<const mp_flow> flow) {
        if (mp_is_silent(&flow.front(), now) != 0) {
          over.push_back(key);
          return;
        }
        ++out.connections;
        limit_meters::count(key, flow.front(), open);
        if (fd == state_->fds.flows)
          ++held[mp_counted_source(flow.front().originator != 0 ? key.ends.destination
                                                                : key.ends.source)];
      });
    for (const auto& key : over)
      bpf_map_delete_elem(fd, &key);
    out.removed += over.size();
  }
  correct(state_->fds.sources, held);
  state_->meters.sweep(open);
  return out;
}

} // namespace marchproxy::tier_ebpf
