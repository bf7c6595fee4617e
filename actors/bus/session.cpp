// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/session.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace marchproxy::bus {
namespace {

constexpr auto write_deadline = std::chrono::milliseconds{2000};
constexpr auto ping_interval = std::chrono::milliseconds{10'000};

struct free_options {
  void operator()(natsOptions* options) const noexcept { natsOptions_Destroy(options); }
};
struct free_message {
  void operator()(natsMsg* m) const noexcept { natsMsg_Destroy(m); }
};
using options_ptr = std::unique_ptr<natsOptions, free_options>;
using message_ptr = std::unique_ptr<natsMsg, free_message>;

error to_error(natsStatus status) {
  std::string text = natsStatus_GetText(status);
  natsStatus last = NATS_OK;
  if (const char* detail = nats_GetLastError(&last); detail != nullptr && last == status)
    text += std::string{": "} + detail;
  switch (status) {
  case NATS_CONNECTION_AUTH_FAILED:
    return {errc::unauthenticated, text, {}};
  case NATS_TIMEOUT:
    return {errc::timeout, text, {}};
  case NATS_MAX_PAYLOAD:
    return {errc::too_large, text, {}};
  case NATS_INVALID_SUBJECT:
  case NATS_INVALID_ARG:
  case NATS_ADDRESS_MISSING:
    return {errc::invalid_argument, text, {}};
  default: // a library's enumeration: the rest all mean that there is no usable link
    return {errc::unavailable, text, {}};
  }
}

void read_headers(natsMsg* from, message& to) {
  const char** names = nullptr;
  int count = 0;
  if (natsMsgHeader_Keys(from, &names, &count) != NATS_OK)
    return;
  for (int i = 0; i < count; ++i) {
    const char* value = nullptr;
    if (natsMsgHeader_Get(from, names[i], &value) == NATS_OK)
      to.headers.push_back({names[i], value == nullptr ? "" : value});
  }
  std::free(static_cast<void*>(names)); // the names belong to the message, the array to us
  const auto status = find_header(to, "Status");
  std::from_chars(status.data(), status.data() + status.size(), to.status);
}

message read_message(natsMsg* from) {
  message to;
  to.subject = natsMsg_GetSubject(from);
  if (const char* reply = natsMsg_GetReply(from))
    to.reply = reply;
  if (const char* data = natsMsg_GetData(from))
    to.data.assign(data, static_cast<std::size_t>(natsMsg_GetDataLength(from)));
  read_headers(from, to);
  return to;
}

void deliver(natsConnection*, natsSubscription*, natsMsg* raw, void* closure) {
  const message_ptr owned{raw};
  (*static_cast<message_handler*>(closure))(read_message(raw));
}

void forget_handler(void* closure) {
  const std::unique_ptr<message_handler> owned{static_cast<message_handler*>(closure)};
}

} // namespace

session::session(session_options options, session_events events)
  : options_{std::move(options)}, events_{std::move(events)} {}

result<std::shared_ptr<session>> session::open(session_options options, session_events events) {
  const std::shared_ptr<session> made{new session{std::move(options), std::move(events)}};
  natsOptions* raw = nullptr;
  MP_INVARIANT(natsOptions_Create(&raw) == NATS_OK);
  const options_ptr o{raw};
  std::vector<const char*> urls;
  for (const auto& url : made->options_.urls)
    urls.push_back(url.c_str());
  const auto set = {
    natsOptions_SetServers(raw, urls.data(), static_cast<int>(urls.size())),
    natsOptions_SetName(raw, made->options_.name.c_str()),
    natsOptions_SetTimeout(raw, made->options_.connect_timeout.count()),
    natsOptions_SetAllowReconnect(raw, false),
    natsOptions_SetSendAsap(raw, true),
    natsOptions_SetPingInterval(raw, ping_interval.count()),
    natsOptions_SetWriteDeadline(raw, write_deadline.count()),
    natsOptions_UseGlobalMessageDelivery(raw, true),
    natsOptions_SetUserCredentialsCallbacks(raw, jwt_callback, made.get(), sign_callback,
                                            made.get()),
    natsOptions_SetClosedCB(raw, closed_callback, made.get()),
    natsOptions_SetErrorHandler(raw, error_callback, made.get()),
  };
  for (const auto status : set)
    if (status != NATS_OK)
      return tl::unexpected(to_error(status));
  auto status = NATS_OK;
  do {
    made->unsendable_signature_ = false;
    status = natsConnection_Connect(&made->connection_, raw);
  } while (status == NATS_CONNECTION_AUTH_FAILED && made->unsendable_signature_);
  if (status != NATS_OK)
    return tl::unexpected(to_error(status));
  return made;
}

session::~session() {
  if (connection_ == nullptr)
    return;
  close();
  natsConnection_Destroy(connection_);
}

natsStatus session::jwt_callback(char** jwt, char**, void* closure) {
  *jwt = strdup(static_cast<session*>(closure)->options_.jwt.c_str());
  return *jwt == nullptr ? NATS_NO_MEMORY : NATS_OK;
}

natsStatus session::sign_callback(
  char**, unsigned char** signature, int* size, const char* nonce, void* closure) {
  auto& self = *static_cast<session*>(closure);
  const auto made = self.options_.user.sign(nonce);
  // nats.c (3.4.1 at least) takes a signature whose first byte is 0 for an empty text and sends
  // none: one login in 256 would be refused. Ed25519 has one signature for a nonce, so open() asks
  // the server for another nonce.
  self.unsendable_signature_ = made.front() == '\0';
  *signature = static_cast<unsigned char*>(std::malloc(made.size())); // nats.c frees it
  if (*signature == nullptr)
    return NATS_NO_MEMORY;
  std::memcpy(*signature, made.data(), made.size());
  *size = static_cast<int>(made.size());
  return NATS_OK;
}

void session::closed_callback(natsConnection* connection, void* closure) {
  auto& self = *static_cast<session*>(closure);
  const char* text = nullptr;
  natsConnection_GetLastError(connection, &text);
  if (self.events_.lost)
    self.events_.lost();
  // Last: close() lets the session go as soon as it sees closed_.
  const std::lock_guard lock{self.mutex_};
  self.reason_ = text == nullptr ? "" : text;
  self.closed_ = true;
  self.changed_.notify_all();
}

void session::error_callback(natsConnection* connection,
                             natsSubscription*,
                             natsStatus,
                             void* closure) {
  const char* text = nullptr;
  natsConnection_GetLastError(connection, &text);
  const auto& self = *static_cast<session*>(closure);
  if (self.events_.said)
    self.events_.said(text == nullptr ? "" : text);
}

result<void> session::publish(const message& m) {
  natsMsg* raw = nullptr;
  auto status = natsMsg_Create(&raw, m.subject.c_str(), m.reply.empty() ? nullptr : m.reply.c_str(),
                               m.data.data(), static_cast<int>(m.data.size()));
  const message_ptr owned{raw};
  for (const auto& h : m.headers)
    if (status == NATS_OK)
      status = natsMsgHeader_Set(raw, h.name.c_str(), h.value.c_str());
  if (status == NATS_OK)
    status = natsConnection_PublishMsg(connection_, raw);
  if (status != NATS_OK)
    return tl::unexpected(to_error(status));
  return {};
}

result<std::uint64_t> session::subscribe(const std::string& subject,
                                         message_handler handler,
                                         subscription_options options) {
  auto closure = std::make_unique<message_handler>(std::move(handler));
  natsSubscription* raw = nullptr;
  auto status =
    natsConnection_Subscribe(&raw, connection_, subject.c_str(), deliver, closure.get());
  if (status != NATS_OK)
    return tl::unexpected(to_error(status));
  std::unique_ptr<natsSubscription, free_subscription> owned{raw};
  // The handler may run once more after the subscription is closed, so it is freed by the callback
  // that says it is over.
  status = natsSubscription_SetOnCompleteCB(raw, forget_handler, closure.get());
  static_cast<void>(closure.release());
  if (status == NATS_OK)
    status = natsSubscription_SetPendingLimits(raw, options.queue_limit, -1);
  if (status != NATS_OK)
    return tl::unexpected(to_error(status));
  const std::lock_guard lock{mutex_};
  subscriptions_.push_back({++next_id_, std::move(owned)});
  return next_id_;
}

void session::unsubscribe(std::uint64_t id) {
  std::unique_ptr<natsSubscription, free_subscription> ended; // destroyed without our lock
  const std::lock_guard lock{mutex_};
  const auto found = std::find_if(subscriptions_.begin(), subscriptions_.end(),
                                  [id](const entry& e) { return e.id == id; });
  if (found == subscriptions_.end())
    return;
  ended = std::move(found->subscription);
  subscriptions_.erase(found);
}

std::uint64_t session::dropped(std::uint64_t id) const {
  const std::lock_guard lock{mutex_};
  for (const auto& e : subscriptions_) {
    std::int64_t count = 0;
    if (e.id == id && natsSubscription_GetDropped(e.subscription.get(), &count) == NATS_OK)
      return static_cast<std::uint64_t>(count);
  }
  return 0;
}

result<void> session::flush(std::chrono::milliseconds timeout) {
  if (const auto status = natsConnection_FlushTimeout(connection_, timeout.count());
      status != NATS_OK)
    return tl::unexpected(to_error(status));
  return {};
}

void session::close() {
  natsConnection_Close(connection_);
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [this] { return closed_; });
  subscriptions_.clear();
}

std::string session::loss_reason() const {
  const std::lock_guard lock{mutex_};
  return reason_;
}

} // namespace marchproxy::bus
