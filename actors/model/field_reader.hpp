// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::model {

/// Takes the fields of one JSON object one by one and collects everything that is wrong with them,
/// so that a client hears of all its mistakes at once (SEC-1). A field may have older names; it is
/// reported by the one that the client used. null counts as not given.
///
///   field_reader in{input};
///   user.name = in.text({"name", "username"}, {.max_bytes = 64, .required = true});
///   if (auto e = in.finish()) return tl::unexpected(*e);
///
/// Holds a reference to the input: it must outlive the reader. For one thread.
class field_reader {
public:
  using names = std::initializer_list<std::string_view>; ///< the canonical name first

  /// @param prefix  put before each field's path: `health_check.`
  explicit field_reader(const nlohmann::json& input, std::string prefix = {});

  struct field {
    const nlohmann::json* value = nullptr; ///< nullptr when not given
    std::string path;                      ///< as the client named it
    explicit operator bool() const noexcept { return value != nullptr; }
  };
  /// For what the functions below do not cover. Given under two names is a fault.
  [[nodiscard]] field take(names of);

  struct text_limits {
    std::size_t max_bytes = 255;
    bool required = false;
    bool (*accepts)(std::string_view) noexcept = nullptr; ///< checked for non-empty texts
    std::string_view form = {};                           ///< what `accepts` wants, for people
  };
  /// Valid UTF-8 without control characters. @return empty when not given or at fault
  [[nodiscard]] std::string text(names of, const text_limits& limits);
  /// true and false only.
  [[nodiscard]] bool boolean(names of, bool otherwise);
  struct number_limits {
    std::uint64_t least = 0;
    std::uint64_t most = 0;
  };
  /// A whole number. @return nothing when not given or at fault
  [[nodiscard]] std::optional<std::uint64_t> number(names of, const number_limits& limits);
  /// Accepted and not looked at.
  void ignore(names fields);

  /// The path of a field of this object.
  [[nodiscard]] std::string path(std::string_view name) const {
    return prefix_ + std::string{name};
  }
  void refuse(std::string path, std::string message);
  /// Adds the fields of @p nested to the faults.
  void absorb(const error& nested);

  /// To be called last: adds a fault for each field that nobody took.
  [[nodiscard]] std::optional<error> finish();

private:
  const nlohmann::json& input_;
  std::string prefix_;
  std::vector<std::string_view> known_; ///< names in string literals
  std::vector<field_error> faults_;
};

} // namespace marchproxy::model
