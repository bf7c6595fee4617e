// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>

namespace marchproxy::testing {

/// `--name value` pairs of a command line.
class options {
public:
  options(int argc, char** argv) {
    for (int i = 1; i + 1 < argc; i += 2)
      values_[argv[i]] = argv[i + 1];
  }

  [[nodiscard]] std::uint64_t number(const char* name, std::uint64_t otherwise) const {
    auto found = values_.find(name);
    return found == values_.end() ? otherwise : std::strtoull(found->second.c_str(), nullptr, 10);
  }

private:
  std::map<std::string, std::string> values_;
};

} // namespace marchproxy::testing
