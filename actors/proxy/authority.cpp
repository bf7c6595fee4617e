// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/crypto/digest.hpp"
#include "actors/proxy/node.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace marchproxy::proxy {

std::optional<policy_authority> read_authority(const revision_file& file) {
  auto text = file.read_note("cluster.json");
  auto json = nlohmann::json::parse(text.value_or(""), nullptr, false);
  if (!json.is_object())
    return std::nullopt;
  if (!json.value("cluster", nlohmann::json{}).is_string()
      || !json.value("signing_key", nlohmann::json{}).is_string())
    return std::nullopt;
  policy_authority out;
  out.cluster = json["cluster"].get<std::string>();
  auto key = crypto::from_hex(json["signing_key"].get<std::string>());
  if (out.cluster.empty() || !key || key->size() != out.public_key.size())
    return std::nullopt;
  std::copy(key->begin(), key->end(), out.public_key.begin());
  return out;
}

result<void> write_authority(const revision_file& file, const policy_authority& authority) {
  nlohmann::json json{{"cluster", authority.cluster},
                      {"signing_key", crypto::to_hex(crypto::view(authority.public_key))}};
  return file.write_note("cluster.json", json.dump());
}

} // namespace marchproxy::proxy
