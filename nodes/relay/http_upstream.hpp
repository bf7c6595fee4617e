// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/context.hpp"

#include <memory>
#include <optional>
#include <string>

namespace marchproxy::relay {

/// The connection that the requests of one client's connection go over, one after the other.
class http_upstream {
public:
  http_upstream(context& c, stream::owner& owner, const ip_address& client) noexcept
    : context_(c), owner_(owner), client_(client) {}

  /// Null: there is none.
  [[nodiscard]] stream* link() const noexcept { return at_.link.get(); }
  [[nodiscard]] const ip_address& address() const noexcept { return at_.address; }

  /// Takes a connection that was made for @p target by the verdict @p j, instead of the one at
  /// hand.
  void connected(std::unique_ptr<stream> link,
                 const wire::host_port& target,
                 const ip_address& address,
                 const judgement& j,
                 std::shared_ptr<const routing::backend_tls> tls = {});
  /// Turns to a connection that goes to @p target already, if one is there and the policy in force
  /// lets it be used for @p q.
  /// @param may_repeat  the request can be sent again if the connection turns out to be closed:
  /// only
  ///                    then is one used that waited for nobody in particular
  /// @param tls         how it must have been secured; null: not at all
  /// @return            the verdict
  [[nodiscard]] std::optional<judgement> reuse(const question& q,
                                               const wire::host_port& target,
                                               bool may_repeat,
                                               const routing::backend_tls* tls);
  /// The origin authenticated the connection, not a request: it stays with this client's
  /// connection.
  void make_personal() noexcept { personal_ = true; }
  [[nodiscard]] bool is_personal() const noexcept { return personal_ && at_.link; }
  /// Closes it if the origin did, or speaks unasked.
  void drop_unless_quiet();
  void drop();
  /// Leaves it to the client's next connection, if it is fit for that.
  void park();
  [[nodiscard]] std::unique_ptr<stream> release() noexcept { return std::move(at_.link); }

private:
  context& context_;
  stream::owner& owner_;
  ip_address client_;
  parked_upstream at_;
  bool personal_ = false;
};

} // namespace marchproxy::relay
