// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstddef>
#include <utility>

namespace marchproxy::policy {

/// Zeroed memory that grows without being copied, in huge pages where the kernel has them: an image
/// of megabytes is made and read without a fault, or a miss of the TLB, for each 4 KiB.
class image_pages {
public:
  image_pages() = default;
  image_pages(image_pages&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  image_pages& operator=(image_pages&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  image_pages(const image_pages&) = delete;
  image_pages& operator=(const image_pages&) = delete;
  ~image_pages();

  /// At least this many bytes; those there keep their values. Throws std::bad_alloc.
  void grow_to(std::size_t bytes);
  /// Gives back what lies behind the page of the last of these bytes.
  void shrink_to(std::size_t bytes) noexcept;

  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0; ///< a multiple of the page size
};

} // namespace marchproxy::policy
