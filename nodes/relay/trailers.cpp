// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/trailers.hpp"

#include "nodes/wire/http1_bytes.hpp"
#include "nodes/wire/http1_writer.hpp"

namespace marchproxy::relay {

std::string announced_trailers(const wire::field_list& head,
                               std::span<const model::header_change> changes) {
  std::string out;
  for (const auto& f : head) {
    if (!wire::iequals(f.name, "trailer"))
      continue;
    for (auto list = f.value; !list.empty();) {
      auto name = wire::take_element(list);
      if (wire::is_token(name) && wire::fits_trailer(name) && !head.lists("connection", name)
          && !is_changed(changes, name)) {
        out += out.empty() ? "" : ", ";
        out += name;
      }
    }
  }
  return out;
}

std::optional<std::string> forwarded_trailers(std::string_view lines, std::string_view announced) {
  wire::field_list fields;
  if (fields.parse(lines) != wire::http1_error::none)
    return std::nullopt;
  std::string out;
  wire::head_writer writer{out};
  for (const auto& f : fields)
    if (wire::has_token(announced, f.name))
      writer.field(f.name, f.value);
  return out;
}

} // namespace marchproxy::relay
