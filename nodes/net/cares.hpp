// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"

#include <ares.h>

#include <string>

namespace marchproxy::net {

/// Makes c-ares ready, once for the process. Any thread. @errors unavailable
[[nodiscard]] result<void> start_cares();
/// @param servers  `address:port` comma list
/// @errors invalid_argument
[[nodiscard]] result<void> set_servers(ares_channel channel, const std::string& servers);

} // namespace marchproxy::net
