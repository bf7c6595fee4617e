// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/image_map.hpp"

#include "bpf/abi/rules.h"
#include "bpf/loader/map_reader.hpp"

#include <bpf/bpf.h>

#include <sys/mman.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace marchproxy::tier_ebpf {

namespace {

tl::unexpected<error> kernel_refuses(const char* what) {
  return fail(errc::unavailable,
              std::string{"policy image: "} + what + ": " + std::strerror(errno));
}

/// Whether @p map holds @p image, read as the packet programs do: by the kernel's address of each
/// page. So the first packets of a revision need not be the first to come by these addresses, which
/// costs 4 us a page in a virtual machine whose host shadows page tables.
bool holds(int map, std::span<const std::byte> image) {
  using page = std::array<std::byte, MP_PAGE_SIZE>;
  const auto pages = image.size() / MP_PAGE_SIZE;
  std::size_t alike = 0;
  read_map<std::uint32_t, page>(map, 1, pages, [&](std::uint32_t number, std::span<page> read) {
    if (std::memcmp(read[0].data(), &image[number * MP_PAGE_SIZE], MP_PAGE_SIZE) == 0)
      ++alike;
  });
  return alike == pages;
}

} // namespace

image_map::~image_map() {
  if (!pages_.empty())
    ::munmap(const_cast<std::byte*>(pages_.data()), pages_.size());
}

result<descriptor> make_image_map(std::span<const std::byte> image) {
  MP_INVARIANT(!image.empty() && image.size() % MP_PAGE_SIZE == 0);
  bpf_map_create_opts options{};
  options.sz = sizeof options;
  options.map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE;
  auto pages = static_cast<std::uint32_t>(image.size() / MP_PAGE_SIZE);
  descriptor out{bpf_map_create(BPF_MAP_TYPE_ARRAY, "mp_image", 4, MP_PAGE_SIZE, pages, &options)};
  if (!out)
    return kernel_refuses("map");

  auto* filling = ::mmap(nullptr, image.size(), PROT_READ | PROT_WRITE, MAP_SHARED, out.get(), 0);
  if (filling == MAP_FAILED)
    return kernel_refuses("mapping for writing");
  std::memcpy(filling, image.data(), image.size());
  ::munmap(filling, image.size());
  if (bpf_map_freeze(out.get()) != 0)
    return kernel_refuses("freezing");
  return out;
}

result<std::shared_ptr<const image_map>> image_map::create(installer& by,
                                                           std::span<const std::byte> image) {
  auto made = by.make_image(image);
  if (!made)
    return tl::unexpected(made.error());
  std::shared_ptr<image_map> out{new image_map};
  out->fd_ = std::move(*made);
  auto* reading = ::mmap(nullptr, image.size(), PROT_READ, MAP_SHARED, out->fd(), 0);
  if (reading == MAP_FAILED)
    return kernel_refuses("mapping for reading");
  out->pages_ = {static_cast<const std::byte*>(reading), image.size()};
  if (!holds(out->fd(), image))
    return fail(errc::corrupt, "policy image: the kernel's copy differs");

  bpf_map_info info{};
  std::uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(out->fd(), &info, &size) != 0)
    return kernel_refuses("map id");
  out->id_ = info.id;
  return out;
}

} // namespace marchproxy::tier_ebpf
