// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/wire/chunked.hpp"

#include "nodes/wire/http1_bytes.hpp"

#include <algorithm>

namespace marchproxy::wire {

namespace {

constexpr unsigned hex_value(char c) noexcept {
  return static_cast<unsigned>(c <= '9' ? c - '0' : to_lower(c) - 'a' + 10);
}

} // namespace

chunked_decoder::outcome chunked_decoder::next(std::string_view in) noexcept {
  std::size_t at = 0;
  while (at < in.size() && step_ != step::done) {
    if (step_ == step::data) {
      auto run = static_cast<std::size_t>(std::min<std::uint64_t>(left_, in.size() - at));
      left_ -= run;
      if (left_ == 0)
        step_ = step::data_cr;
      return {parse_state::need_more, at + run, in.substr(at, run), {}, http1_error::none};
    }
    if (step_ >= step::trailer_first)
      return next_trailer(in, at);
    if (auto e = take(in[at]); e != http1_error::none)
      return {parse_state::error, at, {}, {}, e};
    ++at;
  }
  return {done() ? parse_state::complete : parse_state::need_more, at, {}, {}, http1_error::none};
}

chunked_decoder::outcome chunked_decoder::next_trailer(std::string_view in,
                                                       std::size_t at) noexcept {
  auto begin = at;
  auto lines_end = at;
  while (at < in.size() && step_ != step::done) {
    if (auto e = take(in[at]); e != http1_error::none)
      return {parse_state::error, at, {}, {}, e};
    ++at;
    if (step_ < step::end_lf)
      lines_end = at;
  }
  return {done() ? parse_state::complete : parse_state::need_more,
          at,
          {},
          in.substr(begin, lines_end - begin),
          http1_error::none};
}

http1_error chunked_decoder::take(char c) noexcept {
  switch (step_) {
  case step::size_first:
  case step::size:
  case step::size_lf:
    return take_size(c);
  case step::extension_first:
  case step::extension_name:
  case step::extension_value:
  case step::extension_token:
  case step::extension_quoted:
  case step::extension_escaped:
  case step::extension_end:
    return ++extension_bytes_ > max_extension_bytes ? http1_error::chunk_extension
                                                    : take_extension(c);
  case step::data_cr:
    step_ = step::data_lf;
    return c == '\r' ? http1_error::none : http1_error::chunk_end;
  case step::data_lf:
    step_ = step::size_first;
    return c == '\n' ? http1_error::none : http1_error::chunk_end;
  case step::trailer_first:
  case step::trailer_name:
  case step::trailer_value:
  case step::trailer_lf:
  case step::end_lf:
    return take_trailer(c);
  case step::data:
  case step::done:
    break;
  }
  return http1_error::none;
}

http1_error chunked_decoder::take_size(char c) noexcept {
  if (step_ == step::size_lf) {
    step_ = left_ == 0 ? step::trailer_first : step::data;
    return c == '\n' ? http1_error::none : http1_error::line_ending;
  }
  if (is_a(c, byte_class::hex)) {
    if (step_ == step::size_first) {
      left_ = 0;
      digits_ = 0;
      step_ = step::size;
    }
    left_ = left_ << 4 | hex_value(c);
    return ++digits_ <= 15 ? http1_error::none : http1_error::chunk_size;
  }
  if (step_ == step::size_first)
    return http1_error::chunk_size;
  if (c == '\r')
    step_ = step::size_lf;
  else if (c == ';')
    step_ = step::extension_first;
  else
    return http1_error::chunk_size;
  return http1_error::none;
}

/// `;name`, `;name=token` or `;name="text"` (RFC 9112 7.1.1), without the whitespace that a
/// recipient may refuse. All of it is dropped, but who forgives here has been made to see other
/// chunks than we do.
http1_error chunked_decoder::take_extension(char c) noexcept {
  auto begins = step_ == step::extension_first || step_ == step::extension_value;
  auto quotes = step_ == step::extension_quoted || step_ == step::extension_escaped;
  if (quotes && is_a(c, byte_class::field_text)) {
    if (step_ == step::extension_escaped)
      step_ = step::extension_quoted;
    else if (c == '\\')
      step_ = step::extension_escaped;
    else if (c == '"')
      step_ = step::extension_end;
  } else if (step_ == step::extension_value && c == '"') {
    step_ = step::extension_quoted;
  } else if (!quotes && step_ != step::extension_end && is_a(c, byte_class::token)) {
    if (begins)
      step_ = step_ == step::extension_first ? step::extension_name : step::extension_token;
  } else if (step_ == step::extension_name && c == '=') {
    step_ = step::extension_value;
  } else if (!quotes && !begins && c == ';') {
    step_ = step::extension_first;
  } else if (!quotes && !begins && c == '\r') {
    step_ = step::size_lf;
  } else {
    return http1_error::chunk_extension;
  }
  return http1_error::none;
}

http1_error chunked_decoder::take_trailer(char c) noexcept {
  if (++trailer_bytes_ > max_trailer_bytes)
    return http1_error::trailer;
  bool fine = true;
  if (step_ == step::trailer_first && c == '\r') {
    step_ = step::end_lf;
  } else if (step_ == step::trailer_first) {
    fine = is_a(c, byte_class::token);
    step_ = step::trailer_name;
  } else if (step_ == step::trailer_name) {
    fine = c == ':' || is_a(c, byte_class::token);
    step_ = c == ':' ? step::trailer_value : step::trailer_name;
  } else if (step_ == step::trailer_value) {
    fine = c == '\r' || is_a(c, byte_class::field_text);
    step_ = c == '\r' ? step::trailer_lf : step::trailer_value;
  } else {
    fine = c == '\n';
    step_ = step_ == step::end_lf ? step::done : step::trailer_first;
  }
  return fine ? http1_error::none : http1_error::trailer;
}

} // namespace marchproxy::wire
