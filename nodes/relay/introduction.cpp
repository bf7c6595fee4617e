// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/introduction.hpp"

#include "nodes/wire/proxy_protocol.hpp"

#include <optional>

namespace marchproxy::relay {

namespace {

namespace pp = wire::proxy_protocol;

std::optional<pp::version> version_of(model::proxy_header as) noexcept {
  switch (as) {
  case model::proxy_header::off:
    return std::nullopt;
  case model::proxy_header::v1:
    return pp::version::v1;
  case model::proxy_header::v2:
    return pp::version::v2;
  }
  return std::nullopt;
}

} // namespace

std::string
introduction_of(model::proxy_header as, const net::endpoint& client, const net::endpoint& at) {
  const auto version = version_of(as);
  return version ? pp::write(*version, {client.address, client.port, at.address, at.port})
                 : std::string{};
}

std::string introduction_of_nobody(model::proxy_header as) {
  const auto version = version_of(as);
  return version ? pp::write_for_nobody(*version) : std::string{};
}

} // namespace marchproxy::relay
