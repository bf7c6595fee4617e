// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/credentials_prompt.hpp"

#include "nodes/wire/auth_line.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace marchproxy::relay {

static_assert(wire::auth_line::max_service + wire::auth_line::max_token + 3
                < buffer_pool::block_size,
              "a full block would be read as the client's end");

namespace {

/// The name of the service with that id; @p said itself, where it is none.
std::string name_of(const std::string& said, const policy_snapshot* snapshot) {
  std::uint64_t id = 0;
  const auto* end = said.data() + said.size();
  if (auto [at, problem] = std::from_chars(said.data(), end, id);
      problem != std::errc{} || at != end || snapshot == nullptr || !snapshot->program)
    return said;
  const auto& services = snapshot->program->rules().services;
  auto found = std::find_if(services.begin(), services.end(),
                            [&](const model::service& s) { return s.id.value == id; });
  return found == services.end() ? said : found->name;
}

} // namespace

credentials_prompt::state credentials_prompt::advance(stream& client) {
  while (true) {
    const auto line = wire::auth_line::parse_answer(held_.bytes());
    if (line.state == wire::parse_state::error) {
      shown_ = {"?", "?"};
      return state::shown;
    }
    if (line.state == wire::parse_state::complete) {
      shown_ = {std::string{line.value.service}, std::string{line.value.token}};
      held_.consume(line.consumed);
      return state::shown;
    }
    switch (client.read(held_).state) {
    case io_state::moved:
      break;
    case io_state::blocked:
      return state::waiting;
    case io_state::ended:
    case io_state::failed:
      return state::gone;
    }
  }
}

identity::presented credentials_prompt::take_shown(const policy_snapshot* snapshot) {
  auto out = std::exchange(shown_, {});
  out.service = name_of(out.service, snapshot);
  return out;
}

std::string failure_line(reason why, std::uint64_t request) {
  const auto by_credentials = why == reason::auth_required || why == reason::auth_failed;
  return std::string{by_credentials ? "AUTH_FAILED " : "REFUSED "} + std::string{to_string(why)}
         + ' ' + request_text(request) + '\n';
}

} // namespace marchproxy::relay
