// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/af_xdp/buffers.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace marchproxy::af_xdp {

result<std::unique_ptr<buffers>> buffers::make(std::size_t count, std::size_t size) {
  std::unique_ptr<buffers> out{new buffers};
  auto bytes = count * size;
  auto* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED)
    return fail(errc::unavailable, std::string{"AF_XDP buffers: "} + std::strerror(errno));
  out->area_ = static_cast<std::byte*>(memory);
  out->bytes_ = bytes;
  out->size_ = size;
  xsk_umem_config config{};
  config.fill_size = ring;
  config.comp_size = ring;
  config.frame_size = static_cast<std::uint32_t>(size);
  if (auto rc = xsk_umem__create(&out->umem_, memory, bytes, &out->first_fill,
                                 &out->first_completion, &config);
      rc != 0)
    return fail(errc::unavailable,
                "AF_XDP: registering " + std::to_string(bytes) + " bytes: " + std::strerror(-rc));
  out->free_.reserve(count);
  for (auto i = count; i > 0; --i)
    out->free_.push_back((i - 1) * size);
  return out;
}

buffers::~buffers() {
  if (umem_ != nullptr)
    xsk_umem__delete(umem_);
  if (area_ != nullptr)
    ::munmap(area_, bytes_);
}

} // namespace marchproxy::af_xdp
