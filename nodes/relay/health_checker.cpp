// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/health_checker.hpp"

#include "nodes/relay/backend_security.hpp"
#include "nodes/relay/introduction.hpp"

#include <algorithm>

namespace marchproxy::relay {

namespace {

constexpr std::size_t status_line_bytes = 12; ///< `HTTP/1.1 200`

/// Whether an answer that begins so says 2xx or 3xx.
bool is_well(std::string_view answer) noexcept {
  return answer.size() >= status_line_bytes && answer.substr(0, 7) == "HTTP/1." && answer[8] == ' '
         && (answer[9] == '2' || answer[9] == '3');
}

} // namespace

void health_checker::follow(const routing::route_table* routes) {
  std::map<const routing::endpoint*, std::unique_ptr<probe>> kept;
  if (routes != nullptr)
    for (const auto& what : routes->checked()) {
      auto& place = kept[what.endpoint.get()];
      if (auto found = probes_.find(what.endpoint.get());
          found != probes_.end() && found->second->asks_as(what))
        place = std::move(found->second);
      else
        place = std::make_unique<probe>(*this, what);
    }
  std::erase_if(probes_, [](const auto& one) { return one.second == nullptr; });
  std::swap(probes_, kept);
}

health_checker::probe::probe(health_checker& of, const routing::checked_backend& what)
  : of_(of), what_(what), next_([this] { begin(); }), deadline_([this] { finish(false); }) {
  // Not all in the same moment, when a revision brings many.
  const auto spread = std::min<std::chrono::milliseconds>(what.how.interval, patience / 10);
  std::uniform_int_distribution<std::chrono::milliseconds::rep> moment{0, spread.count()};
  of_.loop_.arm(next_, std::chrono::milliseconds{moment(of_.random_)});
}

health_checker::probe::~probe() {
  // The one that takes its place has begun already, and says the same or better.
  what_.endpoint->set_up(true);
}

void health_checker::probe::begin() {
  of_.loop_.arm(deadline_, patience);
  connected_ = secured_ = asked_ = false;
  answer_.clear();
  const auto& target = what_.endpoint->target();
  if (const auto& address = target.host.address())
    return connect(*address);
  of_.resolver_.resolve(target.host.name(), resolution_, [this](const net::resolve_result& found) {
    if (!found)
      return finish(false);
    connect(found->addresses.front());
  });
}

void health_checker::probe::connect(const ip_address& address) {
  auto fd = net::connect_tcp({address, what_.endpoint->target().port});
  if (!fd)
    return finish(false);
  link_ = std::make_unique<stream>(of_.loop_, std::move(*fd), stream::phase::connecting);
  if (!link_->watch(*this))
    finish(false);
}

bool health_checker::probe::secure() {
  if (!std::exchange(connected_, true)) {
    if (net::take_error(link_->fd()) != 0) {
      finish(false);
      return false;
    }
    // Of nobody in particular; a fresh socket takes it whole.
    const auto header =
      what_.http || what_.tls ? introduction_of_nobody(what_.introduces) : std::string{};
    if (!header.empty() && link_->write(header).bytes != header.size()) {
      finish(false);
      return false;
    }
    secured_ = !what_.tls;
    if (!secured_)
      secure_backend(*link_, *of_.connector_, what_.endpoint->target().host, *what_.tls);
  }
  if (secured_)
    return true;
  const auto how = link_->handshake();
  secured_ = how == io_state::moved;
  if (!secured_ && how != io_state::blocked)
    finish(false);
  return secured_;
}

bool health_checker::probe::ask() {
  if (!what_.http) {
    finish(true);
    return false;
  }
  const auto request = "GET " + what_.how.path
                       + " HTTP/1.1\r\nHost: " + what_.endpoint->target().text()
                       + "\r\nUser-Agent: marchproxy-health\r\nConnection: close\r\n\r\n";
  // A fresh socket takes a request of this size whole.
  asked_ = link_->write(request).bytes == request.size();
  if (!asked_)
    finish(false);
  return asked_;
}

void health_checker::probe::on_ready() {
  if (!link_ || (!link_->writable() && !link_->broken()))
    return;
  if (!secure() || (!asked_ && !ask()))
    return;
  std::array<char, 512> bytes;
  for (;;) {
    const auto got = link_->read(bytes);
    if (got.state == io_state::blocked)
      return;
    if (got.state != io_state::moved)
      return finish(false);
    answer_.append(bytes.data(), got.bytes);
    if (answer_.size() >= status_line_bytes)
      return finish(is_well(answer_));
  }
}

void health_checker::probe::finish(bool well) {
  deadline_.disarm();
  resolution_.cancel();
  if (link_) {
    link_->close();
    of_.dead_.push_back(std::move(link_)); // it may be on the call stack
  }
  auto& endpoint = *what_.endpoint;
  if (well == endpoint.up()) {
    streak_ = 0;
  } else if (++streak_ >= (well ? what_.how.healthy_threshold : what_.how.unhealthy_threshold)) {
    streak_ = 0;
    endpoint.set_up(well);
  }
  of_.loop_.arm(next_, what_.how.interval);
}

} // namespace marchproxy::relay
