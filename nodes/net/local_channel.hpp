// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/socket.hpp"

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace marchproxy::net {

/// Two processes of one user on one machine, exchanging short messages, each with a descriptor if
/// need be (AF_UNIX, SOCK_SEQPACKET). Blocking, with a deadline for each call.
class local_channel {
public:
  static constexpr std::size_t max_message = 4096;
  struct message {
    std::string text;
    unique_fd descriptor; ///< none: none came
  };

  explicit local_channel(unique_fd fd) noexcept : fd_(std::move(fd)) {}
  /// @errors not_found when nobody listens there; forbidden when that is another user's process;
  /// unavailable otherwise
  [[nodiscard]] static result<local_channel> connect(const std::filesystem::path& path);

  /// @param descriptor  -1: none; it stays the caller's
  /// @errors unavailable, also when the other side is gone
  [[nodiscard]] result<void> send(std::string_view text, int descriptor = -1);
  /// @errors timeout; unavailable, also when the other side is gone; too_large
  [[nodiscard]] result<message> receive(std::chrono::milliseconds patience);

private:
  unique_fd fd_;
};

/// Where such channels come in. The path is removed when it goes, unless another has taken it.
class local_listener {
public:
  /// Takes the place of whoever listened there before; only this user can connect.
  /// @errors invalid_argument when the path is too long for a socket; unavailable otherwise
  [[nodiscard]] static result<local_listener> open(const std::filesystem::path& path);
  local_listener(local_listener&&) noexcept = default;
  local_listener& operator=(local_listener&&) = delete;
  local_listener(const local_listener&) = delete;
  local_listener& operator=(const local_listener&) = delete;
  ~local_listener();

  /// Waits for one; nullopt when none came in time. Those of other users are turned away.
  [[nodiscard]] std::optional<local_channel> accept(std::chrono::milliseconds patience);

private:
  local_listener(unique_fd fd, std::filesystem::path path, std::uint64_t inode)
    : fd_(std::move(fd)), path_(std::move(path)), inode_(inode) {}

  unique_fd fd_;
  std::filesystem::path path_;
  std::uint64_t inode_; ///< of the path, by which it is known
};

} // namespace marchproxy::net
