// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/relay/exchange.hpp"

#include "nodes/relay/trailers.hpp"

#include <algorithm>
#include <array>

namespace marchproxy::relay {

using wire::body_kind;

namespace {

/// Gives @p p a body of @p length bytes of which @p ahead may hold some. What is not of the body
/// stays in @p ahead.
void begin_length(pump& p, buffer& ahead, std::uint64_t length, buffer_pool& pool) {
  auto here = static_cast<std::size_t>(std::min<std::uint64_t>(length, ahead.size()));
  if (here == ahead.size()) {
    p.preload(std::move(ahead));
  } else {
    buffer part{pool};
    part.append(ahead.bytes().substr(0, here));
    ahead.consume(here);
    p.preload(std::move(part));
  }
  p.set_limit(length - here);
}

} // namespace

void forward_request::assign(const context& c, request_shape shape) {
  const auto& from = c.request;
  trailers = from.body.kind == body_kind::chunked ? announced_trailers(from.fields, shape.changes)
                                                  : std::string{};
  shape.via = c.settings.via;
  shape.trailers = trailers;
  shape.forwarded = c.settings.forwarded;
  head.clear();
  write_request_head(head, from, shape);
  body = from.body;
  method = from.method;
  response_changes = shape.response_changes;
  keep_alive = from.keep_alive && !c.draining;
  http10 = from.minor == 0;
  takes_trailers = relay::takes_trailers(from);
  expects_continue = from.expect_continue;
  asks_for_websocket = relay::asks_for_websocket(from);
  authenticates_connection = relay::authenticates_connection(from.fields);
}

bool forward_request::may_repeat() const noexcept {
  constexpr std::array<std::string_view, 6> idempotent = {"GET",   "HEAD", "OPTIONS",
                                                          "TRACE", "PUT",  "DELETE"};
  return body.kind == body_kind::none
         && std::find(idempotent.begin(), idempotent.end(), method) != idempotent.end();
}

exchange::exchange(context& c, const forward_request& request, buffer& ahead, pacer* by)
  : context_(c),
    request_(request),
    ahead_(ahead),
    pacer_(by),
    request_pump_(c.pools),
    request_chunks_(c.pools),
    response_in_(c.pools.buffers),
    response_pump_(c.pools),
    response_chunks_(c.pools),
    client_keep_alive_(request.keep_alive) {
  request_pump_.set_pacer(by);
  request_chunks_.set_pacer(by);
  response_pump_.set_pacer(by);
  response_chunks_.set_pacer(by);
  if (request.body.kind == body_kind::length)
    begin_length(request_pump_, ahead, request.body.length, c.pools.buffers);
  else if (request.body.kind == body_kind::chunked)
    request_chunks_.begin(std::move(ahead), true, request.trailers);
}

std::uint64_t exchange::bytes_up() const noexcept {
  return head_sent_ + request_pump_.moved() + request_chunks_.moved();
}

std::uint64_t exchange::bytes_down() const noexcept {
  return response_head_bytes_ + response_pump_.moved() + response_chunks_.moved();
}

exchange::state exchange::advance(stream& client, stream& upstream) {
  auto up = send_request(client, upstream);
  if (up == state::client_gone || up == state::bad_body)
    return up;
  auto down = read_response_head(upstream);
  if (down == state::done)
    down = send_response(client, upstream);
  else if (down == state::running && !response_head_.empty())
    down = send_response(client, upstream); // an interim answer
  if (down != state::running)
    return down;
  return up == state::yielded ? up : down;
}

/// @return running, yielded, or client_gone or bad_body when the client's body cannot be read
exchange::state exchange::send_request(stream& client, stream& upstream) {
  while (!request_cut_ && head_sent_ < request_.head.size()) {
    auto out = write(upstream, std::string_view{request_.head}.substr(head_sent_), pacer_);
    if (out.state == io_state::failed)
      request_cut_ = true;
    if (out.state != io_state::moved)
      return state::running;
    head_sent_ += out.bytes;
  }
  if (request_done_ || request_cut_)
    return state::running;
  auto moved = pump_state::complete;
  if (request_.body.kind == body_kind::length)
    moved = request_pump_.run(client, upstream);
  else if (request_.body.kind == body_kind::chunked)
    moved = request_chunks_.run(client, upstream);
  switch (moved) {
  case pump_state::complete:
    request_done_ = true;
    if (request_.body.kind == body_kind::chunked)
      ahead_ = request_chunks_.take_rest();
    return state::running;
  case pump_state::sink_failed:
    // The origin may have answered before it closed; its answer is still to be read.
    request_cut_ = true;
    return state::running;
  case pump_state::blocked:
    return state::running;
  case pump_state::yielded:
    return state::yielded;
  case pump_state::source_failed:
    if (request_.body.kind == body_kind::chunked && !told_ && !client.broken())
      return state::bad_body;
    break;
  case pump_state::ended:
    break;
  }
  return state::client_gone;
}

/// @return done once the final head is there, running while it is not
exchange::state exchange::read_response_head(stream& upstream) {
  while (!answering_) {
    auto found = scanner_.scan(response_in_.bytes());
    if (found.state == wire::parse_state::error)
      return told_ ? state::broken : state::no_answer;
    if (found.state == wire::parse_state::complete) {
      if (auto s = on_response_head(found.size); s != state::running)
        return s;
      continue;
    }
    auto in = upstream.read(response_in_);
    if (in.state == io_state::blocked)
      return state::running;
    if (in.state != io_state::moved)
      return told_ ? state::broken : state::no_answer;
    heard_ = true;
  }
  return state::done;
}

exchange::state exchange::on_response_head(std::size_t size) {
  auto& head = context_.response;
  auto e = head.parse(response_in_.bytes().substr(0, size), request_.method);
  auto failed = told_ ? state::broken : state::no_answer;
  if (e != wire::http1_error::none)
    return failed;
  scanner_.reset();
  if (head.status == 101)
    return request_.asks_for_websocket && request_done_ && switches_to_websocket(head)
             ? on_switch(head, size)
             : failed;
  if (head.status < 200) {
    if (++interim_ > max_interim)
      return failed;
    on_interim(head);
    response_in_.consume(size);
    return state::running;
  }
  on_final(head);
  response_in_.consume(size);
  begin_response_body();
  return state::done;
}

void exchange::on_interim(const wire::response_head& head) {
  if (!request_.http10) // which knows none
    write_response_head(response_head_, head, {}, context_.settings.via);
}

/// The rest of what was read is WebSocket already and goes out behind the head.
exchange::state exchange::on_switch(const wire::response_head& head, std::size_t size) {
  write_response_head(response_head_, head, {.websocket = true}, context_.settings.via);
  response_in_.consume(size);
  response_head_.append(response_in_.bytes());
  response_in_.clear();
  switching_ = true;
  answering_ = true;
  return state::done;
}

void exchange::on_final(const wire::response_head& head) {
  auto chunked = head.body.kind == body_kind::chunked && !request_.http10;
  upstream_keep_alive_ = head.keep_alive && !request_cut_;
  // A body without a length that we can tell a client of HTTP/1.0, or any client, ends with the
  // connection.
  if (head.body.kind == body_kind::until_close
      || (head.body.kind == body_kind::chunked && !chunked))
    client_keep_alive_ = false;
  if (!request_done_)
    client_keep_alive_ = false;
  response_body_ = head.body;
  authenticates_connection_ = relay::authenticates_connection(head.fields);
  if (chunked && request_.takes_trailers)
    response_trailers_ = announced_trailers(head.fields, request_.response_changes);
  write_response_head(response_head_, head,
                      {.keep_alive = client_keep_alive_,
                       .chunked = chunked,
                       .http10 = request_.http10,
                       .trailers = response_trailers_,
                       .changes = request_.response_changes},
                      context_.settings.via);
  answering_ = true;
}

bool exchange::awaits_body() const noexcept {
  if (request_done_ || request_cut_ || head_sent_ < request_.head.size())
    return false;
  // A client may wait for 100 Continue, and then it is the origin that is slow.
  if (request_.expects_continue && !heard_)
    return false;
  return request_.body.kind == body_kind::chunked ? request_chunks_.idle() : request_pump_.idle();
}

/// The beginning of a body, if it is there and short, goes out with the head: one send, one
/// segment.
/// @return its bytes
std::size_t exchange::join_head() {
  constexpr std::size_t worth_copying = 4096;
  auto here = std::min<std::uint64_t>(response_body_.length, response_in_.size());
  if (here == 0 || here > worth_copying)
    return 0;
  auto bytes = static_cast<std::size_t>(here);
  response_head_.append(response_in_.bytes().substr(0, bytes));
  response_in_.consume(bytes);
  return bytes;
}

void exchange::begin_response_body() {
  if (response_body_.kind == body_kind::chunked) {
    response_chunks_.begin(std::move(response_in_), !request_.http10,
                           std::move(response_trailers_));
  } else if (response_body_.kind == body_kind::length) {
    auto length = response_body_.length - join_head();
    begin_length(response_pump_, response_in_, length, context_.pools.buffers);
  } else if (response_body_.kind == body_kind::until_close) {
    response_pump_.preload(std::move(response_in_));
  }
  // Bytes past the answer were not asked for; that connection carries nothing more.
  if (!response_in_.empty())
    upstream_keep_alive_ = false;
}

exchange::state exchange::send_response(stream& client, stream& upstream) {
  while (!response_head_.empty()) {
    auto out = write(client, response_head_, pacer_);
    if (out.state == io_state::failed)
      return state::client_gone;
    if (out.state != io_state::moved) {
      told_ = told_ || client.is_committed();
      return state::running;
    }
    response_head_bytes_ += out.bytes;
    response_head_.erase(0, out.bytes);
    told_ = answering_ || !response_head_.empty();
  }
  if (!answering_)
    return state::running;
  if (switching_)
    return state::switched;
  auto moved = pump_state::complete;
  if (response_body_.kind == body_kind::chunked)
    moved = response_chunks_.run(upstream, client);
  else if (response_body_.kind != body_kind::none)
    moved = response_pump_.run(upstream, client);
  switch (moved) {
  case pump_state::complete:
    if (response_body_.kind == body_kind::chunked && !response_chunks_.take_rest().empty())
      upstream_keep_alive_ = false;
    return state::done;
  case pump_state::ended:
    upstream_keep_alive_ = false;
    return response_body_.kind == body_kind::until_close ? state::done : state::broken;
  case pump_state::blocked:
    return state::running;
  case pump_state::yielded:
    return state::yielded;
  case pump_state::source_failed:
    return state::broken;
  case pump_state::sink_failed:
    break;
  }
  return state::client_gone;
}

} // namespace marchproxy::relay
