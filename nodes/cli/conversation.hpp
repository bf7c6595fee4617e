// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/cli/api_client.hpp"
#include "nodes/cli/command.hpp"

#include <nlohmann/json.hpp>

#include <optional>

namespace marchproxy::cli {

/// Asks the manager and reads the envelope of its answer. Refusals are told on the error stream,
/// field by field.
class conversation {
public:
  conversation(const arguments& given, terminal& at);

  /// The envelope of a success.
  [[nodiscard]] std::optional<nlohmann::json> ask(const api_request& what);
  /// All pages of a list in one envelope.
  [[nodiscard]] std::optional<nlohmann::json> ask_all(api_request what);
  /// An answer that is no envelope.
  [[nodiscard]] std::optional<api_response> ask_raw(const api_request& what);

private:
  terminal& at_;
  api_client client_;
};

} // namespace marchproxy::cli
