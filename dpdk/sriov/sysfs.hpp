// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::sriov {

/// Reads a sysfs tree. What is there is foreign, and may go while it is read. Paths are relative to
/// the root, such as `bus/pci/devices`; errors name the file with its root.
class sysfs_reader {
public:
  explicit sysfs_reader(std::string root) : root_(std::move(root)) {}

  /// An attribute, without the blanks and line ends around it. @return nothing when there is none
  /// @errors unavailable (the kernel's reason), corrupt (beyond a page, or not printable)
  [[nodiscard]] result<std::optional<std::string>> text(const std::string& file) const;
  /// A whole number, decimal or with 0x. @errors as text; corrupt
  [[nodiscard]] result<std::optional<long long>> number(const std::string& file) const;
  /// The last part of where a symbolic link leads. @return nothing when there is none
  /// @errors unavailable
  [[nodiscard]] result<std::optional<std::string>> link(const std::string& file) const;
  /// The names in a directory, sorted; none when it is not there.
  /// @errors unavailable, too_large beyond 65,536
  [[nodiscard]] result<std::vector<std::string>> names(const std::string& directory) const;
  [[nodiscard]] bool exists(const std::string& file) const;

  [[nodiscard]] const std::string& root() const noexcept { return root_; }
  [[nodiscard]] std::string path(const std::string& file) const { return root_ + "/" + file; }

private:
  std::string root_;
};

/// Writes attributes of a sysfs tree.
class attribute_writer {
public:
  attribute_writer() = default;
  attribute_writer(const attribute_writer&) = delete;
  attribute_writer& operator=(const attribute_writer&) = delete;
  virtual ~attribute_writer() = default;

  /// Blocks until the kernel has done it: seconds for the number of virtual functions.
  /// @errors not_found (no such file), refused, with the file and the kernel's reason
  [[nodiscard]] virtual result<void> write(const std::string& file, std::string_view text) = 0;
};

/// Of the tree at @p root, for the product.
class file_writer final : public attribute_writer {
public:
  explicit file_writer(std::string root) : root_(std::move(root)) {}
  [[nodiscard]] result<void> write(const std::string& file, std::string_view text) override;

private:
  std::string root_;
};

} // namespace marchproxy::sriov
