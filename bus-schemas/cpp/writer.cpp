// SPDX-License-Identifier: AGPL-3.0-only
#include "bus-schemas/cpp/writer.hpp"

namespace marchproxy::bus_schemas::detail {

void writer::separate() {
  if (comma_)
    out_ += ',';
  comma_ = true;
}

void writer::open(char bracket) {
  separate();
  out_ += bracket;
  comma_ = false;
}

void writer::close(char bracket) {
  out_ += bracket;
  comma_ = true;
}

void writer::key(std::string_view name) {
  separate();
  quote(name);
  out_ += ':';
  comma_ = false;
}

void writer::text(std::string_view value) {
  separate();
  quote(value);
}

void writer::value_text(std::string_view value) {
  separate();
  out_ += value;
}

void writer::quote(std::string_view value) {
  constexpr std::string_view hex = "0123456789abcdef";
  out_ += '"';
  for (const char c : value) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out_ += '\\';
      out_ += c;
    } else if (code < 0x20) {
      out_ += "\\u00";
      out_ += hex[code >> 4U];
      out_ += hex[code & 15U];
    } else {
      out_ += c;
    }
  }
  out_ += '"';
}

} // namespace marchproxy::bus_schemas::detail
