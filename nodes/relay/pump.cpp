// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/relay/pump.hpp"

#include "nodes/relay/trailers.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace marchproxy::relay {

pump::~pump() {
  if (pipe_)
    pools_.pipes.give(std::move(pipe_));
}

io_state pump::deliver(stream& to) {
  while (!held_.empty()) {
    auto out = write(to, held_.bytes(), pacer_);
    if (out.state != io_state::moved)
      return out.state;
    held_.consume(out.bytes);
    moved_ += out.bytes;
  }
  while (pipe_ && pipe_->held > 0) {
    auto out = pacer_ == nullptr ? to.splice_from(*pipe_) : pacer_->splice(to, *pipe_);
    if (out.state != io_state::moved)
      return out.state;
    moved_ += out.bytes;
  }
  return io_state::moved;
}

io_result pump::take(stream& from, const stream& to) {
  if (moved_ >= splice_after && from.readable() && !pipe_ && to.can_splice_in()
      && from.can_splice_out())
    pipe_ = pools_.pipes.take();
  if (pipe_) {
    auto limit = static_cast<std::size_t>(std::min<std::uint64_t>(left_, pipe_pool::pipe_bytes));
    return from.splice_to(*pipe_, limit);
  }
  return from.read(held_, left_);
}

pump_state pump::run(stream& from, stream& to) {
  auto until = moved_ + share;
  while (true) {
    auto delivered = deliver(to);
    if (delivered == io_state::failed)
      return pump_state::sink_failed;
    if (delivered == io_state::blocked)
      return pump_state::blocked;
    if (left_ == 0)
      return pump_state::complete;
    if (moved_ >= until)
      return pump_state::yielded;
    auto in = take(from, to);
    if (in.state == io_state::moved) {
      if (left_ != unlimited)
        left_ -= in.bytes;
      continue;
    }
    // Nothing is in flight now: an idle tunnel holds neither block nor pipe.
    if (pipe_)
      pools_.pipes.give(std::move(pipe_));
    if (in.state == io_state::ended)
      return pump_state::ended;
    return in.state == io_state::failed ? pump_state::source_failed : pump_state::blocked;
  }
}

void chunk_pump::begin(buffer ahead, bool write_chunks, std::string trailers) {
  in_ = std::move(ahead);
  out_.clear();
  decoder_ = {};
  write_chunks_ = write_chunks;
  finished_ = false;
  trailers_ = std::move(trailers);
  section_.clear();
  moved_ = 0;
}

/// Takes what in_ holds apart and writes it to the empty out_ as one chunk, with the last one
/// behind it if that is all. @return false for malformed chunks
bool chunk_pump::transform() {
  constexpr std::size_t head = 10; // for the size line
  constexpr std::size_t tail = 7;  // CRLF, last chunk
  auto room = out_.room();
  auto at = head;
  while (!in_.empty() && !decoder_.done()) {
    auto space = room.size() - tail - at;
    if (space == 0)
      break;
    auto piece = decoder_.next(in_.bytes().substr(0, space));
    at += piece.data.copy(room.data() + at, piece.data.size());
    section_ += piece.trailer;
    in_.consume(piece.consumed);
    if (piece.state == wire::parse_state::error)
      return false;
  }
  auto size = at - head;
  auto begin = head;
  auto put = [&](std::string_view text) {
    std::memcpy(room.data() + at, text.data(), text.size());
    at += text.size();
  };
  if (write_chunks_ && size > 0) {
    std::array<char, head> line{};
    auto* end = std::to_chars(line.data(), line.data() + head - 2, size, 16).ptr;
    *end++ = '\r';
    *end++ = '\n';
    auto digits = static_cast<std::size_t>(end - line.data());
    begin = head - digits;
    std::memcpy(room.data() + begin, line.data(), digits);
    put("\r\n");
  }
  if (decoder_.done() && section_.empty()) {
    if (write_chunks_)
      put("0\r\n\r\n");
    finished_ = true;
  }
  out_.commit(at > head ? at : 0);
  if (!out_.empty())
    out_.consume(begin);
  return true;
}

/// Writes the last chunk and the trailers to the empty out_. @return false for malformed trailers
bool chunk_pump::finish() {
  auto lines = forwarded_trailers(section_, trailers_);
  if (lines && write_chunks_)
    out_.append("0\r\n" + *lines + "\r\n");
  finished_ = true;
  return lines.has_value();
}

pump_state chunk_pump::run(stream& from, stream& to) {
  auto until = moved_ + pump::share;
  while (true) {
    while (!out_.empty()) {
      auto out = write(to, out_.bytes(), pacer_);
      if (out.state == io_state::failed)
        return pump_state::sink_failed;
      if (out.state != io_state::moved)
        return pump_state::blocked;
      out_.consume(out.bytes);
      moved_ += out.bytes;
    }
    if (finished_)
      return pump_state::complete;
    if (decoder_.done()) {
      if (!finish())
        return pump_state::source_failed;
      continue;
    }
    if (moved_ >= until)
      return pump_state::yielded;
    if (in_.empty()) {
      auto in = from.read(in_);
      if (in.state == io_state::blocked)
        return pump_state::blocked;
      if (in.state != io_state::moved)
        return in.state == io_state::ended ? pump_state::ended : pump_state::source_failed;
    }
    if (!transform())
      return pump_state::source_failed;
  }
}

} // namespace marchproxy::relay
