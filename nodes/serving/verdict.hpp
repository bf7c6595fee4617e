// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/ip.hpp"
#include "actors/base/strong_id.hpp"
#include "actors/policy/program.hpp"
#include "bus-schemas/messages.hpp"
#include "nodes/relay/decision.hpp"

#include <map>
#include <memory>
#include <string>

namespace marchproxy::serving {

/// Which service a client belongs to, for the program in force. Remembers answers, since a program
/// looks through all its services for one. For one thread.
class client_services {
public:
  static constexpr std::size_t remembered = 65'536;

  /// The most specific service that has @p client; none when no service has.
  [[nodiscard]] service_id at(const std::shared_ptr<const policy::program>& program,
                              const ip_address& client);

private:
  std::weak_ptr<const policy::program> of_;
  std::map<ip_address, service_id> known_;
};

/// One flow as it is told to logs and to the bus.
/// @param service  the client's; none: it belongs to none
[[nodiscard]] bus_schemas::flow_verdict
to_verdict(const relay::decision_record& r, const std::string& proxy, service_id service);

} // namespace marchproxy::serving
