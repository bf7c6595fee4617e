// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/netd/remote_installer.hpp"

#include "bpf/abi/rules.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace marchproxy::netd {

namespace {

using tier_ebpf::descriptor;
using tier_ebpf::loaded_object;

/// A file in memory that holds @p bytes.
result<net::unique_fd> in_memory(std::span<const std::byte> bytes) {
  net::unique_fd out{::memfd_create("mp_image", MFD_CLOEXEC)};
  for (std::size_t at = 0; out && at < bytes.size();) {
    const auto put = ::write(out.get(), bytes.data() + at, bytes.size() - at);
    if (put <= 0)
      out.reset();
    else
      at += static_cast<std::size_t>(put);
  }
  if (!out)
    return fail(errc::unavailable, std::string{"policy image: "} + std::strerror(errno));
  return out;
}

result<descriptor> as_descriptor(result<net::unique_fd> fd) {
  if (!fd)
    return tl::unexpected(fd.error());
  return descriptor{fd->release()};
}

class by_remote final : public tier_ebpf::installer {
public:
  explicit by_remote(std::shared_ptr<remote> by) : by_(std::move(by)) {}

  [[nodiscard]] tier_ebpf::probe_report probe() override {
    auto answered = by_->ask(netd::probe{});
    return answered ? std::move(answered->report)
                    : tier_ebpf::probe_report{{{"netd", false, answered.error().message}}};
  }
  [[nodiscard]] result<loaded_object> load_tc(const tier_ebpf::load_options& options) override {
    return load(netd::load_tc{options});
  }
  [[nodiscard]] result<loaded_object> load_xdp() override { return load(netd::load_xdp{}); }
  [[nodiscard]] result<descriptor> make_image(std::span<const std::byte> image) override {
    auto file = in_memory(image);
    if (!file)
      return tl::unexpected(file.error());
    const auto pages = static_cast<std::uint32_t>(image.size() / MP_PAGE_SIZE);
    return as_descriptor(by_->ask_for_one(netd::make_image{pages}, file->get()));
  }
  [[nodiscard]] result<descriptor> make_counter_block() override {
    return as_descriptor(by_->ask_for_one(netd::make_counter_block{}));
  }
  [[nodiscard]] result<void> attach_tc(int ifindex) override {
    return do_it(netd::attach_tc{ifindex});
  }
  [[nodiscard]] result<void> detach_tc(int ifindex) override {
    return do_it(netd::detach_tc{ifindex});
  }
  [[nodiscard]] result<void> attach_xdp(int ifindex, tier_ebpf::xdp_mode mode) override {
    return do_it(netd::attach_xdp{ifindex, mode});
  }
  [[nodiscard]] result<void> detach_xdp(int ifindex, tier_ebpf::xdp_mode mode) override {
    return do_it(netd::detach_xdp{ifindex, mode});
  }
  [[nodiscard]] result<void> clear_xdp(int ifindex) override {
    return do_it(netd::clear_xdp{ifindex});
  }

private:
  [[nodiscard]] result<void> do_it(const request& r) {
    auto answered = by_->ask(r);
    if (!answered)
      return tl::unexpected(answered.error());
    return {};
  }

  [[nodiscard]] result<loaded_object> load(const request& r) {
    loaded_object out;
    auto answered = by_->ask(r, -1, [&](const given& what, net::unique_fd fd) {
      auto& to = what.kind == given_kind::program ? out.programs : out.maps;
      to.insert_or_assign(what.name, descriptor{fd.release()});
    });
    if (!answered)
      return tl::unexpected(answered.error());
    return out;
  }

  std::shared_ptr<remote> by_;
};

} // namespace

std::unique_ptr<tier_ebpf::installer> remote_installer(std::shared_ptr<remote> by) {
  return std::make_unique<by_remote>(std::move(by));
}

} // namespace marchproxy::netd
