// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/tier.hpp"

#include "bpf/loader/kernel_programs.hpp"
#include "bpf/loader/node_addresses.hpp"
#include "bpf/loader/tier_state.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <string>
#include <utility>

namespace marchproxy::tier_ebpf {

namespace {

int take_event(void* context, void* data, std::size_t size) {
  auto& sink = *static_cast<event_sink*>(context);
  mp_event e{};
  if (size < sizeof e)
    return 0;
  std::memcpy(&e, data, sizeof e);
  (*sink.to)(to_event(e));
  ++sink.taken;
  return --sink.left == 0 ? -ECANCELED : 0;
}

} // namespace

tier::tier(std::unique_ptr<state> s) : state_(std::move(s)) {}

tier::~tier() {
  for (auto ifindex : attached())
    static_cast<void>(state_->by->detach_tc(ifindex)); // an interface that is gone needs none
}

result<std::unique_ptr<tier>> tier::load(const load_options& options) {
  return load(options, own_installer());
}

result<std::unique_ptr<tier>> tier::load(const load_options& options,
                                         std::shared_ptr<installer> by) {
  begin_loading();
  auto s = std::make_unique<state>();
  auto loaded = by->load_tc(options);
  if (!loaded)
    return tl::unexpected(loaded.error());
  s->by = std::move(by);
  s->object = std::move(*loaded);
  const auto& object = s->object;
  s->fds = {object.program("mp_ingress"),  object.program("mp_judge"), object.map("images"),
            object.map("local_addresses"), object.map("flows"),        object.map("openings"),
            object.map("sources"),         object.map("totals"),       object.map("events")};
  s->counters = counter_entries{object.map("mapping_counters"), s->by.get()};
  s->meters = limit_meters{
    {object.map("meters"), object.map("source_meters"), object.map("open_connections")}};
  s->links = own_links{object.map("own_links")};
  s->forwards = options.forwards;
  s->ring.reset(ring_buffer__new(s->fds.events, take_event, &s->sink, nullptr));
  if (!s->ring)
    return cannot_load("the ring of events", -errno);
  return std::unique_ptr<tier>{new tier{std::move(s)}};
}

result<void> tier::prepare(const std::shared_ptr<const policy::program>& program) {
  state_->staged = {};
  auto image = image_map::create(*state_->by, program->image());
  if (!image)
    return tl::unexpected(image.error());
  auto ok = state_->counters.add(*program);
  if (ok)
    ok = state_->meters.add(*program);
  if (!ok) {
    abort();
    return ok;
  }
  state_->staged = {program, *image};
  return {};
}

result<void> tier::commit() {
  if (!state_->staged.program)
    return fail(errc::refused, "no revision is prepared");
  {
    std::lock_guard guard{state_->lock};
    state_->coming = std::move(state_->staged);
  }
  state_->staged = {};
  std::uint32_t slot = 0;
  auto fd = state_->coming.image->fd();
  // The kernel waits for the programs that still hold the old image before this returns.
  auto rc = bpf_map_update_elem(state_->fds.images, &slot, &fd, BPF_ANY);
  {
    std::lock_guard guard{state_->lock};
    if (rc == 0)
      state_->active = state_->coming;
    state_->coming = {};
  }
  state_->keep_only_active();
  if (rc != 0)
    return fail(errc::unavailable,
                std::string{"switching the policy image: "} + std::strerror(-rc));
  return {};
}

void tier::abort() noexcept {
  state_->staged = {};
  state_->keep_only_active();
}

std::shared_ptr<const policy::program> tier::active() const {
  return state_->in_force().program;
}

result<void> tier::attach(int ifindex) {
  if (auto ok = state_->by->attach_tc(ifindex); !ok)
    return ok;
  std::lock_guard guard{state_->lock};
  state_->attached.insert(ifindex);
  return {};
}

result<void> tier::detach(int ifindex) {
  if (auto ok = state_->by->detach_tc(ifindex); !ok)
    return ok;
  std::lock_guard guard{state_->lock};
  state_->attached.erase(ifindex);
  return {};
}

result<void> tier::clear_xdp(int ifindex) {
  return state_->by->clear_xdp(ifindex);
}

std::vector<int> tier::attached() const {
  std::lock_guard guard{state_->lock};
  return {state_->attached.begin(), state_->attached.end()};
}

result<void> tier::load_xdp() {
  auto loaded = xdp_hook::load(state_->by);
  if (!loaded)
    return tl::unexpected(loaded.error());
  state_->xdp = std::move(*loaded);
  return {};
}

xdp_hook* tier::xdp() noexcept {
  return state_->xdp.get();
}

const xdp_hook* tier::xdp() const noexcept {
  return state_->xdp.get();
}

result<void> tier::refresh_addresses() {
  auto addresses = node_addresses();
  if (!addresses)
    return tl::unexpected(addresses.error());
  if (auto done = sync_addresses(state_->fds.local_addresses, *addresses); !done)
    return done;
  auto all = interfaces();
  if (!all)
    return tl::unexpected(all.error());
  if (auto done = state_->links.set(state_->forwarding(*all)); !done || !state_->xdp)
    return done;
  return state_->xdp->follow(*all);
}

std::map<int, own_links::link> tier::state::forwarding(const std::vector<interface>& all) const {
  std::map<int, own_links::link> out;
  std::lock_guard guard{lock};
  for (const auto& i : all) {
    if (!forwards || !attached.contains(i.index))
      continue;
    // Behind a generic XDP program frames can come without their link header.
    auto mode = xdp ? xdp->attached().find(i.index) : std::map<int, xdp_mode>::const_iterator{};
    auto generic = xdp && mode != xdp->attached().end() && mode->second == xdp_mode::generic;
    out[i.index] = {i.link_address, !generic};
  }
  return out;
}

} // namespace marchproxy::tier_ebpf
