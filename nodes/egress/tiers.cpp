// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/tiers.hpp"

#include "bpf/loader/probe.hpp"

#include <ifaddrs.h>
#include <net/if.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <condition_variable>

namespace marchproxy::egress {

namespace {

constexpr auto housekeeping_interval = std::chrono::seconds{1};
constexpr std::size_t events_at_once = 4096;

std::vector<std::string> ethernet_interfaces() {
  std::vector<std::string> out;
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0)
    return out;
  for (auto* at = all; at != nullptr; at = at->ifa_next) {
    auto usable = (at->ifa_flags & IFF_UP) != 0 && (at->ifa_flags & IFF_LOOPBACK) == 0
                  && (at->ifa_flags & IFF_POINTOPOINT) == 0;
    if (usable && std::find(out.begin(), out.end(), at->ifa_name) == out.end())
      out.emplace_back(at->ifa_name);
  }
  ::freeifaddrs(all);
  return out;
}

} // namespace

ebpf_tier::ebpf_tier(std::unique_ptr<tier_ebpf::tier> loaded) : tier_(std::move(loaded)) {}

ebpf_tier::~ebpf_tier() = default;

result<std::unique_ptr<ebpf_tier>> ebpf_tier::load() {
  auto report = tier_ebpf::probe();
  if (!report.usable())
    return fail(errc::unsupported, report.reason());
  auto loaded = tier_ebpf::tier::load();
  if (!loaded)
    return tl::unexpected(loaded.error());
  return std::unique_ptr<ebpf_tier>{new ebpf_tier{std::move(*loaded)}};
}

result<void> ebpf_tier::attach(const std::vector<std::string>& names) {
  auto wanted = names.empty() ? ethernet_interfaces() : names;
  std::lock_guard hold{lock_};
  if (auto done = tier_->refresh_addresses(); !done)
    return done;
  for (const auto& name : wanted) {
    auto index = ::if_nametoindex(name.c_str());
    if (index == 0)
      return fail(errc::invalid_argument, "no interface '" + name + "'");
    if (auto done = tier_->attach(static_cast<int>(index)); !done)
      return fail(done.error().code, name + ": " + done.error().message);
    names_.push_back(name);
  }
  housekeeper_ = std::jthread{[this](const std::stop_token& stop) { housekeeping(stop); }};
  return {};
}

std::vector<std::string> ebpf_tier::interfaces() const {
  return names_;
}

void ebpf_tier::housekeeping(const std::stop_token& stop) {
  std::mutex sleeping;
  std::condition_variable_any wake;
  std::unique_lock asleep{sleeping};
  while (!stop.stop_requested()) {
    {
      std::lock_guard hold{lock_};
      if (auto done = tier_->refresh_addresses(); !done)
        spdlog::warn("reading the node's addresses: {}", to_string(done.error()));
      tier_->drain_events(
        [](const tier_ebpf::flow_event& e) {
          spdlog::debug("ebpf: {} {} mapping {}", to_string(e.tuple),
                        e.verdict.allowed() ? "allowed" : "denied", e.verdict.mapping.value);
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
  return out;
}

} // namespace marchproxy::egress
