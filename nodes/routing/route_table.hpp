// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/model/model.hpp"
#include "nodes/routing/balancer.hpp"
#include "nodes/routing/endpoint.hpp"
#include "nodes/routing/retry_budget.hpp"
#include "nodes/wire/http1.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace marchproxy::routing {

/// A route in force.
struct compiled_route {
  model::ingress_route definition;
  std::unique_ptr<balancer> backends;    ///< null when it redirects
  std::unique_ptr<retry_budget> retries; ///< there with backends
  /// Of the same host and path, to be asked when the conditions of this one do not hold.
  compiled_route* next = nullptr;
};

/// A backend whose service wants to be asked how it is.
struct checked_backend {
  std::shared_ptr<routing::endpoint> endpoint;
  model::health_check how;
  bool http = true;                                          ///< by a request; else by a connection
  model::proxy_header introduces = model::proxy_header::off; ///< see model::service
  std::optional<backend_tls> tls = {};

  bool operator==(const checked_backend&) const = default;
};

/// The ingress routes of one revision. Immutable; threads may share it freely.
class route_table {
public:
  /// @param known  keeps what is known of backends from one revision to the next
  /// @errors corrupt when a route leads to a service that is not at one address and port, or two
  /// claim the same place: what the manager refuses
  [[nodiscard]] static result<std::shared_ptr<const route_table>> build(const model::ruleset& rules,
                                                                        endpoints& known);
  route_table(const route_table&) = delete;
  route_table& operator=(const route_table&) = delete;

  struct port {
    std::uint16_t number = 0;
    model::route_protocol protocol = model::route_protocol::http;
    bool tls = false;      ///< the proxy is its clients' TLS server
    bool asks_who = false; ///< some route here wants client certificates

    bool operator==(const port&) const = default;
  };
  /// Ascending, each once.
  [[nodiscard]] const std::vector<port>& ports() const noexcept { return ports_; }
  /// One of them; null: no route has it.
  [[nodiscard]] const port* at(std::uint16_t number) const noexcept;

  /// The HTTP route for a request: the most specific host that has a route for the path, and of
  /// that host's the most specific path; of several there, the first whose conditions on headers
  /// hold, those with the most conditions first.
  /// @param path    without query; case counts
  /// @param fields  of the request
  [[nodiscard]] const compiled_route* find(std::uint16_t at_port,
                                           const wire::host& host,
                                           std::string_view path,
                                           const wire::field_list& fields) const;
  /// The TCP route of a port.
  [[nodiscard]] const compiled_route* tcp(std::uint16_t at_port) const;
  [[nodiscard]] const std::vector<std::unique_ptr<compiled_route>>& routes() const noexcept {
    return routes_;
  }

  /// Each endpoint once.
  [[nodiscard]] const std::vector<checked_backend>& checked() const noexcept { return checked_; }

private:
  route_table() = default;
  struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  template <class Value>
  using by_text = std::unordered_map<std::string, Value, text_hash, std::equal_to<>>;
  struct path_table {
    by_text<compiled_route*> exact;
    by_text<compiled_route*> prefixes;
    [[nodiscard]] const compiled_route* find(std::string_view path,
                                             const wire::field_list& fields) const;
  };
  struct host_table {
    by_text<path_table> exact;     ///< names and addresses
    by_text<path_table> wildcards; ///< by what is behind `*.`
    path_table any;
  };

  [[nodiscard]] result<void>
  add(const model::ruleset& rules, const model::ingress_route& route, endpoints& known);
  void check(const balancer::member& backend, const model::service& service, bool http);
  [[nodiscard]] result<void> place(compiled_route& route);
  [[nodiscard]] result<void> open(const model::ingress_route& route);

  std::vector<std::unique_ptr<compiled_route>> routes_;
  std::unordered_map<std::uint16_t, host_table> http_;
  std::unordered_map<std::uint16_t, const compiled_route*> tcp_;
  std::vector<port> ports_;
  std::vector<checked_backend> checked_;
};

} // namespace marchproxy::routing
