// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/ip.hpp"
#include "actors/crypto/secret.hpp"
#include "nodes/program/environment.hpp"
#include "nodes/relay/settings.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace marchproxy::serving {

/// Which flows of the relay are told on the bus.
enum class told_verdicts : std::uint8_t { all, deny, none };

/// What the environment says to every kind of proxy (docs/configuration.md).
struct node_settings {
  std::vector<std::string> nats_urls{"nats://127.0.0.1:4222"}; ///< NATS_URL, comma list
  crypto::secret cluster_key;                                  ///< CLUSTER_API_KEY, required
  std::string name;                                            ///< PROXY_NAME; default: the host's
  std::string hostname;
  std::filesystem::path state_directory;      ///< STATE_DIR
  std::string listen_address = "0.0.0.0";     ///< LISTEN_ADDRESS
  std::vector<ip_prefix> proxy_protocol_from; ///< PROXY_PROTOCOL_FROM, comma list
  relay::client_fields forwarded =
    relay::client_fields::off;             ///< FORWARDED: off, x-forwarded-for, forwarded, both
  std::string admin_address = "127.0.0.1"; ///< ADMIN_ADDRESS
  std::uint16_t admin_port = 0;            ///< ADMIN_PORT
  bool take_over = true;                   ///< TAKE_OVER
  std::uint32_t drain_seconds = 3600;      ///< DRAIN_SECONDS
  unsigned workers = 1;                    ///< WORKERS
  relay::io_choice io = relay::io_choice::epoll;     ///< IO_BACKEND: epoll, auto, io_uring
  std::filesystem::path decision_log;                ///< DECISION_LOG; empty: none
  told_verdicts verdict_stream = told_verdicts::all; ///< VERDICT_STREAM: all, deny, off
  std::uint32_t verdict_rate = 1000;                 ///< VERDICT_RATE, a second
  net::lease_terms leases; ///< DNS_TTL_MIN, DNS_TTL_MAX, DNS_NEGATIVE_TTL, DNS_STALE_SECONDS,
                           ///< DNS_CACHE_ENTRIES
  std::string log_level = "info"; ///< LOG_LEVEL
};

/// Over the default that is in @p out.
void read_path(program::environment& env, const char* name, std::filesystem::path& out);
/// Likewise: true or false.
void read_truth(program::environment& env, const char* name, bool& out);

/// Reads over the defaults that are in @p out; what is wrong is told to @p env.
/// @param for_probe  true: a missing CLUSTER_API_KEY is no error (--healthcheck)
void read_node_settings(program::environment& env, bool for_probe, node_settings& out);

/// A relay as these settings want it, of whatever kind.
[[nodiscard]] relay::relay_settings relay_settings_of(const node_settings& options);

} // namespace marchproxy::serving
