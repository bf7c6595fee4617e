// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/backend_security.hpp"

namespace marchproxy::relay {

void secure_backend(stream& link,
                    const tls::connector& by,
                    const wire::host& target,
                    const routing::backend_tls& how) {
  tls::server_demand wanted{.name = std::string{target.name()},
                            .address = target.address(),
                            .verify = how.verify,
                            .http = how.http};
  // Not every service's name could be a server's.
  if (const auto name = target.address() ? wire::host::parse(how.service) : std::nullopt)
    wanted.name = name->name();
  link.secure(by.connect(link.fd(), wanted));
}

} // namespace marchproxy::relay
