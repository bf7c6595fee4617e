// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/audit/record.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace marchproxy::audit {

/// The last record of a ledger. Before the first: sequence 0 and 64 zeros.
struct chain_head {
  std::uint64_t sequence = 0;
  std::string hash = std::string(64, '0');

  bool operator==(const chain_head&) const = default;
};

/// @p next with its sequence, previous_hash and hash: the record to store. Texts are cut to what
/// the bus's schema allows, and before and after are redacted (again): no caller can let a secret
/// in.
/// @errors invalid_argument if before or after is not JSON, or ledger or action is empty
[[nodiscard]] result<record> append(const chain_head& head, record next);
[[nodiscard]] chain_head head_of(const record& last);

/// What a verification found first.
enum class break_kind : std::uint8_t {
  malformed,      ///< not a record
  wrong_ledger,   ///< a record of another ledger
  missing,        ///< a later sequence than the next one
  repeated,       ///< a sequence that was there before: a duplicate, or moved
  wrong_previous, ///< previous_hash is not the hash of the record before
  wrong_hash,     ///< the content does not have the hash it carries
  wrong_head,     ///< the record at the expected head's sequence has another hash
  truncated,      ///< the ledger ends before the expected head
};
[[nodiscard]] std::string_view to_string(break_kind kind) noexcept;

struct chain_break {
  std::uint64_t sequence =
    0; ///< the place in the chain: that of the record that should stand there
  break_kind kind = break_kind::malformed;
  std::string reason; ///< for people
};

/// What is known of the ledger from elsewhere.
struct expectation {
  std::optional<std::string> ledger = {}; ///< otherwise that of the first record
  chain_head after = {};                  ///< where the records begin: verifies a later part
  std::optional<chain_head> head = {};    ///< a head that the ledger once had; it may have grown
};

/// Follows a ledger record by record, in constant memory. After the first break it looks no
/// further. For one thread.
class verifier {
public:
  explicit verifier(expectation expected = {});

  /// One line of JSON (to_line); empty lines are skipped. @return false once the chain is broken
  bool add_line(std::string_view line);
  bool add(const record& next);

  struct report {
    std::uint64_t records = 0; ///< that hold
    chain_head head;           ///< the last that holds
    std::optional<chain_break> broken = {};

    [[nodiscard]] bool ok() const noexcept { return !broken; }
  };
  /// To be called after the last record.
  [[nodiscard]] report finish() const;

private:
  bool fail_at_next(break_kind kind, std::string reason);

  expectation expected_;
  std::optional<std::string> ledger_;
  chain_head head_;
  std::uint64_t records_ = 0;
  std::optional<chain_break> broken_;
};

} // namespace marchproxy::audit
