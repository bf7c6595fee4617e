// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/hello_peek.hpp"

namespace marchproxy::relay {

static_assert(wire::client_hello_scanner::max_size + 4
                  + 5 * std::size_t{wire::client_hello_scanner::max_records}
                < buffer_pool::block_size,
              "a full block would be read as the client's end");

hello_peek::state hello_peek::advance(stream& client) {
  while (true) {
    if (!held_.empty()) {
      auto found = scanner_.scan(held_.bytes());
      if (found.state == wire::parse_state::complete)
        return state::hello;
      if (found.state == wire::parse_state::error)
        return found.error == wire::client_hello_error::not_tls ? state::plain : state::malformed;
    }
    switch (client.read(held_).state) {
    case io_state::moved:
      break;
    case io_state::blocked:
      return state::waiting;
    case io_state::ended:
      return held_.empty() ? state::plain : state::malformed;
    case io_state::failed:
      return state::gone;
    }
  }
}

} // namespace marchproxy::relay
