// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/api/call.hpp"

#include <utility>

namespace marchproxy::api {

// What the backend returned, as an answer. Written to be mapped over a result<>.

[[nodiscard]] inline reply reply_data(json data) {
  reply out;
  out.data = std::move(data);
  return out;
}

[[nodiscard]] inline reply reply_nothing() {
  return reply_data(nullptr);
}

[[nodiscard]] inline reply reply_row(row value) {
  auto out = reply_data(std::move(value.data));
  out.version = value.version;
  return out;
}

[[nodiscard]] inline reply reply_page(page value) {
  auto out = reply_data(json::array());
  for (auto& item : value.items)
    out.data.push_back(std::move(item));
  out.next_cursor = std::move(value.next_cursor);
  return out;
}

[[nodiscard]] inline reply reply_change(change value) {
  auto out = reply_row(std::move(value.resource));
  out.rollout = std::move(value.rollout);
  return out;
}

/// Without the envelope: what the earlier proxies expect.
[[nodiscard]] inline reply reply_bare(json data) {
  auto out = reply_data(std::move(data));
  out.bare = true;
  return out;
}

} // namespace marchproxy::api
