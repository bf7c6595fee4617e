// SPDX-License-Identifier: AGPL-3.0-only
// Reads port sets in every encoding that clients use (POL-2, COMPAT-2).
#include "actors/model/port_set.hpp"
#include "actors/model/text_rules.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <optional>
#include <utility>

namespace marchproxy::model {

namespace {

constexpr std::size_t most_ranges = 1024;
constexpr std::size_t most_text = std::size_t{16} * 1024;
constexpr std::size_t most_elements = 65'535;
constexpr std::string_view port_form = "must be a port from 1 to 65535";

std::string_view trim(std::string_view text) noexcept {
  constexpr std::string_view blanks = " \t";
  const auto first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos)
    return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

bool means_any(std::string_view text) noexcept {
  constexpr std::array<std::string_view, 6> words{"", "*", "any", "all", "ANY", "ALL"};
  return std::find(words.begin(), words.end(), text) != words.end();
}

/// 1 to 5 digits without sign or leading zero.
std::optional<std::uint16_t> port_number(std::string_view text) noexcept {
  std::uint16_t number = 0;
  const auto* end = text.data() + text.size();
  const auto [stop, ec] = std::from_chars(text.data(), end, number);
  if (ec != std::errc{} || stop != end || text.empty() || text.front() == '0')
    return std::nullopt;
  return number;
}

/// What a reading has collected: ranges and faults, both in input order.
struct collected {
  std::vector<port_range> ranges;
  std::vector<field_error> faults;
  bool any = false; ///< `any` was said
  std::size_t elements = 0;

  void refuse(std::string field, std::string message) {
    if (faults.size() < 100)
      faults.push_back({std::move(field), std::move(message)});
  }
};

void add_range(collected& into,
               const std::string& field,
               std::optional<std::uint16_t> first,
               std::optional<std::uint16_t> last,
               std::string_view shown) {
  if (!first || !last)
    into.refuse(field, std::string{port_form}
                         .append(" or a range such as 8000-8080; got `")
                         .append(printable(shown))
                         .append("`"));
  else if (*first > *last)
    into.refuse(field, "the range `" + printable(shown) + "` ends before it starts");
  else
    into.ranges.push_back({*first, *last});
}

/// One element of a comma list.
void add_text_element(collected& into, const std::string& field, std::string_view text) {
  ++into.elements;
  const auto element = trim(text);
  if (element.empty())
    return into.refuse(field, "has an empty element between commas");
  const auto dash = element.find('-');
  if (dash == std::string_view::npos) {
    const auto port = port_number(element);
    return add_range(into, field, port, port, element);
  }
  add_range(into, field, port_number(trim(element.substr(0, dash))),
            port_number(trim(element.substr(dash + 1))), element);
}

void add_text(collected& into, const std::string& field, std::string_view text) {
  if (text.size() > most_text)
    return into.refuse(field, "must be at most 16 KiB of text");
  const auto whole = trim(text);
  if (means_any(whole)) {
    into.any = true;
    ++into.elements;
    return;
  }
  for (std::size_t at = 0; at <= whole.size();) {
    const auto comma = std::min(whole.find(',', at), whole.size());
    add_text_element(into, field, whole.substr(at, comma - at));
    at = comma + 1;
  }
}

std::optional<std::uint16_t> json_port(const nlohmann::json& value) {
  if (const auto* text = value.get_ptr<const std::string*>())
    return port_number(trim(*text));
  if (!value.is_number_integer())
    return std::nullopt;
  if (value.is_number_unsigned() ? value.get<std::uint64_t>() > 65'535
                                 : value.get<std::int64_t>() > 65'535)
    return std::nullopt;
  const auto number = value.get<std::int64_t>();
  return number >= 1 ? std::optional{static_cast<std::uint16_t>(number)} : std::nullopt;
}

void add_json(collected& into, const std::string& field, const nlohmann::json& value, int depth);

/// {"port":80}, {"start":1,"end":9} in its spellings, {"type":"list","ports":[..]}.
void add_object(collected& into,
                const std::string& field,
                const nlohmann::json& object,
                int depth) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 3> spellings{
    {{"start", "end"}, {"from", "to"}, {"first", "last"}}};
  ++into.elements;
  std::size_t used = 0;
  std::size_t forms = 0;
  if (object.contains("type")) {
    constexpr std::array<std::string_view, 3> types{"single", "range", "list"};
    const auto* type = object["type"].get_ptr<const std::string*>();
    if (type == nullptr || std::find(types.begin(), types.end(), *type) == types.end())
      return into.refuse(field + ".type", "must be single, range or list");
    ++used;
  }
  if (object.contains("port")) {
    ++used;
    ++forms;
    const auto port = json_port(object["port"]);
    add_range(into, field + ".port", port, port,
              object["port"].dump(-1, ' ', true, nlohmann::json::error_handler_t::replace));
  }
  if (object.contains("ports")) {
    ++used;
    ++forms;
    add_json(into, field + ".ports", object["ports"], depth + 1);
  }
  for (const auto& [first, last] : spellings) {
    if (!object.contains(first) && !object.contains(last))
      continue;
    ++forms;
    for (const auto name : {first, last}) {
      if (!object.contains(name))
        return into.refuse(field + "." + std::string{name}, "is required");
      if (!json_port(object[name]))
        return into.refuse(field + "." + std::string{name}, std::string{port_form});
      ++used;
    }
    const auto from = json_port(object[first]);
    const auto to = json_port(object[last]);
    add_range(into, field, from, to, std::to_string(*from) + "-" + std::to_string(*to));
  }
  if (forms != 1 || used != object.size())
    into.refuse(field, "must be {\"port\":n} or {\"start\":n,\"end\":n} and nothing else");
}

void add_array(collected& into, const std::string& field, const nlohmann::json& array, int depth) {
  if (array.size() > most_elements)
    return into.refuse(field, "must have at most 65535 elements");
  for (std::size_t i = 0; i < array.size(); ++i)
    add_json(into, field + "[" + std::to_string(i) + "]", array[i], depth + 1);
}

void add_json(collected& into, const std::string& field, const nlohmann::json& value, int depth) {
  if (depth > 3) // ports[0].ports[0] is as deep as the earlier encodings go
    return into.refuse(field, "is nested too deeply");
  if (const auto* text = value.get_ptr<const std::string*>())
    return add_text(into, field, *text);
  if (value.is_object())
    return add_object(into, field, value, depth);
  if (value.is_array())
    return add_array(into, field, value, depth);
  if (value.is_number()) {
    ++into.elements;
    const auto port = json_port(value);
    if (!port)
      return into.refuse(field, std::string{port_form});
    return into.ranges.push_back({*port, *port});
  }
  into.refuse(field, "must be a port, a text, an object or a list of those");
}

result<port_set> finish(collected from, std::string_view field) {
  const std::string name{field};
  if (from.any && from.elements > 1)
    from.refuse(name, "`any` stands alone, or not at all");
  if (!from.faults.empty()) {
    auto message = from.faults.front().field + ": " + from.faults.front().message;
    return tl::unexpected(
      error{errc::invalid_argument, std::move(message), std::move(from.faults)});
  }
  port_set out{std::move(from.ranges)};
  if (out.ranges().size() > most_ranges)
    return tl::unexpected(error{errc::too_large,
                                name + ": too many ranges",
                                {{name, "must be at most 1024 separate ranges"}}});
  return out;
}

} // namespace

result<port_set> parse_ports(std::string_view text, std::string_view field) {
  if (text.size() > most_text)
    return tl::unexpected(error{errc::too_large,
                                std::string{field} + ": too long",
                                {{std::string{field}, "must be at most 16 KiB of text"}}});
  collected from;
  add_text(from, std::string{field}, text);
  return finish(std::move(from), field);
}

result<port_set> parse_ports_json(const nlohmann::json& value, std::string_view field) {
  if (const auto* text = value.get_ptr<const std::string*>())
    return parse_ports(std::string_view{*text}, field);
  collected from;
  if (!value.is_null())
    add_json(from, std::string{field}, value, 0);
  return finish(std::move(from), field);
}

} // namespace marchproxy::model
