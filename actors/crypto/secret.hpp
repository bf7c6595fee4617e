// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::crypto {

/// Bytes that must not reach a log, a reply or a core file: nothing prints them, and they are wiped
/// when their owner is destroyed. Copies are wiped as well. Whoever needs the bytes says so:
/// `expose()`.
class secret {
public:
  secret() = default;
  explicit secret(std::string_view bytes) : bytes_{bytes.begin(), bytes.end()} {}
  /// Takes the bytes over and wipes @p bytes.
  [[nodiscard]] static secret take(std::string& bytes);

  secret(const secret&) = default;
  secret(secret&&) noexcept = default;
  secret& operator=(const secret& other);
  secret& operator=(secret&& other) noexcept;
  ~secret();

  /// Valid while this object is neither assigned to nor destroyed.
  /// Never a null pointer, even when empty: C libraries are handed it.
  [[nodiscard]] std::string_view expose() const noexcept {
    return bytes_.empty() ? std::string_view{""} : std::string_view{bytes_.data(), bytes_.size()};
  }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
  [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }

  template <class Stream>
  friend Stream& operator<<(Stream& stream, const secret&) = delete;

private:
  void wipe() noexcept;

  // A vector moves its buffer; a string would leave short contents behind.
  std::vector<char> bytes_;
};

/// Overwrites @p bytes in a way the compiler keeps, then empties it.
void wipe(std::string& bytes) noexcept;

} // namespace marchproxy::crypto
