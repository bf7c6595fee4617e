// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/reply_table.hpp"

#include <charconv>
#include <utility>

namespace marchproxy::bus {
namespace {

constexpr int no_responders = 503;

std::uint64_t parse_token(std::string_view text) noexcept {
  std::uint64_t token = 0;
  std::from_chars(text.data(), text.data() + text.size(), token);
  return token;
}

} // namespace

std::string reply_table::add(clock::time_point deadline, handler on_reply) {
  const std::lock_guard lock{mutex_};
  const auto token = ++next_;
  waiting_.emplace(token, waiting{deadline, std::move(on_reply)});
  deadlines_.emplace(deadline, token);
  return std::to_string(token);
}

bool reply_table::remove(const std::string& token) {
  return static_cast<bool>(take(parse_token(token)));
}

void reply_table::answer(message m) {
  const std::string_view subject = m.subject;
  const auto on_reply = take(parse_token(subject.substr(subject.rfind('.') + 1)));
  if (!on_reply)
    return;
  if (m.status == no_responders)
    on_reply(fail(errc::unavailable, "nobody answers on this subject"));
  else
    on_reply(std::move(m));
}

void reply_table::expire(clock::time_point now) {
  for (;;) {
    std::uint64_t token = 0;
    {
      const std::lock_guard lock{mutex_};
      if (deadlines_.empty() || deadlines_.begin()->first > now)
        return;
      token = deadlines_.begin()->second;
    }
    if (const auto on_reply = take(token))
      on_reply(fail(errc::timeout, "no answer in time"));
  }
}

std::optional<reply_table::clock::time_point> reply_table::next_deadline() const {
  const std::lock_guard lock{mutex_};
  if (deadlines_.empty())
    return std::nullopt;
  return deadlines_.begin()->first;
}

void reply_table::fail_all(const error& why) {
  std::map<std::uint64_t, waiting> all;
  {
    const std::lock_guard lock{mutex_};
    all.swap(waiting_);
    deadlines_.clear();
  }
  for (const auto& [token, entry] : all)
    entry.on_reply(tl::unexpected(why));
}

reply_table::handler reply_table::take(std::uint64_t token) {
  const std::lock_guard lock{mutex_};
  const auto found = waiting_.find(token);
  if (found == waiting_.end())
    return {};
  auto on_reply = std::move(found->second.on_reply);
  deadlines_.erase({found->second.deadline, token});
  waiting_.erase(found);
  return on_reply;
}

} // namespace marchproxy::bus
