// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/api/route.hpp"

#include <algorithm>
#include <charconv>

namespace marchproxy::api {

namespace {

bool is_parameter(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

/// Takes the next segment off a path that begins with `/`.
std::string_view take_segment(std::string_view& path) {
  path.remove_prefix(1);
  const auto end = std::min(path.find('/'), path.size());
  const auto segment = path.substr(0, end);
  path.remove_prefix(end);
  return segment;
}

std::optional<path_parameters> fit(std::string_view pattern, std::string_view path) {
  path_parameters out;
  while (!pattern.empty() && !path.empty()) {
    const auto wanted = take_segment(pattern);
    const auto given = take_segment(path);
    if (!is_parameter(wanted)) {
      if (wanted != given)
        return std::nullopt;
      continue;
    }
    auto value = http::percent_decode(given, false);
    if (!value || value->empty() || value->size() > 256)
      return std::nullopt;
    out.emplace_back(wanted.substr(1, wanted.size() - 2), *std::move(value));
  }
  if (!pattern.empty() || !path.empty())
    return std::nullopt;
  return out;
}

} // namespace

const std::vector<route>& routes() {
  static const std::vector<route> all = [] {
    std::vector<route> out;
    for (const auto part :
         {cluster_routes(), service_routes(), mapping_routes(), ingress_routes(),
          operation_routes(), identity_routes(), proxy_contract_routes(), system_routes()})
      out.insert(out.end(), part.begin(), part.end());
    return out;
  }();
  return all;
}

route_match match(std::string_view method, std::string_view path) {
  if (method == "HEAD")
    method = "GET";
  route_match out;
  if (path.empty() || path.front() != '/')
    return out;
  for (const auto& candidate : routes()) {
    auto parameters = fit(candidate.path, path);
    if (!parameters)
      continue;
    out.allowed.push_back(candidate.method);
    if (candidate.method == method && out.found == nullptr) {
      out.found = &candidate;
      out.parameters = *std::move(parameters);
    }
  }
  return out;
}

std::vector<std::string_view> parameter_names(std::string_view path) {
  std::vector<std::string_view> out;
  while (!path.empty()) {
    const auto segment = take_segment(path);
    if (is_parameter(segment))
      out.push_back(segment.substr(1, segment.size() - 2));
  }
  return out;
}

const std::string& call::parameter(std::string_view name) const {
  const auto found =
    std::find_if(path.begin(), path.end(), [&](const auto& entry) { return entry.first == name; });
  MP_INVARIANT(found != path.end());
  return found->second;
}

result<std::uint64_t> call::number(std::string_view name) const {
  const auto& text = parameter(name);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value == 0)
    return fail(errc::not_found, "no " + std::string(name) + " '" + text + "'");
  return value;
}

} // namespace marchproxy::api
