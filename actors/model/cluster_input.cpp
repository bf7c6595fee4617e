// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/input_parts.hpp"
#include "actors/model/text_rules.hpp"

#include <nlohmann/json.hpp>

namespace marchproxy::model {

result<cluster> parse_cluster(const nlohmann::json& input) {
  field_reader in{input};
  ignore_server_fields(in);
  cluster out;
  out.name = in.text({"name"}, {.max_bytes = 63,
                                .required = true,
                                .accepts = is_cluster_name,
                                .form = "must be lower-case letters, digits and `-`, with a letter "
                                        "or digit at both ends"});
  out.description = in.text({"description"}, {.max_bytes = most_prose});
  if (const auto seats = in.number({"max_proxies"}, {.least = 0, .most = 1'000'000}))
    out.max_proxies = static_cast<std::uint32_t>(*seats);
  out.observe = in.boolean({"observe"}, out.observe);
  if (auto e = in.finish())
    return tl::unexpected(std::move(*e));
  return out;
}

} // namespace marchproxy::model
