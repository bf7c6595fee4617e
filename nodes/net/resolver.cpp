// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/resolver.hpp"

#include "nodes/net/cares.hpp"
#include "nodes/net/hosts_file.hpp"

#include <netdb.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <unordered_map>

namespace marchproxy::net {

namespace {

errc code_of(int status) noexcept {
  if (status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_EBADNAME)
    return errc::not_found;
  return status == ARES_ETIMEOUT ? errc::timeout : errc::unavailable;
}

/// While no server answers, a stale lease serves for this long before they are asked again.
constexpr std::chrono::seconds ask_again{5};

std::vector<ip_address> addresses_of(const ares_addrinfo& info) {
  std::vector<ip_address> out;
  for (const auto* node = info.nodes; node != nullptr && out.size() < lease::most_addresses;
       node = node->ai_next) {
    socket_address address;
    address.size = std::min<socklen_t>(node->ai_addrlen, sizeof address.storage);
    std::memcpy(&address.storage, node->ai_addr, address.size);
    out.push_back(to_endpoint(address).address);
  }
  return out;
}

/// The smallest of all records that led to the addresses.
std::chrono::seconds ttl_of(const ares_addrinfo& info) {
  auto least = std::numeric_limits<int>::max();
  for (const auto* node = info.nodes; node != nullptr; node = node->ai_next)
    least = std::min(least, node->ai_ttl);
  for (const auto* alias = info.cnames; alias != nullptr; alias = alias->next)
    least = std::min(least, alias->ttl);
  // RFC 2181 section 8: one with the highest bit set counts as 0.
  return std::chrono::seconds{std::max(least, 0)};
}

lease lease_of(const ares_addrinfo& info, const lease_terms& terms, clock::time_point now) {
  auto ttl = ttl_of(info);
  if (ttl != ttl.zero())
    ttl = std::min(std::max(ttl, terms.shortest), terms.longest);
  return {addresses_of(info), now + ttl, wall_now() + ttl};
}

} // namespace

/// Shared by the resolution, which its owner may drop at any time, and c-ares' callback.
struct resolution::state : std::enable_shared_from_this<state> {
  std::function<void(resolve_result)> done;
  resolve_result answer;
  task deliver{[this] {
    auto alive = shared_from_this(); // the owner may drop the resolution from within the call
    auto call = std::move(done);
    done = nullptr;
    if (call)
      call(std::move(answer));
  }};
};

void resolution::cancel() noexcept {
  if (!state_)
    return;
  state_->done = nullptr;
  state_->deliver.cancel();
  state_.reset();
}

struct resolver::channel {
  /// A socket of c-ares.
  struct watch final : io_handler {
    watch(channel& c, ares_socket_t s) : owner(c), fd(s) {}
    void on_io(std::uint32_t events) override {
      auto wrong = (events & (EPOLLERR | EPOLLHUP)) != 0;
      owner.process((events & EPOLLIN) != 0 || wrong ? fd : ARES_SOCKET_BAD,
                    (events & EPOLLOUT) != 0 || wrong ? fd : ARES_SOCKET_BAD);
    }
    channel& owner;
    ares_socket_t fd;
  };
  /// What c-ares carries for a question. It always calls back, on destruction at the latest.
  struct question {
    channel& owner;
    std::string name;
  };

  channel(event_loop& l, resolver_options o)
    : loop(l),
      options(std::move(o)),
      hosts(options.hosts_path),
      tick([this] { process(ARES_SOCKET_BAD, ARES_SOCKET_BAD); }),
      known(options.leases->terms().most_names) {}
  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;
  ~channel() {
    if (ares != nullptr)
      ares_destroy(ares);
    for (auto& [fd, handler] : watches)
      loop.remove(fd, *handler);
  }

  void process(ares_socket_t readable, ares_socket_t writable) {
    ares_process_fd(ares, readable, writable);
    schedule();
  }

  void schedule() {
    timeval limit{};
    if (ares_timeout(ares, nullptr, &limit) == nullptr)
      return tick.disarm();
    loop.arm(tick, std::chrono::seconds{limit.tv_sec} + std::chrono::microseconds{limit.tv_usec});
  }

  static void on_socket(void* self, ares_socket_t fd, int readable, int writable) {
    auto& c = *static_cast<channel*>(self);
    auto wanted = (readable != 0 ? std::uint32_t{EPOLLIN} : 0U)
                  | (writable != 0 ? std::uint32_t{EPOLLOUT} : 0U);
    auto found = c.watches.find(fd);
    if (wanted == 0) {
      if (found != c.watches.end()) {
        c.loop.remove(fd, *found->second);
        c.watches.erase(found);
      }
    } else if (found == c.watches.end()) {
      auto handler = std::make_unique<watch>(c, fd);
      // Without the watch the question ends by its timeout.
      if (c.loop.add(fd, wanted, *handler))
        c.watches.emplace(fd, std::move(handler));
    } else {
      c.loop.modify(fd, wanted, *found->second);
    }
  }

  static void on_answer(void* arg, int status, int /*timeouts*/, ares_addrinfo* info) {
    std::unique_ptr<question> q{static_cast<question*>(arg)};
    std::unique_ptr<ares_addrinfo, decltype(&ares_freeaddrinfo)> owned{info, ares_freeaddrinfo};
    auto& c = q->owner;
    auto waiting = std::move(c.under_way.extract(q->name).mapped());
    auto learnt = c.learn(q->name, status, info);
    for (const auto& each : waiting)
      c.deliver(*each, learnt);
  }

  /// Enters what c-ares says of @p name into the tables.
  result<lease> learn(const std::string& name, int status, const ares_addrinfo* info) {
    const auto now = loop.now();
    auto& shared = *options.leases;
    if (status == ARES_SUCCESS && info != nullptr && info->nodes != nullptr) {
      auto got = lease_of(*info, shared.terms(), now);
      if (now < got.until) {
        known.put(name, got);
        shared.put(name, got);
      } else {
        shared.forget(name); // what it led to before is not what it leads to
      }
      return got;
    }
    if (status == ARES_SUCCESS || code_of(status) == errc::not_found) {
      lease nothing{{}, now + shared.terms().without_address, {}};
      known.put(name, nothing);
      shared.forget(name);
      return nothing;
    }
    counts.failures.add();
    auto ended = shared.find_ended(name, now);
    if (!ended)
      return fail(code_of(status), ares_strerror(status));
    if (ended->until <= now) { // else another worker was answered meanwhile
      ended->until = std::min(now + ask_again, ended->until + shared.terms().stale);
      ended->stale = true;
    }
    known.put(name, *ended);
    return std::move(*ended);
  }

  /// Null: nothing is known of @p name that still holds.
  const lease* find(std::string_view name) {
    const auto now = loop.now();
    if (const auto* mine = known.find(name); mine != nullptr && now < mine->until)
      return mine;
    auto shared = options.leases->find(name, now);
    if (!shared)
      return nullptr;
    known.put(name, std::move(*shared));
    return known.find(name);
  }

  void deliver(resolution::state& to, const result<lease>& what) {
    if (!to.done)
      return;
    if (!what)
      to.answer = tl::unexpected(what.error());
    else if (what->addresses.empty())
      to.answer = fail(errc::not_found, "no address");
    else
      to.answer = resolved{what->addresses, what->ends};
    if (what && what->stale)
      counts.stale.add();
    loop.soon(to.deliver);
  }

  event_loop& loop;
  resolver_options options;
  hosts_file hosts;
  timer tick;
  ares_channel ares = nullptr;
  lease_table known; ///< of this loop; found without a lock
  std::unordered_map<std::string, std::vector<std::shared_ptr<resolution::state>>> under_way;
  lookup_counters counts;
  std::unordered_map<ares_socket_t, std::unique_ptr<watch>> watches;
};

resolver::resolver(event_loop& loop, resolver_options options)
  : channel_(std::make_unique<channel>(loop, std::move(options))) {}

resolver::~resolver() = default;

result<std::unique_ptr<resolver>> resolver::create(event_loop& loop, resolver_options options) {
  if (auto started = start_cares(); !started)
    return tl::unexpected(started.error());
  std::unique_ptr<resolver> out{new resolver{loop, std::move(options)}};
  auto& c = *out->channel_;
  std::string lookups = "b"; // DNS only: the hosts file is read by us, from a path of our choice
  ares_options settings{};
  settings.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
  settings.timeout = static_cast<int>(c.options.timeout.count());
  settings.tries = c.options.tries;
  settings.lookups = lookups.data();
  settings.sock_state_cb = channel::on_socket;
  settings.sock_state_cb_data = &c;
  auto status = ares_init_options(&c.ares, &settings,
                                  ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES
                                    | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB);
  if (status != ARES_SUCCESS)
    return fail(errc::unavailable, ares_strerror(status));
  if (!c.options.servers.empty())
    if (auto set = set_servers(c.ares, c.options.servers); !set)
      return tl::unexpected(set.error());
  return out;
}

void resolver::resolve(std::string_view name,
                       resolution& into,
                       std::function<void(resolve_result)> done) {
  into.cancel();
  into.state_ = std::make_shared<resolution::state>();
  into.state_->done = std::move(done);
  auto& c = *channel_;
  if (auto listed = c.hosts.find(name, c.loop.now()); !listed.empty()) {
    c.counts.hosts.add();
    into.state_->answer = resolved{std::move(listed), std::nullopt};
    return c.loop.soon(into.state_->deliver);
  }
  if (const auto* leased = c.find(name); leased != nullptr) {
    c.counts.leased.add();
    return c.deliver(*into.state_, *leased);
  }
  auto [waiting, first] = c.under_way.try_emplace(std::string{name});
  waiting->second.push_back(into.state_);
  if (!first)
    return c.counts.joined.add();
  c.counts.asked.add();
  ares_addrinfo_hints hints{};
  hints.ai_flags = ARES_AI_NOSORT;
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  auto q = std::make_unique<channel::question>(channel::question{c, std::string{name}});
  const auto* text = q->name.c_str();
  ares_getaddrinfo(c.ares, text, nullptr, &hints, channel::on_answer, q.release());
  c.schedule();
}

const lookup_counters& resolver::counters() const noexcept {
  return channel_->counts;
}

} // namespace marchproxy::net
