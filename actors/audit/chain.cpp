// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/audit/chain.hpp"

#include "actors/audit/redact.hpp"

#include <nlohmann/json.hpp>

#include <utility>

namespace marchproxy::audit {

namespace {

using nlohmann::json;

/// Valid UTF-8 of at most @p most bytes, cut between characters.
std::string clip(std::string text, std::size_t most) {
  // dump() and parse() again turn what is not UTF-8 into U+FFFD.
  text =
    json::parse(json(text).dump(-1, ' ', false, json::error_handler_t::replace)).get<std::string>();
  if (text.size() > most) {
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80)
      --most;
    text.resize(most);
  }
  return text;
}

/// @return false if @p text is not JSON
bool redact_again(std::string& text) {
  if (text.empty())
    return true;
  const auto value = json::parse(text, nullptr, false);
  if (value.is_discarded())
    return false;
  text = redacted_text(value);
  return true;
}

} // namespace

std::string_view to_string(break_kind kind) noexcept {
  switch (kind) {
  case break_kind::malformed:
    return "malformed";
  case break_kind::wrong_ledger:
    return "wrong_ledger";
  case break_kind::missing:
    return "missing";
  case break_kind::repeated:
    return "repeated";
  case break_kind::wrong_previous:
    return "wrong_previous";
  case break_kind::wrong_hash:
    return "wrong_hash";
  case break_kind::wrong_head:
    return "wrong_head";
  case break_kind::truncated:
    return "truncated";
  }
  return "malformed";
}

chain_head head_of(const record& last) {
  return {last.sequence, last.hash};
}

result<record> append(const chain_head& head, record next) {
  next.ledger = clip(std::move(next.ledger), 128);
  next.actor.id = clip(std::move(next.actor.id), 128);
  next.actor.name = clip(std::move(next.actor.name), 128);
  next.source = clip(std::move(next.source), 128);
  next.action = clip(std::move(next.action), 64);
  next.resource.type = clip(std::move(next.resource.type), 64);
  next.resource.id = clip(std::move(next.resource.id), 128);
  next.resource.name = clip(std::move(next.resource.name), 256);
  next.outcome = clip(std::move(next.outcome), 64);
  if (next.ledger.empty() || next.action.empty())
    return fail_field(next.ledger.empty() ? "ledger" : "action", "must not be empty");
  if (!redact_again(next.before))
    return fail_field("before", "must be JSON");
  if (!redact_again(next.after))
    return fail_field("after", "must be JSON");
  next.sequence = head.sequence + 1;
  next.previous_hash = head.hash;
  next.hash = hash_of(next);
  return next;
}

verifier::verifier(expectation expected)
  : expected_{std::move(expected)}, ledger_{expected_.ledger}, head_{expected_.after} {}

bool verifier::fail_at_next(break_kind kind, std::string reason) {
  broken_ = chain_break{head_.sequence + 1, kind, std::move(reason)};
  return false;
}

bool verifier::add_line(std::string_view line) {
  if (broken_)
    return false;
  if (line.find_first_not_of(" \t\r\n") == std::string_view::npos)
    return true;
  const auto next = parse_record(line);
  if (!next)
    return fail_at_next(break_kind::malformed, next.error().message);
  return add(*next);
}

bool verifier::add(const record& next) {
  if (broken_)
    return false;
  if (!ledger_)
    ledger_ = next.ledger;
  const auto wanted = head_.sequence + 1;
  if (next.ledger != *ledger_)
    return fail_at_next(break_kind::wrong_ledger,
                        "a record of ledger `" + next.ledger + "` in `" + *ledger_ + "`");
  if (next.sequence > wanted)
    return fail_at_next(break_kind::missing, "record " + std::to_string(wanted)
                                               + " is missing: the next one is "
                                               + std::to_string(next.sequence));
  if (next.sequence < wanted)
    return fail_at_next(break_kind::repeated, "record " + std::to_string(next.sequence)
                                                + " stands where record " + std::to_string(wanted)
                                                + " should");
  if (next.previous_hash != head_.hash)
    return fail_at_next(break_kind::wrong_previous,
                        "previous_hash is not the hash of the record before");
  if (next.hash != hash_of(next))
    return fail_at_next(break_kind::wrong_hash, "the record does not have the hash it carries");
  if (expected_.head && expected_.head->sequence == wanted && expected_.head->hash != next.hash)
    return fail_at_next(break_kind::wrong_head,
                        "the hash is not the one that was recorded elsewhere");
  head_ = head_of(next);
  ++records_;
  return true;
}

verifier::report verifier::finish() const {
  report out{records_, head_, broken_};
  if (!out.broken && expected_.head && expected_.head->sequence > head_.sequence)
    out.broken = chain_break{head_.sequence + 1, break_kind::truncated,
                             "the ledger ends at record " + std::to_string(head_.sequence)
                               + ", but it once had " + std::to_string(expected_.head->sequence)};
  return out;
}

} // namespace marchproxy::audit
