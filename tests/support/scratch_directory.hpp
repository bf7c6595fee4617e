// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstdlib>
#include <filesystem>

namespace marchproxy::testing {

/// A directory of this test's own, removed with what is in it.
class scratch_directory {
public:
  scratch_directory() {
    auto pattern = (std::filesystem::temp_directory_path() / "marchproxy-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  scratch_directory(const scratch_directory&) = delete;
  scratch_directory& operator=(const scratch_directory&) = delete;
  ~scratch_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

private:
  std::filesystem::path path_;
};

} // namespace marchproxy::testing
