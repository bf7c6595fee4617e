// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/tiers.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <condition_variable>
#include <iterator>

namespace marchproxy::egress {

namespace {

constexpr auto housekeeping_interval = std::chrono::seconds{1};
constexpr unsigned rounds_a_sweep = 10;
constexpr std::size_t events_at_once = 4096;

/// Those that were named, or every Ethernet interface that is up.
result<std::vector<tier_ebpf::interface>> chosen(const std::vector<std::string>& names) {
  auto all = tier_ebpf::interfaces();
  if (!all)
    return tl::unexpected(all.error());
  std::vector<tier_ebpf::interface> out;
  if (names.empty()) {
    std::copy_if(all->begin(), all->end(), std::back_inserter(out),
                 [](const auto& i) { return i.up && i.ethernet; });
    return out;
  }
  for (const auto& name : names) {
    auto found =
      std::find_if(all->begin(), all->end(), [&](const auto& i) { return i.name == name; });
    if (found == all->end())
      return fail(errc::invalid_argument, "no interface '" + name + "'");
    out.push_back(*found);
  }
  return out;
}

} // namespace

ebpf_tier::ebpf_tier(std::unique_ptr<tier_ebpf::tier> loaded) : tier_(std::move(loaded)) {}

ebpf_tier::~ebpf_tier() {
  housekeeper_ = {};
  for (auto ifindex : tier_->attached())
    if (auto done = tier_->detach(ifindex); !done)
      spdlog::error("a filter stays, and judges by the last revision until the next start: {}",
                    to_string(done.error()));
}

result<std::unique_ptr<ebpf_tier>> ebpf_tier::load(const settings& options,
                                                   std::shared_ptr<tier_ebpf::installer> by) {
  auto report = by->probe();
  if (!report.usable())
    return fail(errc::unsupported, report.reason());
  auto loaded = tier_ebpf::tier::load(
    {options.connections, options.connections_of_source, options.forwards}, std::move(by));
  if (!loaded)
    return tl::unexpected(loaded.error());
  return std::unique_ptr<ebpf_tier>{new ebpf_tier{std::move(*loaded)}};
}

result<interface_hook> ebpf_tier::attach_to(const tier_ebpf::interface& at,
                                            const settings& options) {
  auto named = [&](const error& e) { return fail(e.code, at.name + ": " + e.message); };
  if (auto done = tier_->attach(at.index); !done)
    return named(done.error());
  auto plan = plan_hook(at, options);
  interface_hook out{at.name, at.kind, "tc", {}, plan.why_not};
  for (auto mode : plan.tries) {
    auto done = tier_->xdp() != nullptr ? result<void>{} : tier_->load_xdp();
    if (done)
      done = tier_->xdp()->attach(at.index, mode);
    if (done) {
      out.hook = "xdp";
      out.mode = to_string(mode);
      return out;
    }
    out.why_not = done.error().message;
  }
  if (options.xdp == wish::on)
    return fail(errc::unsupported, "ENABLE_XDP is true, but " + at.name + ": " + out.why_not);
  if (auto done = tier_->clear_xdp(at.index); !done)
    return named(done.error());
  return out;
}

result<void> ebpf_tier::attach(const settings& options) {
  auto wanted = chosen(options.ebpf_interfaces);
  if (!wanted)
    return tl::unexpected(wanted.error());
  std::lock_guard hold{lock_};
  if (auto done = tier_->refresh_addresses(); !done)
    return done;
  for (const auto& at : *wanted) {
    auto hook = attach_to(at, options);
    if (!hook)
      return tl::unexpected(hook.error());
    spdlog::info("{} is judged by {}{}{}", hook->name, hook->hook,
                 hook->mode.empty() ? "" : " " + hook->mode,
                 hook->why_not.empty() ? "" : "; not by XDP in the driver: " + hook->why_not);
    hooks_.push_back(std::move(*hook));
  }
  if (auto done = tier_->refresh_addresses(); !done) // what the XDP program has to know of them
    return done;
  housekeeper_ = std::jthread{[this](const std::stop_token& stop) { housekeeping(stop); }};
  return {};
}

bool ebpf_tier::at_driver() const noexcept {
  return std::any_of(hooks_.begin(), hooks_.end(), [](const auto& h) { return h.hook == "xdp"; });
}

std::optional<policy::verdict> ebpf_tier::at_driver(const policy::flow& f) const {
  if (!at_driver())
    return std::nullopt;
  auto verdict = tier_->judge_xdp(f);
  return verdict ? std::optional{*verdict} : std::nullopt;
}

mp_totals ebpf_tier::xdp_totals() const {
  const auto& loaded = *tier_;
  return loaded.xdp() != nullptr ? loaded.xdp()->totals() : mp_totals{};
}

void ebpf_tier::housekeeping(const std::stop_token& stop) {
  std::mutex sleeping;
  std::condition_variable_any wake;
  std::unique_lock asleep{sleeping};
  for (unsigned round = 1; !stop.stop_requested(); ++round) {
    if (round % rounds_a_sweep == 0) // no change of revision waits for it
      tier_->sweep();
    {
      std::lock_guard hold{lock_};
      if (auto done = tier_->refresh_addresses(); !done)
        spdlog::warn("reading the node's addresses: {}", to_string(done.error()));
      tier_->drain_events(
        [](const tier_ebpf::flow_event& e) {
          spdlog::debug("ebpf: {} {} mapping {}", to_string(e.tuple), to_string(e.kind),
                        e.verdict.mapping.value);
        },
        events_at_once);
    }
    wake.wait_for(asleep, stop, housekeeping_interval, [] { return false; });
  }
}

result<void> ebpf_tier::prepare(const std::shared_ptr<const policy::program>& program) {
  std::lock_guard hold{lock_};
  auto done = tier_->prepare(program);
  if (!done)
    sync_errors_.fetch_add(1, std::memory_order_relaxed);
  return done;
}

result<void> ebpf_tier::commit() {
  std::lock_guard hold{lock_};
  auto done = tier_->commit();
  if (!done)
    sync_errors_.fetch_add(1, std::memory_order_relaxed);
  return done;
}

void ebpf_tier::abort() noexcept {
  std::lock_guard hold{lock_};
  tier_->abort();
}

std::map<std::string, std::uint64_t> ebpf_tier::counters() const {
  std::map<std::string, std::uint64_t> out;
  for (const auto& [name, value] : tier_ebpf::by_name(tier_->totals()))
    out.emplace("ebpf_" + name, value);
  if (at_driver())
    for (const auto& [name, value] : tier_ebpf::by_name(xdp_totals()))
      out.emplace("xdp_" + name, value);
  return out;
}

} // namespace marchproxy::egress
