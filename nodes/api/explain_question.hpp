// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/policy/program.hpp"

#include <nlohmann/json_fwd.hpp>

#include <optional>
#include <string>

namespace marchproxy::api {

/// What explain is asked (POL-9), by the manager's API and by a proxy's alike.
struct explain_question {
  policy::flow flow; ///< its name is empty; see view()
  std::string name;
  std::optional<revision> at; ///< none: the one in force

  [[nodiscard]] policy::flow view() const {
    auto out = flow;
    out.name = name;
    return out;
  }
};

/// @param body  {"source", "destination" | "url", "port"?, "protocol"?, "revision"?}
/// @errors invalid_argument naming the field
[[nodiscard]] result<explain_question> read_explain_question(const nlohmann::json& body);

} // namespace marchproxy::api
