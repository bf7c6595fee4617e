// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/wire/auth_line.hpp"

#include <algorithm>

namespace marchproxy::wire::auth_line {

namespace {

constexpr std::string_view name_bytes =
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

bool is_visible(char c) noexcept {
  return c > ' ' && c < 0x7f;
}

} // namespace

parsed parse_answer(std::string_view in) noexcept {
  constexpr parsed wrong{parse_state::error, 0, {}};
  const auto colon = in.find_first_not_of(name_bytes);
  if (std::min(colon, in.size()) > max_service)
    return wrong;
  if (colon == std::string_view::npos)
    return {};
  if (colon == 0 || in[colon] != ':')
    return wrong;
  const auto rest = in.substr(colon + 1);
  const auto* end = std::find_if_not(rest.begin(), rest.end(), is_visible);
  const auto token = rest.substr(0, static_cast<std::size_t>(end - rest.begin()));
  if (token.size() > max_token)
    return wrong;
  auto left = rest.substr(token.size());
  if (left.starts_with('\r'))
    left.remove_prefix(1);
  else if (left.empty())
    return {};
  if (token.empty() || (!left.empty() && left.front() != '\n'))
    return wrong;
  if (left.empty())
    return {};
  return {parse_state::complete, in.size() - left.size() + 1, {in.substr(0, colon), token}};
}

} // namespace marchproxy::wire::auth_line
