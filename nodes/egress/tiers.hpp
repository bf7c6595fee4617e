// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/proxy/tier.hpp"
#include "bpf/loader/tier.hpp"
#include "nodes/egress/hook_choice.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace marchproxy::egress {

/// The tc program, with the XDP program before it, as a tier: `ebpf`. A thread of its own follows
/// the node's addresses and drains the events.
class ebpf_tier : public proxy::tier {
public:
  /// @param by  loads, attaches and makes maps
  /// @errors unsupported with what is missing: then the node runs on sockets alone
  [[nodiscard]] static result<std::unique_ptr<ebpf_tier>>
  load(const settings& options, std::shared_ptr<tier_ebpf::installer> by);
  ebpf_tier(const ebpf_tier&) = delete;
  ebpf_tier& operator=(const ebpf_tier&) = delete;
  ~ebpf_tier() override;

  /// Judges what arrives at the interfaces of EBPF_INTERFACES from now on, and at the driver
  /// already where that is best or asked for.
  /// @errors what is asked for and cannot be: a missing interface, ENABLE_XDP=true
  [[nodiscard]] result<void> attach(const settings& options);
  [[nodiscard]] const std::vector<interface_hook>& hooks() const noexcept { return hooks_; }
  /// Whether the XDP program judges what arrives anywhere.
  [[nodiscard]] bool at_driver() const noexcept;

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
  /// The XDP program's verdict, when it is in use.
  [[nodiscard]] std::optional<policy::verdict> at_driver(const policy::flow& f) const;
  /// Of the tc and the XDP program; the latter's are 0 when it is not in use.
  [[nodiscard]] mp_totals totals() const { return tier_->totals(); }
  [[nodiscard]] mp_totals xdp_totals() const;
  /// What limits stopped.
  [[nodiscard]] std::vector<tier_ebpf::limited_count> limited() const { return tier_->limited(); }

private:
  explicit ebpf_tier(std::unique_ptr<tier_ebpf::tier> loaded);
  void housekeeping(const std::stop_token& stop);
  [[nodiscard]] result<interface_hook> attach_to(const tier_ebpf::interface& at,
                                                 const settings& options);

  std::unique_ptr<tier_ebpf::tier> tier_;
  std::mutex lock_;                   ///< tier_'s changing calls
  std::vector<interface_hook> hooks_; ///< complete when attach() has returned
  std::atomic<std::uint64_t> sync_errors_{0};
  std::jthread housekeeper_;
};

} // namespace marchproxy::egress
