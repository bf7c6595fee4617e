// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/http_rules.hpp"
#include "actors/model/input_parts.hpp"
#include "actors/model/text_rules.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace marchproxy::model {

namespace {

constexpr std::size_t most_names = 64;

/// A name as it is kept, or nothing when it is none.
using read_name = std::optional<std::string> (*)(const std::string&);

std::optional<std::string> common_name(const std::string& text) {
  // ub-common-name of RFC 5280.
  const auto good = !text.empty() && text.size() <= 64 && !text_fault(text);
  return good ? std::optional{text} : std::nullopt;
}

std::optional<std::string> one_dns_name(const std::string& text) {
  const auto address = parse_address(text, "dns_names");
  const auto* name = address ? std::get_if<dns_name>(&*address) : nullptr;
  return name != nullptr && !name->wildcard ? std::optional{name->name} : std::nullopt;
}

std::optional<std::string> uri(const std::string& text) {
  return is_uri(text) ? std::optional{text} : std::nullopt;
}

std::vector<std::string>
read_names(field_reader& in, std::string_view field, read_name read, const char* form) {
  std::vector<std::string> out;
  const auto given = in.take({field});
  if (!given)
    return out;
  if (!given.value->is_array() || given.value->size() > most_names) {
    in.refuse(given.path, "must be a list of at most 64 texts");
    return out;
  }
  for (std::size_t i = 0; i < given.value->size(); ++i) {
    const auto* text = (*given.value)[i].get_ptr<const std::string*>();
    auto name = text != nullptr ? read(*text) : std::nullopt;
    if (name)
      out.push_back(std::move(*name));
    else
      in.refuse(given.path + "[" + std::to_string(i) + "]", form);
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

/// What `true`, `false` or an object at @p given says; nothing for false.
template <class Read>
auto read_switch(field_reader& in, const field_reader::field& given, Read read)
  -> std::optional<decltype(read(in))> {
  if (given.value->is_boolean())
    return given.value->get<bool>() ? std::optional{decltype(read(in)){}} : std::nullopt;
  if (!given.value->is_object()) {
    in.refuse(given.path, "must be true, false or an object");
    return std::nullopt;
  }
  field_reader fields{*given.value, given.path + "."};
  auto out = read(fields);
  if (const auto e = fields.finish())
    in.absorb(*e);
  return out;
}

client_certificates read_client_certificates(field_reader& in) {
  return {read_names(in, "common_names", common_name, "must be a text of 1 to 64 bytes"),
          read_names(in, "dns_names", one_dns_name, "must be a DNS name without wildcard"),
          read_names(in, "uris", uri, "must be a URI in visible ASCII")};
}

route_tls read_object(field_reader& in) {
  route_tls out;
  if (const auto given = in.take({"client_certificates"}))
    out.client_certificates = read_switch(in, given, read_client_certificates);
  return out;
}

} // namespace

std::optional<route_tls> read_route_tls(field_reader& in) {
  const auto given = in.take({"tls"});
  return given ? read_switch(in, given, read_object) : std::nullopt;
}

} // namespace marchproxy::model
