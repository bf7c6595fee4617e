// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// What the readers of services and mappings share. Not a door of the room.

#include "actors/model/field_reader.hpp"
#include "actors/model/model.hpp"

namespace marchproxy::model {

constexpr std::size_t most_prose = 2000; ///< bytes of a description or comment
constexpr std::string_view service_name_form =
  "must start with a letter or digit and go on with letters, digits, `.`, `_` and `-`";

/// A name, a comma text of names, or an array of those; `any`, `both`, `http` and `https` as the
/// earlier MarchProxy had them. Not given: any.
[[nodiscard]] protocol_set read_protocols(field_reader& in, field_reader::names of);

[[nodiscard]] port_set read_ports(field_reader& in, field_reader::names of);

/// A source is recognised by its address, so a service that is one must not be a name.
enum class mapping_side : std::uint8_t { sources, destinations };

/// At least one, sorted, without duplicates.
[[nodiscard]] std::vector<selector> read_selectors(field_reader& in,
                                                   field_reader::names of,
                                                   mapping_side side,
                                                   const service_directory& services);

/// Whether an ingress route's clients speak TLS, and who they must be: `true`, or an object.
[[nodiscard]] std::optional<route_tls> read_route_tls(field_reader& in);

/// The conditions `headers` of an ingress route, sorted, without duplicates.
[[nodiscard]] std::vector<header_condition> read_header_conditions(field_reader& in);

enum class presence : std::uint8_t { optional, required };

/// One of @p words by its index. @return nothing when not given or at fault
[[nodiscard]] std::optional<std::size_t> read_word(field_reader& in,
                                                   field_reader::names of,
                                                   std::initializer_list<std::string_view> words,
                                                   presence need = presence::optional);

/// A number from 0 that is whole; nothing for anything else.
[[nodiscard]] std::optional<std::uint64_t> whole_number(const nlohmann::json& value);
/// The same of a text of digits.
[[nodiscard]] std::optional<std::uint64_t> whole_number(std::string_view text) noexcept;

/// The object `limits`. @param together  as in to_json()
[[nodiscard]] std::optional<limits> read_limits(field_reader& in, std::string_view together);

/// Fields that are the server's: accepted, because clients send back what they read.
void ignore_server_fields(field_reader& in);

} // namespace marchproxy::model
