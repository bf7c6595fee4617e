// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/storage/mutation.hpp"

#include "actors/audit/chain.hpp"
#include "actors/audit/redact.hpp"
#include "actors/crypto/digest.hpp"
#include "actors/model/model.hpp"
#include "actors/storage/resource_rows.hpp"
#include "actors/storage/ruleset_reader.hpp"
#include "actors/storage/store.hpp"

#include <algorithm>

namespace marchproxy::storage {

namespace {

/// Contents up to this many bytes are kept for ever, larger ones for the newest revisions only.
constexpr std::size_t small_content = std::size_t{64} * 1024;
constexpr std::int64_t large_contents_kept = 50;

std::string principal(const change_context& by) {
  return by.actor_kind + ":" + by.actor_id;
}

} // namespace

nlohmann::json mutation::actor() const {
  return {{"kind", by_->actor_kind}, {"id", by_->actor_id}, {"name", by_->actor_name}};
}

void mutation::about(std::string_view type, std::string_view id, std::string_view name) {
  type_ = type;
  id_ = id;
  name_ = name;
}

void mutation::about(std::string_view type, std::uint64_t id, std::string_view name) {
  about(type, std::to_string(id), name);
  out_.id = id;
}

void mutation::emit(std::string_view subject, const nlohmann::json& data) {
  messages_.push_back({std::string(subject), text_of(data)});
}

result<std::optional<outcome>> mutation::open(const std::string& change_id,
                                              const std::optional<outcome>& earlier_try) {
  if (auto locked = lock_ledger(); !locked)
    return tl::unexpected(locked.error());
  if (earlier_try) {
    const auto found = exec("SELECT sequence FROM audit WHERE change_id = $1", {change_id});
    if (!found)
      return tl::unexpected(found.error());
    if (!found->empty())
      return earlier_try;
  }
  auto replayed = replay();
  if (!replayed || *replayed)
    return replayed;
  if (plan_->revises) {
    if (auto counted = revise(); !counted)
      return tl::unexpected(counted.error());
  }
  return std::optional<outcome>();
}

result<void> mutation::lock_ledger() {
  ledger_ = audit::installation_ledger;
  if (plan_->in) {
    const auto cluster = exec("SELECT name FROM clusters WHERE id = $1", {plan_->in});
    if (!cluster)
      return tl::unexpected(cluster.error());
    if (cluster->empty())
      return fail(errc::not_found, "no such cluster");
    ledger_ = cluster->front().text(0);
  }
  // Makes the row or changes it: either way it is locked until the end of this transaction.
  const auto head = exec("INSERT INTO audit_heads (ledger, sequence, hash) VALUES ($1, 1, $2) "
                         "ON CONFLICT (ledger) DO UPDATE SET sequence = audit_heads.sequence + 1 "
                         "RETURNING sequence, hash",
                         {ledger_, std::string(64, '0')});
  if (!head)
    return tl::unexpected(head.error());
  out_.sequence = head->front().number(0);
  head_hash_ = head->front().text(1);
  return {};
}

result<void> mutation::revise() {
  revises_ = true;
  const auto counted = exec(
    "UPDATE clusters SET revision = revision + 1 WHERE id = $1 RETURNING revision", {plan_->in});
  if (!counted)
    return tl::unexpected(counted.error());
  if (counted->empty())
    return fail(errc::not_found, "no such cluster");
  out_.revision = counted->front().id<marchproxy::revision>(0);
  audited_revision_ = out_.revision;
  return {};
}

result<std::optional<outcome>> mutation::replay() {
  if (!by_->once)
    return std::optional<outcome>();
  const auto found = exec("SELECT request_hash, resource_id, revision, sequence, version "
                          "FROM idempotency WHERE principal = $1 AND idempotency_key = $2",
                          {principal(*by_), by_->once->key});
  if (!found)
    return tl::unexpected(found.error());
  if (found->empty())
    return std::optional<outcome>();
  const auto& first = found->front();
  if (first.text(0) != by_->once->request_hash)
    return fail(errc::conflict, "the idempotency key was used for another request");
  outcome out;
  out.id = first.number(1);
  out.revision = first.id<marchproxy::revision>(2);
  out.sequence = first.number(3);
  out.version = first.number(4);
  out.replayed = true;
  return std::optional<outcome>(out);
}

result<outcome> mutation::finish(const std::string& change_id) {
  const auto done = (revises_ ? store_revision() : result<void>())
                      .and_then([&] { return append_audit(change_id); })
                      .and_then([&] { return store_messages(); })
                      .and_then([&] { return remember_key(); });
  if (!done)
    return tl::unexpected(done.error());
  return out_;
}

result<void> mutation::store_revision() {
  const auto rules = read_ruleset(*tx_, plan_->in, *key_);
  if (!rules)
    return tl::unexpected(rules.error());
  const auto content = model::encode(*rules);
  const auto stored = exec(
    "INSERT INTO revisions (cluster_id, number, created_at, created_by, reason, state, "
    "ruleset_hash, content, content_size) VALUES ($1, $2, $3, $4, $5, 'pending', $6, $7, $8)",
    {plan_->in, out_.revision, by_->at, principal(*by_), by_->reason, crypto::sha256_hex(content),
     blob{crypto::seal(*key_, content, content_place(plan_->in, out_.revision))}, content.size()});
  if (!stored)
    return tl::unexpected(stored.error());
  nlohmann::json event{{"revision", out_.revision.value}, {"actor", actor()}};
  event["summary"] = (plan_->action + " " + name_).substr(0, 512);
  emit("mp.v1.event.revision.created", event);
  return give_up_old_contents(content.size());
}

result<void> mutation::give_up_old_contents(std::size_t size) {
  if (size <= small_content)
    return {};
  return exec("UPDATE revisions SET content = NULL WHERE cluster_id = $1 AND number <= $2 "
              "AND content_size > $3 AND content IS NOT NULL AND number <> "
              "(SELECT COALESCE(MAX(number), 0) FROM revisions "
              "WHERE cluster_id = $1 AND state = 'committed')",
              {plan_->in, static_cast<std::int64_t>(out_.revision.value) - large_contents_kept,
               small_content})
    .map([](const rows&) {});
}

result<audit::record> mutation::audit_record() const {
  const auto kind = audit::parse_actor_kind(by_->actor_kind);
  if (!kind)
    return fail_field("actor_kind", "is not one");
  audit::record next;
  next.ledger = ledger_;
  next.time = by_->at;
  next.actor = {*kind, by_->actor_id, by_->actor_name};
  next.source = by_->source;
  next.action = plan_->action;
  next.resource = {type_, id_, name_};
  next.revision = audited_revision_;
  next.outcome = audited_outcome_;
  if (before_)
    next.before = audit::redacted_text(*before_);
  if (after_)
    next.after = audit::redacted_text(*after_);
  // The head was counted up when it was locked.
  return audit::append({out_.sequence - 1, head_hash_}, std::move(next));
}

result<void> mutation::append_audit(const std::string& change_id) {
  const auto record = audit_record();
  if (!record)
    return tl::unexpected(record.error());
  auto line = audit::to_line(*record);
  const auto stored = exec("INSERT INTO audit (ledger, sequence, change_id, at, record, hash) "
                           "VALUES ($1, $2, $3, $4, $5, $6)",
                           {ledger_, record->sequence, change_id, by_->at, line, record->hash});
  if (!stored)
    return tl::unexpected(stored.error());
  messages_.push_back({"mp.v1.audit.record", std::move(line)});
  return exec("UPDATE audit_heads SET hash = $2 WHERE ledger = $1", {ledger_, record->hash})
    .map([](const rows&) {});
}

result<void> mutation::store_messages() {
  for (const auto& one : messages_) {
    const auto stored =
      exec("INSERT INTO outbox (cluster_id, subject, payload, created_at) VALUES ($1, $2, $3, $4)",
           {plan_->in, one.subject, one.data, by_->at});
    if (!stored)
      return tl::unexpected(stored.error());
  }
  return {};
}

result<void> mutation::remember_key() {
  if (!by_->once)
    return {};
  return exec("INSERT INTO idempotency (principal, idempotency_key, request_hash, resource_id, "
              "revision, sequence, version, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
              {principal(*by_), by_->once->key, by_->once->request_hash, out_.id, out_.revision,
               out_.sequence, out_.version, by_->at})
    .map([](const rows&) {});
}

std::string text_of(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string text_of(const std::vector<std::string>& values) {
  return text_of(nlohmann::json(values));
}

std::vector<std::string> texts_from(const std::string& json) {
  std::vector<std::string> out;
  for (const auto& one : nlohmann::json::parse(json, nullptr, false)) {
    if (one.is_string())
      out.push_back(one.get<std::string>());
  }
  return out;
}

result<void> expect_one(const result<rows>& changed, std::string_view what) {
  if (!changed)
    return tl::unexpected(changed.error());
  if (changed->affected == 0)
    return fail(errc::not_found, "no such " + std::string(what));
  return {};
}

result<void> check_version(std::optional<std::uint64_t> expected, std::uint64_t now) {
  if (expected && *expected != now)
    return fail(errc::precondition_failed, "it was changed meanwhile: version is "
                                             + std::to_string(now) + ", not "
                                             + std::to_string(*expected));
  return {};
}

std::string listing(const rows& found) {
  std::string out;
  for (const auto& one : found.list) {
    out += (out.empty() ? "" : ", ") + std::to_string(one.number(0));
    if (!one.text(1).empty())
      out += " \"" + one.text(1) + "\"";
  }
  return out;
}

std::int64_t clamp_limit(std::size_t limit) noexcept {
  return static_cast<std::int64_t>(std::clamp<std::size_t>(limit, 1, 1000));
}

std::string content_place(cluster_id in, marchproxy::revision number) {
  return "revisions.content/" + std::to_string(in.value) + "/" + std::to_string(number.value);
}

} // namespace marchproxy::storage
