// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/identity/roles.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace marchproxy::identity {
namespace {

constexpr cluster_id here{1};
constexpr cluster_id elsewhere{2};

principal with_role(role r) {
  principal out;
  out.id = user_id{7};
  out.roles[here] = r;
  return out;
}

principal global() {
  principal out;
  out.global_administrator = true;
  return out;
}

principal limited(principal of, scope limit) {
  of.kind = principal_kind::api_key;
  of.limit = limit;
  return of;
}

/// One character a question, `.` for no:
///   A an administrator here, O a service owner here, N somebody without a role, about what is not
///   their own; a, o, n the same about what is; then e: an administrator here asks about another
///   cluster; then r, w: a global administrator's API key of scope read, write.
struct matrix_row {
  operation what;
  const char* name;
  const char* answers;
};

constexpr matrix_row matrix[] = {
  {operation::cluster_read, "cluster.read", "AO.ao..rw"},
  {operation::cluster_create, "cluster.create", "........w"},
  {operation::cluster_update, "cluster.update", "A..a....w"},
  {operation::cluster_delete, "cluster.delete", "........w"},
  {operation::cluster_rotate_key, "cluster.rotate_key", "A..a....w"},
  {operation::service_read, "service.read", "AO.ao..rw"},
  {operation::service_create, "service.create", "AO.ao...w"},
  {operation::service_update, "service.update", "AO.ao...w"},
  {operation::service_delete, "service.delete", "AO.ao...w"},
  {operation::credential_read, "credential.read", "AO.ao..rw"},
  {operation::credential_create, "credential.create", "AO.ao...w"},
  {operation::credential_delete, "credential.delete", "AO.ao...w"},
  {operation::mapping_read, "mapping.read", "AO.ao..rw"},
  {operation::mapping_create, "mapping.create", "AO.ao...w"},
  {operation::mapping_update, "mapping.update", "AO.ao...w"},
  {operation::mapping_delete, "mapping.delete", "AO.ao...w"},
  {operation::proxy_read, "proxy.read", "AO.ao..rw"},
  {operation::proxy_update, "proxy.update", "A..a....w"},
  {operation::proxy_revoke, "proxy.revoke", "A..a....w"},
  {operation::revision_read, "revision.read", "AO.ao..rw"},
  {operation::revision_restore, "revision.restore", "A..a....w"},
  {operation::explain, "explain", "AO.ao..rw"},
  {operation::audit_read, "audit.read", "A..aon.rw"},
  {operation::user_read, "user.read", "...aon.rw"},
  {operation::user_create, "user.create", "........."},
  {operation::user_update, "user.update", "...aon..."},
  {operation::user_delete, "user.delete", "........."},
  {operation::api_key_read, "api_key.read", "...aon.rw"},
  {operation::api_key_create, "api_key.create", "...aon..."},
  {operation::api_key_delete, "api_key.delete", "...aon..."},
};

TEST(roles, the_whole_matrix_of_roles_and_operations_holds) {
  static_assert(std::size(matrix) == operation_count);
  const auto administrator = with_role(role::administrator);
  const auto owner = with_role(role::service_owner);
  const principal nobody;
  std::set<operation> seen;
  for (const auto& row : matrix) {
    SCOPED_TRACE(row.name);
    EXPECT_TRUE(seen.insert(row.what).second);
    EXPECT_EQ(to_string(row.what), row.name);
    const bool got[] = {
      permits(administrator, row.what, here),
      permits(owner, row.what, here),
      permits(nobody, row.what, here),
      permits(administrator, row.what, here, true),
      permits(owner, row.what, here, true),
      permits(nobody, row.what, here, true),
      permits(administrator, row.what, elsewhere),
      permits(limited(global(), scope::read), row.what, here),
      permits(limited(global(), scope::write), row.what, here),
    };
    std::string answers;
    for (std::size_t i = 0; i < std::size(got); ++i)
      answers += got[i] ? "AONaonerw"[i] : '.';
    EXPECT_EQ(answers, row.answers);

    EXPECT_TRUE(permits(global(), row.what, here));
    EXPECT_TRUE(permits(global(), row.what));
    EXPECT_TRUE(permits(limited(global(), scope::all), row.what, here));
    EXPECT_FALSE(permits(owner, row.what, elsewhere));
    EXPECT_FALSE(permits(administrator, row.what)); // about no cluster
    EXPECT_FALSE(permits(owner, row.what));
    EXPECT_FALSE(permits(nobody, row.what));
    // A key never does more than its owner.
    for (const auto limit : {scope::read, scope::write, scope::all})
      for (const bool owned : {false, true})
        if (permits(limited(owner, limit), row.what, here, owned)) {
          EXPECT_TRUE(permits(owner, row.what, here, owned));
        }
  }
}

TEST(roles, names_read_back) {
  for (const auto one : {role::administrator, role::service_owner})
    EXPECT_EQ(parse_role(to_string(one)), one);
  for (const auto one : {scope::read, scope::write, scope::all})
    EXPECT_EQ(parse_scope(to_string(one)), one);
  EXPECT_FALSE(parse_role("Administrator"));
  EXPECT_FALSE(parse_scope(""));
}

} // namespace
} // namespace marchproxy::identity
