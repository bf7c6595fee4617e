// SPDX-License-Identifier: AGPL-3.0-only
// Any bytes as a message of the bus: decoding never crashes, and what is accepted survives
// encoding.
#include "bus-schemas/messages.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace schemas = marchproxy::bus_schemas;

namespace {

template <class Message>
void check_body(std::string_view bytes) {
  const auto read = schemas::decode_event<Message>(bytes);
  if (!read)
    return;
  const auto again = schemas::decode_event<Message>(schemas::encode_event(read->head, read->data));
  // Raw parts are minified text, and minified text is its own minified form.
  if (!again || *again != *read)
    std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto head = schemas::decode<schemas::envelope>(bytes);
  if (!head)
    return 0;
  schemas::visit_type(
    head->type, [&]<class Message>(std::type_identity<Message>) { check_body<Message>(bytes); });
  return 0;
}
