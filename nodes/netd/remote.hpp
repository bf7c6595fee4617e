// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/local_channel.hpp"
#include "nodes/netd/messages.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <optional>

namespace marchproxy::netd {

/// A channel to netd. Any thread; one request at a time.
class remote {
public:
  /// Waits for netd's hello.
  /// @errors unavailable when it ends or says nothing; unsupported when it is of another version
  [[nodiscard]] static result<std::shared_ptr<remote>> meet(net::local_channel channel);

  using take = std::function<void(const given&, net::unique_fd)>;
  /// Asks and waits.
  /// @param descriptor  goes with the request; -1: none
  /// @param to          is given the descriptors that come
  /// @errors netd's; unavailable when it has ended, and from then on always
  [[nodiscard]] result<done> ask(const request& r, int descriptor = -1, const take& to = {});
  /// Asks for one descriptor.
  [[nodiscard]] result<net::unique_fd> ask_for_one(const request& r, int descriptor = -1);

private:
  explicit remote(net::local_channel channel) : channel_(std::move(channel)) {}
  [[nodiscard]] result<done> hear(const take& to);

  std::mutex lock_;
  std::optional<net::local_channel>
    channel_; ///< none: it has ended, or what it says makes no sense
};

} // namespace marchproxy::netd
