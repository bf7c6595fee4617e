// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/dns/counters.hpp"
#include "nodes/dns/inquiry.hpp"
#include "nodes/dns/known_clients.hpp"
#include "nodes/net/lease_store.hpp"

#include <memory>
#include <vector>

namespace marchproxy::dns {

struct server_options {
  std::vector<net::endpoint> listen; ///< UDP and TCP; port 0: the kernel picks one
  upstream to;
  known_clients::policy_in_force policy;  ///< called in the server's thread
  std::shared_ptr<net::lease_store> told; ///< what clients were told goes there
  std::shared_ptr<counters> counts;       ///< of this server only
  std::size_t most_questions = 1000;      ///< under way at a time; a descriptor each
  std::size_t most_of_source = 100;       ///< questions and TCP connections of one source, which
                                          ///< of IPv6 is a /64
  std::size_t most_connections = 256;
};

/// Answers clients' DNS questions with what name servers say, but for the parameter `ech`
/// (wire::ech_stripper), so that they don't encrypt the server names that the relay has to see.
/// Clients that the policy doesn't know are refused. Nothing is kept to answer from. One thread.
class server {
public:
  /// Listens and serves until destroyed.
  /// @errors those of net::bind_udp and net::listen_tcp; invalid_argument without name servers
  [[nodiscard]] static result<std::unique_ptr<server>> start(server_options options);
  server(const server&) = delete;
  server& operator=(const server&) = delete;
  /// Questions under way are dropped; clients ask again.
  ~server();

  /// Where it listens, in the options' order.
  [[nodiscard]] const std::vector<net::endpoint>& local() const noexcept;

private:
  class engine;
  explicit server(std::unique_ptr<engine> made);
  std::unique_ptr<engine> engine_;
};

} // namespace marchproxy::dns
