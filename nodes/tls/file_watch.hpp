// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "nodes/tls/openssl.hpp"

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace marchproxy::tls {

/// Says when files in some directories may have changed, in a thread of its own: by inotify, and
/// every minute for file systems that tell nothing.
class file_watch {
public:
  static constexpr std::chrono::milliseconds settle{100}; ///< without a change before it is told
  static constexpr std::chrono::milliseconds look_anyway{60'000};

  /// @param changed  may block; called in the watch's thread
  /// @errors unavailable when the kernel has no watches left, or a directory is none
  [[nodiscard]] static result<std::unique_ptr<file_watch>>
  start(const std::vector<std::filesystem::path>& directories, std::function<void()> changed);
  file_watch(const file_watch&) = delete;
  file_watch& operator=(const file_watch&) = delete;
  /// Waits for a call that is under way.
  ~file_watch();

private:
  file_watch(file_ptr events, file_ptr stop, std::function<void()> changed);
  void watch();

  file_ptr events_; ///< inotify
  file_ptr stop_;   ///< eventfd
  std::function<void()> changed_;
  std::thread thread_;
};

} // namespace marchproxy::tls
