// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "nodes/net/local_channel.hpp"

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace marchproxy::serving {

/// How a proxy takes the place of one that runs (docs/upgrade.md): the new process asks on a socket
/// in the state directory, gets the listening sockets, says when it serves, and hears when the rest
/// (ports of its own, its place on the bus) is free.

/// The process that serves, as the new one sees it.
class predecessor {
public:
  /// @return null when there is none
  /// @errors refused when it is a proxy of another kind, or does not let go; unavailable
  [[nodiscard]] static result<std::unique_ptr<predecessor>>
  find(const std::filesystem::path& state_directory, const std::string& component);

  /// Listening sockets, as relay_server::start takes them. Once.
  [[nodiscard]] std::vector<net::unique_fd> take_sockets() { return std::move(sockets_); }
  /// Says that this process serves, and waits until the other has let go of everything else; it may
  /// have ended instead.
  void succeed();

private:
  explicit predecessor(net::local_channel channel) : channel_(std::move(channel)) {}
  [[nodiscard]] result<void> ask(const std::string& component);

  net::local_channel channel_;
  std::vector<net::unique_fd> sockets_;
};

/// Where the next process asks.
class successor_door {
public:
  struct plan {
    std::filesystem::path state_directory;
    std::string component;
    std::function<std::vector<net::unique_fd>()> sockets; ///< called in the door's thread
    std::function<void()> on_taken; ///< the next process serves; called in the door's thread
  };
  /// @errors as net::local_listener::open
  [[nodiscard]] static result<std::unique_ptr<successor_door>> open(plan p);
  successor_door(const successor_door&) = delete;
  successor_door& operator=(const successor_door&) = delete;
  ~successor_door();

  /// True once the next process serves. Any thread.
  [[nodiscard]] bool taken() const noexcept { return taken_.load(std::memory_order_acquire); }
  /// Tells it that everything else is free. After taken().
  void release();

private:
  successor_door(plan p, net::local_listener listener);
  void serve(const std::stop_token& stop);
  /// @return whether it took over
  [[nodiscard]] bool hand_over(const std::stop_token& stop, net::local_channel& to);

  plan plan_;
  net::local_listener listener_;
  std::atomic<bool> taken_{false};
  std::optional<net::local_channel> next_; ///< set before taken_
  std::jthread thread_;
};

} // namespace marchproxy::serving
