// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/wire/http1.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace marchproxy::wire {

/// Takes a chunked body apart as it arrives (RFC 9112 7.1). 16 bytes.
class chunked_decoder {
public:
  static constexpr std::size_t max_extension_bytes = 4096; ///< of the whole body
  static constexpr std::size_t max_trailer_bytes = 8192;

  struct outcome {
    parse_state state = parse_state::need_more;
    std::size_t consumed = 0; ///< bytes of the input that are done with
    std::string_view data;    ///< body bytes, a view into the consumed input; may be empty
    /// A piece of the trailer section, as data: its field lines without the empty line, checked as
    /// lines. All pieces together are what field_list::parse() takes.
    std::string_view trailer;
    http1_error error = http1_error::none;
  };

  /// Consumes up to the end of the next run of body bytes, or all of @p in. Call again with what is
  /// left until it consumes nothing (then more must be received), or says complete or error.
  [[nodiscard]] outcome next(std::string_view in) noexcept;
  [[nodiscard]] bool done() const noexcept { return step_ == step::done; }

private:
  enum class step : std::uint8_t {
    size_first,
    size,
    extension_first, ///< its name's first byte
    extension_name,
    extension_value, ///< its value's first byte
    extension_token,
    extension_quoted,
    extension_escaped, ///< behind a backslash
    extension_end,     ///< behind a quoted value
    size_lf,
    data,
    data_cr,
    data_lf,
    trailer_first,
    trailer_name,
    trailer_value,
    trailer_lf,
    end_lf,
    done,
  };
  [[nodiscard]] outcome next_trailer(std::string_view in, std::size_t at) noexcept;
  [[nodiscard]] http1_error take(char c) noexcept;
  [[nodiscard]] http1_error take_size(char c) noexcept;
  [[nodiscard]] http1_error take_extension(char c) noexcept;
  [[nodiscard]] http1_error take_trailer(char c) noexcept;

  std::uint64_t left_ = 0; ///< of the chunk
  std::uint16_t extension_bytes_ = 0;
  std::uint16_t trailer_bytes_ = 0;
  std::uint8_t digits_ = 0;
  step step_ = step::size_first;
};

} // namespace marchproxy::wire
