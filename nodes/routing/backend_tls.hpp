// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <string>

namespace marchproxy::routing {

/// How a backend wants to be spoken TLS to. Of a revision; what is known of the endpoint outlives
/// it.
struct backend_tls {
  std::string service; ///< its name, for a backend that is at an address
  bool verify = true;  ///< false: any certificate will do
  bool http = true;

  bool operator==(const backend_tls&) const = default;
};

} // namespace marchproxy::routing
