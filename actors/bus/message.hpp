// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::bus {

struct message_header {
  std::string name;
  std::string value;

  bool operator==(const message_header&) const = default;
};

/// A message to or from the bus.
struct message {
  std::string subject;
  std::string data = {};
  std::string reply = {}; ///< where an answer goes; empty if none is wanted
  std::vector<message_header> headers = {};
  /// The server's own word in place of a message (header Status): 404 nothing there, 408 the pull
  /// request ended, 503 nobody listens. 0 for what users send.
  int status = 0;

  bool operator==(const message&) const = default;
};

/// The value of header @p name (case matters, as in NATS); empty if it is missing.
[[nodiscard]] std::string_view find_header(const message& m, std::string_view name) noexcept;

} // namespace marchproxy::bus
