// SPDX-License-Identifier: AGPL-3.0-only
// For the generated encoders only.
#pragma once

#include "bus-schemas/cpp/event.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace marchproxy::bus_schemas::detail {

/// Appends JSON. Strings must be UTF-8; structure is the caller's.
class writer {
public:
  void open(char bracket);
  void close(char bracket);
  void key(std::string_view name);
  void text(std::string_view value);
  void number(std::uint64_t value) { value_text(std::to_string(value)); }
  void number(std::int64_t value) { value_text(std::to_string(value)); }
  void boolean(bool value) { value_text(value ? "true" : "false"); }
  void raw(const raw_json& value) { value_text(value.text); }

  template <class Items, class Write>
  void array(const Items& items, Write write) {
    open('[');
    for (const auto& item : items)
      write(*this, item);
    close(']');
  }

  template <class Items, class Write>
  void map(const Items& items, Write write) {
    open('{');
    for (const auto& [name, item] : items) {
      key(name);
      write(*this, item);
    }
    close('}');
  }

  [[nodiscard]] std::string take() { return std::move(out_); }

private:
  void separate();
  void quote(std::string_view value);
  void value_text(std::string_view value);

  std::string out_;
  bool comma_ = false; ///< the next value at this place follows another one
};

} // namespace marchproxy::bus_schemas::detail
