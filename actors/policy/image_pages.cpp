// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/policy/image_pages.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <new>

namespace marchproxy::policy {

namespace {

std::size_t whole_pages(std::size_t bytes) noexcept {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

} // namespace

image_pages::~image_pages() {
  if (data_ != nullptr)
    munmap(data_, size_);
}

void image_pages::grow_to(std::size_t bytes) {
  auto wanted = whole_pages(bytes);
  if (wanted <= size_)
    return;
  auto* made = data_ == nullptr
                 ? mmap(nullptr, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                 : mremap(data_, size_, wanted, MREMAP_MAYMOVE);
  if (made == MAP_FAILED)
    throw std::bad_alloc{};
  if (data_ == nullptr)
    static_cast<void>(madvise(made, wanted, MADV_HUGEPAGE)); // an optimisation only
  data_ = static_cast<std::byte*>(made);
  size_ = wanted;
}

void image_pages::shrink_to(std::size_t bytes) noexcept {
  auto wanted = whole_pages(bytes);
  if (wanted == 0 || wanted >= size_ || munmap(data_ + wanted, size_ - wanted) != 0)
    return;
  size_ = wanted;
}

} // namespace marchproxy::policy
