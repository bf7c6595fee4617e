// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/rollout/applier.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace marchproxy::proxy {

/// A revision as it lies on a proxy's disk: what was announced, and the ruleset's canonical bytes.
/// Format: docs/architecture/state-directory.md.
struct stored_revision {
  rollout::announcement what;
  std::string bytes;
};

/// The last good revision and the one being staged, in a directory of mode 0700 (BUS-3). Each write
/// is fsynced before it is renamed into place, so that after any crash `active` is one whole
/// revision or absent.
class revision_file {
public:
  /// Creates the directory. @errors unavailable with the path and the reason
  [[nodiscard]] static result<revision_file> open(std::filesystem::path directory);

  [[nodiscard]] result<void> write_staged(const stored_revision& revision) const;
  /// staged becomes active. @errors unavailable
  [[nodiscard]] result<void> promote() const;
  void drop_staged() const noexcept;
  /// When the last good revision was put there; the earliest of times when there is none.
  [[nodiscard]] std::filesystem::file_time_type active_since() const noexcept;
  /// Nothing when there is none. @errors corrupt when it fails its checksum or format
  [[nodiscard]] result<std::optional<stored_revision>> read_active() const;

  /// A small text of the node's own (its cluster's particulars), written with the same care.
  [[nodiscard]] result<void> write_note(std::string_view name, std::string_view text) const;
  [[nodiscard]] std::optional<std::string> read_note(std::string_view name) const;

private:
  explicit revision_file(std::filesystem::path directory) : directory_(std::move(directory)) {}

  std::filesystem::path directory_;
};

} // namespace marchproxy::proxy
