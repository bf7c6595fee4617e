// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/relay/pacer.hpp"

#include "actors/base/error.hpp"

#include <algorithm>
#include <utility>

namespace marchproxy::relay {

pacer::pacer(net::event_loop& loop, limiting::admission& admission, std::function<void()> again)
  : loop_(loop), admission_(admission), later_([this, again = std::move(again)] {
      admission_.stop_waiting();
      again();
    }) {}

pacer::~pacer() {
  admission_.stop_waiting();
}

template <class Write>
io_result pacer::pass(const stream& to, std::size_t most, Write write) {
  if (to.broken())
    return write(most); // fails: nobody is there to wait for
  if (!to.writable())
    return {};
  if (auto* begun = find(&to)) {
    const auto paid = std::exchange(*begun, {}).bytes;
    const auto out = write(paid);
    settle(to, paid, out);
    return out;
  }
  if (waiting())
    return {};
  // Not the loop's time, which is that of the turn's beginning: over a long turn too, no more
  // passes than the limit says.
  const auto now = limiting::clock::now();
  const auto may = static_cast<std::size_t>(admission_.take_bytes(most, now));
  if (may == 0) {
    loop_.arm(later_, admission_.wait_for_bytes(now));
    return {};
  }
  const auto out = write(may);
  settle(to, may, out);
  return out;
}

pacer::pledge* pacer::find(const stream* to) noexcept {
  auto* found = std::find_if(pledges_.begin(), pledges_.end(),
                             [&](const pledge& each) { return each.to == to; });
  return found != pledges_.end() ? found : nullptr;
}

void pacer::settle(const stream& to, std::size_t paid, const io_result& out) {
  if (to.is_committed()) {
    auto* place = find(nullptr);
    MP_INVARIANT(place != nullptr);
    *place = {&to, paid};
  } else if (out.bytes < paid) {
    admission_.give_back_bytes(paid - out.bytes);
  }
}

io_result pacer::write(stream& to, std::string_view bytes) {
  return pass(to, bytes.size(), [&](std::size_t may) { return to.write(bytes.substr(0, may)); });
}

io_result pacer::splice(stream& to, splice_pipe& from) {
  return pass(to, from.held, [&](std::size_t may) { return to.splice_from(from, may); });
}

} // namespace marchproxy::relay
