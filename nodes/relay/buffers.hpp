// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#pragma once

#include "nodes/net/socket.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace marchproxy::relay {

/// Blocks for bytes in flight. One per worker. Keeps a few free ones; the rest goes back to the
/// system.
class buffer_pool {
public:
  static constexpr std::size_t block_size = std::size_t{32} * 1024;
  using block = std::unique_ptr<char[]>;

  [[nodiscard]] block take();
  void give(block b);
  [[nodiscard]] std::size_t lent() const noexcept { return lent_; }

private:
  static constexpr std::size_t max_free = 64;
  std::vector<block> free_;
  std::size_t lent_ = 0;
};

/// Bytes on their way from one place to another. Holds a block of its pool only while there are
/// any.
class buffer {
public:
  explicit buffer(buffer_pool& pool) noexcept : pool_(&pool) {}
  buffer(buffer&& other) noexcept;
  buffer& operator=(buffer&& other) noexcept;
  buffer(const buffer&) = delete;
  buffer& operator=(const buffer&) = delete;
  ~buffer() { clear(); }

  [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
  [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
  [[nodiscard]] std::string_view bytes() const noexcept;
  /// Room behind the bytes; borrows a block, and moves the bytes to its front when the room is used
  /// up.
  [[nodiscard]] std::span<char> room();
  /// @p n bytes of room() are bytes now. 0 gives back a block that stayed empty.
  void commit(std::size_t n) noexcept;
  /// The first @p n bytes are done with.
  void consume(std::size_t n) noexcept;
  void append(std::string_view text);
  void clear() noexcept { consume(size()); }

private:
  buffer_pool* pool_;
  buffer_pool::block block_;
  std::uint32_t begin_ = 0;
  std::uint32_t end_ = 0;
};

/// A pipe that splice() goes through.
struct splice_pipe {
  net::unique_fd read_end;
  net::unique_fd write_end;
  std::size_t held = 0; ///< bytes in it
};

/// Pipes for bytes in flight. One per worker.
class pipe_pool {
public:
  static constexpr std::size_t pipe_bytes = std::size_t{256} * 1024;
  /// Null when the process is out of descriptors: copy through a buffer instead.
  [[nodiscard]] std::unique_ptr<splice_pipe> take();
  /// A pipe that still holds bytes is closed.
  void give(std::unique_ptr<splice_pipe> p);

private:
  static constexpr std::size_t max_free = 32;
  std::vector<std::unique_ptr<splice_pipe>> free_;
};

} // namespace marchproxy::relay
