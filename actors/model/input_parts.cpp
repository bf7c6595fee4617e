// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/input_parts.hpp"

#include "actors/model/text_rules.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>

namespace marchproxy::model {

namespace {

struct protocol_word {
  std::string_view word;
  protocol_set set;
};

constexpr protocol_set bit(protocol which) noexcept {
  return static_cast<protocol_set>(which);
}

constexpr std::array<protocol_word, 9> protocol_words{{
  {"tcp", bit(protocol::tcp)},
  {"udp", bit(protocol::udp)},
  {"icmp", bit(protocol::icmp)},
  {"both", bit(protocol::tcp) | bit(protocol::udp)},
  {"http", bit(protocol::tcp)},
  {"https", bit(protocol::tcp)},
  {"any", any_protocol},
  {"all", any_protocol},
  {"*", any_protocol},
}};

std::string lower_trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos)
    return {};
  std::string out{text.substr(first, text.find_last_not_of(" \t") - first + 1)};
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

struct protocol_reading {
  protocol_set set = 0;
  bool any = false;
};

void add_protocols(field_reader& in,
                   protocol_reading& into,
                   const std::string& path,
                   const nlohmann::json& value) {
  const auto* text = value.get_ptr<const std::string*>();
  if (text == nullptr)
    return in.refuse(path, "must be tcp, udp, icmp or any, or a list of those");
  if (text->empty()) {
    into.any = true;
    return;
  }
  for (std::size_t at = 0; at <= text->size();) {
    const auto comma = std::min(text->find(',', at), text->size());
    const auto word = lower_trimmed(std::string_view{*text}.substr(at, comma - at));
    at = comma + 1;
    const auto known = std::find_if(protocol_words.begin(), protocol_words.end(),
                                    [&](const protocol_word& w) { return w.word == word; });
    if (known == protocol_words.end())
      return in.refuse(path, "must be tcp, udp, icmp or any; got `" + printable(word) + "`");
    into.any = into.any || known->set == any_protocol;
    into.set |= known->set;
  }
}

} // namespace

protocol_set read_protocols(field_reader& in, field_reader::names of) {
  const auto given = in.take(of);
  if (!given)
    return any_protocol;
  protocol_reading reading;
  if (!given.value->is_array()) {
    add_protocols(in, reading, given.path, *given.value);
  } else if (given.value->size() > 16) {
    in.refuse(given.path, "must have at most 16 elements");
  } else {
    for (std::size_t i = 0; i < given.value->size(); ++i)
      add_protocols(in, reading, given.path + "[" + std::to_string(i) + "]", (*given.value)[i]);
  }
  return reading.any ? any_protocol : reading.set;
}

port_set read_ports(field_reader& in, field_reader::names of) {
  const auto given = in.take(of);
  if (!given)
    return {};
  auto ports = parse_ports_json(*given.value, given.path);
  if (ports)
    return std::move(*ports);
  in.absorb(ports.error());
  return {};
}

std::optional<std::size_t> read_word(field_reader& in,
                                     field_reader::names of,
                                     std::initializer_list<std::string_view> words,
                                     presence need) {
  const auto given = in.take(of);
  if (!given) {
    if (need == presence::required)
      in.refuse(given.path, "is required");
    return std::nullopt;
  }
  if (const auto* text = given.value->get_ptr<const std::string*>())
    if (const auto found = std::find(words.begin(), words.end(), *text); found != words.end())
      return static_cast<std::size_t>(found - words.begin());
  std::string message = "must be one of";
  for (const auto word : words)
    message.append(word == *words.begin() ? " " : ", ").append(word);
  in.refuse(given.path, std::move(message));
  return std::nullopt;
}

std::optional<std::uint64_t> whole_number(const nlohmann::json& value) {
  if (value.is_number_unsigned() || (value.is_number_integer() && value.get<std::int64_t>() >= 0))
    return value.get<std::uint64_t>();
  return std::nullopt;
}

std::optional<std::uint64_t> whole_number(std::string_view text) noexcept {
  std::uint64_t number = 0;
  const auto* end = text.data() + text.size();
  const auto [stop, ec] = std::from_chars(text.data(), end, number);
  if (text.empty() || ec != std::errc{} || stop != end)
    return std::nullopt;
  return number;
}

void ignore_server_fields(field_reader& in) {
  in.ignore({"id", "cluster_id", "version", "created_at", "updated_at", "created_by"});
}

} // namespace marchproxy::model
