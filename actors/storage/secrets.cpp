// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/storage/store.hpp"

namespace marchproxy::storage {

namespace {

std::string place(std::string_view name) {
  return "secrets.sealed/" + std::string(name);
}

} // namespace

result<void> store::put_secret(std::string_view name, const crypto::secret& bytes, time_point now) {
  return query("INSERT INTO secrets (name, sealed, updated_at) VALUES ($1, $2, $3) "
               "ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed, updated_at = "
               "excluded.updated_at",
               {name, blob{crypto::seal(key_, bytes.expose(), place(name))}, now})
    .map([](const rows&) {});
}

result<crypto::secret>
store::secret_or(std::string_view name, const crypto::secret& fresh, time_point now) {
  return query("INSERT INTO secrets (name, sealed, updated_at) VALUES ($1, $2, $3) ON CONFLICT "
               "(name) DO NOTHING",
               {name, blob{crypto::seal(key_, fresh.expose(), place(name))}, now})
    .and_then([&](const rows&) { return get_secret(name); });
}

result<crypto::secret> store::get_secret(std::string_view name) {
  const auto found = query("SELECT sealed FROM secrets WHERE name = $1", {name});
  if (!found)
    return tl::unexpected(found.error());
  if (found->empty())
    return fail(errc::not_found, "no such secret");
  return crypto::open(key_, found->front().bytes(0), place(name));
}

} // namespace marchproxy::storage
