// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/http/connection.hpp"

#include "nodes/wire/http1_writer.hpp"

#include <algorithm>
#include <utility>

namespace marchproxy::http {

namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
  return out;
}

bool bodiless(std::uint16_t status) {
  return status < 200 || status == 204 || status == 304;
}

} // namespace

connection::connection(std::string peer, std::size_t max_body)
  : peer_(std::move(peer)), max_body_(max_body) {}

void connection::received(std::string_view bytes) {
  if (!closing_)
    in_ += bytes;
}

std::optional<request> connection::next_request() {
  if (pending_ || closing_)
    return std::nullopt;
  const bool whole = (head_done_ || take_head()) && take_body();
  compact();
  if (!whole)
    return std::nullopt;
  head_done_ = false;
  pending_ = true;
  return std::exchange(current_, request{});
}

bool connection::take_head() {
  const std::string_view rest = std::string_view(in_).substr(used_);
  const auto found = scanner_.scan(rest);
  if (found.state == wire::parse_state::need_more)
    return false;
  wire::request_head head;
  auto wrong = found.error;
  if (found.state == wire::parse_state::complete)
    wrong = head.parse(rest.substr(0, found.size));
  if (wrong != wire::http1_error::none) {
    refuse(wire::status_of(wrong));
    return false;
  }
  if (head.body.kind == wire::body_kind::length && head.body.length > max_body_) {
    refuse(413);
    return false;
  }
  keep_alive_ = head.keep_alive;
  head_method_ = head.method == "HEAD";
  framing_ = head.body;
  current_.method = head.method;
  const auto question = std::min(head.path.find('?'), head.path.size());
  current_.path = head.path.substr(0, question);
  if (current_.path.empty())
    current_.path = "/";
  current_.query = head.path.substr(std::min(question + 1, head.path.size()));
  current_.peer = peer_;
  for (const auto& field : head.fields)
    current_.headers.emplace_back(lower(field.name), field.value);
  used_ += found.size;
  scanner_.reset();
  chunks_ = {};
  head_done_ = true;
  // RFC 9110 10.1.1: the client waits for this before it sends the body.
  if (head.expect_continue && framing_.kind != wire::body_kind::none && used_ == in_.size())
    out_ += "HTTP/1.1 100 Continue\r\n\r\n";
  return true;
}

bool connection::take_body() {
  if (framing_.kind == wire::body_kind::chunked)
    return take_chunks();
  if (framing_.kind != wire::body_kind::length)
    return true;
  const auto length = static_cast<std::size_t>(framing_.length);
  if (in_.size() - used_ < length)
    return false;
  current_.body = in_.substr(used_, length);
  used_ += length;
  return true;
}

bool connection::take_chunks() {
  while (!chunks_.done()) {
    const auto part = chunks_.next(std::string_view(in_).substr(used_));
    used_ += part.consumed;
    current_.body += part.data;
    if (part.state == wire::parse_state::error) {
      refuse(wire::status_of(part.error));
      return false;
    }
    if (current_.body.size() > max_body_) {
      refuse(413);
      return false;
    }
    if (part.consumed == 0 && !chunks_.done())
      return false;
  }
  return true;
}

void connection::compact() {
  in_.erase(0, used_);
  used_ = 0;
}

void connection::answer(const response& value, std::string_view date) {
  wire::head_writer head(out_);
  head.status_line(value.status);
  if (!date.empty())
    head.field("Date", date);
  for (const auto& [name, text] : value.headers)
    head.field(name, text);
  if (!bodiless(value.status))
    head.field("Content-Length", static_cast<std::uint64_t>(value.body.size()));
  if (!keep_alive_)
    head.field("Connection", "close");
  head.end();
  if (!head_method_ && !bodiless(value.status))
    out_ += value.body;
  pending_ = false;
  closing_ = closing_ || !keep_alive_;
}

void connection::refuse(std::uint16_t status) {
  response out;
  out.status = status;
  out.headers.emplace_back("Content-Type", "text/plain; charset=utf-8");
  if (status == 503)
    out.headers.emplace_back("Retry-After", "1");
  out.body = std::string(wire::reason_phrase(status)) + "\n";
  keep_alive_ = false;
  head_method_ = false;
  answer(out, {});
}

} // namespace marchproxy::http
