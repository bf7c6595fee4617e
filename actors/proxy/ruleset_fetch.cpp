// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/proxy/ruleset_fetch.hpp"

#include "actors/bus/streams.hpp"

namespace marchproxy::proxy {

ruleset_fetch::ruleset_fetch(rollout::announcement what)
  : what_(std::move(what)), chunks_(what_.chunks), missing_(what_.chunks) {}

std::optional<std::size_t> ruleset_fetch::next() noexcept {
  if (over_ || next_ == chunks_.size())
    return std::nullopt;
  return next_++;
}

result<void> ruleset_fetch::take(std::size_t index, const bus::message& reply) {
  MP_INVARIANT(index < next_ && missing_ > 0);
  auto stored = bus::read_direct_reply(reply);
  if (!stored)
    return tl::unexpected(stored.error());
  if (stored->data.size() > what_.size - received_)
    return fail(errc::corrupt,
                "its chunks have more than the " + std::to_string(what_.size) + " bytes announced");
  received_ += stored->data.size();
  chunks_[index] = std::move(stored->data);
  --missing_;
  return {};
}

stored_revision ruleset_fetch::join() {
  MP_INVARIANT(whole());
  give_up();
  stored_revision out{what_, {}};
  out.bytes.reserve(received_);
  for (const auto& chunk : chunks_)
    out.bytes += chunk;
  chunks_.clear();
  return out;
}

} // namespace marchproxy::proxy
