// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/udp_listeners.hpp"

#include <utility>

namespace marchproxy::relay {

void udp_listeners::follow(const std::map<std::uint16_t, service_target>& wanted,
                           const problem_sink& problem) {
  std::erase_if(open_, [&](const auto& each) {
    if (wanted.contains(each.first))
      return false;
    each.second.listener->close();
    return true;
  });
  for (const auto& [port, target] : wanted) {
    if (auto found = open_.find(port); found != open_.end()) {
      auto& present = found->second;
      if (present.target.to.text() != target.to.text())
        present.listener->lead_to(target.to);
      present.target = target;
      continue;
    }
    if (auto opened = open(port, target))
      open_.emplace(port, entry{target, *opened});
    else
      problem(to_string(opened.error()));
  }
}

result<udp_listener*> udp_listeners::open(std::uint16_t port, const service_target& target) {
  auto fd = sockets_.bind({at_, port});
  if (!fd)
    return tl::unexpected(fd.error());
  return udp_listener::open(
    context_,
    {.socket = std::move(*fd), .via = relay::entry::listener, .target = target.to, .seed = seed_});
}

} // namespace marchproxy::relay
