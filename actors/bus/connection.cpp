// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/connection.hpp"

#include "actors/crypto/random.hpp"

#include <algorithm>
#include <future>
#include <random>
#include <utility>

namespace marchproxy::bus {
namespace {

using std::chrono::milliseconds;
using clock = std::chrono::steady_clock;

constexpr auto settle_timeout = milliseconds{2000};

/// 75 to 125 % of @p wait: the proxies of a restarted server shall not come back in one instant.
milliseconds jittered(milliseconds wait) {
  thread_local std::minstd_rand generator{std::random_device{}()};
  std::uniform_int_distribution<milliseconds::rep> percent{75, 125};
  return wait * percent(generator) / 100;
}

bool is_subject(std::string_view subject) {
  return !subject.empty() && subject.front() != '.' && subject.back() != '.'
         && subject.find("..") == std::string_view::npos
         && std::none_of(subject.begin(), subject.end(), [](char c) { return c > 0 && c <= ' '; });
}

tl::unexpected<error> no_link() {
  return fail(errc::unavailable, "no connection to the bus");
}

} // namespace

connection::connection(connection_options options)
  : options_{std::move(options)},
    inbox_{"_INBOX." + options_.user.public_key()},
    reply_prefix_{inbox_ + "." + crypto::random_token(9) + "."},
    replies_{std::make_shared<reply_table>()} {}

result<void> connection::check(const connection_options& options) {
  if (options.urls.empty())
    return fail(errc::invalid_argument, "no address of a NATS server");
  if (!options.jwt)
    return fail(errc::invalid_argument, "no JWT to connect with");
  return {};
}

result<std::unique_ptr<connection>> connection::open(connection_options options) {
  if (auto checked = check(options); !checked)
    return tl::unexpected(checked.error());
  std::unique_ptr<connection> made{new connection{std::move(options)}};
  // The answers to this object's requests; the nonce keeps late answers to an earlier process away.
  const auto answers = [replies = made->replies_](message m) { replies->answer(std::move(m)); };
  made->subscriptions_.emplace(subscription_id{++made->next_subscription_},
                               subscription{made->reply_prefix_ + "*", answers, {}, 0});
  made->keeper_ = std::thread{[self = made.get()] { self->keep(); }};
  return made;
}

connection::~connection() {
  close();
}

void connection::keep() {
  auto wait = options_.first_retry;
  for (;;) {
    if (auto link = open_session()) {
      wait = options_.first_retry;
      announce({true, {}});
      serve(*link);
    } else {
      announce({false, link.error()});
    }
    std::unique_lock lock{mutex_};
    if (changed_.wait_for(lock, jittered(wait), [this] { return stopping_; }))
      return;
    wait = std::min(2 * wait, options_.last_retry);
  }
}

result<std::shared_ptr<session>> connection::open_session() {
  {
    const std::lock_guard lock{mutex_};
    lost_ = false;
  }
  const auto on_lost = [this] {
    const std::lock_guard lock{mutex_};
    lost_ = true;
    changed_.notify_all();
  };
  auto made = session::open(
    {options_.urls, options_.name, options_.jwt(), options_.user, options_.connect_timeout},
    {on_lost, options_.on_objection});
  if (!made)
    return made;
  {
    // Under the lock, so that a subscription made meanwhile is either in the table or finds the
    // session.
    const std::lock_guard lock{mutex_};
    for (auto& [id, sub] : subscriptions_) {
      const auto in_session = (*made)->subscribe(sub.subject, sub.handler, sub.options);
      if (!in_session)
        return tl::unexpected(in_session.error());
      sub.in_session = *in_session;
    }
    session_ = *made;
  }
  // Only now may users rely on their subscriptions.
  if (auto settled = (*made)->flush(settle_timeout); !settled) {
    {
      const std::lock_guard lock{mutex_};
      session_.reset();
    }
    // Requests may have found the session meanwhile; nobody will serve their deadlines.
    replies_->fail_all({errc::timeout, "the link was lost before the answer came", {}});
    return tl::unexpected(settled.error());
  }
  return made;
}

/// Holds the link until it is lost or shall end, and watches the deadlines of requests meanwhile.
void connection::serve(const std::shared_ptr<session>& link) {
  for (;;) {
    replies_->expire(clock::now());
    std::unique_lock lock{mutex_};
    if (lost_ || stopping_)
      break;
    // Looked up under the lock: a request that came after expire() has notified nobody yet, or will
    // only once we wait.
    if (const auto next = replies_->next_deadline())
      changed_.wait_until(lock, *next);
    else
      changed_.wait(lock);
  }
  {
    const std::lock_guard lock{mutex_};
    session_.reset();
  }
  link->close();
  replies_->fail_all({errc::timeout, "the link was lost before the answer came", {}});
  const auto reason = link->loss_reason();
  announce({false, {errc::unavailable, reason.empty() ? "connection closed" : reason, {}}});
}

void connection::announce(link_state state) {
  {
    const std::lock_guard lock{mutex_};
    state_ = state;
    attempted_ = true;
    changed_.notify_all();
  }
  if (options_.on_link)
    options_.on_link(state);
}

std::shared_ptr<session> connection::current() const {
  const std::lock_guard lock{mutex_};
  return session_;
}

bool connection::up() const {
  const std::lock_guard lock{mutex_};
  return state_.up;
}

result<void> connection::wait_until_up(milliseconds timeout) {
  std::unique_lock lock{mutex_};
  changed_.wait_for(lock, timeout, [this] {
    return stopping_ || state_.up || (attempted_ && state_.why.code == errc::unauthenticated);
  });
  if (!state_.up)
    return tl::unexpected(state_.why);
  return {};
}

result<void> connection::publish(const message& m) {
  const auto link = current();
  return link ? link->publish(m) : no_link();
}

result<void> connection::request_async(message m, milliseconds timeout, reply_handler handler) {
  const auto link = current();
  if (!link)
    return no_link();
  const auto token = replies_->add(clock::now() + timeout, std::move(handler));
  m.reply = reply_prefix_ + token;
  if (auto sent = link->publish(m); !sent) {
    replies_->remove(token);
    return sent;
  }
  const std::lock_guard lock{mutex_};
  // The link may have gone between the two steps, after the keeper failed what it found waiting.
  if (session_ != link && replies_->remove(token))
    return fail(errc::timeout, "the link was lost before the answer came");
  changed_.notify_all(); // the keeper learns the new deadline
  return {};
}

result<message> connection::request(message m, milliseconds timeout) {
  auto promise = std::make_shared<std::promise<result<message>>>();
  auto answer = promise->get_future();
  auto sent = request_async(std::move(m), timeout, [promise](result<message> reply) {
    promise->set_value(std::move(reply));
  });
  if (!sent)
    return tl::unexpected(sent.error());
  return answer.get();
}

result<subscription_id>
connection::subscribe(std::string subject, message_handler handler, subscription_options options) {
  if (!is_subject(subject))
    return fail(errc::invalid_argument, "malformed subject");
  const std::lock_guard lock{mutex_};
  subscription made{std::move(subject), std::move(handler), options, 0};
  if (session_) {
    // A failure here means that the link is about to be lost; the next one takes the subscription
    // up.
    made.in_session = session_->subscribe(made.subject, made.handler, options).value_or(0);
  }
  const subscription_id id{++next_subscription_};
  subscriptions_.emplace(id, std::move(made));
  return id;
}

void connection::unsubscribe(subscription_id id) {
  const std::lock_guard lock{mutex_};
  const auto found = subscriptions_.find(id);
  if (found == subscriptions_.end())
    return;
  if (session_)
    session_->unsubscribe(found->second.in_session);
  subscriptions_.erase(found);
}

std::uint64_t connection::dropped(subscription_id id) const {
  const std::lock_guard lock{mutex_};
  const auto found = subscriptions_.find(id);
  return found != subscriptions_.end() && session_ ? session_->dropped(found->second.in_session)
                                                   : 0;
}

result<void> connection::flush(milliseconds timeout) {
  const auto link = current();
  return link ? link->flush(timeout) : no_link();
}

void connection::reconnect() {
  const std::lock_guard lock{mutex_};
  lost_ = true;
  changed_.notify_all();
}

void connection::close() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
    changed_.notify_all();
  }
  if (keeper_.joinable())
    keeper_.join();
}

} // namespace marchproxy::bus
