// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/storage/mutation.hpp"
#include "actors/storage/store.hpp"

// A macro, because statements are made of literals only.
#define PROXY_COLUMNS                                                                              \
  "id, cluster_id, name, nkey, kind, version, hostname, addresses, state, tier, "                  \
  "applied_revision, applied_hash, status, enrolled_at, last_seen "

namespace marchproxy::storage {

std::string_view to_string(proxy_state state) noexcept {
  switch (state) {
  case proxy_state::joined:
    return "joined";
  case proxy_state::active:
    return "active";
  case proxy_state::stale:
    return "stale";
  case proxy_state::revoked:
    return "revoked";
  case proxy_state::retired:
    return "retired";
  }
  return "joined";
}

namespace {

proxy_state state_from(std::string_view text) {
  for (const auto state :
       {proxy_state::active, proxy_state::stale, proxy_state::revoked, proxy_state::retired}) {
    if (text == to_string(state))
      return state;
  }
  return proxy_state::joined;
}

proxy_record read_proxy(const row& columns) {
  proxy_record out;
  out.id = columns.number(0);
  out.cluster = columns.id<cluster_id>(1);
  out.name = columns.text(2);
  out.nkey = columns.text(3);
  out.kind = columns.text(4);
  out.version = columns.text(5);
  out.hostname = columns.text(6);
  out.addresses = texts_from(columns.text(7));
  out.state = state_from(columns.text(8));
  out.tier = columns.text(9);
  out.applied = columns.id<marchproxy::revision>(10);
  out.applied_hash = columns.text(11);
  out.status = columns.text(12);
  out.enrolled_at = columns.time(13);
  out.last_seen = columns.time(14);
  return out;
}

result<proxy_record> only_proxy(const result<rows>& found) {
  if (!found)
    return tl::unexpected(found.error());
  if (found->empty())
    return fail(errc::not_found, "no such proxy");
  return read_proxy(found->front());
}

result<std::vector<proxy_record>> all_proxies(const result<rows>& found) {
  if (!found)
    return tl::unexpected(found.error());
  std::vector<proxy_record> out;
  out.reserve(found->list.size());
  for (const auto& one : found->list)
    out.push_back(read_proxy(one));
  return out;
}

bool holds_seat(proxy_state state) {
  return state == proxy_state::joined || state == proxy_state::active;
}

/// Two that take a seat at once wait for each other here, so neither counts without the other
/// (LIC-3).
result<void> lock_seats(transaction& tx) {
  return tx.exec("UPDATE seat_lock SET taken = taken + 1 WHERE id = 1").map([](const rows&) {});
}

/// @errors limit_reached if one more in @p cluster is one too many
result<void> check_seats(transaction& tx, cluster_id in, std::uint64_t seat_limit) {
  const auto found = tx.exec("SELECT (SELECT COUNT(*) FROM proxies WHERE cluster_id = $1 AND state "
                             "IN ('joined', 'active')), "
                             "(SELECT max_proxies FROM clusters WHERE id = $1), "
                             "(SELECT COUNT(*) FROM proxies WHERE state IN ('joined', 'active'))",
                             {in});
  if (!found)
    return tl::unexpected(found.error());
  const auto& line = found->front();
  if (line.number(1) != 0 && line.number(0) >= line.number(1))
    return fail(errc::limit_reached,
                "the cluster's " + std::to_string(line.number(1)) + " seats are taken");
  if (seat_limit != 0 && line.number(2) >= seat_limit)
    return fail(errc::limit_reached, "all " + std::to_string(seat_limit) + " seats are taken");
  return {};
}

nlohmann::json shown(const enrolment& who) {
  return {{"name", who.name},       {"kind", who.kind},         {"nkey", who.nkey},
          {"version", who.version}, {"hostname", who.hostname}, {"addresses", who.addresses}};
}

/// The row that an enrolment takes over, if there is one.
result<std::optional<proxy_record>> predecessor(mutation& m, const enrolment& who) {
  const auto found = m.exec("SELECT " PROXY_COLUMNS
                            "FROM proxies WHERE nkey = $1 OR (cluster_id = $2 AND name = $3)",
                            {who.nkey, who.cluster, who.name});
  if (!found)
    return tl::unexpected(found.error());
  std::optional<proxy_record> out;
  for (const auto& one : found->list) {
    auto known = read_proxy(one);
    if (known.state == proxy_state::revoked)
      return fail(errc::forbidden, "the proxy was revoked");
    if (known.cluster != who.cluster || known.name != who.name)
      return fail(errc::conflict, "the key is in use by another proxy");
    out = std::move(known);
  }
  return out;
}

result<std::uint64_t>
write_enrolment(mutation& m, const enrolment& who, const std::optional<proxy_record>& before) {
  if (!before) {
    const auto made =
      m.exec("INSERT INTO proxies (cluster_id, name, nkey, kind, version, hostname, addresses, "
             "state, enrolled_at, last_seen) VALUES ($1, $2, $3, $4, $5, $6, $7, 'joined', $8, $8) "
             "RETURNING id",
             {who.cluster, who.name, who.nkey, who.kind, who.version, who.hostname,
              text_of(who.addresses), m.by().at});
    if (!made)
      return tl::unexpected(made.error());
    return made->front().number(0);
  }
  // The same key again is the same process renewing its token: what it reported still holds.
  const bool renewed = before->nkey == who.nkey && before->state == proxy_state::active;
  const auto changed =
    m.exec("UPDATE proxies SET nkey = $2, kind = $3, version = $4, hostname = $5, addresses = $6, "
           "state = $7, applied_revision = $8, applied_hash = $9, tier = $10, enrolled_at = $11, "
           "last_seen = $11 WHERE id = $1",
           {before->id, who.nkey, who.kind, who.version, who.hostname, text_of(who.addresses),
            to_string(renewed ? proxy_state::active : proxy_state::joined),
            renewed ? before->applied : marchproxy::revision{}, renewed ? before->applied_hash : "",
            renewed ? before->tier : "", m.by().at});
  if (!changed)
    return tl::unexpected(changed.error());
  return before->id;
}

} // namespace

result<outcome>
store::enrol(const change_context& by, const enrolment& who, std::uint64_t seat_limit) {
  return change(by, {.in = who.cluster, .action = "proxy.enrol"}, [&](mutation& m) -> result<void> {
    if (auto locked = lock_seats(m.tx()); !locked)
      return locked;
    const auto before = predecessor(m, who);
    if (!before)
      return tl::unexpected(before.error());
    if (!*before || !holds_seat((*before)->state)) {
      if (auto seat = check_seats(m.tx(), who.cluster, seat_limit); !seat)
        return seat;
    }
    const auto id = write_enrolment(m, who, *before);
    if (!id)
      return tl::unexpected(id.error());
    m.about("proxy", *id, who.name);
    m.after(shown(who));
    return {};
  });
}

result<proxy_record> store::beat(const heartbeat& what, time_point now, std::uint64_t seat_limit) {
  return connections_->with_retries([&](connection& c, int) -> result<proxy_record> {
    auto tx = transaction::begin(c, access::write);
    if (!tx)
      return tl::unexpected(tx.error());
    auto known =
      only_proxy(tx->exec("SELECT " PROXY_COLUMNS "FROM proxies WHERE nkey = $1", {what.nkey}));
    if (!known)
      return known;
    if (known->state == proxy_state::revoked || known->state == proxy_state::retired)
      return fail(errc::forbidden, "the proxy was " + std::string(to_string(known->state)));
    if (known->state == proxy_state::stale) {
      const auto seat =
        lock_seats(*tx).and_then([&] { return check_seats(*tx, known->cluster, seat_limit); });
      if (!seat)
        return tl::unexpected(seat.error());
    }
    // Its state may have changed since it was read: what was revoked stays so.
    auto beaten = only_proxy(tx->exec(
      "UPDATE proxies SET state = 'active', version = $2, tier = $3, applied_revision = $4, "
      "applied_hash = $5, status = $6, addresses = $7, last_seen = $8 "
      "WHERE nkey = $1 AND state = $9 RETURNING " PROXY_COLUMNS,
      {what.nkey, what.version, what.tier, what.applied, what.applied_hash, what.status,
       text_of(what.addresses), now, to_string(known->state)}));
    if (!beaten)
      return fail(errc::unavailable, "the proxy's state changed meanwhile");
    if (auto committed = tx->commit(); !committed)
      return tl::unexpected(committed.error());
    return beaten;
  });
}

result<std::vector<proxy_record>> store::mark_stale(time_point deadline) {
  return all_proxies(query("UPDATE proxies SET state = 'stale' WHERE state IN ('joined', 'active') "
                           "AND last_seen < $1 RETURNING " PROXY_COLUMNS,
                           {deadline}));
}

result<outcome>
store::end_proxy(const change_context& by, cluster_id in, std::uint64_t id, proxy_state how) {
  if (how != proxy_state::revoked && how != proxy_state::retired)
    return fail(errc::invalid_argument, "a proxy ends as revoked or retired");
  const auto action = how == proxy_state::revoked ? "proxy.revoke" : "proxy.retire";
  return change(by, {.in = in, .action = action}, [&](mutation& m) -> result<void> {
    const auto known = only_proxy(
      m.exec("SELECT " PROXY_COLUMNS "FROM proxies WHERE cluster_id = $1 AND id = $2", {in, id}));
    if (!known)
      return tl::unexpected(known.error());
    m.about("proxy", id, known->name);
    m.before({{"state", to_string(known->state)}});
    m.after({{"state", to_string(how)}});
    return expect_one(m.exec("UPDATE proxies SET state = $2 WHERE id = $1", {id, to_string(how)}),
                      "proxy");
  });
}

result<outcome> store::delete_proxy(const change_context& by, cluster_id in, std::uint64_t id) {
  return change(by, {.in = in, .action = "proxy.delete"}, [&](mutation& m) -> result<void> {
    const auto known = only_proxy(
      m.exec("SELECT " PROXY_COLUMNS "FROM proxies WHERE cluster_id = $1 AND id = $2", {in, id}));
    if (!known)
      return tl::unexpected(known.error());
    if (known->state != proxy_state::revoked && known->state != proxy_state::retired)
      return fail(errc::conflict, "the proxy is " + std::string(to_string(known->state))
                                    + ": revoke or retire it first");
    m.about("proxy", id, known->name);
    m.before({{"state", to_string(known->state)}});
    return expect_one(m.exec("DELETE FROM proxies WHERE id = $1", {id}), "proxy");
  });
}

result<proxy_record> store::proxy(cluster_id in, std::uint64_t id) {
  return only_proxy(
    query("SELECT " PROXY_COLUMNS "FROM proxies WHERE cluster_id = $1 AND id = $2", {in, id}));
}

result<proxy_record> store::proxy_by_key(std::string_view nkey) {
  return only_proxy(query("SELECT " PROXY_COLUMNS "FROM proxies WHERE nkey = $1", {nkey}));
}

result<std::vector<proxy_record>> store::proxies(cluster_id in) {
  return all_proxies(query(
    "SELECT " PROXY_COLUMNS "FROM proxies WHERE cluster_id = $1 OR $1 = 0 ORDER BY id", {in}));
}

} // namespace marchproxy::storage
