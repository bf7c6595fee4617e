// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/netd/service.hpp"

#include "bpf/abi/rules.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <type_traits>

namespace marchproxy::netd {

namespace {

using tier_ebpf::descriptor;

template <class... Cases>
struct cases : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
cases(Cases...) -> cases<Cases...>;

tl::unexpected<error> out_of_order(const char* why) {
  return fail(errc::refused, std::string{"marchproxy-netd: "} + why);
}

tl::unexpected<error> not_here() {
  return fail(errc::unsupported, "marchproxy-netd does not do this on this channel");
}

net::unique_fd own(const descriptor& fd) {
  return net::duplicate(fd.get());
}

result<answer> with(result<descriptor> one) {
  if (!one)
    return tl::unexpected(one.error());
  answer out;
  out.descriptors.emplace_back(given{}, own(*one));
  return out;
}

result<answer> with(result<net::unique_fd> one) {
  if (!one)
    return tl::unexpected(one.error());
  answer out;
  out.descriptors.emplace_back(given{}, std::move(*one));
  return out;
}

result<answer> with(const result<void>& nothing) {
  if (!nothing)
    return tl::unexpected(nothing.error());
  return answer{};
}

result<answer> with(const result<tier_ebpf::loaded_object>& object) {
  if (!object)
    return tl::unexpected(object.error());
  answer out;
  for (const auto& [name, fd] : object->programs)
    out.descriptors.emplace_back(given{given_kind::program, name}, own(fd));
  for (const auto& [name, fd] : object->maps)
    out.descriptors.emplace_back(given{given_kind::map, name}, own(fd));
  return out;
}

/// The file may become shorter meanwhile, so it is read and not mapped.
result<std::vector<std::byte>> read_pages(int fd, std::size_t size) {
  std::vector<std::byte> out(size);
  for (std::size_t at = 0; at < size;) {
    const auto got = ::pread(fd, out.data() + at, size - at, static_cast<off_t>(at));
    if (got <= 0)
      return fail(errc::invalid_argument, std::string{"the image's file: "}
                                            + (got == 0 ? "too short" : std::strerror(errno)));
    at += static_cast<std::size_t>(got);
  }
  return out;
}

result<void> widen(const widen_receive_buffer& r, const net::unique_fd& socket) {
  const auto bytes = static_cast<int>(r.bytes);
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
    return fail(errc::unavailable, std::string{"receive buffer: "} + std::strerror(errno));
  return {};
}

result<void> say(net::local_channel& to, result<answer> what) {
  if (!what)
    return to.send(encode(reply{what.error()}));
  for (const auto& [name, fd] : what->descriptors) {
    if (!fd)
      return to.send(
        encode(reply{error{errc::unavailable, "marchproxy-netd: no descriptor is left", {}}}));
    if (auto sent = to.send(encode(reply{name}), fd.get()); !sent)
      return sent;
  }
  return to.send(encode(reply{done{std::move(what->report)}}));
}

} // namespace

result<answer> packet_service::image(const make_image& r, const net::unique_fd& file) {
  if (!file)
    return out_of_order("an image comes with a descriptor");
  auto pages = read_pages(file.get(), std::size_t{r.pages} * MP_PAGE_SIZE);
  if (!pages)
    return tl::unexpected(pages.error());
  return with(by_->make_image(*pages));
}

result<answer> packet_service::load(const request& r) {
  if (const auto* tc = std::get_if<load_tc>(&r)) {
    if (std::exchange(has_tc_, true))
      return out_of_order("the tc programs were asked for before");
    auto out = by_->load_tc(tc->options);
    has_tc_ = out.has_value();
    return with(out);
  }
  if (!has_tc_ || has_xdp_)
    return out_of_order("the XDP programs come after the tc programs, once");
  auto out = by_->load_xdp();
  has_xdp_ = out.has_value();
  return with(out);
}

result<answer> packet_service::handle(const request& r, net::unique_fd attached) {
  const auto tc = [&](auto call) {
    return has_tc_ ? call() : out_of_order("no tc program is loaded");
  };
  const auto xdp = [&](auto call) {
    return has_xdp_ ? call() : out_of_order("no XDP program is loaded");
  };
  return std::visit(
    cases{[&](const probe&) -> result<answer> {
            return answer{{}, report_};
          },
          [&](const load_tc&) { return load(r); }, [&](const load_xdp&) { return load(r); },
          [&](const make_image& wanted) { return image(wanted, attached); },
          [&](const make_counter_block&) { return with(by_->make_counter_block()); },
          [&](const attach_tc& at) { return tc([&] { return with(by_->attach_tc(at.ifindex)); }); },
          [&](const detach_tc& at) { return tc([&] { return with(by_->detach_tc(at.ifindex)); }); },
          [&](const attach_xdp& at) {
            return xdp([&] { return with(by_->attach_xdp(at.ifindex, at.mode)); });
          },
          [&](const detach_xdp& at) {
            return xdp([&] { return with(by_->detach_xdp(at.ifindex, at.mode)); });
          },
          [&](const clear_xdp& at) { return tc([&] { return with(by_->clear_xdp(at.ifindex)); }); },
          [&](const listen_tcp&) -> result<answer> { return not_here(); },
          [&](const bind_udp&) -> result<answer> { return not_here(); },
          [&](const widen_receive_buffer&) -> result<answer> { return not_here(); }},
    r);
}

result<answer> handle_socket(const request& r, net::unique_fd attached) {
  if (const auto* tcp = std::get_if<listen_tcp>(&r))
    return with(net::listen_tcp(tcp->at, tcp->options));
  if (const auto* udp = std::get_if<bind_udp>(&r))
    return with(net::bind_udp(udp->at, udp->options));
  if (const auto* wider = std::get_if<widen_receive_buffer>(&r))
    return with(attached ? widen(*wider, attached)
                         : result<void>{out_of_order("a buffer comes with its socket")});
  return not_here();
}

void serve(net::local_channel channel, const handler& handle) {
  constexpr std::chrono::milliseconds for_ever{-1};
  auto told = channel.send(hello());
  while (told) {
    auto asked = channel.receive(for_ever);
    if (!asked && asked.error().code != errc::too_large)
      return;
    auto r = asked ? decode_request(asked->text) : tl::unexpected(asked.error());
    told = say(channel, r ? handle(*r, std::move(asked->descriptor)) : tl::unexpected(r.error()));
  }
}

} // namespace marchproxy::netd
