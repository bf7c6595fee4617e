// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/socket_broker.hpp"

#include <utility>

namespace marchproxy::net {

namespace {

std::shared_ptr<socket_broker>& the_broker() noexcept {
  static std::shared_ptr<socket_broker> one;
  return one;
}

} // namespace

void use_socket_broker(std::shared_ptr<socket_broker> broker) noexcept {
  the_broker() = std::move(broker);
}

socket_broker* broker_of_sockets() noexcept {
  return the_broker().get();
}

} // namespace marchproxy::net
