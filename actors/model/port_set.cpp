// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/port_set.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

namespace marchproxy::model {

port_set::port_set(std::vector<port_range> ranges) {
  std::sort(ranges.begin(), ranges.end());
  for (const auto& range : ranges) {
    MP_INVARIANT(range.first >= 1 && range.first <= range.last);
    // Adjacent ranges merge as well; the sum is an int, so 65535 + 1 does not wrap.
    if (!ranges_.empty() && range.first <= ranges_.back().last + 1)
      ranges_.back().last = std::max(ranges_.back().last, range.last);
    else
      ranges_.push_back(range);
  }
}

bool port_set::allows(std::uint16_t port) const noexcept {
  if (ranges_.empty())
    return true;
  const auto after =
    std::upper_bound(ranges_.begin(), ranges_.end(), port,
                     [](std::uint16_t p, const port_range& r) { return p < r.first; });
  return after != ranges_.begin() && port <= std::prev(after)->last;
}

std::string port_set::text() const {
  std::string out;
  const auto append = [&out](std::uint16_t number) {
    char digits[5];
    const auto end = std::to_chars(std::begin(digits), std::end(digits), number).ptr;
    out.append(std::begin(digits), end);
  };
  for (const auto& range : ranges_) {
    if (!out.empty())
      out += ',';
    append(range.first);
    if (range.last != range.first) {
      out += '-';
      append(range.last);
    }
  }
  return out;
}

std::vector<port_range> intersection(const port_set& a, const port_set& b) {
  if (a.unrestricted())
    return b.unrestricted() ? std::vector{port_range{}} : b.ranges();
  if (b.unrestricted())
    return a.ranges();
  std::vector<port_range> out;
  auto x = a.ranges().begin();
  auto y = b.ranges().begin();
  while (x != a.ranges().end() && y != b.ranges().end()) {
    const auto first = std::max(x->first, y->first);
    const auto last = std::min(x->last, y->last);
    if (first <= last)
      out.push_back({first, last});
    if (x->last < y->last)
      ++x;
    else
      ++y;
  }
  return out;
}

} // namespace marchproxy::model
