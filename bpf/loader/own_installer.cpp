// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/attachment.hpp"
#include "bpf/loader/counter_entries.hpp"
#include "bpf/loader/image_map.hpp"
#include "bpf/loader/installer.hpp"
#include "bpf/loader/kernel_programs.hpp"
#include "bpf/loader/xdp_attachment.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <fcntl.h>
#include <mp_tc.skel.h>
#include <mp_xdp.skel.h>

#include <cerrno>
#include <utility>

namespace marchproxy::tier_ebpf {

namespace {

struct tc_free {
  void operator()(mp_tc* object) const noexcept { mp_tc::destroy(object); }
};
struct xdp_free {
  void operator()(mp_xdp* object) const noexcept { mp_xdp::destroy(object); }
};

/// Descriptors of their own: the object may go.
result<loaded_object> descriptors_of(const bpf_object* object) {
  loaded_object out;
  bool all = true;
  auto add = [&](loaded_object::by_name& to, const char* name, int fd) {
    descriptor copy{::fcntl(fd, F_DUPFD_CLOEXEC, 0)};
    all = all && copy;
    to.emplace(name, std::move(copy));
  };
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object)
    add(out.programs, bpf_program__name(program), bpf_program__fd(program));
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) add(out.maps, bpf_map__name(map), bpf_map__fd(map));
  if (!all)
    return cannot_load("descriptors of programs and maps", -errno);
  return out;
}

class own final : public installer {
public:
  [[nodiscard]] probe_report probe() override { return tier_ebpf::probe(); }

  [[nodiscard]] result<loaded_object> load_tc(const load_options& options) override;
  [[nodiscard]] result<loaded_object> load_xdp() override;

  [[nodiscard]] result<descriptor> make_image(std::span<const std::byte> image) override {
    return make_image_map(image);
  }
  [[nodiscard]] result<descriptor> make_counter_block() override {
    return tier_ebpf::make_counter_block();
  }
  [[nodiscard]] result<void> attach_tc(int ifindex) override {
    MP_INVARIANT(tc_);
    return attach_filter(ifindex, bpf_program__fd(tc_->progs.mp_ingress));
  }
  [[nodiscard]] result<void> detach_tc(int ifindex) override {
    MP_INVARIANT(tc_);
    return detach_filter(ifindex, id_of_program(bpf_program__fd(tc_->progs.mp_ingress)));
  }
  [[nodiscard]] result<void> attach_xdp(int ifindex, xdp_mode mode) override {
    MP_INVARIANT(xdp_);
    return attach_xdp_program(ifindex, mode, bpf_program__fd(xdp_->progs.mp_xdp), before_);
  }
  [[nodiscard]] result<void> detach_xdp(int ifindex, xdp_mode mode) override {
    MP_INVARIANT(xdp_);
    return detach_xdp_program(ifindex, mode, bpf_program__fd(xdp_->progs.mp_xdp));
  }
  [[nodiscard]] result<void> clear_xdp(int ifindex) override {
    return remove_predecessors(ifindex, before_);
  }

private:
  std::unique_ptr<mp_tc, tc_free> tc_;
  std::unique_ptr<mp_xdp, xdp_free> xdp_;
  std::uint32_t connections_of_source_ = 0;
  xdp_predecessors before_ = xdp_predecessors::find();
};

result<loaded_object> own::load_tc(const load_options& options) {
  begin_loading();
  tc_.reset(mp_tc::open());
  if (!tc_)
    return cannot_load("opening the tc program", -errno);
  auto& maps = tc_->maps;
  constexpr std::uint32_t confirmed_for_opening = 4;
  for (auto [map, entries] : {std::pair{maps.flows, options.connections},
                              {maps.openings, options.connections / confirmed_for_opening}})
    if (auto rc = bpf_map__set_max_entries(map, entries); rc != 0)
      return cannot_load("size of the connection tables", rc);
  tc_->rodata->connections_of_source = connections_of_source_ = options.connections_of_source;
  if (auto rc = mp_tc::load(tc_.get()); rc != 0)
    return cannot_load("loading the tc program", rc);
  return descriptors_of(tc_->obj);
}

result<loaded_object> own::load_xdp() {
  MP_INVARIANT(tc_);
  begin_loading();
  xdp_.reset(mp_xdp::open());
  if (!xdp_)
    return cannot_load("opening the XDP program", -errno);
  xdp_->rodata->connections_of_source = connections_of_source_;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, xdp_->obj) {
    const auto* shared = bpf_object__find_map_by_name(tc_->obj, bpf_map__name(map));
    if (shared == nullptr || shared == tc_->maps.totals)
      continue;
    if (auto rc = bpf_map__reuse_fd(map, bpf_map__fd(shared)); rc != 0)
      return cannot_load("sharing maps with the XDP program", rc);
  }
  if (auto rc = mp_xdp::load(xdp_.get()); rc != 0)
    return cannot_load("loading the XDP program", rc);
  return descriptors_of(xdp_->obj);
}

} // namespace

std::unique_ptr<installer> own_installer() {
  return std::make_unique<own>();
}

} // namespace marchproxy::tier_ebpf
