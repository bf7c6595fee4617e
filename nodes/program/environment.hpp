// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/crypto/secret.hpp"

#include <charconv>
#include <concepts>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace marchproxy::program {

using variables = std::map<std::string, std::string>;

/// Of this process.
[[nodiscard]] variables own_variables();

/// Reads variables into settings and collects what is wrong with them. One that is unset or empty
/// leaves its setting, which is the default, as it is.
class environment {
public:
  explicit environment(const variables& all) : all_(all) {}

  void text(const char* name, std::string& out) const;
  void secret(const char* name, crypto::secret& out) const;
  /// Of items between commas; replaces the default.
  void list(const char* name, std::vector<std::string>& out) const;
  void address(const char* name, std::string& out);
  /// LOG_LEVEL.
  void log_level(std::string& out);
  template <std::unsigned_integral Number>
  void number(const char* name, Number& out, Number most) {
    std::string value;
    text(name, value);
    if (value.empty())
      return;
    Number read = 0;
    auto [at, ec] = std::from_chars(value.data(), value.data() + value.size(), read);
    if (ec != std::errc{} || at != value.data() + value.size() || read > most)
      wrong(name, "must be a number, 0 to " + std::to_string(most));
    else
      out = read;
  }
  void port(const char* name, std::uint16_t& out) { number<std::uint16_t>(name, out, 65535); }

  void wrong(const char* name, std::string why) { errors_.push_back({name, std::move(why)}); }
  /// @errors invalid_argument naming each variable that is wrong
  [[nodiscard]] result<void> check() const;

private:
  const variables& all_;
  std::vector<field_error> errors_;
};

} // namespace marchproxy::program
