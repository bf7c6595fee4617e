// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/event_loop.hpp"

#include <functional>

namespace marchproxy::net {

/// Accepts connections on one socket, some at a time, and hands them on.
class listener final : public io_handler {
public:
  using take = std::function<void(accepted)>;

  /// @errors as event_loop::add
  [[nodiscard]] static result<std::unique_ptr<listener>>
  open(event_loop& loop, unique_fd fd, take t);
  listener(const listener&) = delete;
  listener& operator=(const listener&) = delete;
  /// Takes what waits in the queue first: a connection that the kernel has accepted is not dropped.
  ~listener();

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

  void on_io(std::uint32_t events) override;

private:
  listener(event_loop& loop, unique_fd fd, take t);
  /// @return false when nothing waits any more
  [[nodiscard]] bool accept_one();

  event_loop& loop_;
  unique_fd fd_;
  unique_fd
    spare_; ///< given up for a moment when descriptors run out, so that the queue can be emptied
  take take_;
};

} // namespace marchproxy::net
