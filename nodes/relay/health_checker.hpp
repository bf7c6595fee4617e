// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/event_loop.hpp"
#include "nodes/net/resolver.hpp"
#include "nodes/relay/stream.hpp"
#include "nodes/routing/route_table.hpp"
#include "nodes/tls/connector.hpp"

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace marchproxy::relay {

/// Asks the backends of ingress routes how they are, each at its service's interval (POL-5): those
/// of HTTP routes by a GET that is answered with 2xx or 3xx, the others by a connection. What comes
/// out is the endpoint's, so all workers see it; one worker asks. Belongs to its loop's thread.
class health_checker {
public:
  static constexpr std::chrono::milliseconds patience{5'000}; ///< for one answer

  /// @param connector  for backends with TLS; null: there are none
  health_checker(net::event_loop& loop, net::resolver& resolver, const tls::connector* connector)
    : loop_(loop), resolver_(resolver), connector_(connector), random_(std::random_device{}()) {}
  health_checker(const health_checker&) = delete;
  health_checker& operator=(const health_checker&) = delete;
  ~health_checker() = default;

  /// From now on: the backends of these routes whose services want it. Who is asked already in the
  /// same way goes on; who is asked no more counts as up. @param routes  null: nobody
  void follow(const routing::route_table* routes);
  /// At the end of a turn: frees what was closed in its own callback.
  void bury() noexcept { dead_.clear(); }

private:
  class probe final : public stream::owner {
  public:
    probe(health_checker& of, const routing::checked_backend& what);
    probe(const probe&) = delete;
    probe& operator=(const probe&) = delete;
    ~probe();
    void on_ready() override;
    [[nodiscard]] bool asks_as(const routing::checked_backend& other) const noexcept {
      return other == what_;
    }

  private:
    void begin();
    void connect(const ip_address& address);
    void finish(bool well);
    /// Each @return true when what comes next can be done at once.
    [[nodiscard]] bool secure();
    [[nodiscard]] bool ask();

    health_checker& of_;
    const routing::checked_backend what_;
    std::uint32_t streak_ = 0; ///< answers that say the other of what the endpoint says
    bool connected_ = false;
    bool secured_ = false; ///< or need not be
    bool asked_ = false;   ///< the request is out
    std::string answer_;
    net::resolution resolution_;
    std::unique_ptr<stream> link_;
    net::timer next_;
    net::timer deadline_;
  };

  net::event_loop& loop_;
  net::resolver& resolver_;
  const tls::connector* connector_;
  std::minstd_rand random_;
  std::map<const routing::endpoint*, std::unique_ptr<probe>> probes_;
  std::vector<std::unique_ptr<stream>> dead_;
};

} // namespace marchproxy::relay
