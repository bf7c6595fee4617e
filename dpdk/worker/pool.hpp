// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/policy/program.hpp"
#include "bpf/loader/descriptor.hpp"
#include "bpf/loader/traffic.hpp"
#include "dpdk/forwarding/table.hpp"
#include "dpdk/port/port.hpp"
#include "dpdk/worker/worker.hpp"

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

namespace marchproxy::packet_worker {

struct pool_options {
  std::size_t connections = 262'144;            ///< of each worker's table
  std::uint32_t connections_of_source = 65'536; ///< confirmed ones that one source may have open
  std::vector<int> cores = {}; ///< by worker: the core it is bound to; none given: not bound
};

/// The workers of a node and what they judge by: the packet worker's counterpart of
/// tier_ebpf::tier, with the same revisions, counters and events.
///
/// Threads: start, stop, turn and drain_events from one thread at a time; the others from any, as
/// far as prepare and commit are one caller's.
class pool {
public:
  /// @param ports  for each worker its ports, by the number that forwarding tables know them by;
  ///               they outlive the pool
  explicit pool(const pool_options& options, std::vector<std::vector<packet_port::port*>> ports);
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;
  /// Stops the workers.
  ~pool();

  // Revisions. Until the first commit everything is refused and counted as no_image.

  /// Makes the counters of the program's mappings. What judges traffic does not change. A second
  /// prepare replaces the first. @errors too_large for a mapping id without room for its counters
  [[nodiscard]] result<void> prepare(const std::shared_ptr<const policy::program>& program);
  /// One store: bursts from then on are judged by the prepared program alone (ACC-7). Returns when
  /// no worker holds the old one any more.
  /// @errors refused when nothing is prepared; timeout when a worker did not move on within 10 s:
  /// the new program is in force then, and the old one is kept
  [[nodiscard]] result<void> commit();
  void abort() noexcept;
  [[nodiscard]] std::shared_ptr<const policy::program> active() const;
  /// Puts a forwarding table in force. @errors timeout, as commit
  [[nodiscard]] result<void> set_table(std::shared_ptr<const forwarding::table> table);

  // Running.

  /// Starts a thread for each worker. Without it the caller turns the workers itself (turn()).
  void start();
  void stop();
  /// One round of each worker, when they are not started. @return frames taken
  std::size_t turn();

  // What they see: sums over the workers.

  [[nodiscard]] mp_totals totals() const;
  [[nodiscard]] way_counters ways() const;
  /// By worker. Ports' own counters are the ports' matter.
  [[nodiscard]] const worker& at(std::size_t number) const noexcept { return *workers_[number]; }
  [[nodiscard]] std::size_t size() const noexcept { return workers_.size(); }
  [[nodiscard]] std::uint64_t connections_now() const;
  [[nodiscard]] std::uint64_t evicted() const;
  /// Counters of the active mappings of the program in force, those at 0 too.
  [[nodiscard]] std::unordered_map<mapping_id, mp_mapping_counters> mapping_counters() const;
  /// What the limits of the program in force stopped.
  [[nodiscard]] std::vector<tier_ebpf::limited_count> limited() const;
  /// Hands over at most @p limit events. @return how many
  std::size_t drain_events(const std::function<void(const tier_ebpf::flow_event&)>& to,
                           std::size_t limit);

private:
  void run(std::size_t number) noexcept;
  void wait_for_frames(const worker& w) const noexcept;
  void drop_counters();
  [[nodiscard]] result<void> retire(std::shared_ptr<const void> old);

  in_force shared_;
  std::vector<int> cores_;
  std::vector<std::unique_ptr<worker>> workers_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stopping_{false};
  tier_ebpf::descriptor wake_; ///< eventfd: readable when workers have to stop waiting

  std::mutex changes_;      ///< one replacement at a time
  mutable std::mutex lock_; ///< of active_ and the counters' blocks
  std::shared_ptr<const policy::program> staged_;
  std::shared_ptr<const policy::program> active_;
  std::shared_ptr<const limit_book> limits_;      ///< of active_
  std::vector<std::shared_ptr<const void>> kept_; ///< what a worker may still hold
};

} // namespace marchproxy::packet_worker
