// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/cli/input_file.hpp"

#include <fstream>
#include <istream>
#include <iterator>

namespace marchproxy::cli {

result<std::string> read_file(const std::string& name, std::istream& standard_input) {
  if (name.empty())
    return std::string();
  using bytes = std::istreambuf_iterator<char>;
  if (name == "-")
    return std::string(bytes(standard_input), bytes());
  std::ifstream file(name, std::ios::binary);
  if (!file)
    return fail(errc::not_found, "cannot read " + name);
  return std::string(bytes(file), bytes());
}

} // namespace marchproxy::cli
