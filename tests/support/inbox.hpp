// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace marchproxy::test {

/// What came over a test's connection and was not used yet. More comes from the @p receive of each
/// call: one read, empty at the end.
class inbox {
public:
  /// What is there, or else one read.
  template <class Receive>
  std::string some(Receive receive) {
    return held_.empty() ? receive() : std::exchange(held_, {});
  }
  /// Less at the end.
  template <class Receive>
  std::string exactly(std::size_t size, Receive receive) {
    while (held_.size() < size) {
      auto more = receive();
      if (more.empty())
        break;
      held_ += more;
    }
    auto out = held_.substr(0, size);
    held_.erase(0, out.size());
    return out;
  }
  /// Up to and with @p mark; without it, what came before the end.
  template <class Receive>
  std::string until(std::string_view mark, Receive receive) {
    std::size_t at = 0;
    while ((at = held_.find(mark)) == std::string::npos) {
      auto more = receive();
      if (more.empty())
        return std::exchange(held_, {});
      held_ += more;
    }
    return exactly(at + mark.size(), receive);
  }
  template <class Receive>
  std::string all(Receive receive) {
    for (auto more = receive(); !more.empty(); more = receive())
      held_ += more;
    return std::exchange(held_, {});
  }
  /// @p text is received again.
  void unread(std::string_view text) { held_.insert(0, text); }

private:
  std::string held_;
};

} // namespace marchproxy::test
