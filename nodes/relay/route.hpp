// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/context.hpp"
#include "nodes/routing/backend_tls.hpp"

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace marchproxy::relay {

/// The way of one flow from a target to a connection: judge by name, resolve, judge each address,
/// connect to the first judged one that answers. Only addresses that were judged are ever connected
/// to (POL-6). Addresses of both families take turns, and one that does not answer soon is not
/// waited for (RFC 8305, Happy Eyeballs). With TLS, the first that connects is the one; it counts
/// as connected when it has proven who it is.
class route final {
public:
  static constexpr std::chrono::milliseconds stagger{250}; ///< between attempts; RFC 8305 section 5
  struct outcome {
    std::unique_ptr<stream> upstream; ///< none: refused or failed
    judgement verdict;
    reason why = reason::no_policy; ///< as the verdict's, or the failure of an allowed flow
    std::optional<ip_address> address;
    std::optional<time_point> lease_ends = {}; ///< by which the name had that address
    limiting::admission admitted = {};         ///< with an upstream: under the limits of its flow
    std::string detail = {};                   ///< of a failure, for people; may be empty
  };
  using done = std::function<void(outcome)>;
  struct demand {
    ip_address source = {};
    wire::host_port target = {};
    identity::presented shown = {};
    std::optional<ip_address> prefer = {}; ///< tried first, if the name has it
    limiting::demand wants = {};
    std::string greeting = {}; ///< a PROXY header: goes out before anything else
    std::shared_ptr<const routing::backend_tls> tls = {}; ///< null: plain
  };

  explicit route(context& c);
  route(const route&) = delete;
  route& operator=(const route&) = delete;
  ~route() = default;

  /// @param then  is called once, in this turn or a later one, unless cancel() comes first. The
  /// stream it gets has to
  ///              be given an owner at once.
  void start(demand d, done then);
  void cancel() noexcept;

private:
  struct candidate {
    ip_address address;
    judgement verdict;
  };

  /// One connection that is being made.
  struct attempt final : stream::owner {
    void on_ready() override { of->on_attempt(*this); }
    route* of = nullptr;
    std::unique_ptr<stream> link; ///< null: the place is free
    bool connected = false;       ///< its TLS handshake is under way
    std::size_t candidate = 0;
  };

  void on_attempt(attempt& a);
  void secure(attempt& a);
  void arrive(attempt& a);
  void on_resolved(net::resolve_result answer);
  void on_timeout();
  void judge_candidates(const std::vector<ip_address>& addresses);
  void connect_next();
  [[nodiscard]] bool connect_to(const candidate& to, attempt& a);
  [[nodiscard]] bool admit(const candidate& to);
  [[nodiscard]] limiting::flow_meters meters_of(const candidate& to) const;
  [[nodiscard]] limiting::admission take_admission(const candidate& chosen);
  void discard(attempt& a);
  void finish(outcome o);
  void refuse(const judgement& j);
  void fail_with(reason why, std::string detail = {});
  [[nodiscard]] question ask() const noexcept;

  context& context_;
  done then_;
  demand demand_;
  net::resolution resolution_;
  net::timer deadline_;
  std::shared_ptr<const policy_snapshot>
    judged_by_;                          ///< which snapshot the candidates were judged by
  std::optional<time_point> lease_ends_; ///< of the candidates' addresses
  std::vector<candidate> candidates_;
  std::size_t next_ = 0; ///< candidate to try
  std::array<attempt, 3> attempts_;
  std::vector<limiting::admission> admitted_; ///< of candidates, one for those under equal limits
  std::optional<judgement> beyond_limit_;     ///< of a candidate that was not tried for that
  std::vector<std::unique_ptr<stream>> discarded_; ///< failed in their own callbacks
  net::timer next_attempt_;
};

} // namespace marchproxy::relay
