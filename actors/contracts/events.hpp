// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/time.hpp"
#include "actors/crypto/random.hpp"
#include "actors/rollout/applier.hpp"
#include "bus-schemas/messages.hpp"

#include <string>
#include <string_view>

namespace marchproxy::contracts {

/// Bytes of a ruleset that travel in one message of the stream CFG.
constexpr std::size_t chunk_bytes = std::size_t{256} * 1024;

/// @p data in its CloudEvents envelope, with a fresh id.
/// @param source  `/clusters/<name>/manager` or `/clusters/<name>/proxies/<key>`
template <class Data>
[[nodiscard]] std::string make_event(std::string_view source, const Data& data, time_point now) {
  bus_schemas::envelope head;
  head.id = crypto::random_token(16);
  head.source = source;
  head.time = format_time(now);
  return bus_schemas::encode_event(std::move(head), data);
}

[[nodiscard]] std::string manager_source(std::string_view cluster);
[[nodiscard]] std::string proxy_source(std::string_view cluster, std::string_view key);

/// What the decision record and the prepare signal say of a revision.
[[nodiscard]] rollout::announcement announcement_of(const bus_schemas::config_prepare& message);
[[nodiscard]] rollout::announcement announcement_of(const bus_schemas::config_active& message);
[[nodiscard]] bus_schemas::config_prepare
to_prepare(const std::string& cluster, const rollout::announcement& a, time_point deadline);
[[nodiscard]] bus_schemas::config_active
to_active(const std::string& cluster, const rollout::announcement& a, time_point decided_at);

} // namespace marchproxy::contracts
