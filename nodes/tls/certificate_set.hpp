// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/tls/certificate.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace marchproxy::tls {

/// The certificates to serve with, by server name (RFC 6066 3, RFC 6125 6.4.3). Immutable.
class certificate_set {
public:
  using list = std::vector<std::shared_ptr<const certificate>>;
  /// @param all  by name, ascending: of two that have a name, the first counts
  explicit certificate_set(list all);

  /// For a client that names the server: the exact name before a wildcard one. Null: nobody here.
  [[nodiscard]] const certificate* find(std::string_view server_name) const;
  /// For a client that names none: the one called `default`, or else the first. Null: there is
  /// none.
  [[nodiscard]] const certificate* usual() const noexcept;
  [[nodiscard]] const list& all() const noexcept { return all_; }

private:
  list all_;
  std::unordered_map<std::string, const certificate*> exact_;
  std::unordered_map<std::string, const certificate*> wildcards_; ///< by what is behind `*.`
};

} // namespace marchproxy::tls
