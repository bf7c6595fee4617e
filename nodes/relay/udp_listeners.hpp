// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/service_listeners.hpp"
#include "nodes/relay/udp_listener.hpp"

#include <map>

namespace marchproxy::relay {

/// The UDP listeners of services in one worker, which follow the revision in force. They themselves
/// are the context's, as other connections are.
class udp_listeners {
public:
  /// @param seed  as udp_listener::plan
  udp_listeners(context& c, socket_source& sockets, const ip_address& at, std::uint64_t seed)
    : context_(c), sockets_(sockets), at_(at), seed_(seed) {}

  /// Opens what is missing, closes what is not wanted any more and leaves the rest alone.
  void follow(const std::map<std::uint16_t, service_target>& wanted, const problem_sink& problem);
  /// Leaves them to themselves: they are told to drain.
  void let_go() noexcept { open_.clear(); }
  /// Calls @p visit with each socket.
  template <class Visit>
  void for_each_socket(Visit visit) const {
    for (const auto& [port, each] : open_)
      visit(each.listener->fd());
  }

private:
  struct entry {
    service_target target;
    udp_listener* listener;
  };
  [[nodiscard]] result<udp_listener*> open(std::uint16_t port, const service_target& target);

  context& context_;
  socket_source& sockets_;
  ip_address at_;
  std::uint64_t seed_;
  std::map<std::uint16_t, entry> open_;
};

} // namespace marchproxy::relay
