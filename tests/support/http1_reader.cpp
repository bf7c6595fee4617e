// SPDX-License-Identifier: AGPL-3.0-only
#include "tests/support/http1_reader.hpp"

#include <algorithm>
#include <array>

namespace marchproxy::testing {

using wire::body_kind;
using wire::http1_error;
using wire::parse_state;

namespace {

/// Printable ASCII between quotes, other bytes as `\x0a`; long ones by their length.
std::string quoted(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  if (bytes.size() > 64)
    return "<" + std::to_string(bytes.size()) + " bytes>";
  std::string out = "\"";
  for (char c : bytes) {
    auto byte = static_cast<unsigned char>(c);
    if (byte > 0x1f && byte < 0x7f && c != '"' && c != '\\')
      out += c;
    else
      (out += "\\x") += {digits[byte >> 4U], digits[byte & 15U]};
  }
  return out + "\"";
}

std::string lowered(std::string_view text) {
  std::string out{text};
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

} // namespace

void http1_reader::feed(std::string_view piece) {
  in_ += piece;
  while (advance())
    ;
}

std::string http1_reader::finish() {
  switch (phase_) {
  case phase::until_close:
    end_message();
    return said_ + "end";
  case phase::head:
    return said_ + (in_.empty() ? "end" : "more");
  case phase::length:
  case phase::chunks:
    return said_ + "more";
  case phase::tunnel:
    return said_ + (in_.empty() ? "tunnel" : "tunnel " + quoted(in_));
  case phase::closed:
    return said_ + (in_.empty() ? "end" : "closed");
  case phase::refused:
    break;
  }
  return said_;
}

/// @return true when there may be more to do
bool http1_reader::advance() {
  switch (phase_) {
  case phase::head:
    return read_head();
  case phase::length:
    return read_length();
  case phase::chunks:
    return read_chunks();
  case phase::until_close:
    body_ += in_;
    in_.clear();
    break;
  case phase::tunnel:
  case phase::closed:
  case phase::refused:
    break;
  }
  return false;
}

bool http1_reader::read_head() {
  auto found = scanner_.scan(in_);
  if (found.state == parse_state::need_more)
    return false;
  if (found.state == parse_state::error) {
    refuse(name_of(found.error));
    return false;
  }
  scanner_.reset();
  if (auto e = parse(std::string_view{in_}.substr(0, found.size)); e != http1_error::none) {
    refuse(name_of(e));
    return false;
  }
  in_.erase(0, found.size);
  begin_body();
  return phase_ != phase::refused;
}

http1_error http1_reader::parse(std::string_view head) {
  if (method_.empty()) {
    if (auto e = request_.parse(head); e != http1_error::none)
      return e;
    line_ = std::string{request_.method} + " " + std::string{request_.target};
    framing_ = request_.body;
    keep_alive_ = request_.keep_alive;
    tunnels_ = request_.method == "CONNECT";
    return http1_error::none;
  }
  if (auto e = response_.parse(head, method_); e != http1_error::none)
    return e;
  line_ = std::to_string(response_.status);
  framing_ = response_.body;
  // An interim response says nothing about the connection.
  keep_alive_ = response_.keep_alive || response_.status < 200;
  tunnels_ = response_.status == 101 || (method_ == "CONNECT" && response_.status / 100 == 2);
  return http1_error::none;
}

void http1_reader::begin_body() {
  body_.clear();
  trailers_.clear();
  if (tunnels_ && framing_.kind != body_kind::none)
    return refuse("connect_body"); // as http_session does
  switch (framing_.kind) {
  case body_kind::none:
    return end_message();
  case body_kind::length:
    left_ = framing_.length;
    phase_ = phase::length;
    return;
  case body_kind::chunked:
    decoder_ = {};
    phase_ = phase::chunks;
    return;
  case body_kind::until_close:
    phase_ = phase::until_close;
    return;
  }
}

bool http1_reader::read_length() {
  auto here = static_cast<std::size_t>(std::min<std::uint64_t>(left_, in_.size()));
  body_ += in_.substr(0, here);
  in_.erase(0, here);
  left_ -= here;
  if (left_ > 0)
    return false;
  end_message();
  return true;
}

bool http1_reader::read_chunks() {
  auto piece = decoder_.next(in_);
  body_ += piece.data;
  trailers_ += piece.trailer;
  in_.erase(0, piece.consumed);
  if (piece.state == parse_state::error) {
    refuse(name_of(piece.error));
    return false;
  }
  if (piece.state == parse_state::complete) {
    end_message();
    return true;
  }
  return piece.consumed > 0;
}

void http1_reader::end_message() {
  bodies_ += body_ + trailers_;
  wire::field_list fields;
  if (auto e = fields.parse(trailers_); e != http1_error::none)
    return refuse(name_of(e));
  said_ += line_;
  if (!body_.empty())
    said_ += " " + quoted(body_);
  if (fields.size() > 8)
    said_ += " +" + std::to_string(fields.size()) + " trailers";
  else
    for (const auto& f : fields)
      said_ += " +" + lowered(f.name) + "=" + quoted(f.value);
  said_ += " | ";
  if (tunnels_)
    phase_ = phase::tunnel;
  else
    phase_ = keep_alive_ ? phase::head : phase::closed;
}

void http1_reader::refuse(std::string_view why) {
  said_ += "refused ";
  said_ += why;
  phase_ = phase::refused;
}

std::string_view name_of(http1_error e) {
  constexpr std::array<std::string_view, 19> names = {"none",
                                                      "line_ending",
                                                      "head_too_large",
                                                      "too_many_fields",
                                                      "method",
                                                      "target",
                                                      "version",
                                                      "status_line",
                                                      "field_name",
                                                      "field_value",
                                                      "obs_fold",
                                                      "host",
                                                      "content_length",
                                                      "transfer_encoding",
                                                      "framing_conflict",
                                                      "chunk_size",
                                                      "chunk_extension",
                                                      "chunk_end",
                                                      "trailer"};
  static_assert(names.size() == static_cast<std::size_t>(http1_error::trailer) + 1);
  return names.at(static_cast<std::size_t>(e));
}

} // namespace marchproxy::testing
