// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/bus/message.hpp"
#include "actors/bus/nkey.hpp"

#include <nats/nats.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace marchproxy::bus {

/// What a session tells its owner, from threads of nats.c. The functions must not block and must
/// not call the session.
struct session_events {
  std::function<void()> lost; ///< once, when the link is gone
  std::function<void(const std::string&)>
    said; ///< the server objects to something, such as a publish
};

struct session_options {
  std::vector<std::string> urls;
  std::string name;
  std::string jwt;
  nkey user;
  std::chrono::milliseconds connect_timeout;
};

struct subscription_options {
  /// Messages that may wait for the handler; more are dropped and counted (core NATS delivers at
  /// most once).
  int queue_limit = 65'536;
};

using message_handler = std::function<void(message)>;

/// One nats.c connection from its opening to its loss, wrapped once: the only file pair that calls
/// nats.c. It never reconnects; actors/bus/connection.hpp makes a new session. Thread-safe.
class session {
public:
  /// Blocks for at most the connect timeout a server.
  /// @errors unauthenticated, timeout, unavailable
  [[nodiscard]] static result<std::shared_ptr<session>> open(session_options options,
                                                             session_events events);
  session(const session&) = delete;
  session& operator=(const session&) = delete;
  session(session&&) = delete;
  session& operator=(session&&) = delete;
  ~session();

  /// @errors unavailable if the link is gone; too_large; invalid_argument for a malformed subject
  [[nodiscard]] result<void> publish(const message& m);
  /// @param handler  runs on a thread of nats.c that it shares with others; must not block
  [[nodiscard]] result<std::uint64_t>
  subscribe(const std::string& subject, message_handler handler, subscription_options options);
  void unsubscribe(std::uint64_t id);
  [[nodiscard]] std::uint64_t dropped(std::uint64_t id) const;
  /// Waits until the server has seen everything before.
  [[nodiscard]] result<void> flush(std::chrono::milliseconds timeout);

  /// Ends the link and returns once no callback of the connection can run any more.
  void close();
  /// Why the link was lost; empty while it is up or if we closed it.
  [[nodiscard]] std::string loss_reason() const;

private:
  session(session_options options, session_events events);

  static natsStatus jwt_callback(char** jwt, char** error, void* closure);
  static natsStatus sign_callback(
    char** error, unsigned char** signature, int* size, const char* nonce, void* closure);
  static void closed_callback(natsConnection* connection, void* closure);
  static void
  error_callback(natsConnection* connection, natsSubscription*, natsStatus status, void* closure);

  struct free_subscription {
    void operator()(natsSubscription* subscription) const noexcept {
      natsSubscription_Destroy(subscription);
    }
  };
  struct entry {
    std::uint64_t id;
    std::unique_ptr<natsSubscription, free_subscription> subscription;
  };

  session_options options_;
  session_events events_;
  natsConnection* connection_ = nullptr;
  std::atomic<bool> unsendable_signature_{false}; ///< of the latest attempt to log in
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<entry> subscriptions_;
  std::uint64_t next_id_ = 0;
  bool closed_ = false;
  std::string reason_;
};

} // namespace marchproxy::bus
