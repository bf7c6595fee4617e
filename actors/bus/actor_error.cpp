// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/actor_error.hpp"

#include <caf/atom.hpp>
#include <caf/exit_reason.hpp>
#include <caf/message.hpp>
#include <caf/sec.hpp>

#include <string>

namespace marchproxy::bus {
namespace {

constexpr auto category = caf::atom("mp");

} // namespace

caf::error to_caf(const error& e) {
  return {static_cast<std::uint8_t>(e.code), category, caf::make_message(e.message)};
}

error from_caf(const caf::error& e) {
  if (e.category() == category) {
    const auto& context = e.context();
    return {static_cast<errc>(e.code()),
            context.match_elements<std::string>() ? context.get_as<std::string>(0) : std::string{},
            {}};
  }
  if (e == caf::sec::request_timeout)
    return {errc::timeout, "an actor did not answer in time", {}};
  if (e == caf::sec::request_receiver_down || e == caf::exit_reason::user_shutdown)
    return {errc::unavailable, "an actor is gone", {}};
  return {errc::internal, "an actor failed: " + caf::to_string(e), {}};
}

} // namespace marchproxy::bus
