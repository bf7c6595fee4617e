// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/proxy/tier.hpp"
#include "bpf/loader/tier.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace marchproxy::egress {

/// The tc program as a tier: `ebpf`. A thread of its own follows the node's addresses and drains
/// the events.
class ebpf_tier : public proxy::tier {
public:
  /// @errors unsupported with what is missing: then the node runs on sockets alone
  [[nodiscard]] static result<std::unique_ptr<ebpf_tier>> load();
  ebpf_tier(const ebpf_tier&) = delete;
  ebpf_tier& operator=(const ebpf_tier&) = delete;
  ~ebpf_tier() override;

  /// Judges what arrives at these interfaces from now on.
  /// @param names  empty: every Ethernet interface that is up
  [[nodiscard]] result<void> attach(const std::vector<std::string>& names);
  [[nodiscard]] std::vector<std::string> interfaces() const;

  [[nodiscard]] std::string_view name() const noexcept override { return "ebpf"; }
  [[nodiscard]] result<void>
  prepare(const std::shared_ptr<const policy::program>& program) override;
  [[nodiscard]] result<void> commit() override;
  void abort() noexcept override;
  [[nodiscard]] std::map<std::string, std::uint64_t> counters() const override;

  [[nodiscard]] std::uint64_t sync_errors() const noexcept {
    return sync_errors_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] result<tier_ebpf::lookup_trace> explain(const policy::flow& f) const {
    return tier_->explain(f);
  }

private:
  explicit ebpf_tier(std::unique_ptr<tier_ebpf::tier> loaded);
  void housekeeping(const std::stop_token& stop);

  std::unique_ptr<tier_ebpf::tier> tier_;
  std::mutex lock_; ///< tier_'s changing calls
  std::vector<std::string> names_;
  std::atomic<std::uint64_t> sync_errors_{0};
  std::jthread housekeeper_;
};

} // namespace marchproxy::egress
