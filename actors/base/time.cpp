// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/base/time.hpp"

#include <array>
#include <charconv>
#include <cstdio>

namespace marchproxy {

namespace {

bool digits(std::string_view text, std::size_t at, std::size_t count, int& out) noexcept {
  if (text.size() < at + count)
    return false;
  const auto* begin = text.data() + at;
  auto [next, ec] = std::from_chars(begin, begin + count, out);
  return ec == std::errc{} && next == begin + count && *begin != '-';
}

} // namespace

std::string format_time(time_point at) {
  using namespace std::chrono;
  auto day = floor<days>(at);
  year_month_day date{day};
  hh_mm_ss time{at - day};
  std::array<char, 64> buffer{};
  auto written = std::snprintf(
    buffer.data(), buffer.size(), "%04d-%02u-%02uT%02ld:%02ld:%02ld.%06ldZ", int{date.year()},
    unsigned{date.month()}, unsigned{date.day()}, static_cast<long>(time.hours().count()),
    static_cast<long>(time.minutes().count()), static_cast<long>(time.seconds().count()),
    static_cast<long>(time.subseconds().count()));
  return {buffer.data(), static_cast<std::size_t>(written)};
}

std::optional<time_point> parse_time(std::string_view text) noexcept {
  using namespace std::chrono;
  int y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0;
  auto shaped = text.size() >= 20 && text[4] == '-' && text[7] == '-' && text[10] == 'T'
                && text[13] == ':' && text[16] == ':' && text.back() == 'Z';
  if (!shaped || !digits(text, 0, 4, y) || !digits(text, 5, 2, mo) || !digits(text, 8, 2, d)
      || !digits(text, 11, 2, h) || !digits(text, 14, 2, mi) || !digits(text, 17, 2, s))
    return std::nullopt;
  auto date = year{y} / mo / d;
  if (!date.ok() || h > 23 || mi > 59 || s > 59)
    return std::nullopt;
  long micros = 0;
  if (auto fraction = text.substr(19, text.size() - 20); !fraction.empty()) {
    if (fraction[0] != '.' || fraction.size() < 2 || fraction.size() > 7)
      return std::nullopt;
    for (std::size_t i = 1; i < 7; ++i) {
      auto c = i < fraction.size() ? fraction[i] : '0';
      if (c < '0' || c > '9')
        return std::nullopt;
      micros = micros * 10 + (c - '0');
    }
  }
  return time_point{sys_days{date} + hours{h} + minutes{mi} + seconds{s} + microseconds{micros}};
}

time_point wall_now() noexcept {
  return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

} // namespace marchproxy
