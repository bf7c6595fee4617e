// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/netd/remote.hpp"

#include <chrono>
#include <utility>

namespace marchproxy::netd {

namespace {

/// It looks at the kernel first, on a machine that may be busy.
constexpr std::chrono::seconds hello_patience{30};
/// The verifier takes a second or two for the programs, where nothing else runs.
constexpr std::chrono::seconds answer_patience{120};

tl::unexpected<error> gone() {
  return fail(errc::unavailable, "marchproxy-netd, which holds the capabilities of this proxy, has "
                                 "ended; only a restart of the proxy brings it back");
}

} // namespace

result<std::shared_ptr<remote>> remote::meet(net::local_channel channel) {
  auto said = channel.receive(hello_patience);
  if (!said)
    return fail(errc::unavailable, "marchproxy-netd does not start: " + said.error().message);
  if (said->text != hello())
    return fail(errc::unsupported, "marchproxy-netd is of another version than this program: '"
                                     + said->text.substr(0, 100) + "'");
  return std::shared_ptr<remote>{new remote{std::move(channel)}};
}

result<done> remote::ask(const request& r, int descriptor, const take& to) {
  std::lock_guard hold{lock_};
  if (!channel_)
    return gone();
  if (auto sent = channel_->send(encode(r), descriptor); !sent) {
    channel_.reset();
    return gone();
  }
  return hear(to);
}

result<done> remote::hear(const take& to) {
  while (true) {
    auto said = channel_->receive(answer_patience);
    auto what = said ? decode_reply(said->text) : tl::unexpected(said.error());
    if (!what) { // whatever comes next would be taken for another answer
      channel_.reset();
      return said ? tl::unexpected(what.error()) : gone();
    }
    if (const auto* one = std::get_if<given>(&*what)) {
      if (to && said->descriptor)
        to(*one, std::move(said->descriptor));
      continue;
    }
    if (auto* why = std::get_if<error>(&*what))
      return tl::unexpected(std::move(*why));
    return std::get<done>(std::move(*what));
  }
}

result<net::unique_fd> remote::ask_for_one(const request& r, int descriptor) {
  net::unique_fd out;
  auto answered = ask(r, descriptor, [&](const given&, net::unique_fd fd) { out = std::move(fd); });
  if (!answered)
    return tl::unexpected(answered.error());
  if (!out)
    return fail(errc::corrupt, "marchproxy-netd answers without a descriptor");
  return out;
}

} // namespace marchproxy::netd
