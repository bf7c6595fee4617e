// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/streams.hpp"
#include "actors/crypto/random.hpp"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

namespace marchproxy::bus {
namespace {

using std::string_view;
using std::chrono::milliseconds;

/// Asks and reads in one.
template <class Read>
auto ask(connection& bus, message m, milliseconds timeout, Read read)
  -> decltype(read(std::declval<const message&>())) {
  const auto reply = bus.request(std::move(m), timeout);
  if (!reply)
    return tl::unexpected(reply.error());
  return read(*reply);
}

/// What a pull has brought so far, filled by the bus's thread.
struct arrivals {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<message> messages;
  int status = 0;
};

constexpr int no_responders = 503;
constexpr auto grace = milliseconds{500}; ///< for the server's own end-of-batch message

} // namespace

result<stream_state>
ensure_stream(connection& bus, const stream_config& config, milliseconds timeout) {
  auto made = ask(bus, create_stream_request(config), timeout, read_stream_reply);
  if (!made && made.error().code == errc::conflict)
    return ask(bus, update_stream_request(config), timeout, read_stream_reply);
  return made;
}

result<publish_receipt> publish_acked(connection& bus,
                                      std::string subject,
                                      std::string data,
                                      const publish_terms& terms,
                                      milliseconds timeout) {
  return ask(bus, publish_request(std::move(subject), std::move(data), terms), timeout,
             read_publish_reply);
}

result<stored_message>
direct_get_last(connection& bus, string_view stream, string_view subject, milliseconds timeout) {
  return ask(bus, direct_get_request(stream, subject), timeout, read_direct_reply);
}

result<stream_state> stream_info(connection& bus, string_view stream, milliseconds timeout) {
  return ask(bus, stream_info_request(stream), timeout, read_stream_reply);
}

result<void> ensure_pull_consumer(connection& bus,
                                  string_view stream,
                                  string_view consumer,
                                  milliseconds timeout) {
  return ask(bus, create_consumer_request(stream, consumer), timeout, read_consumer_reply);
}

result<std::vector<message>> fetch(connection& bus,
                                   string_view stream,
                                   string_view consumer,
                                   std::uint32_t batch,
                                   milliseconds wait) {
  const auto arrived = std::make_shared<arrivals>();
  auto request = pull_request(stream, consumer, batch, wait);
  request.reply = bus.inbox() + ".pull." + crypto::random_token(9);
  const auto subscription = bus.subscribe(request.reply, [arrived](message m) {
    const std::lock_guard lock{arrived->mutex};
    if (m.status == 0)
      arrived->messages.push_back(std::move(m));
    else
      arrived->status = m.status;
    arrived->changed.notify_all();
  });
  if (!subscription)
    return tl::unexpected(subscription.error());
  if (auto sent = bus.publish(request); !sent) {
    bus.unsubscribe(*subscription);
    return tl::unexpected(sent.error());
  }
  std::unique_lock lock{arrived->mutex};
  arrived->changed.wait_for(
    lock, wait + grace, [&] { return arrived->status != 0 || arrived->messages.size() >= batch; });
  auto messages = std::move(arrived->messages);
  const auto status = arrived->status;
  lock.unlock();
  bus.unsubscribe(*subscription);
  if (messages.empty() && status == no_responders)
    return fail(errc::not_found, "no such stream or consumer");
  return messages;
}

} // namespace marchproxy::bus
