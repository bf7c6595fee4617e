// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/hosts_file.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <utility>

namespace marchproxy::net {

std::vector<ip_address> hosts_file::find(std::string_view name, clock::time_point now) {
  if (std::exchange(looked_, now) != now)
    refresh();
  auto found = names_.find(std::string{name});
  return found == names_.end() ? std::vector<ip_address>{} : found->second;
}

void hosts_file::refresh() {
  struct stat now {};
  if (stat(path_.c_str(), &now) != 0) {
    names_.clear();
    seen_ = {};
    return;
  }
  if (now.st_ino == seen_.st_ino && now.st_size == seen_.st_size
      && now.st_mtim.tv_sec == seen_.st_mtim.tv_sec && now.st_mtim.tv_nsec == seen_.st_mtim.tv_nsec)
    return;
  seen_ = now;
  read();
}

void hosts_file::read() {
  names_.clear();
  std::ifstream file{path_};
  for (std::string line; std::getline(file, line);) {
    std::istringstream words{line.substr(0, line.find('#'))};
    std::string text;
    words >> text;
    auto address = parse_ip(text);
    if (!address)
      continue;
    for (std::string name; words >> name;) {
      std::transform(name.begin(), name.end(), name.begin(),
                     [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
      auto& addresses = names_[name];
      if (std::find(addresses.begin(), addresses.end(), *address) == addresses.end())
        addresses.push_back(*address);
    }
  }
}

} // namespace marchproxy::net
