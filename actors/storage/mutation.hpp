// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/audit/record.hpp"
#include "actors/crypto/seal.hpp"
#include "actors/storage/records.hpp"
#include "actors/storage/sql.hpp"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// How a change is made; for the sources of this room.
namespace marchproxy::storage {

/// What is known of a change before it begins.
struct change_plan {
  cluster_id in;        ///< 0: the installation's ledger
  std::string action;   ///< as `mapping.update`
  bool revises = false; ///< the ruleset changes: revise()
};

/// One try at a change, inside its transaction: open(), then the caller's work, then finish().
///
/// Locks are taken in one order, so that changes do not deadlock: the ledger's head (open), the
/// seat lock, then rows of the cluster.
class mutation {
public:
  mutation(transaction& tx,
           const change_context& by,
           const change_plan& plan,
           const crypto::sealing_key& key)
    : tx_(&tx), by_(&by), plan_(&plan), key_(&key) {}

  /// Locks the ledger and counts the revision up. @return an outcome if there is nothing left to
  /// do: this very change was committed by an earlier try (its answer was lost), or its idempotency
  /// key was used
  /// @errors not_found for the cluster, conflict for a key used for another request
  [[nodiscard]] result<std::optional<outcome>> open(const std::string& change_id,
                                                    const std::optional<outcome>& earlier_try);
  /// The ruleset changes: counts the cluster's revision up. Once.
  [[nodiscard]] result<void> revise();
  /// Stores the revision, the audit record, the messages and the idempotency key; does not commit.
  [[nodiscard]] result<outcome> finish(const std::string& change_id);

  [[nodiscard]] result<rows> exec(statement sql, const parameters& values = {}) {
    return tx_->exec(sql, values);
  }
  [[nodiscard]] transaction& tx() noexcept { return *tx_; }
  [[nodiscard]] const change_context& by() const noexcept { return *by_; }
  [[nodiscard]] const crypto::sealing_key& key() const noexcept { return *key_; }
  [[nodiscard]] marchproxy::revision revision() const noexcept { return out_.revision; }

  /// What the audit record says was changed. Never a secret in @p before and @p after.
  void about(std::string_view type, std::string_view id, std::string_view name);
  void about(std::string_view type, std::uint64_t id, std::string_view name);
  void before(nlohmann::json value) { before_ = std::move(value); }
  void after(nlohmann::json value) { after_ = std::move(value); }
  void audit_outcome(std::string_view how) { audited_outcome_ = how; }
  /// The change is of a revision it did not make.
  void of_revision(marchproxy::revision number) { audited_revision_ = number; }
  void version(std::uint64_t now) { out_.version = now; }
  /// A message for the outbox: @p data as bus-schemas has it.
  void emit(std::string_view subject, const nlohmann::json& data);
  /// {kind, id, name} as messages carry it.
  [[nodiscard]] nlohmann::json actor() const;

private:
  struct message {
    std::string subject;
    std::string data; ///< JSON
  };

  [[nodiscard]] result<void> lock_ledger();
  [[nodiscard]] result<std::optional<outcome>> replay();
  [[nodiscard]] result<void> store_revision();
  [[nodiscard]] result<void> give_up_old_contents(std::size_t size);
  [[nodiscard]] result<audit::record> audit_record() const;
  [[nodiscard]] result<void> append_audit(const std::string& change_id);
  [[nodiscard]] result<void> store_messages();
  [[nodiscard]] result<void> remember_key();

  transaction* tx_;
  const change_context* by_;
  const change_plan* plan_;
  const crypto::sealing_key* key_;
  std::string ledger_;
  std::string head_hash_; ///< before this change
  std::string type_;
  std::string id_;
  std::string name_;
  std::optional<nlohmann::json> before_;
  std::optional<nlohmann::json> after_;
  std::string audited_outcome_ = "success";
  marchproxy::revision audited_revision_;
  bool revises_ = false;
  std::vector<message> messages_;
  outcome out_;
};

/// JSON as stored and sent; text that is not UTF-8 is replaced, not thrown at.
[[nodiscard]] std::string text_of(const nlohmann::json& value);
[[nodiscard]] std::string text_of(const std::vector<std::string>& values);
/// The texts of a JSON array that text_of() wrote.
[[nodiscard]] std::vector<std::string> texts_from(const std::string& json);

/// not_found naming @p what if no row was changed.
[[nodiscard]] result<void> expect_one(const result<rows>& changed, std::string_view what);
/// @errors precondition_failed unless @p expected is absent or @p now
[[nodiscard]] result<void> check_version(std::optional<std::uint64_t> expected, std::uint64_t now);
/// A page of at most 1,000: rows asked for are one more than given, to know whether there is a next
/// page.
[[nodiscard]] std::int64_t clamp_limit(std::size_t limit) noexcept;

/// The first @p limit of @p found, read one by one; `next` is the id (column 0) of the last if
/// there are more.
template <class T, class Read>
[[nodiscard]] result<page<T>> page_of(const rows& found, std::int64_t limit, Read&& read) {
  page<T> out;
  const auto most = static_cast<std::size_t>(limit);
  for (std::size_t i = 0; i < found.list.size() && i < most; ++i) {
    result<T> one = read(found.list[i]);
    if (!one)
      return tl::unexpected(one.error());
    out.items.push_back(std::move(*one));
    if (i + 1 == most && found.list.size() > most)
      out.next = found.list[i].number(0);
  }
  return out;
}

/// AAD of the content of one revision.
[[nodiscard]] std::string content_place(cluster_id in, marchproxy::revision number);

} // namespace marchproxy::storage
