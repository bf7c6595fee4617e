// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/serving/rights.hpp"

#include "nodes/netd/remote_sockets.hpp"

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include <bit>
#include <utility>

namespace marchproxy::serving {

namespace {

using nlohmann::json;

/// The names of capabilities, one an item.
json list_of(privileges::capability_set set) {
  json out = json::array();
  for (; set != 0; set &= set - 1)
    out.push_back(privileges::names(set & -set));
  return out;
}

} // namespace

rights rights::with_netd(const netd::tasks& wanted) {
  rights out;
  const auto can = netd::possible(wanted);
  if (wanted.packets && !can.packets)
    out.why_no_packets_ =
      "capabilities: missing: "
      + privileges::names(netd::capabilities_for({.packets = true}) & ~privileges::held());
  if (can.none()) {
    out.why_none_ = "this process has no capabilities that it could keep";
    return out;
  }
  auto program = netd::find_program();
  auto started = program ? netd::companion::start(*program, can) : tl::unexpected(program.error());
  if (!started) {
    out.why_none_ = started.error().message;
    if (can.packets)
      out.why_no_packets_ = out.why_none_;
    spdlog::warn("without marchproxy-netd: {}", out.why_none_);
    return out;
  }
  out.netd_ = std::move(*started);
  if (out.netd_->sockets())
    net::use_socket_broker(netd::remote_sockets(out.netd_->sockets()));
  spdlog::info("marchproxy-netd is process {}, with {}", out.netd_->pid(),
               privileges::names(out.netd_->keeps()));
  return out;
}

rights::~rights() {
  if (netd_)
    net::use_socket_broker(nullptr);
}

result<void> rights::give_up(privileges::capability_set keep,
                             const privileges::syscall_filter& filter) {
  if (auto kept = privileges::keep_only(keep); !kept)
    return kept;
  listed_calls_only_ = !filter.what_is_unknown;
  return privileges::install(filter);
}

void rights::add_health(json& answer) const {
  const auto now = privileges::of_process();
  const auto filtered = now && now->filtered;
  json netd = {{"status", netd_ ? netd_->alive() ? "ok" : "failed" : "none"},
               {"detail", netd_ && !netd_->alive()
                            ? "it has ended: no revision can be prepared for the kernel, and no "
                              "socket opened that takes a capability, until the proxy starts again"
                            : why_none_},
               {"capabilities", list_of(netd_ ? netd_->keeps() : 0)}};
  answer["privileges"] = {{"capabilities", now ? list_of(now->effective) : json(nullptr)},
                          {"no_new_privileges", now && now->no_new_privileges},
                          {"system_calls", !filtered            ? "all"
                                           : listed_calls_only_ ? "listed"
                                                                : "all but deadly"},
                          {"netd", netd}};
}

void rights::add_metrics(metric_list& out) const {
  if (const auto now = privileges::of_process()) {
    out.gauge("marchproxy_process_capabilities", "Capabilities that the process has.",
              static_cast<std::uint64_t>(std::popcount(now->effective)));
    out.gauge("marchproxy_process_filtered", "1 while its system calls are filtered.",
              now->filtered ? 1 : 0);
  }
  out.gauge("marchproxy_netd_up",
            "1 while the process is there that keeps capabilities for this one.",
            netd_alive() ? 1 : 0);
}

} // namespace marchproxy::serving
