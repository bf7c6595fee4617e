// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/bus/message.hpp"
#include "actors/bus/nkey.hpp"
#include "actors/bus/reply_table.hpp"
#include "actors/bus/session.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace marchproxy::bus {

/// The state of a link to the bus.
struct link_state {
  bool up = false;
  error why = {errc::unavailable, "not connected yet", {}}; ///< while down
};

struct connection_options {
  std::vector<std::string> urls; ///< nats://host:port, any of them
  std::string name;              ///< shows in the server's log
  nkey user;
  /// Asked at each attempt to connect, so that a renewed JWT counts from the next one on.
  std::function<std::string()> jwt;
  /// Each change of state and each failed attempt. From threads of this room; must not block nor
  /// call the connection.
  std::function<void(const link_state&)> on_link = {};
  /// The server's objections while the link is up: a publish or subscribe that the role forbids.
  std::function<void(const std::string&)> on_objection = {};
  std::chrono::milliseconds connect_timeout{2000};
  std::chrono::milliseconds first_retry{50}; ///< doubled at each failure, with jitter
  std::chrono::milliseconds last_retry{2000};
};

using reply_handler = std::function<void(result<message>)>;
struct subscription_id {
  std::uint64_t value = 0;
  auto operator<=>(const subscription_id&) const = default;
};

/// A link to the bus that is rebuilt for as long as the object lives: new server addresses, renewed
/// JWTs and even two refused logins (after which nats.c itself would give up) are all the same to
/// its users. Subscriptions carry over. Nothing is buffered while the link is down: operations fail
/// with `unavailable`. Thread-safe.
class connection {
public:
  /// @errors invalid_argument without an address or a source of JWTs
  [[nodiscard]] static result<void> check(const connection_options& options);
  /// Begins to connect. @errors as check()
  [[nodiscard]] static result<std::unique_ptr<connection>> open(connection_options options);
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  connection(connection&&) = delete;
  connection& operator=(connection&&) = delete;
  /// As close().
  ~connection();

  [[nodiscard]] bool up() const;
  /// @errors unauthenticated as soon as a server refuses the login; else the last reason once @p
  /// timeout has passed.
  ///         Either way the attempts go on.
  [[nodiscard]] result<void> wait_until_up(std::chrono::milliseconds timeout);

  [[nodiscard]] result<void> publish(const message& m);
  /// Blocks. Not from a message handler: it shares the thread that would deliver the answer.
  /// @errors unavailable: no link, or nobody listens on the subject; timeout: no answer, the
  /// outcome is not known
  [[nodiscard]] result<message> request(message m, std::chrono::milliseconds timeout);
  /// Calls @p handler exactly once, unless this returns an error: with the reply or what request()
  /// would return.
  [[nodiscard]] result<void>
  request_async(message m, std::chrono::milliseconds timeout, reply_handler handler);

  /// Lasts until unsubscribe(), over any number of links. Made while the link is down it begins
  /// with the next.
  /// @param handler  must not block; the calls for one subscription come in order, one at a time
  /// @errors invalid_argument for a malformed subject
  [[nodiscard]] result<subscription_id>
  subscribe(std::string subject, message_handler handler, subscription_options options = {});
  /// A last call of the handler may still be running when this returns.
  void unsubscribe(subscription_id id);
  /// Messages that the current link dropped because the handler lagged behind.
  [[nodiscard]] std::uint64_t dropped(subscription_id id) const;

  /// Waits until the server has seen all that was published and subscribed before.
  [[nodiscard]] result<void> flush(std::chrono::milliseconds timeout);
  /// Drops the link; the next one asks for the JWT anew.
  void reconnect();
  /// Ends the link and the attempts; for the owner only. Blocks while an attempt to connect is
  /// under way, for its timeout at most.
  void close();
  /// `_INBOX.<user's public key>`: what roles may subscribe below.
  [[nodiscard]] const std::string& inbox() const noexcept { return inbox_; }

private:
  explicit connection(connection_options options);

  struct subscription {
    std::string subject;
    message_handler handler;
    subscription_options options;
    std::uint64_t in_session = 0;
  };

  void keep();
  [[nodiscard]] result<std::shared_ptr<session>> open_session();
  void serve(const std::shared_ptr<session>& link);
  void announce(link_state state);
  [[nodiscard]] std::shared_ptr<session> current() const;

  const connection_options options_;
  const std::string inbox_;
  const std::string reply_prefix_; ///< below inbox_, with a nonce
  const std::shared_ptr<reply_table> replies_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<session> session_; ///< set while the link is up
  std::map<subscription_id, subscription> subscriptions_;
  std::uint64_t next_subscription_ = 0;
  link_state state_;
  bool attempted_ = false; ///< state_.why comes from an attempt
  bool lost_ = false;      ///< the current session has ended, or shall end
  bool stopping_ = false;
  std::thread keeper_;
};

} // namespace marchproxy::bus
