// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "nodes/relay/decision.hpp"

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace spdlog {
class logger;
} // namespace spdlog

namespace marchproxy::egress {

/// One flow as a line of JSON, without line feed. Fields: docs/decisions.md.
[[nodiscard]] std::string to_json_line(const relay::decision_record& r, std::string_view proxy);

/// A file of decision lines that grows to 64 MiB and is then set aside as `<name>.1<ending>`, .2,
/// of which five are kept. Each line is in the file when write() returns.
///
/// Threads: write() from one at a time, errors() from any.
class decision_log {
public:
  static constexpr std::size_t max_bytes = std::size_t{64} * 1024 * 1024;
  static constexpr std::size_t kept = 5;

  /// @errors unavailable when the file cannot be opened
  [[nodiscard]] static result<std::unique_ptr<decision_log>> open(const std::filesystem::path& path,
                                                                  std::string proxy);

  void write(const relay::decision_record& r);
  /// Lines that could not be written.
  [[nodiscard]] std::uint64_t errors() const noexcept {
    return errors_.load(std::memory_order_relaxed);
  }

private:
  explicit decision_log(std::string proxy) : proxy_(std::move(proxy)) {}

  std::string proxy_;
  std::atomic<std::uint64_t> errors_{0};
  std::shared_ptr<spdlog::logger> file_;
};

} // namespace marchproxy::egress
