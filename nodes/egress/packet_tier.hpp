// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/proxy/tier.hpp"
#include "dpdk/worker/kernel_follower.hpp"
#include "dpdk/worker/pool.hpp"
#include "nodes/egress/settings.hpp"
#include "nodes/serving/metrics.hpp"

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace marchproxy::egress {

/// Where a packet worker's frames come from.
class packet_source {
public:
  packet_source() = default;
  packet_source(const packet_source&) = delete;
  packet_source& operator=(const packet_source&) = delete;
  virtual ~packet_source() = default;

  [[nodiscard]] virtual std::string_view name() const noexcept = 0; ///< of the tier
  [[nodiscard]] virtual std::vector<packet_port::port*> ports() const = 0;
  /// Interfaces by port: those that the kernel's routes name.
  [[nodiscard]] virtual std::vector<int> interfaces() const = 0;
  [[nodiscard]] virtual result<void> set_own(std::span<const ip_address> own) = 0;
  /// The worker turns: frames may come.
  [[nodiscard]] virtual result<void> attach() = 0;
};

/// The packet worker as a tier: `af_xdp` or `dpdk`. A thread of its own takes its reports.
class packet_tier : public proxy::tier {
public:
  /// Opens the ports that @p wanted names, by AF_XDP or DPDK. Nothing is judged yet.
  /// @errors as the ports'
  [[nodiscard]] static result<std::unique_ptr<packet_tier>> open(const packet_settings& wanted);
  packet_tier(const packet_tier&) = delete;
  packet_tier& operator=(const packet_tier&) = delete;
  ~packet_tier() override;

  /// From now on the worker judges what arrives. @errors unavailable, conflict
  [[nodiscard]] result<void> attach();

  [[nodiscard]] std::string_view name() const noexcept override { return source_->name(); }
  [[nodiscard]] result<void>
  prepare(const std::shared_ptr<const policy::program>& program) override {
    return pool_.prepare(program);
  }
  [[nodiscard]] result<void> commit() override { return pool_.commit(); }
  void abort() noexcept override { pool_.abort(); }
  [[nodiscard]] std::map<std::string, std::uint64_t> counters() const override;
  void add_metrics(serving::metric_list& out) const;
  /// Names of those whose packets it judges; with DPDK, of those that stand in for its devices.
  [[nodiscard]] std::vector<std::string> interfaces() const;

private:
  packet_tier(const packet_settings& wanted, std::unique_ptr<packet_source> source);
  void housekeeping(const std::stop_token& stop);

  std::unique_ptr<packet_source> source_;
  packet_worker::pool pool_;
  std::unique_ptr<packet_worker::kernel_follower> follower_;
  std::jthread housekeeper_;
};

} // namespace marchproxy::egress
