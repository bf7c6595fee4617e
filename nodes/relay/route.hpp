// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/context.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace marchproxy::relay {

/// The way of one flow from a target to a connection: judge by name, resolve, judge each address,
/// connect to the first judged one that answers. Only addresses that were judged are ever connected
/// to (POL-6).
class route final : public stream::owner {
public:
  struct outcome {
    std::unique_ptr<stream> upstream; ///< none: refused or failed
    judgement verdict;
    reason why = reason::no_policy; ///< as the verdict's, or the failure of an allowed flow
    std::optional<ip_address> address;
  };
  using done = std::function<void(outcome)>;

  explicit route(context& c);
  route(const route&) = delete;
  route& operator=(const route&) = delete;
  ~route() = default;

  /// @param then  is called once, in this turn or a later one, unless cancel() comes first. The
  /// stream it gets has to
  ///              be given an owner at once.
  void start(const ip_address& source,
             const wire::host_port& target,
             const identity::presented& shown,
             done then);
  void cancel() noexcept;

private:
  struct candidate {
    ip_address address;
    judgement verdict;
  };

  void on_ready() override;
  void on_resolved(net::resolve_result answer);
  void on_timeout();
  void judge_candidates(const std::vector<ip_address>& addresses);
  void connect_next();
  void finish(outcome o);
  void refuse(const judgement& j);
  void fail_with(reason why);
  [[nodiscard]] question ask() const noexcept;

  context& context_;
  done then_;
  ip_address source_;
  wire::host_port target_;
  identity::presented shown_;
  net::resolution resolution_;
  net::timer deadline_;
  std::shared_ptr<const policy_snapshot>
    judged_by_; ///< which snapshot the candidates were judged by
  std::vector<candidate> candidates_;
  std::size_t next_ = 0; ///< candidate to try
  std::unique_ptr<stream> connecting_;
  std::unique_ptr<stream> discarded_; ///< an attempt that failed in its own callback
};

} // namespace marchproxy::relay
