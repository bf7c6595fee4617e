// SPDX-License-Identifier: AGPL-3.0-only
#include "bus-schemas/cpp/reader.hpp"

#include <algorithm>
#include <optional>

namespace marchproxy::bus_schemas::detail {

namespace {

std::size_t code_points(std::string_view text) {
  return static_cast<std::size_t>(
    std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

/// Reads exactly @p digits decimal digits from the front of @p text.
std::optional<unsigned> take_number(std::string_view& text, std::size_t digits) {
  if (text.size() < digits)
    return std::nullopt;
  unsigned number = 0;
  for (const char c : text.substr(0, digits)) {
    if (c < '0' || c > '9')
      return std::nullopt;
    number = number * 10 + static_cast<unsigned>(c - '0');
  }
  text.remove_prefix(digits);
  return number;
}

bool take(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text.front()) == std::string_view::npos)
    return false;
  text.remove_prefix(1);
  return true;
}

bool take_date(std::string_view& text) {
  const auto year = take_number(text, 4);
  const auto month = year && take(text, "-") ? take_number(text, 2) : std::nullopt;
  const auto day = month && take(text, "-") ? take_number(text, 2) : std::nullopt;
  if (!day || *month < 1 || *month > 12)
    return false;
  constexpr std::array<unsigned, 12> lengths{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (*year % 4 == 0 && *year % 100 != 0) || *year % 400 == 0;
  const unsigned length = *month == 2 && leap ? 29 : lengths[*month - 1];
  return *day >= 1 && *day <= length;
}

bool take_hour_minute(std::string_view& text) {
  const auto hour = take_number(text, 2);
  const auto minute = hour && take(text, ":") ? take_number(text, 2) : std::nullopt;
  return minute && *hour <= 23 && *minute <= 59;
}

bool is_date_time(std::string_view text) {
  if (!take_date(text) || !take(text, "Tt") || !take_hour_minute(text) || !take(text, ":"))
    return false;
  const auto second = take_number(text, 2);
  if (!second || *second > 59)
    return false;
  if (take(text, ".")) {
    const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    if (digits == 0)
      return false;
    text.remove_prefix(digits);
  }
  if (take(text, "Zz"))
    return text.empty();
  return take(text, "+-") && take_hour_minute(text) && text.empty();
}

} // namespace

std::string path::text() const {
  std::string out = parent != nullptr ? parent->text() : std::string();
  if (index != no_index)
    return out + "[" + std::to_string(index) + "]";
  if (!out.empty() && !key.empty())
    out += ".";
  return out.append(key);
}

error bad(const path& at, std::string message) {
  error out{errc::invalid_argument, "the message does not follow its schema", {}};
  out.fields.push_back({at.text(), std::move(message)});
  return out;
}

result<void> first_time(std::uint64_t& seen, unsigned bit, const path& at) {
  const std::uint64_t mask = std::uint64_t{1} << bit;
  if ((seen & mask) != 0)
    return tl::unexpected(bad(at, "appears twice"));
  seen |= mask;
  return {};
}

result<void> require(std::uint64_t seen, unsigned bit, std::string_view key, const path& parent) {
  if ((seen >> bit & 1U) != 0)
    return {};
  const path at{&parent, key};
  return tl::unexpected(bad(at, "is required"));
}

result<bool> read_boolean(element value, const path& at) {
  bool out = false;
  if (value.get(out) != simdjson::SUCCESS)
    return tl::unexpected(bad(at, "must be true or false"));
  return out;
}

result<std::uint64_t>
read_unsigned(element value, const path& at, std::uint64_t low, std::uint64_t high) {
  std::uint64_t out = 0;
  if (value.get(out) != simdjson::SUCCESS || out < low || out > high)
    return tl::unexpected(
      bad(at, "must be an integer from " + std::to_string(low) + " to " + std::to_string(high)));
  return out;
}

result<std::int64_t>
read_signed(element value, const path& at, std::int64_t low, std::int64_t high) {
  std::int64_t out = 0;
  if (value.get(out) != simdjson::SUCCESS || out < low || out > high)
    return tl::unexpected(
      bad(at, "must be an integer from " + std::to_string(low) + " to " + std::to_string(high)));
  return out;
}

result<std::string> read_text(element value, const path& at, std::size_t low, std::size_t high) {
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS)
    return tl::unexpected(bad(at, "must be a string"));
  const std::size_t length = code_points(text);
  if (length < low || length > high)
    return tl::unexpected(
      bad(at, "must have " + std::to_string(low) + " to " + std::to_string(high) + " characters"));
  return std::string(text);
}

result<std::string> read_pattern(element value, const path& at, const pattern& which) {
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS)
    return tl::unexpected(bad(at, "must be a string"));
  const auto allowed = [&](char c) {
    const auto code = static_cast<unsigned char>(c);
    return (which.allowed[code / 64U] >> (code % 64U) & 1U) != 0;
  };
  const std::size_t skip = which.prefix.size();
  if (text.substr(0, skip) != which.prefix || text.size() < skip + which.low
      || text.size() > skip + which.high
      || !std::all_of(text.begin() + static_cast<std::ptrdiff_t>(skip), text.end(), allowed))
    return tl::unexpected(bad(at, "does not have the form its schema asks for"));
  return std::string(text);
}

result<std::string> read_date_time(element value, const path& at) {
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS || text.size() > 64 || !is_date_time(text))
    return tl::unexpected(bad(at, "must be an RFC 3339 date and time"));
  return std::string(text);
}

result<void> read_const(element value, const path& at, std::string_view wanted) {
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS || text != wanted)
    return tl::unexpected(bad(at, "must be " + std::string(wanted)));
  return {};
}

result<std::size_t>
read_choice(element value, const path& at, std::span<const std::string_view> names) {
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) {
    const auto found = std::find(names.begin(), names.end(), text);
    if (found != names.end())
      return static_cast<std::size_t>(found - names.begin());
  }
  std::string message = "must be one of";
  for (const auto name : names)
    message.append(" ").append(name);
  return tl::unexpected(bad(at, std::move(message)));
}

result<raw_json> read_any(element value) {
  return raw_json{simdjson::minify(value)};
}

result<raw_json> read_object_text(element value, const path& at) {
  if (!value.is_object())
    return tl::unexpected(bad(at, "must be an object"));
  return read_any(value);
}

result<element> parse(std::string_view json) {
  if (json.size() > max_message_bytes)
    return fail(errc::too_large, "a message may have at most 1 MiB");
  // One parser per thread: its buffers are the only allocation a decode would otherwise repeat.
  thread_local simdjson::dom::parser parser(max_message_bytes + simdjson::SIMDJSON_PADDING);
  thread_local const bool shallow = parser.allocate(4096, 64) == simdjson::SUCCESS;
  element root;
  if (!shallow || parser.parse(json.data(), json.size(), true).get(root) != simdjson::SUCCESS)
    return tl::unexpected(bad(path{}, "is not JSON, or nested more than 64 deep"));
  return root;
}

} // namespace marchproxy::bus_schemas::detail
