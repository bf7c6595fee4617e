// SPDX-License-Identifier: AGPL-3.0-only
// Heads as the relay writes them anew: what goes on must be read again, and frame the message as
// the head that came did.
//   first byte: odd for responses, and the shape; the rest: one head
#include "actors/base/error.hpp"
#include "nodes/relay/forward_head.hpp"
#include "nodes/relay/trailers.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace {

using namespace marchproxy;
using wire::body_kind;
using wire::http1_error;

constexpr std::string_view via = "marchproxy";

/// No field of the sender's own hop is left; what ours says is said once.
void check_fields(const wire::field_list& fields) {
  for (const auto& f : fields) {
    MP_INVARIANT(!wire::iequals(f.name, "keep-alive") && !f.name.starts_with("Proxy-"));
    MP_INVARIANT(!wire::iequals(f.name, "transfer-encoding") || f.value == "chunked");
    MP_INVARIANT(!wire::iequals(f.name, "upgrade") || f.value == "websocket");
    MP_INVARIANT(!wire::iequals(f.name, "te") || f.value == "trailers");
  }
  MP_INVARIANT(fields.count("connection") <= 1 && fields.count("te") <= 1);
  MP_INVARIANT(fields.count("content-length") + fields.count("transfer-encoding") <= 1);
}

/// Our own fields may make a head that fits just so too big for a parser with our bounds.
bool may_outgrow(const wire::field_list& fields, std::string_view written) {
  return fields.size() + 10 > wire::max_fields || written.size() > wire::max_head_bytes;
}

void forward_request(std::string_view text, unsigned shape) {
  wire::request_head came;
  if (came.parse(text) != http1_error::none || came.form != wire::target_form::absolute)
    return;
  auto trailers =
    came.body.kind == body_kind::chunked ? relay::announced_trailers(came.fields) : "";
  constexpr std::string_view subject = R"(CN=Ann\, "A"\0AX: y)";
  const auto to_backend = shape / 8 % 2 == 1;
  std::string out;
  relay::write_request_head(out, came,
                            {.via = via,
                             .trailers = trailers,
                             .client = *parse_ip(shape % 2 == 0 ? "192.0.2.1" : "2001:db8::1"),
                             .forwarded = static_cast<relay::client_fields>(shape / 2 % 4),
                             .to_backend = to_backend,
                             .over_tls = to_backend,
                             .certificate = to_backend ? std::optional{subject} : std::nullopt});
  if (may_outgrow(came.fields, out))
    return;
  wire::head_scanner scanner;
  MP_INVARIANT(scanner.scan(out).size == out.size());
  wire::request_head goes;
  MP_INVARIANT(goes.parse(out) == http1_error::none);
  MP_INVARIANT(goes.method == came.method && goes.minor == 1 && goes.keep_alive);
  MP_INVARIANT(goes.body == came.body);
  MP_INVARIANT(goes.form != wire::target_form::absolute);
  MP_INVARIANT(goes.authority.text() == came.authority.text());
  MP_INVARIANT(goes.fields.count("host") == 1);
  MP_INVARIANT(relay::asks_for_websocket(goes) == relay::asks_for_websocket(came));
  MP_INVARIANT(relay::takes_trailers(goes) == relay::takes_trailers(came));
  MP_INVARIANT(relay::announced_trailers(goes.fields) == trailers);
  check_fields(goes.fields);
  if (to_backend)
    MP_INVARIANT(goes.fields.count("x-client-cert-subject") == 1
                 && goes.fields.find("x-client-cert-subject") == subject);
}

void forward_response(std::string_view text, std::string_view method) {
  wire::response_head came;
  if (came.parse(text, method) != http1_error::none || came.status == 101)
    return;
  auto chunked = came.body.kind == body_kind::chunked;
  auto keep_alive = came.body.kind != body_kind::until_close;
  std::string out;
  const model::header_change changes[] = {{"server", std::nullopt}, {"x-set", "by us"}};
  relay::write_response_head(
    out, came, {.keep_alive = keep_alive, .chunked = chunked, .changes = changes}, via);
  if (may_outgrow(came.fields, out))
    return;
  wire::response_head goes;
  MP_INVARIANT(goes.parse(out, method) == http1_error::none);
  MP_INVARIANT(goes.status == came.status && goes.body == came.body);
  MP_INVARIANT(came.status < 200 || goes.keep_alive == keep_alive);
  MP_INVARIANT(goes.fields.count("server") == 0);
  MP_INVARIANT(goes.fields.count("x-set") == 1 && goes.fields.find("x-set") == "by us");
  check_fields(goes.fields);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0)
    return 0;
  std::string_view in{reinterpret_cast<const char*>(data) + 1, size - 1};
  wire::head_scanner scanner;
  auto found = scanner.scan(in);
  if (found.state != wire::parse_state::complete)
    return 0;
  auto head = in.substr(0, found.size);
  if (data[0] % 2 == 0)
    forward_request(head, data[0] / 2U);
  else
    forward_response(head, data[0] % 4 == 1 ? "GET" : "HEAD");
  return 0;
}
