// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/net/datagram_runs.hpp"

#include <netinet/in.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace marchproxy::net {

namespace {

/// Puts one control message behind those that @p m has.
template <class Value>
void add_control(msghdr& m, int level, int type, const Value& value) noexcept {
  auto* c = reinterpret_cast<cmsghdr*>(static_cast<char*>(m.msg_control) + m.msg_controllen);
  c->cmsg_level = level;
  c->cmsg_type = type;
  c->cmsg_len = CMSG_LEN(sizeof value);
  std::memcpy(CMSG_DATA(c), &value, sizeof value);
  m.msg_controllen += CMSG_SPACE(sizeof value);
}

void add_source(msghdr& m, const ip_address& from) noexcept {
  if (from.family == ip_family::v4) {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, from.bytes.data(), sizeof info.ipi_spec_dst);
    add_control(m, SOL_IP, IP_PKTINFO, info);
  } else {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, from.bytes.data(), sizeof info.ipi6_addr);
    add_control(m, SOL_IPV6, IPV6_PKTINFO, info);
  }
}

/// Errors that are about one earlier datagram, told once in place of sending this one.
bool is_about_another(int error) noexcept {
  return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH
         || error == EHOSTDOWN || error == ENOPROTOOPT || error == EPROTO;
}

bool is_full(int error) noexcept {
  return error == EAGAIN || error == ENOBUFS || error == ENOMEM;
}

} // namespace

void run_writer::begin(const way& w) noexcept {
  way_ = w;
  tally_ = {};
  tally_.most_segment = w.most_segment;
  runs_ = parts_ = 0;
}

void run_writer::add(std::string_view bytes, std::uint16_t segment) noexcept {
  if (segment == 0)
    return append(bytes, 1, bytes.size());
  if (segment <= tally_.most_segment && bytes.size() <= max_bytes
      && bytes.size() <= max_count * segment)
    return append(bytes, (bytes.size() + segment - 1) / segment, segment);
  for (std::size_t at = 0; at < bytes.size(); at += segment) {
    auto one = bytes.substr(at, segment);
    append(one, 1, one.size());
  }
}

bool run_writer::joins(std::size_t bytes, std::size_t count, std::size_t segment) noexcept {
  if (runs_ == 0)
    return false;
  const auto& last = run_[runs_ - 1];
  const auto fits = count == 1 ? segment <= last.segment : segment == last.segment;
  return last.open && fits && segment != 0 && last.segment <= tally_.most_segment
         && last.count + count <= max_count && last.bytes + bytes <= max_bytes;
}

void run_writer::append(std::string_view bytes, std::size_t count, std::size_t segment) noexcept {
  if (parts_ == max_parts)
    push();
  if (!joins(bytes.size(), count, segment)) {
    if (runs_ == max_runs)
      push();
    run_[runs_++] = {.first_part = parts_, .segment = segment};
  }
  auto& r = run_[runs_ - 1];
  part_[parts_++] = {const_cast<char*>(bytes.data()), bytes.size()}; // sendmmsg only reads
  ++r.parts;
  r.bytes += bytes.size();
  r.count += count;
  r.open = r.bytes != 0 && r.bytes == r.count * r.segment;
}

msghdr run_writer::message(iovec* parts, std::size_t count, char* control) const noexcept {
  msghdr out{};
  if (way_.to != nullptr) {
    out.msg_name = const_cast<sockaddr*>(way_.to->get()); // sendmmsg only reads
    out.msg_namelen = way_.to->size;
  }
  out.msg_iov = parts;
  out.msg_iovlen = count;
  out.msg_control = control;
  if (way_.from != nullptr)
    add_source(out, *way_.from);
  return out;
}

void run_writer::prepare(std::size_t i) noexcept {
  const auto& r = run_[i];
  auto& m = messages_[i].msg_hdr;
  m = message(&part_[r.first_part], r.parts, control_[i].data());
  if (r.count > 1)
    add_control(m, SOL_UDP, UDP_SEGMENT, static_cast<std::uint16_t>(r.segment));
}

/// The short way for one datagram by itself, which needs no message. @return whether it is gone
bool run_writer::push_one() noexcept {
  if (runs_ != 1 || run_[0].count != 1 || way_.from != nullptr)
    return false;
  const auto& part = part_[0];
  const auto sent =
    sendto(way_.fd, part.iov_base, part.iov_len, MSG_DONTWAIT,
           way_.to != nullptr ? way_.to->get() : nullptr, way_.to != nullptr ? way_.to->size : 0);
  if (sent < 0) {
    if (is_about_another(errno))
      tally_.error = errno;
    return false;
  }
  count(1, part.iov_len);
  runs_ = parts_ = 0;
  return true;
}

void run_writer::push() noexcept {
  if (push_one())
    return;
  for (std::size_t i = 0; i < runs_; ++i)
    prepare(i);
  auto again = true; // an error that is about another datagram costs this one a second try
  for (std::size_t next = 0; next < runs_;) {
    auto n = sendmmsg(way_.fd, &messages_[next], static_cast<unsigned>(runs_ - next), MSG_DONTWAIT);
    if (n > 0) {
      for (auto end = next + static_cast<std::size_t>(n); next < end; ++next)
        count(run_[next].count, run_[next].bytes);
      again = true;
    } else if (is_full(errno)) {
      break;
    } else if (survive(next, again)) {
      again = false;
    } else {
      ++next;
      again = true;
    }
  }
  runs_ = parts_ = 0;
}

/// After an error. @return whether message @p i shall be tried again
bool run_writer::survive(std::size_t i, bool again) noexcept {
  const auto error = errno;
  if (error == EINTR)
    return true;
  const auto& r = run_[i];
  if (r.count > 1 && !is_about_another(error)) {
    // Too long for the path (EINVAL, EMSGSIZE): shorter ones may still go together. Anything else
    // is a device or a kernel that cannot.
    const auto too_long = error == EINVAL || error == EMSGSIZE;
    tally_.most_segment = too_long ? static_cast<std::uint16_t>(r.segment - 1) : 0;
    send_singly(r);
    return false;
  }
  if (!is_about_another(error))
    return false;
  tally_.error = error;
  return again;
}

void run_writer::send_singly(const run& r) noexcept {
  alignas(cmsghdr) std::array<char, max_control> control{};
  for (auto part = r.first_part; part < r.first_part + r.parts; ++part) {
    const std::string_view bytes{static_cast<const char*>(part_[part].iov_base),
                                 part_[part].iov_len};
    for (std::size_t at = 0; at < bytes.size(); at += r.segment) {
      auto one = bytes.substr(at, r.segment);
      iovec piece{const_cast<char*>(one.data()), one.size()};
      auto m = message(&piece, 1, control.data());
      if (sendmsg(way_.fd, &m, MSG_DONTWAIT) >= 0)
        count(1, one.size());
    }
  }
}

void run_writer::count(std::size_t datagrams, std::size_t bytes) noexcept {
  tally_.datagrams += datagrams;
  tally_.bytes += bytes;
}

run_writer::tally run_writer::finish() noexcept {
  push();
  return tally_;
}

} // namespace marchproxy::net
