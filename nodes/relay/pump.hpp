// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/buffers.hpp"
#include "nodes/relay/pacer.hpp"
#include "nodes/relay/stream.hpp"
#include "nodes/wire/chunked.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace marchproxy::relay {

enum class pump_state : std::uint8_t {
  blocked,  ///< waits for one of its streams, or for its pacer
  yielded,  ///< moved its share of this turn; run it again in the next
  complete, ///< the limit (or the end of the chunked body) was reached and everything is delivered
  ended,    ///< the source sends no more and everything is delivered
  source_failed, ///< broken, or malformed chunks
  sink_failed,
};

struct pools {
  buffer_pool buffers;
  pipe_pool pipes;
};

/// Moves bytes from one stream to another. Reads no more than it can deliver: at most one block, or
/// one pipe, is in flight, and none while nothing is. Past 64 KiB it splices.
class pump {
public:
  static constexpr std::uint64_t unlimited = UINT64_MAX;
  static constexpr std::uint64_t splice_after = std::uint64_t{64} * 1024;
  static constexpr std::uint64_t share = std::uint64_t{1024} * 1024; ///< bytes a turn

  explicit pump(pools& p) noexcept : pools_(p), held_(p.buffers) {}
  pump(const pump&) = delete;
  pump& operator=(const pump&) = delete;
  ~pump();

  /// Before the first run: bytes that were read from the source already, within the limit.
  void preload(buffer bytes) noexcept { held_ = std::move(bytes); }
  /// Bytes still to be read from the source. Restarts a pump that was complete.
  void set_limit(std::uint64_t bytes) noexcept { left_ = bytes; }
  /// Null: nothing limits how fast bytes are delivered.
  void set_pacer(pacer* by) noexcept { pacer_ = by; }
  [[nodiscard]] pump_state run(stream& from, stream& to);
  /// Bytes delivered.
  [[nodiscard]] std::uint64_t moved() const noexcept { return moved_; }
  [[nodiscard]] bool idle() const noexcept { return held_.empty() && !pipe_; }

private:
  [[nodiscard]] io_state deliver(stream& to);
  [[nodiscard]] io_result take(stream& from, const stream& to);

  pools& pools_;
  buffer held_;
  std::unique_ptr<splice_pipe> pipe_;
  pacer* pacer_ = nullptr;
  std::uint64_t left_ = unlimited;
  std::uint64_t moved_ = 0;
};

/// Moves a chunked body: takes the chunks apart, checks them and writes chunks of its own (or bare
/// bytes, for a client of HTTP/1.0).
class chunk_pump {
public:
  explicit chunk_pump(pools& p) noexcept : in_(p.buffers), out_(p.buffers) {}

  /// Begins a body. @param ahead  bytes of it, and maybe more, that were read from the source
  /// already
  /// @param trailers  names of the trailer fields to pass on, a comma list; the others are dropped
  void begin(buffer ahead, bool write_chunks, std::string trailers);
  /// As pump's.
  void set_pacer(pacer* by) noexcept { pacer_ = by; }
  [[nodiscard]] pump_state run(stream& from, stream& to);
  [[nodiscard]] std::uint64_t moved() const noexcept { return moved_; }
  [[nodiscard]] bool idle() const noexcept { return out_.empty(); }
  /// After complete: what was read past the body.
  [[nodiscard]] buffer take_rest() noexcept { return std::move(in_); }

private:
  [[nodiscard]] bool transform();
  [[nodiscard]] bool finish();

  buffer in_;
  buffer out_;
  pacer* pacer_ = nullptr;
  wire::chunked_decoder decoder_;
  bool write_chunks_ = true;
  bool finished_ = false; ///< the last chunk was written to out_
  std::string trailers_;  ///< names
  std::string section_; ///< the trailer section so far, at most chunked_decoder::max_trailer_bytes
  std::uint64_t moved_ = 0;
};

} // namespace marchproxy::relay
