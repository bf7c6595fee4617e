// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/crypto/digest.hpp"
#include "actors/storage/mutation.hpp"
#include "actors/storage/ruleset_reader.hpp"
#include "actors/storage/store.hpp"

// A macro, because statements are made of literals only.
#define SELECT_REVISION                                                                            \
  "SELECT number, created_at, created_by, reason, state, ruleset_hash, program_hash, decided_at, " \
  "decision_reason, finished_at, outcome, expected, applied, "                                     \
  "CASE WHEN content IS NULL THEN 0 ELSE 1 END FROM revisions "

namespace marchproxy::storage {

std::string_view to_string(revision_state state) noexcept {
  switch (state) {
  case revision_state::pending:
    return "pending";
  case revision_state::committed:
    return "committed";
  case revision_state::aborted:
    return "aborted";
  case revision_state::superseded:
    return "superseded";
  }
  return "pending";
}

namespace {

revision_state state_from(std::string_view text) {
  for (const auto state :
       {revision_state::committed, revision_state::aborted, revision_state::superseded}) {
    if (text == to_string(state))
      return state;
  }
  return revision_state::pending;
}

/// Columns of SELECT_REVISION.
result<revision_record> read_revision(const row& columns, cluster_id in) {
  revision_record out;
  out.cluster = in;
  out.number = columns.id<marchproxy::revision>(0);
  out.created_at = columns.time(1);
  out.created_by = columns.text(2);
  out.reason = columns.text(3);
  out.state = state_from(columns.text(4));
  out.ruleset_hash = columns.text(5);
  out.program_hash = columns.text(6);
  out.decided_at = columns.maybe_time(7);
  out.decision_reason = columns.text(8);
  out.finished_at = columns.maybe_time(9);
  out.outcome = columns.text(10);
  out.expected = columns.number(11);
  out.applied = columns.number(12);
  out.content_kept = columns.flag(13);
  return out;
}

result<std::optional<revision_record>> first_of(const result<rows>& found, cluster_id in) {
  if (!found)
    return tl::unexpected(found.error());
  if (found->empty())
    return std::optional<revision_record>();
  return read_revision(found->front(), in).map([](revision_record one) {
    return std::optional(std::move(one));
  });
}

result<revision_record> current(mutation& m, cluster_id in, marchproxy::revision number) {
  const auto found =
    first_of(m.exec(SELECT_REVISION "WHERE cluster_id = $1 AND number = $2", {in, number}), in);
  if (!found)
    return tl::unexpected(found.error());
  if (!*found)
    return fail(errc::not_found, "no such revision");
  return **found;
}

/// What forbids @p decision now.
result<void> check_decision(mutation& m, const revision_record& now, revision_state decision) {
  if (decision != revision_state::committed && decision != revision_state::aborted)
    return fail(errc::invalid_argument, "a revision is decided as committed or aborted");
  if (now.state != revision_state::pending)
    return fail(errc::conflict,
                "the revision is " + std::string(to_string(now.state)) + " already");
  if (decision == revision_state::aborted)
    return {};
  const auto newer =
    m.exec("SELECT MAX(number) FROM revisions WHERE cluster_id = $1 AND state = 'committed'",
           {now.cluster});
  if (!newer)
    return tl::unexpected(newer.error());
  if (newer->front().number(0) > now.number.value)
    return fail(errc::conflict,
                "revision " + std::to_string(newer->front().number(0)) + " is committed");
  return {};
}

result<void> write_decision(mutation& m,
                            const revision_record& of,
                            revision_state decision,
                            std::string_view reason) {
  const auto decided =
    m.exec("UPDATE revisions SET state = $3, decided_at = $4, decision_reason = $5 "
           "WHERE cluster_id = $1 AND number = $2",
           {of.cluster, of.number, to_string(decision), m.by().at, reason});
  if (!decided)
    return tl::unexpected(decided.error());
  m.about("revision", of.number.value, "");
  m.of_revision(of.number);
  m.after({{"state", to_string(decision)}, {"reason", reason}});
  if (decision == revision_state::aborted) {
    const std::string why = reason.empty() ? "aborted" : std::string(reason.substr(0, 1024));
    m.emit("mp.v1.event.revision.aborted", {{"revision", of.number.value}, {"reason", why}});
    return {};
  }
  return m
    .exec("UPDATE revisions SET state = 'superseded' "
          "WHERE cluster_id = $1 AND number < $2 AND state = 'pending'",
          {of.cluster, of.number})
    .map([](const rows&) {});
}

result<std::string> open_content(const row& columns,
                                 cluster_id in,
                                 marchproxy::revision number,
                                 const crypto::sealing_key& key) {
  if (columns.null(0))
    return fail(errc::not_found, "the revision's content is no longer kept");
  const auto opened = crypto::open(key, columns.bytes(0), content_place(in, number));
  if (!opened)
    return tl::unexpected(opened.error());
  std::string bytes(opened->expose());
  if (crypto::sha256_hex(bytes) != columns.text(1))
    return fail(errc::corrupt, "the revision's content does not match its hash");
  return bytes;
}

} // namespace

result<model::ruleset> store::ruleset_of(cluster_id in) {
  return connections_->with_retries([&](connection& c, int) -> result<model::ruleset> {
    auto tx = transaction::begin(c, access::read);
    if (!tx)
      return tl::unexpected(tx.error());
    return read_ruleset(*tx, in, key_);
  });
}

result<revision_record> store::revision_of(cluster_id in, marchproxy::revision number) {
  const auto found =
    first_of(query(SELECT_REVISION "WHERE cluster_id = $1 AND number = $2", {in, number}), in);
  if (!found)
    return tl::unexpected(found.error());
  if (!*found)
    return fail(errc::not_found, "no such revision");
  return **found;
}

result<page<revision_record>> store::revisions(cluster_id in, page_request which) {
  const auto limit = clamp_limit(which.limit);
  const auto found =
    query(SELECT_REVISION
          "WHERE cluster_id = $1 AND (number < $2 OR $2 = 0) ORDER BY number DESC LIMIT $3",
          {in, which.after, limit + 1});
  if (!found)
    return tl::unexpected(found.error());
  return page_of<revision_record>(*found, limit,
                                  [&](const row& columns) { return read_revision(columns, in); });
}

result<std::optional<revision_record>> store::latest(cluster_id in) {
  return first_of(query(SELECT_REVISION "WHERE cluster_id = $1 ORDER BY number DESC LIMIT 1", {in}),
                  in);
}

result<std::optional<revision_record>> store::last_committed(cluster_id in) {
  return first_of(
    query(SELECT_REVISION
          "WHERE cluster_id = $1 AND state = 'committed' ORDER BY number DESC LIMIT 1",
          {in}),
    in);
}

result<std::string> store::content(cluster_id in, marchproxy::revision number) {
  const auto found =
    query("SELECT content, ruleset_hash FROM revisions WHERE cluster_id = $1 AND number = $2",
          {in, number});
  if (!found)
    return tl::unexpected(found.error());
  if (found->empty())
    return fail(errc::not_found, "no such revision");
  return open_content(found->front(), in, number, key_);
}

result<outcome> store::decide(const change_context& by,
                              cluster_id in,
                              marchproxy::revision number,
                              revision_state decision,
                              std::string_view reason) {
  const auto decided_so = [&] {
    const auto now = revision_of(in, number);
    return now && now->state == decision && decision != revision_state::pending;
  };
  const outcome unchanged{.id = number.value, .revision = number};
  if (decided_so())
    return unchanged;
  const change_plan plan{.in = in, .action = "revision." + std::string(to_string(decision))};
  auto made = change(by, plan, [&](mutation& m) -> result<void> {
    const auto now = current(m, in, number);
    if (!now)
      return tl::unexpected(now.error());
    return check_decision(m, *now, decision).and_then([&] {
      return write_decision(m, *now, decision, reason);
    });
  });
  // Another manager may have decided the same meanwhile.
  if (!made && made.error().code == errc::conflict && decided_so())
    return unchanged;
  return made;
}

result<outcome> store::finish_rollout(const change_context& by,
                                      cluster_id in,
                                      marchproxy::revision number,
                                      const rollout_result& what) {
  const change_plan plan{.in = in, .action = "rollout.finish"};
  return change(by, plan, [&](mutation& m) -> result<void> {
    const auto now = current(m, in, number);
    if (!now)
      return tl::unexpected(now.error());
    const auto changed =
      m.exec("UPDATE revisions SET finished_at = $3, outcome = $4, expected = $5, applied = $6, "
             "program_hash = $7 WHERE cluster_id = $1 AND number = $2",
             {in, number, m.by().at, what.outcome, what.expected, what.applied, what.program_hash});
    m.about("revision", number.value, "");
    m.of_revision(number);
    m.after({{"outcome", what.outcome}, {"expected", what.expected}, {"applied", what.applied}});
    if (now->state == revision_state::committed)
      m.emit("mp.v1.event.revision.committed", {{"revision", number.value},
                                                {"sha256", now->ruleset_hash},
                                                {"expected", what.expected},
                                                {"applied", what.applied}});
    return expect_one(changed, "revision");
  });
}

} // namespace marchproxy::storage
