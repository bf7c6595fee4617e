// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/storage/mutation.hpp"
#include "actors/storage/records.hpp"
#include "actors/storage/sql.hpp"

#include <optional>
#include <string>
#include <string_view>

/// Rows of services, mappings and ingress routes, which are alike: columns id, body, version,
/// created_at, updated_at. For the sources of this room.
namespace marchproxy::storage {

template <class T>
using body_reader = result<T> (*)(const std::string& body, cluster_id in, decltype(T::id) id);

template <class T>
[[nodiscard]] result<stored<T>>
read_stored(const row& columns, cluster_id in, body_reader<T> from) {
  auto value = from(columns.text(1), in, columns.id<decltype(T::id)>(0));
  if (!value)
    return tl::unexpected(value.error());
  return stored<T>{std::move(*value), columns.number(2), columns.time(3), columns.time(4)};
}

/// @errors not_found, naming @p noun
template <class T>
[[nodiscard]] result<stored<T>>
only_stored(const result<rows>& found, cluster_id in, body_reader<T> from, std::string_view noun) {
  if (!found)
    return tl::unexpected(found.error());
  if (found->empty())
    return fail(errc::not_found, "no such " + std::string(noun));
  return read_stored(found->front(), in, from);
}

/// @errors precondition_failed unless it is of version @p expected, if one is given
template <class T>
[[nodiscard]] result<stored<T>> of_version(result<stored<T>> now,
                                           std::optional<std::uint64_t> expected) {
  if (now)
    if (auto checked = check_version(expected, now->version); !checked)
      return tl::unexpected(checked.error());
  return now;
}

/// What a change of @p value puts into the audit record and into the outbox: the event
/// mp.v1.event.<type>.changed. @param op  created, updated, deleted
template <class T>
void announce(mutation& m, const std::string& type, const T& value, std::string_view op) {
  nlohmann::json data{{"op", op},
                      {"id", value.id.value},
                      {"name", value.name},
                      {"revision", m.revision().value},
                      {"actor", m.actor()}};
  if (op != "deleted")
    data[type] = model::to_json(value);
  m.about(type, value.id.value, value.name);
  m.emit("mp.v1.event." + type + ".changed", data);
}

/// `7 "web to db", 9` of the rows found (id, name).
[[nodiscard]] std::string listing(const rows& found);

} // namespace marchproxy::storage
