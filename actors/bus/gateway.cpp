// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/gateway.hpp"

#include "actors/bus/actor_error.hpp"

#include <caf/actor_cast.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <atomic>
#include <map>
#include <utility>
#include <vector>

namespace marchproxy::bus {
namespace {

/// What the threads of the bus and the gateway count together.
struct delivery_counters {
  std::atomic<std::uint64_t> delivered{0};
  std::atomic<std::uint64_t> dropped{0};
};

/// One subscription's way to its actor: a bound on what is under way, and weak references only, so
/// that neither the subscriber nor the gateway is kept alive by the bus.
class delivery : public std::enable_shared_from_this<delivery> {
public:
  delivery(const bus_subscribe& wish, std::shared_ptr<delivery_counters> counters)
    : to_{caf::actor_cast<caf::actor_addr>(wish.to)},
      limit_{wish.limit},
      counters_{std::move(counters)} {}

  void operator()(message m) {
    const auto to = caf::actor_cast<caf::actor>(to_);
    if (!to)
      return;
    if (waiting_.fetch_add(1) >= limit_) {
      --waiting_;
      ++counters_->dropped;
      return;
    }
    ++counters_->delivered;
    const std::shared_ptr<const void> ticket{
      this, [self = shared_from_this()](const void*) { --self->waiting_; }};
    caf::anon_send(to, bus_message{std::move(m), ticket});
  }

private:
  caf::actor_addr to_;
  std::uint32_t limit_;
  std::atomic<std::uint32_t> waiting_{0};
  std::shared_ptr<delivery_counters> counters_;
};

struct gateway_state {
  static inline const char* name = "bus-gateway";

  std::unique_ptr<connection> bus;
  std::map<std::uint64_t, caf::typed_response_promise<message>> pending;
  std::uint64_t next_token = 0;
  std::multimap<caf::actor_addr, subscription_id> subscribers;
  std::vector<caf::actor_addr> watchers;
  std::shared_ptr<delivery_counters> delivery = std::make_shared<delivery_counters>();
  bus_stats stats;
  link_state link;
};

using self_pointer = gateway_actor::stateful_pointer<gateway_state>;

/// Sends to the gateway from another thread, if it still exists.
template <class T>
void tell(const caf::actor_addr& gateway, T what) {
  if (const auto to = caf::actor_cast<gateway_actor>(gateway))
    caf::anon_send(to, std::move(what));
}

caf::result<message> ask(self_pointer self, bus_request& request) {
  auto& s = self->state;
  const auto token = ++s.next_token;
  const auto gateway = caf::actor_cast<caf::actor_addr>(self);
  auto sent = s.bus->request_async(std::move(request.content), request.timeout,
                                   [gateway, token](result<message> reply) {
                                     tell(gateway, bus_reply_arrived{token, std::move(reply)});
                                   });
  if (!sent)
    return to_caf(sent.error());
  ++s.stats.requests;
  return s.pending[token] = self->make_response_promise<message>();
}

void answer(self_pointer self, bus_reply_arrived& arrived) {
  auto& s = self->state;
  auto found = s.pending.extract(arrived.token);
  if (found.empty())
    return;
  if (arrived.reply)
    found.mapped().deliver(std::move(*arrived.reply));
  else
    found.mapped().deliver(to_caf(arrived.reply.error()));
}

caf::result<subscription_id> subscribe(self_pointer self, const bus_subscribe& wish) {
  auto& s = self->state;
  if (!wish.to)
    return to_caf({errc::invalid_argument, "nobody to deliver to", {}});
  auto to = std::make_shared<delivery>(wish, s.delivery);
  const auto id = s.bus->subscribe(wish.subject, [to](message m) { (*to)(std::move(m)); });
  if (!id)
    return to_caf(id.error());
  self->monitor(wish.to);
  s.subscribers.emplace(caf::actor_cast<caf::actor_addr>(wish.to), *id);
  return *id;
}

void unsubscribe(self_pointer self, subscription_id id) {
  auto& s = self->state;
  std::erase_if(s.subscribers, [id](const auto& entry) { return entry.second == id; });
  s.bus->unsubscribe(id);
}

void forget(self_pointer self, const caf::actor_addr& gone) {
  auto& s = self->state;
  const auto [first, last] = s.subscribers.equal_range(gone);
  for (auto it = first; it != last; ++it)
    s.bus->unsubscribe(it->second);
  s.subscribers.erase(first, last);
  std::erase(s.watchers, gone);
}

void watch(self_pointer self, const caf::actor& watcher) {
  if (!watcher)
    return;
  self->monitor(watcher);
  self->state.watchers.push_back(caf::actor_cast<caf::actor_addr>(watcher));
  caf::anon_send(watcher, bus_link{self->state.link, self->address()});
}

void link_changed(self_pointer self, const bus_link& change) {
  auto& s = self->state;
  const auto news = change.state.up != s.link.up || change.state.why != s.link.why;
  if (s.link.up && !change.state.up)
    ++s.stats.losses;
  s.link = change.state;
  if (!news) // another failed attempt for the same reason
    return;
  for (const auto& watcher : s.watchers)
    if (const auto to = caf::actor_cast<caf::actor>(watcher))
      caf::anon_send(to, bus_link{change.state, self->address()});
}

bus_stats count(self_pointer self) {
  auto stats = self->state.stats;
  stats.delivered = self->state.delivery->delivered;
  stats.dropped = self->state.delivery->dropped;
  return stats;
}

/// Ends the link first: nothing may call into this actor once it is gone.
void shut_down(self_pointer self, const caf::exit_msg& reason) {
  auto& s = self->state;
  s.bus->close();
  for (auto& [token, promise] : s.pending)
    promise.deliver(to_caf({errc::unavailable, "the bus gateway stopped", {}}));
  s.pending.clear();
  self->quit(reason.reason);
}

caf::result<void> publish(self_pointer self, const bus_publish& wish) {
  auto sent = self->state.bus->publish(wish.content);
  ++(sent ? self->state.stats.published : self->state.stats.unsent);
  // To a plain send() CAF would deliver the error as a message, and an actor that gets an error as
  // a message ends: a link that is lost between two messages would take its users with it.
  if (sent || !self->current_mailbox_element()->mid.is_request())
    return caf::unit;
  return to_caf(sent.error());
}

result<void> open_bus(self_pointer self, connection_options options) {
  const auto gateway = caf::actor_cast<caf::actor_addr>(self);
  options.on_link = [gateway](const link_state& state) { tell(gateway, bus_link{state}); };
  options.on_objection = [gateway](const std::string& text) { tell(gateway, bus_objection{text}); };
  auto opened = connection::open(std::move(options));
  if (!opened)
    return tl::unexpected(opened.error());
  self->state.bus = std::move(*opened);
  return {};
}

gateway_actor::behavior_type gateway(self_pointer self, connection_options options) {
  // spawn_gateway has checked the options, which is all that can fail here.
  MP_INVARIANT(open_bus(self, std::move(options)));
  self->set_exit_handler([self](caf::exit_msg& m) { shut_down(self, m); });
  self->set_down_handler([self](caf::down_msg& m) { forget(self, m.source); });
  return {
    [self](const bus_publish& wish) { return publish(self, wish); },
    [self](bus_request& request) { return ask(self, request); },
    [self](const bus_subscribe& wish) { return subscribe(self, wish); },
    [self](const bus_unsubscribe& wish) { unsubscribe(self, wish.id); },
    [self](const bus_watch& wish) { watch(self, wish.to); },
    [self](bus_reconnect) { self->state.bus->reconnect(); },
    [self](get_bus_stats) { return count(self); },
    [self](bus_reply_arrived& arrived) { answer(self, arrived); },
    [self](const bus_link& change) { link_changed(self, change); },
    [self](const bus_objection&) { ++self->state.stats.objections; },
  };
}

} // namespace

result<gateway_actor> spawn_gateway(caf::actor_system& system, connection_options options) {
  if (auto checked = connection::check(options); !checked)
    return tl::unexpected(checked.error());
  return system.spawn(gateway, std::move(options));
}

} // namespace marchproxy::bus
