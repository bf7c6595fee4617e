// SPDX-License-Identifier: AGPL-3.0-only
// The audit ledgers and the outbox: what leaves the database for the bus.
#include "actors/storage/mutation.hpp"
#include "actors/storage/store.hpp"

namespace marchproxy::storage {

result<outcome>
store::append_audit(const change_context& by, cluster_id in, const audit_event& what) {
  return change(by, {.in = in, .action = what.action}, [&](mutation& m) -> result<void> {
    m.about(what.resource_type, what.resource_id, what.resource_name);
    m.audit_outcome(what.outcome);
    if (!what.after.empty()) {
      auto after = nlohmann::json::parse(what.after, nullptr, false);
      if (after.is_discarded())
        return fail_field("after", "is not JSON");
      m.after(std::move(after));
    }
    return {};
  });
}

result<std::vector<audit_row>>
store::audit(std::string_view ledger, std::uint64_t first, std::size_t limit) {
  const auto found = query("SELECT sequence, at, record, hash FROM audit "
                           "WHERE ledger = $1 AND sequence >= $2 ORDER BY sequence LIMIT $3",
                           {ledger, first, clamp_limit(limit)});
  if (!found)
    return tl::unexpected(found.error());
  std::vector<audit_row> out;
  out.reserve(found->list.size());
  for (const auto& one : found->list)
    out.push_back({std::string(ledger), one.number(0), one.time(1), one.text(2), one.text(3)});
  return out;
}

result<audit::chain_head> store::audit_head_of(std::string_view ledger) {
  const auto found = query("SELECT sequence, hash FROM audit_heads WHERE ledger = $1", {ledger});
  if (!found)
    return tl::unexpected(found.error());
  if (found->empty())
    return audit::chain_head{};
  return audit::chain_head{found->front().number(0), found->front().text(1)};
}

result<std::vector<std::string>> store::ledgers() {
  const auto found = query("SELECT ledger FROM audit_heads ORDER BY ledger");
  if (!found)
    return tl::unexpected(found.error());
  std::vector<std::string> out;
  for (const auto& one : found->list)
    out.push_back(one.text(0));
  return out;
}

result<std::vector<outbox_row>> store::unsent(std::size_t limit) {
  const auto found = query("SELECT id, cluster_id, subject, payload, created_at FROM outbox "
                           "WHERE sent_at IS NULL ORDER BY id LIMIT $1",
                           {clamp_limit(limit)});
  if (!found)
    return tl::unexpected(found.error());
  std::vector<outbox_row> out;
  out.reserve(found->list.size());
  for (const auto& one : found->list)
    out.push_back({one.number(0), one.id<cluster_id>(1), one.text(2), one.text(3), one.time(4)});
  return out;
}

result<void> store::mark_sent(std::span<const std::uint64_t> ids, time_point now) {
  return connections_->with_retries([&](connection& c, int) -> result<void> {
    auto tx = transaction::begin(c, access::write);
    if (!tx)
      return tl::unexpected(tx.error());
    for (const auto id : ids) {
      const auto marked =
        tx->exec("UPDATE outbox SET sent_at = $2 WHERE id = $1 AND sent_at IS NULL", {id, now});
      if (!marked)
        return tl::unexpected(marked.error());
    }
    return tx->commit();
  });
}

} // namespace marchproxy::storage
