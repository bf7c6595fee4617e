// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/audit/record.hpp"

#include "actors/crypto/digest.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <set>
#include <utility>
#include <vector>

namespace marchproxy::audit {

namespace {

using nlohmann::json;

constexpr std::array<std::pair<actor_kind, std::string_view>, 5> kinds{
  {{actor_kind::user, "user"},
   {actor_kind::api_key, "api_key"},
   {actor_kind::automation, "automation"},
   {actor_kind::proxy, "proxy"},
   {actor_kind::system, "system"}}};

/// A JSON text, escaped as nlohmann does: quotes, backslashes and control characters only.
std::string json_text(std::string_view text) {
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

/// Reads the keys of an object; anything missing, left over or of the wrong type is a fault.
class strict_object {
public:
  explicit strict_object(const json& value) : value_{value}, ok_{value.is_object()} {}

  std::string text(const char* key) {
    const auto* found = take(key);
    const auto* text = found == nullptr ? nullptr : found->get_ptr<const std::string*>();
    return text == nullptr ? (fault(key), std::string{}) : *text;
  }
  std::uint64_t number(const char* key) {
    const auto* found = take(key);
    if (found == nullptr || !found->is_number_unsigned())
      return fault(key), 0;
    return found->get<std::uint64_t>();
  }
  const json& object(const char* key) {
    static const json empty = json::object();
    const auto* found = take(key);
    if (found == nullptr)
      return fault(key), empty;
    return *found;
  }
  [[nodiscard]] bool has(const char* key) const { return ok_ && value_.contains(key); }
  void fault(const char* key) {
    if (ok_)
      why_ = std::string{"`"} + key + "` is missing or malformed";
    ok_ = false;
  }
  [[nodiscard]] std::optional<std::string> finish() const {
    if (!ok_)
      return why_.empty() ? "not an object" : why_;
    if (taken_ != value_.size())
      return "unknown fields";
    return std::nullopt;
  }

private:
  const json* take(const char* key) {
    if (!has(key))
      return nullptr;
    ++taken_;
    return &value_[key];
  }

  const json& value_;
  bool ok_;
  std::size_t taken_ = 0;
  std::string why_;
};

/// JSON in which no object has a key twice (readers disagree on which of them counts), and that is
/// no deeper than what dump(), which recurses, can take.
std::optional<json> parse_unambiguous(std::string_view text) {
  std::vector<std::set<std::string>> keys;
  bool twice = false;
  bool deep = false;
  const auto watch = [&](int depth, json::parse_event_t event, json& value) {
    deep = deep || depth > 64;
    if (event == json::parse_event_t::object_start)
      keys.emplace_back();
    else if (event == json::parse_event_t::object_end)
      keys.pop_back();
    else if (event == json::parse_event_t::key)
      twice = !keys.back().insert(value.get<std::string>()).second || twice;
    return true;
  };
  auto out = json::parse(text, watch, false);
  if (out.is_discarded() || twice || deep)
    return std::nullopt;
  return out;
}

std::string state_text(strict_object& in, const char* key) {
  if (!in.has(key))
    return {};
  const auto& value = in.object(key);
  if (value.is_null())
    in.fault(key);
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

result<record> corrupt(const std::string& why) {
  return fail(errc::corrupt, "audit record: " + why);
}

} // namespace

std::string_view to_string(actor_kind kind) noexcept {
  const auto found =
    std::find_if(kinds.begin(), kinds.end(), [&](const auto& k) { return k.first == kind; });
  return found == kinds.end() ? "system" : found->second;
}

std::optional<actor_kind> parse_actor_kind(std::string_view name) noexcept {
  const auto found =
    std::find_if(kinds.begin(), kinds.end(), [&](const auto& k) { return k.second == name; });
  return found == kinds.end() ? std::nullopt : std::optional{found->first};
}

std::string canonical(const record& of) {
  std::string out = "{\"ledger\":" + json_text(of.ledger);
  out += ",\"sequence\":" + std::to_string(of.sequence);
  out += ",\"time\":" + json_text(format_time(of.time));
  out += ",\"actor\":{\"kind\":" + json_text(to_string(of.actor.kind));
  out += ",\"id\":" + json_text(of.actor.id) + ",\"name\":" + json_text(of.actor.name);
  out += "},\"source\":" + json_text(of.source);
  out += ",\"action\":" + json_text(of.action);
  out += ",\"resource\":{\"type\":" + json_text(of.resource.type);
  out += ",\"id\":" + json_text(of.resource.id) + ",\"name\":" + json_text(of.resource.name) + "}";
  if (of.revision)
    out += ",\"revision\":" + std::to_string(of.revision.value);
  out += ",\"outcome\":" + json_text(of.outcome);
  if (!of.before.empty())
    out += ",\"before\":" + of.before;
  if (!of.after.empty())
    out += ",\"after\":" + of.after;
  return out + ",\"previous_hash\":" + json_text(of.previous_hash) + "}";
}

std::string hash_of(const record& of) {
  return crypto::sha256_hex(of.previous_hash + canonical(of));
}

std::string to_line(const record& of) {
  auto out = canonical(of);
  out.pop_back();
  return out + ",\"hash\":" + json_text(of.hash) + "}";
}

result<record> parse_record(std::string_view line) {
  const auto parsed = parse_unambiguous(line);
  if (!parsed)
    return corrupt("not JSON, a key twice, or too deep");
  strict_object in{*parsed};
  record out;
  out.ledger = in.text("ledger");
  out.sequence = in.number("sequence");
  const auto time = in.text("time");
  if (const auto at = parse_time(time); at && format_time(*at) == time)
    out.time = *at;
  else
    in.fault("time");
  strict_object actor{in.object("actor")};
  const auto kind = parse_actor_kind(actor.text("kind"));
  out.actor = {kind.value_or(actor_kind::system), actor.text("id"), actor.text("name")};
  if (!kind || actor.finish())
    in.fault("actor");
  out.source = in.text("source");
  out.action = in.text("action");
  strict_object resource{in.object("resource")};
  out.resource = {resource.text("type"), resource.text("id"), resource.text("name")};
  if (resource.finish())
    in.fault("resource");
  if (in.has("revision")) {
    out.revision = revision{in.number("revision")};
    if (!out.revision)
      in.fault("revision");
  }
  out.outcome = in.text("outcome");
  out.before = state_text(in, "before");
  out.after = state_text(in, "after");
  out.previous_hash = in.text("previous_hash");
  out.hash = in.text("hash");
  if (const auto why = in.finish())
    return corrupt(*why);
  return out;
}

} // namespace marchproxy::audit
