// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/stream.hpp"
#include "nodes/routing/backend_tls.hpp"
#include "nodes/tls/connector.hpp"
#include "nodes/wire/host.hpp"

namespace marchproxy::relay {

/// Makes the connected @p link a TLS connection to the backend at @p target; its handshake is still
/// to be done.
void secure_backend(stream& link,
                    const tls::connector& by,
                    const wire::host& target,
                    const routing::backend_tls& how);

} // namespace marchproxy::relay
