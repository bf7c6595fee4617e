// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/policy/program.hpp"
#include "nodes/http/message.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

namespace marchproxy::pac {

/// What the files tell clients to ask.
struct proxy_naming {
  std::string proxies;    ///< as it stands in the files; empty: the host that the client asked for
  std::uint16_t port = 0; ///< its file, and this port
};

/// Answers /proxy.pac and /wpad.dat, each client's by the policy in force. Clients that the policy
/// cannot tell apart share a file, which is made once a revision. Any thread.
class files {
public:
  using policy_in_force = std::function<std::shared_ptr<const policy::program>()>;

  /// @param current  null while there is none
  files(proxy_naming naming, policy_in_force current);

  /// 200 with the file; 404 for another path, 405 for another method than GET and HEAD, 400 when
  /// the Host field is needed and wrong, 503 while no policy is in force.
  [[nodiscard]] http::response answer(const http::request& asked);

private:
  [[nodiscard]] std::string proxies_for(const http::request& asked) const;
  [[nodiscard]] std::string file(const std::shared_ptr<const policy::program>& program,
                                 const ip_address& client,
                                 const std::string& proxies);

  proxy_naming naming_;
  policy_in_force current_;
  std::mutex mutex_;
  std::shared_ptr<const policy::program> of_; ///< whose files are kept
  std::unordered_map<std::string, std::string> made_;
};

} // namespace marchproxy::pac
