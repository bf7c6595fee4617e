// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/packet_tier.hpp"

#include "dpdk/af_xdp/interfaces.hpp"
#include "dpdk/ethdev/device_port.hpp"
#include "dpdk/ethdev/environment.hpp"
#include "nodes/egress/limited_metrics.hpp"
#include "nodes/egress/virtual_functions.hpp"

#include <net/if.h>
#include <spdlog/spdlog.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

namespace marchproxy::egress {

namespace {

constexpr std::chrono::milliseconds housekeeping_interval{100};
constexpr std::size_t events_at_once = 65'536;

class af_xdp_source final : public packet_source {
public:
  explicit af_xdp_source(std::unique_ptr<af_xdp::interfaces> cards) : cards_(std::move(cards)) {}
  [[nodiscard]] std::string_view name() const noexcept override { return "af_xdp"; }
  [[nodiscard]] std::vector<packet_port::port*> ports() const override { return cards_->ports(); }
  [[nodiscard]] std::vector<int> interfaces() const override { return cards_->indices(); }
  [[nodiscard]] result<void> set_own(std::span<const ip_address> own) override {
    return cards_->set_own(own);
  }
  [[nodiscard]] result<void> attach() override { return cards_->attach(); }

private:
  std::unique_ptr<af_xdp::interfaces> cards_;
};

class dpdk_source final : public packet_source {
public:
  [[nodiscard]] result<void> add(const ethdev::environment& environment, const dpdk_port& wanted) {
    auto device =
      ethdev::device::open(environment, {wanted.device, wanted.arguments, wanted.is_virtual});
    if (!device)
      return tl::unexpected(device.error());
    auto port = ethdev::device_port::make(environment, std::move(*device), wanted.stand_in);
    if (!port)
      return tl::unexpected(port.error());
    ports_.push_back(std::move(*port));
    interfaces_.push_back(static_cast<int>(::if_nametoindex(wanted.stand_in.c_str())));
    return {};
  }
  [[nodiscard]] std::string_view name() const noexcept override { return "dpdk"; }
  [[nodiscard]] std::vector<packet_port::port*> ports() const override {
    std::vector<packet_port::port*> out;
    for (const auto& p : ports_)
      out.push_back(p.get());
    return out;
  }
  [[nodiscard]] std::vector<int> interfaces() const override { return interfaces_; }
  [[nodiscard]] result<void> set_own(std::span<const ip_address>) override { return {}; }
  [[nodiscard]] result<void> attach() override { return {}; }

private:
  std::vector<std::unique_ptr<ethdev::device_port>> ports_;
  std::vector<int> interfaces_;
};

result<std::unique_ptr<packet_source>> open_af_xdp(const packet_settings& wanted) {
  auto cards = af_xdp::interfaces::open(wanted.af_xdp);
  if (!cards)
    return tl::unexpected(cards.error());
  spdlog::info("af_xdp: {} queues, {} of them zero-copy; what only the kernel can do goes by {}",
               (*cards)->ports().size(), (*cards)->zero_copy_ports(), (*cards)->entry_name());
  return std::make_unique<af_xdp_source>(std::move(*cards));
}

result<std::unique_ptr<packet_source>> open_dpdk(const packet_settings& wanted) {
  ethdev::environment_options options;
  options.memory_mib = wanted.dpdk_memory_mib;
  auto ports = with_addresses(wanted.dpdk, "/sys");
  if (!ports)
    return tl::unexpected(ports.error());
  for (const auto& p : *ports)
    if (!p.is_virtual)
      options.devices.push_back(p.device);
  auto environment = ethdev::environment::start(options);
  if (!environment)
    return tl::unexpected(environment.error());
  auto out = std::make_unique<dpdk_source>();
  for (const auto& p : *ports)
    if (auto added = out->add(**environment, p); !added)
      return tl::unexpected(added.error());
  spdlog::info("dpdk: {} ports, {} pages", ports->size(),
               (*environment)->huge_pages() ? "huge" : "small");
  return out;
}

} // namespace

packet_tier::packet_tier(const packet_settings& wanted, std::unique_ptr<packet_source> source)
  : source_(std::move(source)),
    pool_({wanted.connections, wanted.connections_of_source, wanted.cores},
          std::vector<std::vector<packet_port::port*>>{source_->ports()}) {}

packet_tier::~packet_tier() {
  housekeeper_ = {};
  follower_.reset();
  pool_.stop(); // before the ports go
}

result<std::unique_ptr<packet_tier>> packet_tier::open(const packet_settings& wanted) {
  auto source = wanted.dpdk.empty() ? open_af_xdp(wanted) : open_dpdk(wanted);
  if (!source)
    return tl::unexpected(source.error());
  return std::unique_ptr<packet_tier>{new packet_tier{wanted, std::move(*source)}};
}

result<void> packet_tier::attach() {
  auto follower = packet_worker::kernel_follower::start(
    pool_, source_->interfaces(),
    [this](std::span<const ip_address> own) { return source_->set_own(own); });
  if (!follower)
    return tl::unexpected(follower.error());
  follower_ = std::move(*follower);
  pool_.start();
  housekeeper_ = std::jthread{[this](const std::stop_token& stop) { housekeeping(stop); }};
  return source_->attach();
}

void packet_tier::housekeeping(const std::stop_token& stop) {
  std::mutex sleeping;
  std::condition_variable_any wake;
  std::unique_lock asleep{sleeping};
  while (!stop.stop_requested()) {
    pool_.drain_events(
      [this](const tier_ebpf::flow_event& e) {
        spdlog::debug("{}: {} {} mapping {}", name(), to_string(e.tuple), to_string(e.kind),
                      e.verdict.mapping.value);
      },
      events_at_once);
    wake.wait_for(asleep, stop, housekeeping_interval, [] { return false; });
  }
}

std::map<std::string, std::uint64_t> packet_tier::counters() const {
  std::map<std::string, std::uint64_t> out;
  for (const auto& [name, value] : tier_ebpf::by_name(pool_.totals()))
    out.emplace("packet_" + name, value);
  return out;
}

std::vector<std::string> packet_tier::interfaces() const {
  std::vector<std::string> out;
  for (auto index : source_->interfaces()) {
    std::array<char, IF_NAMESIZE> name{};
    if (::if_indextoname(static_cast<unsigned>(index), name.data()) != nullptr)
      out.emplace_back(name.data());
  }
  return out;
}

void packet_tier::add_metrics(serving::metric_list& out) const {
  for (const auto& [name, value] : tier_ebpf::by_name(pool_.totals()))
    out.counter("marchproxy_packet_worker_events_total", "The packet worker's counters by name.",
                value, {{"event", name}});
  add_limited("marchproxy_packet_worker", pool_.limited(), out);
  auto ways = pool_.ways();
  for (std::size_t i = 0; i < ways.value.size(); ++i) {
    auto which = static_cast<packet_worker::way>(i);
    out.counter("marchproxy_packet_worker_ways_total",
                "Where packets went that the packet worker let pass, and the bytes it forwarded.",
                ways.at(which), {{"way", std::string{packet_worker::text_of(which).name}}});
  }
  out.gauge("marchproxy_packet_worker_connections", "Entries of its connection table.",
            pool_.connections_now());
  out.counter("marchproxy_packet_worker_evicted_total",
              "Connections that had to make room for others.", pool_.evicted());
  auto ports = source_->ports();
  for (std::size_t i = 0; i < ports.size(); ++i) {
    auto seen = ports[i]->counters();
    auto number = std::to_string(i);
    out.counter("marchproxy_packet_port_frames_total", "Frames by port of the packet worker.",
                seen.received, {{"port", number}, {"what", "received"}});
    out.counter("marchproxy_packet_port_frames_total", "Frames by port of the packet worker.",
                seen.sent, {{"port", number}, {"what", "sent"}});
    out.counter("marchproxy_packet_port_frames_total", "Frames by port of the packet worker.",
                seen.missed, {{"port", number}, {"what", "missed"}});
  }
  if (follower_)
    out.counter("marchproxy_packet_route_failures_total",
                "Times that the kernel's routes could not be read.", follower_->failures());
}

} // namespace marchproxy::egress
