// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/crypto/secret.hpp"

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace marchproxy::manager_node {

/// What the environment says (docs/configuration.md).
struct settings {
  std::filesystem::path data_directory = "/var/lib/marchproxy/manager"; ///< DATA_DIR
  std::string database_url; ///< DATABASE_URL, or of DB_TYPE; default sqlite in the data directory
  std::string listen_address = "0.0.0.0";        ///< LISTEN_ADDRESS
  std::uint16_t listen_port = 8000;              ///< LISTEN_PORT, 0: any free one
  std::vector<std::string> nats_urls;            ///< NATS_URL, comma list; empty: a private server
  std::string nats_listen_address = "127.0.0.1"; ///< NATS_LISTEN_ADDRESS, of the private server
  std::uint16_t nats_listen_port = 4222;         ///< NATS_LISTEN_PORT, 0: any free one
  crypto::secret admin_password; ///< ADMIN_PASSWORD, for the first start; empty: generated
  crypto::secret kek; ///< MARCHPROXY_KEK, base64 of 32 bytes; empty: a file in the data directory
  std::string log_level = "info"; ///< LOG_LEVEL
};

/// @param variables  the environment
/// @errors invalid_argument naming each variable that is wrong
[[nodiscard]] result<settings> read_settings(const std::map<std::string, std::string>& variables);

} // namespace marchproxy::manager_node
