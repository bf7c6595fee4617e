// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/farewell.hpp"

namespace marchproxy::relay {

namespace {

constexpr std::size_t max_discarded = std::size_t{256} * 1024;

} // namespace

farewell::farewell(context& c, std::unique_ptr<stream> client, std::string_view words)
  : connection(c), client_(std::move(client)), words_(words), deadline_([this] { finish(); }) {}

void farewell::start() {
  client_->set_owner(*this);
  ctx().loop.arm(deadline_, ctx().settings.linger_timeout);
  advance();
}

void farewell::advance() {
  if (over_)
    return;
  while (!words_.empty()) {
    auto out = client_->write(words_);
    if (out.state == io_state::failed)
      return finish();
    if (out.state != io_state::moved)
      return;
    words_.erase(0, out.bytes);
  }
  if (!std::exchange(told_, true))
    client_->shut_down_write();
  buffer unread{ctx().pools.buffers};
  while (discarded_ < max_discarded) {
    auto got = client_->read(unread);
    if (got.state == io_state::blocked)
      return;
    if (got.state != io_state::moved)
      break;
    discarded_ += got.bytes;
    unread.clear();
  }
  finish();
}

void farewell::finish() {
  if (std::exchange(over_, true))
    return;
  client_->close();
  deadline_.disarm();
  ctx().counters.open.sub();
  ctx().retire(*this);
}

} // namespace marchproxy::relay
