// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace marchproxy::cli {

/// What the command line and the environment say.
struct arguments {
  std::vector<std::string> words; ///< what is no option, in order
  std::string url;                ///< --url, MANAGER_URL, or the manager on this host
  bool url_given = false;         ///< by --url
  std::string api_key;            ///< --api-key or MARCHPROXY_API_KEY
  std::chrono::seconds timeout{90};
  bool json = false;
  bool help = false;
  bool version = false;
  bool healthcheck = false;
  std::vector<std::string> settings;          ///< of --set, `field=value`
  std::string file;                           ///< of -f
  std::map<std::string, std::string> options; ///< the rest by name: `cluster`, `wait`, ...

  [[nodiscard]] std::string option(const std::string& name) const;
};

using environment = std::map<std::string, std::string>;

/// @param words  without the program's name
/// @errors invalid_argument: an unknown option, or one without its value
[[nodiscard]] result<arguments> parse_arguments(const std::vector<std::string>& words,
                                                const environment& env);

/// The body that --set and -f make: the file's object, then the settings over it. A value that is
/// JSON is that JSON, any other is text; `health_check.path=/up` goes into an inner object.
/// @param text  of the file; empty: none
/// @errors invalid_argument
[[nodiscard]] result<nlohmann::json> make_body(const std::string& text,
                                               const std::vector<std::string>& settings);

} // namespace marchproxy::cli
