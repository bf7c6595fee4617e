// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/policy/program.hpp"

#include <nlohmann/json_fwd.hpp>

#include <optional>
#include <string>
#include <vector>

namespace marchproxy::policy {

/// Why a flow gets its verdict (POL-9).
struct explanation {
  struct step {
    std::string name;   ///< `source`, `destination`, `name`, `private-guard`, `match`, `limits`,
                        ///< `verdict`, `observe`
    std::string detail; ///< one sentence
  };

  verdict outcome;
  std::string reason;    ///< `mapping_allow`, `mapping_deny`, `mapping_bypass`, `auth_required`,
                         ///< `private_destination`, `implicit_deny`
  bool observed = false; ///< it is let through all the same, and told (POL-8); where credentials
                         ///< are required, without them
  std::vector<step> steps;
  std::optional<mapping_id>
    nearest_allow; ///< for a refusal: the mapping that comes nearest to allowing it
  std::vector<std::string>
    nearest_misses; ///< what in that mapping does not fit: `source`, `destination`, `protocol`,
                    ///< `port`, `inactive`, `private`
  std::uint32_t source_class = 0; ///< key of the lookup: source class
  std::uint32_t fan = 0;          ///< ref of the fan that the destination's entry names
  std::uint32_t group = 0;        ///< which of its lists protocol and port choose
  const model::mapping* limited_mapping = nullptr; ///< that allows it, if it has limits
  const model::service* limited_service = nullptr; ///< whose limits of what goes to it hold, if any
  std::string program_hash;
};

/// Judges @p f by the program and by the reference, and says how it came about.
/// What it points to is the program's.
/// @errors internal when program and reference differ: a defect, never to be hidden
[[nodiscard]] result<explanation> explain(const program& compiled, const flow& f);

/// Field names as in the API's ExplainResult.
[[nodiscard]] nlohmann::json to_json(const explanation& e);

} // namespace marchproxy::policy
