// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/wire/http1_writer.hpp"

#include "nodes/wire/http1_bytes.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace marchproxy::wire {

namespace {

template <class Number>
void append_number(std::string& out, Number value, int base) {
  std::array<char, 24> digits{};
  auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, base).ptr;
  out.append(digits.data(), end);
}

} // namespace

void head_writer::text(std::string_view value) {
  auto at = out_.size();
  out_ += value;
  std::replace_if(
    out_.begin() + static_cast<std::ptrdiff_t>(at), out_.end(),
    [](char c) { return !is_a(c, byte_class::field_text); }, ' ');
}

head_writer& head_writer::request_line(std::string_view method, std::string_view target) {
  text(method);
  out_ += ' ';
  text(target);
  out_ += " HTTP/1.1\r\n";
  return *this;
}

head_writer& head_writer::status_line(std::uint16_t status) {
  return status_line(status, reason_phrase(status));
}

head_writer& head_writer::status_line(std::uint16_t status, std::string_view reason) {
  out_ += "HTTP/1.1 ";
  append_number(out_, status, 10);
  out_ += ' ';
  text(reason);
  out_ += "\r\n";
  return *this;
}

head_writer& head_writer::field(std::string_view name, std::string_view value) {
  text(name);
  out_ += ": ";
  text(value);
  out_ += "\r\n";
  return *this;
}

head_writer& head_writer::field(std::string_view name, std::uint64_t value) {
  text(name);
  out_ += ": ";
  append_number(out_, value, 10);
  out_ += "\r\n";
  return *this;
}

void head_writer::end() {
  out_ += "\r\n";
}

void write_chunk_size(std::string& out, std::size_t size) {
  append_number(out, size, 16);
  out += "\r\n";
}

void write_last_chunk(std::string& out) {
  out += "0\r\n\r\n";
}

std::string_view reason_phrase(std::uint16_t status) noexcept {
  using row = std::pair<std::uint16_t, std::string_view>;
  static constexpr std::array<row, 38> rows = {{
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
  }};
  auto found = std::lower_bound(rows.begin(), rows.end(), status,
                                [](const row& r, std::uint16_t s) { return r.first < s; });
  return found != rows.end() && found->first == status ? found->second : "Unknown";
}

} // namespace marchproxy::wire
