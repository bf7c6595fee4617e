// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "bpf/loader/descriptor.hpp"
#include "bpf/loader/installer.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace marchproxy::tier_ebpf {

/// Makes the map, fills it and freezes it: what image_map needs done. Takes CAP_BPF.
/// @errors unavailable when the kernel gives no memory
[[nodiscard]] result<descriptor> make_image_map(std::span<const std::byte> image);

/// One policy image in a kernel map of its own: filled, read back, compared and frozen, so that
/// nothing writes to it any more. Lives as long as somebody holds it or the kernel's `images` map
/// refers to it.
class image_map {
public:
  /// Has @p by make the map, and compares what is in it then.
  /// @param image  whole pages
  /// @errors unavailable when the kernel gives no memory; corrupt when it holds other bytes than
  /// were written
  [[nodiscard]] static result<std::shared_ptr<const image_map>>
  create(installer& by, std::span<const std::byte> image);

  image_map(const image_map&) = delete;
  image_map& operator=(const image_map&) = delete;
  ~image_map();

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  /// The kernel's id of the map, as `bpftool map show id` takes it.
  [[nodiscard]] std::uint32_t id() const noexcept { return id_; }
  /// The kernel's own bytes, read-only.
  [[nodiscard]] std::span<const std::byte> pages() const noexcept { return pages_; }

private:
  image_map() = default;

  descriptor fd_;
  std::uint32_t id_ = 0;
  std::span<const std::byte> pages_;
};

} // namespace marchproxy::tier_ebpf
