// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/storage/store.hpp"

#include "actors/crypto/encoding.hpp"
#include "actors/crypto/random.hpp"
#include "actors/storage/migrate.hpp"
#include "actors/storage/mutation.hpp"

namespace marchproxy::storage {

result<std::unique_ptr<store>>
store::open(const std::string& database_url, crypto::sealing_key key, pool::settings limits) {
  auto connections = pool::open(database_url, limits);
  if (!connections)
    return tl::unexpected(connections.error());
  const auto known = migrations((*connections)->kind());
  const auto migrated =
    (*connections)->with_retries([&](connection& c, int) { return migrate(c, known); });
  if (!migrated)
    return tl::unexpected(migrated.error());
  return std::unique_ptr<store>(new store(std::move(*connections), std::move(key)));
}

result<outcome> store::change(const change_context& by,
                              const change_plan& plan,
                              const std::function<result<void>(mutation&)>& work) {
  const auto change_id = crypto::to_hex(crypto::random_bytes(16));
  std::optional<outcome> earlier_try;
  return connections_->with_retries([&](connection& c, int) -> result<outcome> {
    auto tx = transaction::begin(c, access::write);
    if (!tx)
      return tl::unexpected(tx.error());
    mutation step(*tx, by, plan, key_);
    const auto opened = step.open(change_id, earlier_try);
    if (!opened)
      return tl::unexpected(opened.error());
    if (*opened)
      return **opened;
    if (auto worked = work(step); !worked)
      return tl::unexpected(worked.error());
    auto out = step.finish(change_id);
    if (!out)
      return out;
    earlier_try = *out;
    if (auto committed = tx->commit(); !committed)
      return tl::unexpected(committed.error());
    return out;
  });
}

result<rows> store::query(statement sql, const parameters& values) {
  return connections_->with_retries([&](connection& c, int) { return c.exec(sql, values); });
}

result<totals> store::counts() {
  const auto found = query("SELECT (SELECT COUNT(*) FROM users), (SELECT COUNT(*) FROM clusters), "
                           "(SELECT COUNT(*) FROM services), (SELECT COUNT(*) FROM mappings), "
                           "(SELECT COUNT(*) FROM proxies WHERE state IN ('joined', 'active')), "
                           "(SELECT COUNT(*) FROM outbox WHERE sent_at IS NULL)");
  if (!found)
    return tl::unexpected(found.error());
  const auto& line = found->front();
  return totals{line.number(0), line.number(1), line.number(2),
                line.number(3), line.number(4), line.number(5)};
}

result<void> store::ping() {
  return query("SELECT 1").map([](const rows&) {});
}

result<std::uint64_t> store::purge(time_point now, time_point keep_since) {
  std::uint64_t count = 0;
  const auto add = [&](const result<rows>& gone) -> result<void> {
    if (!gone)
      return tl::unexpected(gone.error());
    count += gone->affected;
    return {};
  };
  return add(query("DELETE FROM sessions WHERE expires_at <= $1", {now}))
    .and_then(
      [&] { return add(query("DELETE FROM idempotency WHERE created_at < $1", {keep_since})); })
    .and_then([&] {
      return add(
        query("DELETE FROM outbox WHERE sent_at IS NOT NULL AND sent_at < $1", {keep_since}));
    })
    .map([&] { return count; });
}

} // namespace marchproxy::storage
