// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/storage/mutation.hpp"
#include "actors/storage/store.hpp"

namespace marchproxy::storage {

namespace {

/// Columns id, cluster_id, public_key, created_at, expires_at, retired_at.
join_key read_key(const row& columns) {
  join_key out;
  out.id = columns.number(0);
  out.cluster = columns.id<cluster_id>(1);
  out.public_key = columns.text(2);
  out.created_at = columns.time(3);
  out.expires_at = columns.maybe_time(4);
  out.retired_at = columns.maybe_time(5);
  return out;
}

nlohmann::json shown(const std::optional<time_point>& expires_at) {
  if (!expires_at)
    return nullptr;
  return format_time(*expires_at);
}

} // namespace

result<outcome> store::add_join_key(const change_context& by,
                                    cluster_id in,
                                    std::string_view public_key,
                                    std::optional<time_point> expires_at) {
  return change(by, {.in = in, .action = "join_key.add"}, [&](mutation& m) -> result<void> {
    const auto made =
      m.exec("INSERT INTO join_keys (cluster_id, public_key, created_at, expires_at) "
             "VALUES ($1, $2, $3, $4) RETURNING id",
             {in, public_key, m.by().at, expires_at});
    if (!made)
      return tl::unexpected(made.error());
    m.about("join_key", made->front().number(0), public_key);
    m.after({{"public_key", public_key}, {"expires_at", shown(expires_at)}});
    return {};
  });
}

result<outcome> store::retire_join_key(const change_context& by,
                                       cluster_id in,
                                       std::uint64_t id,
                                       std::optional<time_point> expires_at) {
  return change(by, {.in = in, .action = "join_key.retire"}, [&](mutation& m) -> result<void> {
    const auto end = expires_at.value_or(m.by().at);
    const auto changed = m.exec("UPDATE join_keys SET expires_at = $3, retired_at = $4 "
                                "WHERE cluster_id = $1 AND id = $2 RETURNING public_key",
                                {in, id, end, m.by().at});
    if (!changed)
      return tl::unexpected(changed.error());
    if (changed->empty())
      return fail(errc::not_found, "no such join key");
    m.about("join_key", id, changed->front().text(0));
    m.after({{"expires_at", format_time(end)}});
    return {};
  });
}

result<std::vector<join_key>> store::join_keys(cluster_id in) {
  const auto found = query("SELECT id, cluster_id, public_key, created_at, expires_at, retired_at "
                           "FROM join_keys WHERE cluster_id = $1 ORDER BY id",
                           {in});
  if (!found)
    return tl::unexpected(found.error());
  std::vector<join_key> out;
  for (const auto& one : found->list)
    out.push_back(read_key(one));
  return out;
}

result<join_key> store::find_join_key(std::string_view public_key, time_point now) {
  const auto found =
    query("SELECT id, cluster_id, public_key, created_at, expires_at, retired_at "
          "FROM join_keys WHERE public_key = $1 AND (expires_at IS NULL OR expires_at > $2)",
          {public_key, now});
  if (!found)
    return tl::unexpected(found.error());
  if (found->empty())
    return fail(errc::not_found, "no such join key, or it has ended");
  return read_key(found->front());
}

} // namespace marchproxy::storage
