// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace marchproxy::wire {

/// Appends a message head to a text that its owner reuses. Nothing that is passed in can end a
/// line: control bytes become spaces.
class head_writer {
public:
  explicit head_writer(std::string& out) noexcept : out_(out) {}

  head_writer& request_line(std::string_view method, std::string_view target);
  /// With the usual reason phrase.
  head_writer& status_line(std::uint16_t status);
  head_writer& status_line(std::uint16_t status, std::string_view reason);
  head_writer& field(std::string_view name, std::string_view value);
  head_writer& field(std::string_view name, std::uint64_t value);
  /// The empty line.
  void end();

private:
  void text(std::string_view value);
  std::string& out_;
};

/// `1a2b CRLF`. The data and another CRLF follow; a size of 0 is written with write_last_chunk().
void write_chunk_size(std::string& out, std::size_t size);
void write_last_chunk(std::string& out);

/// `Not Found` for 404; `Unknown` for statuses that have none.
[[nodiscard]] std::string_view reason_phrase(std::uint16_t status) noexcept;

} // namespace marchproxy::wire
