// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/routing/rewrite.hpp"

namespace marchproxy::routing {

std::string rewrite_target(const model::ingress_route& route, std::string_view target) {
  if (route.strip_prefix && route.path != "/")
    target.remove_prefix(route.path.size());
  std::string out = route.add_prefix;
  // Behind a whole prefix comes `/`, a query, or nothing: a request for `/` then.
  if (target.empty() || target.front() != '/')
    out += '/';
  return out.append(target);
}

std::string location_of(const model::redirect& redirect, std::string_view target) {
  constexpr std::string_view mark = "{path}";
  auto out = redirect.location;
  if (const auto at = out.find(mark); at != std::string::npos)
    out.replace(at, mark.size(), target);
  return out;
}

} // namespace marchproxy::routing
