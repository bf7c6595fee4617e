// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "bus-schemas/messages.hpp"

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>

namespace spdlog {
class logger;
} // namespace spdlog

namespace marchproxy::serving {

/// A file of decision lines (docs/decisions.md) that grows to 64 MiB and is then set aside as
/// `<name>.1<ending>`, .2, of which five are kept. Each line is in the file when write() returns.
///
/// Threads: write() from one at a time, errors() from any.
class decision_log {
public:
  static constexpr std::size_t max_bytes = std::size_t{64} * 1024 * 1024;
  static constexpr std::size_t kept = 5;

  /// @errors unavailable when the file cannot be opened
  [[nodiscard]] static result<std::unique_ptr<decision_log>>
  open(const std::filesystem::path& path);

  void write(const bus_schemas::flow_verdict& v);
  /// Lines that could not be written.
  [[nodiscard]] std::uint64_t errors() const noexcept {
    return errors_.load(std::memory_order_relaxed);
  }

private:
  decision_log() = default;

  std::atomic<std::uint64_t> errors_{0};
  std::shared_ptr<spdlog::logger> file_;
};

} // namespace marchproxy::serving
