// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/model/ingress_route.hpp"
#include "nodes/relay/settings.hpp"
#include "nodes/wire/http1.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace marchproxy::relay {

/// True for a request that asks to switch to WebSocket (RFC 6455 4.1), which is the only protocol
/// that we pass on an Upgrade to.
[[nodiscard]] bool asks_for_websocket(const wire::request_head& head) noexcept;
/// True for the answer to such a request that switches.
[[nodiscard]] bool switches_to_websocket(const wire::response_head& head) noexcept;
/// What Max-Forwards allows a TRACE or OPTIONS (RFC 9110 7.6.2); none: it sets no bound. At 0 the
/// request goes no further.
[[nodiscard]] std::optional<std::uint32_t> forwards_left(const wire::request_head& head) noexcept;
/// True for a client that takes trailers behind the answer (RFC 9110 10.1.4).
[[nodiscard]] bool takes_trailers(const wire::request_head& head) noexcept;

/// True when credentials or challenges are of a kind that holds for the connection instead of a
/// request (NTLM and Negotiate, RFC 4559): whoever uses it next would be somebody else's user.
[[nodiscard]] bool authenticates_connection(const wire::field_list& fields) noexcept;

/// True when one of @p changes is to the field @p name, in any case.
[[nodiscard]] bool is_changed(std::span<const model::header_change> changes,
                              std::string_view name) noexcept;

struct request_shape {
  std::string_view via = {};
  std::string_view trailers = {}; ///< announced, a comma list; see announced_trailers()
  ip_address client = {};
  client_fields forwarded = client_fields::off;
  bool to_backend = false; ///< of ours: what tells it of the client's connection is ours to say
  bool over_tls = false;   ///< the client's connection; told to a backend
  std::optional<std::string_view> certificate = {}; ///< subject of the client's; told to a backend
  std::string_view target = {}; ///< path and query in place of the request's own
  std::span<const model::header_change> changes = {};
  std::span<const model::header_change> response_changes = {}; ///< of the final answer
};
/// Appends the head that goes to the origin: origin form, Host of the target, hop-by-hop and
/// Proxy-* fields dropped, our Via, framing written anew (RFC 9112 3.2.2, RFC 9110 7.6). What the
/// client asked of its own hop and we serve, we ask of ours: TE: trailers, Upgrade: websocket.
/// Fields that shape.changes names are removed or set.
void write_request_head(std::string& out,
                        const wire::request_head& head,
                        const request_shape& shape);

struct response_shape {
  bool keep_alive = true;         ///< of the client's connection
  bool chunked = false;           ///< the body goes out in chunks
  bool http10 = false;            ///< the client spoke HTTP/1.0, so persistence must be said
  bool websocket = false;         ///< it is the 101 that switches
  std::string_view trailers = {}; ///< announced, a comma list
  std::span<const model::header_change> changes = {};
};
/// Appends the head that goes to the client. Fields that shape.changes names are removed or set.
void write_response_head(std::string& out,
                         const wire::response_head& head,
                         const response_shape& shape,
                         std::string_view via);

} // namespace marchproxy::relay
