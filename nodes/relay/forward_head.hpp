// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/wire/http1.hpp"

#include <string>
#include <string_view>

namespace marchproxy::relay {

/// Appends the head that goes to the origin: origin form, Host of the target, hop-by-hop and
/// Proxy-* fields dropped, our Via, framing written anew (RFC 9112 3.2.2, RFC 9110 7.6).
void write_request_head(std::string& out, const wire::request_head& head, std::string_view via);

struct response_shape {
  bool keep_alive = true; ///< of the client's connection
  bool chunked = false;   ///< the body goes out in chunks
  bool http10 = false;    ///< the client spoke HTTP/1.0, so persistence must be said
};
/// Appends the head that goes to the client.
void write_response_head(std::string& out,
                         const wire::response_head& head,
                         const response_shape& shape,
                         std::string_view via);

} // namespace marchproxy::relay
