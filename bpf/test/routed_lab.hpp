// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// Servers behind the router of netns_lab, the policy about them, and a client that dials.

#include "bpf/test/live_sockets.hpp"
#include "bpf/test/netns_lab.hpp"
#include "bpf/test/tier_fixture.hpp"

#include <array>
#include <string_view>

namespace marchproxy::tier_ebpf::testing {

/// What the server offers, in one family: two TCP ports and a UDP port.
struct offers {
  const char* server = nullptr;
  const char* client_net = nullptr;
  descriptor open;
  descriptor closed; ///< listens too; the policy refuses it
  descriptor datagrams;
};

struct routed_lab : netns_lab {
  routed_lab() {
    v4 = {netns_lab::server4, "10.9.1.0/24", {}, {}, {}};
    v6 = {netns_lab::server6, "2001:db8:91::/64", {}, {}, {}};
    inside(server, [&] {
      for (auto* o : both()) {
        o->open = open_server(o->server, SOCK_STREAM);
        o->closed = open_server(o->server, SOCK_STREAM);
        o->datagrams = open_server(o->server, SOCK_DGRAM);
      }
    });
  }

  [[nodiscard]] std::array<offers*, 2> both() { return {&v4, &v6}; }

  /// The open TCP port and the UDP port may be reached, or be refused; everything else has no rule.
  book policy_of(std::uint64_t revision,
                 model::mapping_action action = model::mapping_action::allow) {
    book b{revision};
    for (auto* o : both()) {
      auto open = port_of(o->open);
      auto datagrams = port_of(o->datagrams);
      auto& tcp = b.map(o->client_net, o->server, action);
      tcp.protocols = static_cast<model::protocol_set>(model::protocol::tcp);
      tcp.ports = model::port_set{{{open, open}}};
      auto& udp = b.map(o->client_net, o->server, action);
      udp.protocols = static_cast<model::protocol_set>(model::protocol::udp);
      udp.ports = model::port_set{{{datagrams, datagrams}}};
    }
    return b;
  }

  descriptor dial_from_client(
    std::string_view to, std::uint16_t port, int type, milliseconds limit, int* problem = nullptr) {
    descriptor out;
    inside(client, [&] { out = dial(to, port, type, limit, problem); });
    return out;
  }

  bool reaches(const offers& o, const descriptor& listener, milliseconds limit) {
    return static_cast<bool>(dial_from_client(o.server, port_of(listener), SOCK_STREAM, limit));
  }

  offers v4;
  offers v6;
};

} // namespace marchproxy::tier_ebpf::testing
