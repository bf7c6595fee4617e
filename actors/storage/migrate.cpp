// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/storage/migrate.hpp"

#include "actors/crypto/digest.hpp"

namespace marchproxy::storage {

namespace {

/// One writer at a time: SQLite's write transaction is that already.
result<void> lock(transaction& tx) {
  if (tx.session().kind() == dialect::sqlite)
    return {};
  // The number is arbitrary and the same in every manager: "mproxymg" in ASCII.
  return tx.exec("SELECT pg_advisory_xact_lock(7885645018064088423)").map([](const rows&) {});
}

result<std::vector<row>> applied(transaction& tx) {
  auto made = tx.exec("CREATE TABLE IF NOT EXISTS schema_migrations ("
                      "number BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, "
                      "applied_at BIGINT NOT NULL)");
  if (!made)
    return tl::unexpected(made.error());
  return tx.exec("SELECT number, checksum FROM schema_migrations ORDER BY number")
    .map([](rows found) { return std::move(found.list); });
}

result<void> check(const std::vector<row>& done, std::span<const migration> known) {
  if (done.size() > known.size())
    return fail(errc::unsupported, "the database is at migration " + std::to_string(done.size())
                                     + ", this binary knows " + std::to_string(known.size())
                                     + ": start a newer binary");
  for (std::size_t i = 0; i < done.size(); ++i) {
    if (done[i].integer(0) != known[i].number
        || done[i].text(1) != crypto::sha256_hex(known[i].script))
      return fail(errc::corrupt, "migration " + std::to_string(done[i].integer(0))
                                   + " of the database is not the one of this binary");
  }
  return {};
}

result<void> apply(transaction& tx, const migration& next) {
  if (auto ran = tx.session().exec_script(next.script); !ran)
    return fail(ran.error().code,
                "migration " + std::to_string(next.number) + ": " + ran.error().message);
  return tx
    .exec(
      "INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES ($1, $2, $3, $4)",
      {next.number, next.name, crypto::sha256_hex(next.script), wall_now()})
    .map([](const rows&) {});
}

} // namespace

result<int> migrate(connection& database, std::span<const migration> known) {
  auto tx = transaction::begin(database, access::write);
  if (!tx)
    return tl::unexpected(tx.error());
  if (auto locked = lock(*tx); !locked)
    return tl::unexpected(locked.error());
  const auto done = applied(*tx);
  if (!done)
    return tl::unexpected(done.error());
  if (auto checked = check(*done, known); !checked)
    return tl::unexpected(checked.error());
  int count = 0;
  for (const auto& next : known.subspan(done->size())) {
    if (auto ran = apply(*tx, next); !ran)
      return tl::unexpected(ran.error());
    ++count;
  }
  if (auto committed = tx->commit(); !committed)
    return tl::unexpected(committed.error());
  return count;
}

} // namespace marchproxy::storage
