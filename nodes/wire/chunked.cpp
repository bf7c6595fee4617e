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
      return {parse_state::need_more, at + run, in.substr(at, run), http1_error::none};
    }
    if (auto e = take(in[at]); e != http1_error::none)
      return {parse_state::error, at, {}, e};
    ++at;
  }
  return {done() ? parse_state::complete : parse_state::need_more, at, {}, http1_error::none};
}

http1_error chunked_decoder::take(char c) noexcept {
  switch (step_) {
  case step::size_first:
  case step::size:
  case step::extension:
  case step::size_lf:
    return take_size(c);
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
  if (step_ == step::extension) {
    if (c == '\r')
      step_ = step::size_lf;
    else if (!is_a(c, byte_class::field_text) || ++extension_bytes_ > max_extension_bytes)
      return http1_error::chunk_extension;
    return http1_error::none;
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
    step_ = step::extension;
  else
    return http1_error::chunk_size;
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
