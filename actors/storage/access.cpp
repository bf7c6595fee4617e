// SPDX-License-Identifier: AGPL-3.0-only
// Sessions, API keys and the login throttle: what a request proves itself with.
#include "actors/storage/mutation.hpp"
#include "actors/storage/store.hpp"

namespace marchproxy::storage {

namespace {

/// Columns id, user_id, name, key_hash, scopes, created_at, expires_at, last_used.
api_key_record read_api_key(const row& columns) {
  api_key_record out;
  out.id = columns.number(0);
  out.user = columns.id<user_id>(1);
  out.name = columns.text(2);
  out.key_hash = columns.text(3);
  out.scopes = texts_from(columns.text(4));
  out.created_at = columns.time(5);
  out.expires_at = columns.maybe_time(6);
  out.last_used = columns.maybe_time(7);
  return out;
}

/// Columns failures, last_failure, locked_until.
throttle_record read_throttle(const row& columns) {
  return {columns.number(0), columns.time(1), columns.maybe_time(2)};
}

} // namespace

result<void> store::create_session(const session_record& value) {
  return connections_->with_retries([&](connection& c, int) -> result<void> {
    auto tx = transaction::begin(c, access::write);
    if (!tx)
      return tl::unexpected(tx.error());
    // DO NOTHING: a retry after a lost answer may find it there.
    const auto made =
      tx->exec("INSERT INTO sessions (token_hash, user_id, csrf_hash, source, created_at, "
               "last_seen, expires_at) "
               "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (token_hash) DO NOTHING",
               {value.token_hash, value.user, value.csrf_hash, value.source, value.created_at,
                value.last_seen, value.expires_at});
    if (!made)
      return tl::unexpected(made.error());
    const auto noted =
      tx->exec("UPDATE users SET last_login = $2 WHERE id = $1", {value.user, value.created_at});
    if (!noted)
      return tl::unexpected(noted.error());
    return tx->commit();
  });
}

result<session_record> store::session(std::string_view token_hash, time_point now) {
  const auto found =
    query("SELECT user_id, csrf_hash, source, created_at, last_seen, expires_at FROM sessions "
          "WHERE token_hash = $1 AND expires_at > $2",
          {token_hash, now});
  if (!found)
    return tl::unexpected(found.error());
  if (found->empty())
    return fail(errc::not_found, "no such session");
  const auto& line = found->front();
  return session_record{std::string(token_hash),
                        line.id<user_id>(0),
                        line.text(1),
                        line.text(2),
                        line.time(3),
                        line.time(4),
                        line.time(5)};
}

result<void>
store::touch_session(std::string_view token_hash, time_point now, time_point expires_at) {
  return expect_one(
    query("UPDATE sessions SET last_seen = $2, expires_at = $3 WHERE token_hash = $1",
          {token_hash, now, expires_at}),
    "session");
}

result<void> store::delete_session(std::string_view token_hash) {
  return query("DELETE FROM sessions WHERE token_hash = $1", {token_hash}).map([](const rows&) {});
}

result<outcome> store::create_api_key(const change_context& by, const api_key_record& value) {
  return change(by, {.in = {}, .action = "api_key.create"}, [&](mutation& m) -> result<void> {
    const auto made = m.exec(
      "INSERT INTO api_keys (user_id, name, key_hash, scopes, created_at, expires_at) "
      "VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
      {value.user, value.name, value.key_hash, text_of(value.scopes), m.by().at, value.expires_at});
    if (!made)
      return tl::unexpected(made.error());
    m.about("api_key", made->front().number(0), value.name);
    m.after({{"user_id", value.user.value}, {"name", value.name}, {"scopes", value.scopes}});
    return {};
  });
}

result<std::vector<api_key_record>> store::api_keys(user_id of) {
  const auto found =
    query("SELECT id, user_id, name, key_hash, scopes, created_at, expires_at, last_used "
          "FROM api_keys WHERE user_id = $1 ORDER BY id",
          {of});
  if (!found)
    return tl::unexpected(found.error());
  std::vector<api_key_record> out;
  for (const auto& one : found->list)
    out.push_back(read_api_key(one));
  return out;
}

result<api_key_record> store::use_api_key(std::string_view key_hash, time_point now) {
  const auto found =
    query("UPDATE api_keys SET last_used = $2 WHERE key_hash = $1 "
          "AND (expires_at IS NULL OR expires_at > $2) "
          "RETURNING id, user_id, name, key_hash, scopes, created_at, expires_at, last_used",
          {key_hash, now});
  if (!found)
    return tl::unexpected(found.error());
  if (found->empty())
    return fail(errc::not_found, "no such key, or it has expired");
  return read_api_key(found->front());
}

result<outcome> store::delete_api_key(const change_context& by, user_id of, std::uint64_t id) {
  return change(by, {.in = {}, .action = "api_key.delete"}, [&](mutation& m) -> result<void> {
    const auto gone =
      m.exec("DELETE FROM api_keys WHERE user_id = $1 AND id = $2 RETURNING name", {of, id});
    if (!gone)
      return tl::unexpected(gone.error());
    if (gone->empty())
      return fail(errc::not_found, "no such key");
    m.about("api_key", id, gone->front().text(0));
    return {};
  });
}

result<throttle_record> store::throttle(std::string_view subject) {
  const auto found =
    query("SELECT failures, last_failure, locked_until FROM login_throttle WHERE subject = $1",
          {subject});
  if (!found)
    return tl::unexpected(found.error());
  return found->empty() ? throttle_record{} : read_throttle(found->front());
}

result<throttle_record> store::note_failure(std::string_view subject,
                                            time_point now,
                                            time_point forget_before,
                                            std::uint64_t lock_after,
                                            time_point lock_until) {
  // One statement, so that failures at the same time are all counted.
  const auto noted =
    query("INSERT INTO login_throttle (subject, failures, last_failure, locked_until) "
          "VALUES ($1, 1, $2, CASE WHEN CAST($4 AS BIGINT) <= 1 THEN CAST($5 AS BIGINT) END) "
          "ON CONFLICT (subject) DO UPDATE SET "
          "failures = CASE WHEN login_throttle.last_failure < $3 THEN 1 ELSE "
          "login_throttle.failures + 1 END, "
          "last_failure = $2, "
          "locked_until = CASE WHEN (CASE WHEN login_throttle.last_failure < $3 THEN 1 "
          "ELSE login_throttle.failures + 1 END) >= CAST($4 AS BIGINT) THEN CAST($5 AS BIGINT) END "
          "RETURNING failures, last_failure, locked_until",
          {subject, now, forget_before, lock_after, lock_until});
  if (!noted)
    return tl::unexpected(noted.error());
  return read_throttle(noted->front());
}

result<void> store::clear_throttle(std::string_view subject) {
  return query("DELETE FROM login_throttle WHERE subject = $1", {subject}).map([](const rows&) {});
}

} // namespace marchproxy::storage
