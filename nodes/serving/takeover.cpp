// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/serving/takeover.hpp"

#include "actors/base/version.hpp"

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

namespace marchproxy::serving {

namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto socket_name = "takeover.sock";
constexpr auto look_around =
  milliseconds{100}; ///< how late the door may notice that it shall close
constexpr auto answer_patience = seconds{5};
constexpr auto start_patience = seconds{120}; ///< for the next process to compile and serve
constexpr auto release_patience = seconds{30};

tl::unexpected<error> in_takeover(const error& e) {
  return tl::unexpected(
    error{e.code, "taking over from the process that serves: " + e.message, e.fields});
}

/// A word of a message; empty when it is not there.
std::string word(const json& message, const char* name) {
  auto found = message.find(name);
  return found != message.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

/// As channel.receive, but gives up when @p stop is asked for.
result<net::local_channel::message>
receive_unless(const std::stop_token& stop, net::local_channel& channel, milliseconds patience) {
  for (milliseconds waited{0};; waited += look_around) {
    auto said = channel.receive(look_around);
    if (said || said.error().code != errc::timeout || waited > patience || stop.stop_requested())
      return said;
  }
}

} // namespace

result<std::unique_ptr<predecessor>> predecessor::find(const std::filesystem::path& state_directory,
                                                       const std::string& component) {
  auto channel = net::local_channel::connect(state_directory / socket_name);
  if (!channel)
    return channel.error().code == errc::not_found ? result<std::unique_ptr<predecessor>>{nullptr}
                                                   : in_takeover(channel.error());
  std::unique_ptr<predecessor> out{new predecessor{std::move(*channel)}};
  if (auto asked = out->ask(component); !asked)
    return in_takeover(asked.error());
  return out;
}

result<void> predecessor::ask(const std::string& component) {
  auto hello = json{{"component", component}, {"version", version()}}.dump();
  if (auto sent = channel_.send(hello); !sent)
    return sent;
  while (true) {
    auto said = channel_.receive(answer_patience);
    if (!said)
      return tl::unexpected(said.error());
    if (said->descriptor) {
      sockets_.push_back(std::move(said->descriptor));
      continue;
    }
    auto value = json::parse(said->text, nullptr, false);
    if (!value.is_object())
      return fail(errc::corrupt, "it says '" + said->text.substr(0, 100) + "'");
    if (auto why = word(value, "refused"); !why.empty())
      return fail(errc::refused, why);
    if (value.value("sockets", json{}) != json(sockets_.size()))
      return fail(errc::corrupt, "it has more listening sockets than came");
    return {};
  }
}

void predecessor::succeed() {
  auto told = channel_.send(json{{"serving", true}}.dump());
  auto free = told ? channel_.receive(release_patience) : tl::unexpected(told.error());
  if (!free)
    spdlog::warn("the process before did not say that it let go: {}", to_string(free.error()));
}

result<std::unique_ptr<successor_door>> successor_door::open(plan p) {
  auto listener = net::local_listener::open(p.state_directory / socket_name);
  if (!listener)
    return tl::unexpected(listener.error());
  return std::unique_ptr<successor_door>{new successor_door{std::move(p), std::move(*listener)}};
}

successor_door::successor_door(plan p, net::local_listener listener)
  : plan_(std::move(p)),
    listener_(std::move(listener)),
    thread_([this](const std::stop_token& stop) { serve(stop); }) {}

successor_door::~successor_door() = default;

void successor_door::serve(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    auto next = listener_.accept(look_around);
    if (!next || !hand_over(stop, *next))
      continue;
    next_ = std::move(next);
    taken_.store(true, std::memory_order_release);
    plan_.on_taken();
    return;
  }
}

bool successor_door::hand_over(const std::stop_token& stop, net::local_channel& to) {
  auto said = receive_unless(stop, to, answer_patience);
  auto hello = said ? json::parse(said->text, nullptr, false) : json{};
  if (!hello.is_object())
    return false;
  if (word(hello, "component") != plan_.component) {
    static_cast<void>(to.send(
      json{{"refused", "a marchproxy-" + plan_.component + " serves from this state directory"}}
        .dump()));
    return false;
  }
  auto sockets = plan_.sockets();
  for (const auto& fd : sockets)
    if (!to.send(net::to_string(net::local_endpoint(fd.get())), fd.get()))
      return false;
  if (!to.send(json{{"sockets", sockets.size()}}.dump()))
    return false;
  spdlog::info("version {} is taking over", word(hello, "version"));
  if (receive_unless(stop, to, start_patience))
    return true;
  spdlog::warn("it ended before it served; this process goes on");
  return false;
}

void successor_door::release() {
  static_cast<void>(next_->send(json{{"released", true}}.dump()));
}

} // namespace marchproxy::serving
