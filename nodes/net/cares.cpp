// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/cares.hpp"

#include <mutex>

namespace marchproxy::net {

result<void> start_cares() {
  static std::once_flag once;
  static int started = ARES_SUCCESS;
  std::call_once(once, [] { started = ares_library_init(ARES_LIB_INIT_ALL); });
  if (started != ARES_SUCCESS)
    return fail(errc::unavailable, ares_strerror(started));
  return {};
}

result<void> set_servers(ares_channel channel, const std::string& servers) {
  if (ares_set_servers_ports_csv(channel, servers.c_str()) != ARES_SUCCESS)
    return fail_field("servers", "not a comma list of address:port");
  return {};
}

} // namespace marchproxy::net
