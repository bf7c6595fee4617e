// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/map_reader.hpp"
#include "bpf/loader/tier_state.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstring>

namespace marchproxy::tier_ebpf {

mp_totals tier::totals() const {
  return read_totals(state_->fds.totals);
}

std::unordered_map<mapping_id, mp_mapping_counters> tier::mapping_counters() const {
  auto program = active();
  if (!program)
    return {};
  return state_->counters.read(*program);
}

std::vector<limited_count> tier::limited() const {
  auto program = active();
  if (!program)
    return {};
  return state_->meters.read(*program);
}

std::vector<connection> tier::connections(std::size_t limit) const {
  std::vector<connection> out;
  for (auto fd : {state_->fds.flows, state_->fds.openings})
    read_map<mp_flow_key, mp_flow>(fd, 1, limit - out.size(),
                                   [&](const mp_flow_key& key, std::span<const mp_flow> flow) {
                                     out.push_back(to_connection(key, flow.front()));
                                   });
  return out;
}

std::optional<connection> tier::find(const five_tuple& tuple) const {
  auto abi = to_abi(tuple);
  mp_flow_key key{};
  mp_flow_key_of(&abi, &key);
  mp_flow flow{};
  for (auto fd : {state_->fds.flows, state_->fds.openings})
    if (bpf_map_lookup_elem(fd, &key, &flow) == 0)
      return to_connection(key, flow);
  return std::nullopt;
}

std::size_t tier::drain_events(const std::function<void(const flow_event&)>& to,
                               std::size_t limit) {
  if (limit == 0)
    return 0;
  state_->sink = {&to, limit, 0};
  ring_buffer__consume(state_->ring.get());
  return state_->sink.taken;
}

int tier::event_fd() const noexcept {
  return ring_buffer__epoll_fd(state_->ring.get());
}

tier::descriptors tier::fds() const noexcept {
  return {state_->fds.ingress, state_->fds.images, state_->fds.flows, state_->fds.openings};
}

} // namespace marchproxy::tier_ebpf
