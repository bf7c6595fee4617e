// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/storage/mutation.hpp"
#include "actors/storage/store.hpp"

// A macro, because statements are made of literals only.
#define SELECT_USER                                                                                \
  "SELECT id, name, password_hash, active, must_change, version, created_at, updated_at, "         \
  "last_login FROM users "

namespace marchproxy::storage {

namespace {

user_record read_user(const row& columns) {
  user_record out;
  out.id = columns.id<user_id>(0);
  out.name = columns.text(1);
  out.password_hash = columns.text(2);
  out.active = columns.flag(3);
  out.must_change = columns.flag(4);
  out.version = columns.number(5);
  out.created_at = columns.time(6);
  out.updated_at = columns.time(7);
  out.last_login = columns.maybe_time(8);
  return out;
}

role_map read_roles(const rows& found) {
  role_map out;
  for (const auto& one : found.list)
    out[one.id<cluster_id>(0)].push_back(one.text(1));
  return out;
}

result<user_record> only_user(const result<rows>& found) {
  if (!found)
    return tl::unexpected(found.error());
  if (found->empty())
    return fail(errc::not_found, "no such user");
  return read_user(found->front());
}

/// In a transaction or on a connection: both have exec().
template <class Session>
result<user_record> with_roles(Session& session, result<user_record> user) {
  if (!user)
    return user;
  const auto found = session.exec("SELECT cluster_id, role FROM user_roles WHERE user_id = $1 "
                                  "ORDER BY cluster_id, role",
                                  {user->id});
  if (!found)
    return tl::unexpected(found.error());
  user->roles = read_roles(*found);
  return user;
}

result<void> write_roles(mutation& m, user_id of, const role_map& roles) {
  const auto cleared = m.exec("DELETE FROM user_roles WHERE user_id = $1", {of});
  if (!cleared)
    return tl::unexpected(cleared.error());
  for (const auto& [in, names] : roles) {
    for (const auto& name : names) {
      const auto made = m.exec(
        "INSERT INTO user_roles (user_id, cluster_id, role) VALUES ($1, $2, $3)", {of, in, name});
      if (!made)
        return tl::unexpected(made.error());
    }
  }
  return {};
}

/// Without the password's hash.
nlohmann::json shown(const user_record& value) {
  auto roles = nlohmann::json::array();
  for (const auto& [in, names] : value.roles)
    roles.push_back({{"cluster_id", in.value}, {"roles", names}});
  return {{"name", value.name},
          {"active", value.active},
          {"must_change", value.must_change},
          {"roles", roles}};
}

result<user_record> current(mutation& m, user_id id) {
  return with_roles(m, only_user(m.exec(SELECT_USER "WHERE id = $1", {id})));
}

} // namespace

result<outcome> store::create_user(const change_context& by, const user_record& value) {
  return change(by, {.in = {}, .action = "user.create"}, [&](mutation& m) -> result<void> {
    const auto taken = m.exec("SELECT 1 FROM users WHERE name = $1", {value.name});
    if (!taken)
      return tl::unexpected(taken.error());
    if (!taken->empty())
      return fail(errc::conflict, "a user of that name exists");
    const auto made =
      m.exec("INSERT INTO users (name, password_hash, active, must_change, created_at, updated_at) "
             "VALUES ($1, $2, $3, $4, $5, $5) RETURNING id",
             {value.name, value.password_hash, value.active, value.must_change, m.by().at});
    if (!made)
      return tl::unexpected(made.error());
    const auto id = made->front().id<user_id>(0);
    m.about("user", id.value, value.name);
    m.after(shown(value));
    m.version(1);
    return write_roles(m, id, value.roles);
  });
}

result<user_record> store::user(user_id id) {
  return connections_->with_retries([&](connection& c, int) {
    return with_roles(c, only_user(c.exec(SELECT_USER "WHERE id = $1", {id})));
  });
}

result<user_record> store::user_by_name(std::string_view name) {
  return connections_->with_retries([&](connection& c, int) {
    return with_roles(c, only_user(c.exec(SELECT_USER "WHERE name = $1", {name})));
  });
}

result<page<user_record>> store::users(page_request which) {
  const auto limit = clamp_limit(which.limit);
  return connections_->with_retries([&](connection& c, int) -> result<page<user_record>> {
    const auto found =
      c.exec(SELECT_USER "WHERE id > $1 ORDER BY id LIMIT $2", {which.after, limit + 1});
    if (!found)
      return tl::unexpected(found.error());
    return page_of<user_record>(
      *found, limit, [&](const row& columns) { return with_roles(c, read_user(columns)); });
  });
}

result<outcome> store::update_user(const change_context& by,
                                   const user_record& value,
                                   std::optional<std::uint64_t> expected) {
  return change(by, {.in = {}, .action = "user.update"}, [&](mutation& m) -> result<void> {
    const auto now = current(m, value.id);
    if (!now)
      return tl::unexpected(now.error());
    if (auto checked = check_version(expected, now->version); !checked)
      return checked;
    const auto changed =
      m.exec("UPDATE users SET name = $2, active = $3, updated_at = $4, version = version + 1 "
             "WHERE id = $1",
             {value.id, value.name, value.active, m.by().at});
    m.about("user", value.id.value, value.name);
    m.before(shown(*now));
    m.after(shown(value));
    m.version(now->version + 1);
    return expect_one(changed, "user").and_then([&] {
      return write_roles(m, value.id, value.roles);
    });
  });
}

result<outcome> store::set_password(const change_context& by,
                                    user_id id,
                                    std::string_view password_hash,
                                    bool must_change) {
  return change(by, {.in = {}, .action = "user.password"}, [&](mutation& m) -> result<void> {
    const auto now = current(m, id);
    if (!now)
      return tl::unexpected(now.error());
    const auto changed =
      m.exec("UPDATE users SET password_hash = $2, must_change = $3, updated_at = $4, "
             "version = version + 1 WHERE id = $1",
             {id, password_hash, must_change, m.by().at});
    m.about("user", id.value, now->name);
    m.after({{"must_change", must_change}});
    m.version(now->version + 1);
    return expect_one(changed, "user").and_then([&] {
      return m.exec("DELETE FROM sessions WHERE user_id = $1", {id}).map([](const rows&) {});
    });
  });
}

result<outcome> store::delete_user(const change_context& by, user_id id) {
  return change(by, {.in = {}, .action = "user.delete"}, [&](mutation& m) -> result<void> {
    const auto now = current(m, id);
    if (!now)
      return tl::unexpected(now.error());
    m.about("user", id.value, now->name);
    m.before(shown(*now));
    return expect_one(m.exec("DELETE FROM users WHERE id = $1", {id}), "user");
  });
}

} // namespace marchproxy::storage
