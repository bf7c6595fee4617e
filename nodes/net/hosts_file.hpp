// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/ip.hpp"
#include "nodes/net/timer_wheel.hpp"

#include <sys/stat.h>

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace marchproxy::net {

/// A hosts(5) file, read again when it changes. Names are compared in lower case.
class hosts_file {
public:
  explicit hosts_file(std::string path) : path_(std::move(path)) {}
  /// Addresses of @p name in the file's order; empty when the file does not name it.
  /// @param now  the file is looked at once for each time that is given here
  [[nodiscard]] std::vector<ip_address> find(std::string_view name, clock::time_point now);

private:
  void refresh();
  void read();

  std::string path_;
  clock::time_point looked_ = clock::time_point::min();
  struct stat seen_ {};
  std::unordered_map<std::string, std::vector<ip_address>> names_;
};

} // namespace marchproxy::net
