// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/cli/arguments.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

namespace marchproxy::cli {

namespace {

constexpr std::array<std::string_view, 14> valued{
  "url",  "api-key",  "timeout", "set",         "file", "cluster",  "service",
  "wait", "if-match", "source",  "destination", "port", "protocol", "to"};
constexpr std::array<std::string_view, 7> more_valued{"after", "ledger",     "limit",  "revision",
                                                      "sysfs", "management", "release"};

bool takes_value(std::string_view name) {
  return std::find(valued.begin(), valued.end(), name) != valued.end()
         || std::find(more_valued.begin(), more_valued.end(), name) != more_valued.end();
}

std::string from(const environment& env, const char* name) {
  const auto found = env.find(name);
  return found == env.end() ? std::string() : found->second;
}

result<void> apply(arguments& out, const std::string& name, const std::string& value) {
  if (name == "url") {
    out.url = value;
    out.url_given = true;
  } else if (name == "api-key") {
    out.api_key = value;
  } else if (name == "set") {
    out.settings.push_back(value);
  } else if (name == "file") {
    out.file = value;
  } else if (name == "timeout") {
    int seconds = 0;
    const auto [end, wrong] = std::from_chars(value.data(), value.data() + value.size(), seconds);
    if (wrong != std::errc{} || end != value.data() + value.size() || seconds < 1)
      return fail(errc::invalid_argument, "--timeout needs a number of seconds");
    out.timeout = std::chrono::seconds(seconds);
  } else {
    out.options[name] = value;
  }
  return {};
}

bool apply_flag(arguments& out, const std::string& name) {
  if (name == "json")
    out.json = true;
  else if (name == "help")
    out.help = true;
  else if (name == "version")
    out.version = true;
  else if (name == "healthcheck")
    out.healthcheck = true;
  else
    return false;
  return true;
}

std::string long_form(const std::string& word) {
  if (word == "-f")
    return "--file";
  return word == "-h" ? "--help" : word;
}

bool is_option(const std::string& word) {
  return word.size() > 2 && word.substr(0, 2) == "--";
}

/// @return how many further words the option used: 1 when its value is @p next
result<std::size_t>
take_option(arguments& out, const std::string& option, const std::string* next) {
  const auto equals = option.find('=');
  const auto name = option.substr(0, equals);
  if (equals == std::string::npos && apply_flag(out, name))
    return 0;
  if (!takes_value(name))
    return fail(errc::invalid_argument, "unknown option --" + name);
  if (equals == std::string::npos && next == nullptr)
    return fail(errc::invalid_argument, "--" + name + " needs a value");
  const auto value = equals == std::string::npos ? *next : option.substr(equals + 1);
  if (auto applied = apply(out, name, value); !applied)
    return tl::unexpected(applied.error());
  return equals == std::string::npos ? 1 : 0;
}

} // namespace

std::string arguments::option(const std::string& name) const {
  const auto found = options.find(name);
  return found == options.end() ? std::string() : found->second;
}

result<arguments> parse_arguments(const std::vector<std::string>& words, const environment& env) {
  arguments out;
  out.url = from(env, "MANAGER_URL");
  out.api_key = from(env, "MARCHPROXY_API_KEY");
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto name = long_form(words[i]);
    if (!is_option(name)) {
      if (name.size() > 1 && name.front() == '-')
        return fail(errc::invalid_argument, "unknown option " + name);
      out.words.push_back(name);
      continue;
    }
    const auto* next = i + 1 < words.size() ? &words[i + 1] : nullptr;
    const auto used = take_option(out, name.substr(2), next);
    if (!used)
      return tl::unexpected(used.error());
    i += *used;
  }
  if (out.url.empty())
    out.url = "http://127.0.0.1:8000";
  return out;
}

result<nlohmann::json> make_body(const std::string& text,
                                 const std::vector<std::string>& settings) {
  auto out = nlohmann::json::object();
  if (!text.empty()) {
    out = nlohmann::json::parse(text, nullptr, false);
    if (!out.is_object())
      return fail(errc::invalid_argument, "the file does not hold a JSON object");
  }
  for (const auto& setting : settings) {
    const auto equals = setting.find('=');
    if (equals == std::string::npos || equals == 0)
      return fail(errc::invalid_argument, "--set needs field=value, not '" + setting + "'");
    auto* place = &out;
    std::string_view field = std::string_view(setting).substr(0, equals);
    for (;;) {
      if (!place->is_object())
        *place = nlohmann::json::object();
      const auto dot = field.find('.');
      place = &(*place)[std::string(field.substr(0, dot))];
      if (dot == std::string_view::npos)
        break;
      field.remove_prefix(dot + 1);
    }
    const auto value = setting.substr(equals + 1);
    auto parsed = nlohmann::json::parse(value, nullptr, false);
    *place = parsed.is_discarded() ? nlohmann::json(value) : std::move(parsed);
  }
  return out;
}

} // namespace marchproxy::cli
