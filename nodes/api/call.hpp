// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/api/backend.hpp"
#include "nodes/http/message.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace marchproxy::api {

/// Texts the system's own routes serve; made by the service (service.hpp).
struct system_texts {
  std::string openapi;                  ///< the document as JSON
  std::function<std::string()> metrics; ///< Prometheus text, made anew
};

/// One request on its way to its handler: routed, authenticated, permitted, its body parsed.
struct call {
  backend& manager;
  const http::request& request;
  const system_texts& texts;
  caller by;
  cluster_ref cluster = {}; ///< of the path, or whose key was shown
  std::vector<std::pair<std::string_view, std::string>> path = {}; ///< `{service}` -> `7`
  api::query list = {};                                            ///< for lists
  change_options how = {};                                         ///< for changes
  std::uint64_t after = 0;                                         ///< `?after=`
  json body = {};
  std::string session_token = {}; ///< of the cookie that authenticated; empty for a key

  /// Value of a path parameter of this route; it is there.
  [[nodiscard]] const std::string& parameter(std::string_view name) const;
  /// The same as a number. @errors not_found: no resource has such an id
  [[nodiscard]] result<std::uint64_t> number(std::string_view name) const;
};

/// What a handler answers; the service makes the envelope round it.
struct reply {
  json data;
  std::uint64_t version = 0;              ///< becomes the ETag; 0: none
  std::optional<rollout_outcome> rollout; ///< becomes `revision`
  std::optional<std::string> next_cursor; ///< there for lists; empty on the last page
  http::header_list headers;
  std::uint16_t status = 0; ///< 0: the route's
  bool bare = false;        ///< data is the whole body, without an envelope
  std::string text;         ///< with content_type: the body, instead of data
  std::string content_type; ///< empty: JSON
};

using handler = result<reply> (*)(call&);

} // namespace marchproxy::api
