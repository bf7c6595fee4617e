// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/policy/program.hpp"
#include "dpdk/forwarding/table.hpp"
#include "dpdk/port/port.hpp"
#include "dpdk/worker/burst.hpp"
#include "dpdk/worker/burst_lookup.hpp"
#include "dpdk/worker/counting.hpp"
#include "dpdk/worker/flow_table.hpp"
#include "dpdk/worker/fragment_table.hpp"
#include "dpdk/worker/limit_book.hpp"
#include "dpdk/worker/mapping_counters.hpp"
#include "dpdk/worker/quiescence.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace marchproxy::packet_worker {

/// A program, and how much of its limits is used.
struct placed_program {
  std::shared_ptr<const policy::program> program;
  std::shared_ptr<const limit_book> limits;
};

/// What a control thread replaces and all workers read, once a burst each.
struct in_force {
  explicit in_force(std::size_t workers) : readers(workers) {}

  published<placed_program> program;  ///< none: everything is refused as no_image
  published<forwarding::table> table; ///< none: likewise
  quiescence readers;
};

struct worker_options {
  std::size_t connections = 262'144;            ///< of its own table
  std::uint32_t connections_of_source = 65'536; ///< confirmed ones; of IPv6 of a /64
  hash_seed seed{};
};

/// One core's work: takes bursts from its ports, judges each packet as the tc program does
/// (bpf/prog/tc.bpf.c), and sends, delivers to the kernel or drops it.
///
/// Connections belong to one worker: both directions of each have to arrive at ports of the same
/// worker.
///
/// Threads: turn() from the worker's own; totals, ways and connections_now from any; events() and
/// mappings() have their own rules. hot path
class worker {
public:
  /// @param ports  by number as the forwarding table knows them; they outlive the worker
  worker(in_force& shared, const worker_options& options, std::vector<packet_port::port*> ports);
  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;
  ~worker() = default;

  /// One burst from each port. The caller tells in_force::readers that the worker holds nothing.
  /// @return frames taken
  std::size_t turn() noexcept;

  [[nodiscard]] mp_totals totals() const noexcept;
  [[nodiscard]] way_counters ways() const noexcept;
  [[nodiscard]] std::uint64_t connections_now() const noexcept { return read_of(connections_); }
  /// Entries that made room for others before they were idle for too long.
  [[nodiscard]] std::uint64_t evicted() const noexcept { return read_of(evicted_); }
  [[nodiscard]] event_ring& events() noexcept { return events_; }
  [[nodiscard]] mapping_counters& mappings() noexcept { return mappings_; }
  [[nodiscard]] const mapping_counters& mappings() const noexcept { return mappings_; }
  /// For the worker's own thread, or when it does not run.
  [[nodiscard]] const flow_table& flows() const noexcept { return flows_; }
  [[nodiscard]] const std::vector<packet_port::port*>& ports() const noexcept { return ports_; }

private:
  using frame = packet_port::frame;
  /// What policy or connection say about a packet.
  struct finding {
    std::uint64_t verdict = 0;
    std::uint32_t outcome = 0; ///< of the verdict
    bool known = false;        ///< by the entry's verdict, of the revision in force
    bool spared = false;       ///< the policy refuses it, and it goes on (POL-12)
    std::uint32_t drain = 0;   ///< seconds that its rule grants, when that was asked
    limit_book::keys limits{};
  };
  struct sorted {
    std::array<frame, packet_port::most_in_burst> frames{};
    std::size_t count = 0;
    void add(const frame& f) noexcept { frames[count++] = f; }
    [[nodiscard]] std::span<const frame> all() const noexcept { return {frames.data(), count}; }
  };

  void read_program() noexcept;
  void process(std::size_t port, std::span<frame> frames) noexcept;
  void read_headers(std::size_t port, std::span<const frame> frames) noexcept;
  void look_ahead(std::size_t count) noexcept;
  [[nodiscard]] std::uint32_t judge(job& j) noexcept;
  [[nodiscard]] flow_entry* known_flow(job& j) noexcept;
  void ask_policy(const job& j, const flow_entry* entry, finding& found) noexcept;
  [[nodiscard]] bool
  is_beyond_limits(const job& j, const flow_entry* entry, const finding& found) const noexcept;
  void open(job& j, flow_entry& entry, const finding& found) noexcept;
  void renew(const job& j, flow_entry& entry, const finding& found) noexcept;
  void release(flow_entry& entry) noexcept;
  void settle(job& j, flow_entry* entry, const finding& found) noexcept;
  void settle_known(job& j, flow_entry& entry, const finding& found) noexcept;
  [[nodiscard]] bool join_fragment(job& j) noexcept;
  void enter_key(job& j) noexcept;
  void report(std::uint32_t type, const job& j, std::uint64_t verdict) noexcept;
  void
  count_mapping(std::uint64_t verdict, std::uint32_t outcome, const job& j, bool opened) noexcept;
  void tell_of_cut(job& j, const finding& found) noexcept;
  void route(job& j, const frame& f) noexcept;
  void tell(const job& j, const frame& f) noexcept;
  void forward(job& j, const frame& f) noexcept;
  [[nodiscard]] std::uint32_t hop_for(job& j, const frame& f) noexcept;
  void finish(std::size_t port) noexcept;
  void begin_tick() noexcept;
  void deliver(std::size_t port) noexcept;
  void tally(way which, std::uint64_t more = 1) noexcept {
    ways_now_.value[static_cast<std::size_t>(which)] += more;
  }
  void publish_counters() noexcept;

  in_force& shared_;
  std::vector<packet_port::port*> ports_;
  flow_table flows_;
  fragment_table fragments_;
  std::uint32_t most_of_source_;
  mapping_counters mappings_;

  // Of the burst under way.
  const policy::program* program_ = nullptr;
  const forwarding::table* table_ = nullptr;
  const limit_book* limits_ = nullptr;
  const std::byte* image_ = nullptr;
  std::uint64_t revision_ = 0;
  std::uint64_t now_ = 0; ///< CLOCK_MONOTONIC_COARSE, ns
  std::array<job, packet_port::most_in_burst> jobs_{};
  burst_lookup lookup_;
  std::vector<sorted> to_send_; ///< by port
  sorted to_deliver_;
  sorted to_release_;
  sorted to_tell_; ///< by the port that they came by

  // Counted here, and shown to others once a burst.
  mp_totals totals_now_{};
  way_counters ways_now_{};
  std::uint64_t budget_tick_ = 0;
  std::uint64_t budget_used_ = 0;
  std::uint64_t budget_told_ = 0;

  alignas(64) mp_totals totals_{};
  way_counters ways_{};
  std::uint64_t connections_ = 0;
  std::uint64_t evicted_ = 0;
  event_ring events_;
};

} // namespace marchproxy::packet_worker
