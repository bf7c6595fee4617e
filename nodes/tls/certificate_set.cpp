// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/tls/certificate_set.hpp"

#include <algorithm>

namespace marchproxy::tls {

certificate_set::certificate_set(list all) : all_(std::move(all)) {
  for (const auto& one : all_)
    for (const auto& name : one->dns_names)
      if (name.starts_with("*."))
        wildcards_.emplace(name.substr(2), one.get());
      else
        exact_.emplace(name, one.get());
}

const certificate* certificate_set::find(std::string_view server_name) const {
  std::string name{server_name};
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (name.ends_with('.'))
    name.pop_back();
  if (const auto found = exact_.find(name); found != exact_.end())
    return found->second;
  // A wildcard stands for one label.
  const auto dot = name.find('.');
  if (dot == std::string::npos || dot == 0)
    return nullptr;
  const auto found = wildcards_.find(name.substr(dot + 1));
  return found != wildcards_.end() ? found->second : nullptr;
}

const certificate* certificate_set::usual() const noexcept {
  const auto found =
    std::find_if(all_.begin(), all_.end(), [](const auto& one) { return one->name == "default"; });
  if (found != all_.end())
    return found->get();
  return all_.empty() ? nullptr : all_.front().get();
}

} // namespace marchproxy::tls
