// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/program/environment.hpp"

#include "actors/base/ip.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace marchproxy::program {

variables own_variables() {
  variables out;
  for (char** at = environ; *at != nullptr; ++at)
    if (const char* equals = std::strchr(*at, '='))
      out.emplace(std::string(*at, static_cast<std::size_t>(equals - *at)), equals + 1);
  return out;
}

void environment::text(const char* name, std::string& out) const {
  if (auto found = all_.find(name); found != all_.end() && !found->second.empty())
    out = found->second;
}

void environment::secret(const char* name, crypto::secret& out) const {
  if (auto found = all_.find(name); found != all_.end() && !found->second.empty())
    out = crypto::secret{found->second};
}

void environment::list(const char* name, std::vector<std::string>& out) const {
  std::string value;
  text(name, value);
  if (value.empty())
    return;
  out.clear();
  for (std::size_t at = 0; at < value.size();) {
    auto end = std::min(value.find(',', at), value.size());
    if (end > at)
      out.push_back(value.substr(at, end - at));
    at = end + 1;
  }
}

void environment::address(const char* name, std::string& out) {
  text(name, out);
  if (!parse_ip(out))
    wrong(name, "must be an IP address");
}

void environment::log_level(std::string& out) {
  constexpr std::array levels = {"trace", "debug", "info", "warn", "error"};
  text("LOG_LEVEL", out);
  if (std::find(levels.begin(), levels.end(), out) == levels.end())
    wrong("LOG_LEVEL", "must be trace, debug, info, warn or error");
}

result<void> environment::check() const {
  if (errors_.empty())
    return {};
  return tl::unexpected(error{errc::invalid_argument, "the environment is not usable", errors_});
}

} // namespace marchproxy::program
