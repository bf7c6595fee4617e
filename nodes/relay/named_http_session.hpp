// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/forward_session.hpp"

#include <optional>

namespace marchproxy::relay {

/// A transparent client that speaks plain HTTP, where only a name could allow it
/// (docs/adr/0005-server-names.md): each request is judged by the name in its Host and forwarded to
/// an address that our own resolver has for that name, so no later request goes where an earlier
/// one was allowed to.
class named_http_session final : public forward_session {
public:
  /// @param meant  the address and port that the client connected to
  /// @param flow   begun when it did; the first request's
  named_http_session(context& c,
                     std::unique_ptr<stream> client,
                     const net::endpoint& peer,
                     buffer first,
                     const wire::host_port& meant,
                     decision_record flow);
  named_http_session(const named_http_session&) = delete;
  named_http_session& operator=(const named_http_session&) = delete;
  ~named_http_session() override;

private:
  void on_head(std::size_t size) override;
  void find_way() override;
  [[nodiscard]] entry came_by() const noexcept override { return entry::transparent; }
  [[nodiscard]] decision_record new_record(entry via) override;
  /// What comes back from a rest is a client of the explicit proxy.
  [[nodiscard]] bool may_rest() const noexcept override { return false; }

  wire::host_port meant_;
  std::optional<decision_record> first_; ///< until there is a request
};

} // namespace marchproxy::relay
