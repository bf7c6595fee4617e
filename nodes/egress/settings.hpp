// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/ip.hpp"
#include "actors/crypto/secret.hpp"
#include "nodes/relay/settings.hpp"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace marchproxy::egress {

enum class wish : std::uint8_t { automatic, on, off };
/// Which flows of the relay are told on the bus.
enum class told_verdicts : std::uint8_t { all, deny, none };

/// What the environment says (docs/configuration.md).
struct settings {
  std::vector<std::string> nats_urls{"nats://127.0.0.1:4222"}; ///< NATS_URL, comma list
  crypto::secret cluster_key;                                  ///< CLUSTER_API_KEY, required
  std::string name;                                            ///< PROXY_NAME; default: the host's
  std::string hostname;
  std::filesystem::path state_directory = "/var/lib/marchproxy/egress"; ///< STATE_DIR
  std::string listen_address = "0.0.0.0";                               ///< LISTEN_ADDRESS
  std::uint16_t listen_port = 8080;                                     ///< LISTEN_PORT
  std::vector<ip_prefix> proxy_protocol_from; ///< PROXY_PROTOCOL_FROM, comma list
  std::uint16_t transparent_port = 0;         ///< TRANSPARENT_PORT; 0: no transparent entry
  bool tproxy = false;                        ///< TRANSPARENT_MODE: redirect, tproxy
  bool outer_name_counts = false;             ///< ECH: deny, outer
  relay::client_fields forwarded =
    relay::client_fields::off;             ///< FORWARDED: off, x-forwarded-for, forwarded, both
  std::string admin_address = "127.0.0.1"; ///< ADMIN_ADDRESS
  std::uint16_t admin_port = 8081;         ///< ADMIN_PORT
  unsigned workers = 1;                    ///< WORKERS
  wish ebpf = wish::automatic;             ///< ENABLE_EBPF: true, false, auto
  std::vector<std::string>
    ebpf_interfaces; ///< EBPF_INTERFACES, comma list; empty: every Ethernet interface that is up
  std::filesystem::path decision_log;                ///< DECISION_LOG; empty: none
  told_verdicts verdict_stream = told_verdicts::all; ///< VERDICT_STREAM: all, deny, off
  std::uint32_t verdict_rate = 1000;                 ///< VERDICT_RATE, a second
  std::string log_level = "info";                    ///< LOG_LEVEL
};

/// @param variables     the environment
/// @param for_probe     true: a missing CLUSTER_API_KEY is no error (--healthcheck)
/// @errors invalid_argument naming each variable that is wrong
[[nodiscard]] result<settings> read_settings(const std::map<std::string, std::string>& variables,
                                             bool for_probe);

} // namespace marchproxy::egress
