// SPDX-License-Identifier: AGPL-3.0-only
// Our side of the comparison with llhttp (compare.mjs):
//   http1_under_test read    each line of standard input, `request HEX` or `response METHOD HEX`,
//   is
//                            answered by a line: what our parsers read
//                            (tests/support/http1_reader.hpp)
//   http1_under_test relay   a relay that lets loopback reach loopback; says its port and runs
//   until
//                            standard input ends
#include "nodes/relay/relay_server.hpp"
#include "tests/support/http1_reader.hpp"

#include <chrono>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

using namespace marchproxy;

namespace {

std::string bytes_of(const std::string& hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return out;
}

int read() {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words{line};
    std::string kind;
    std::string method;
    std::string hex;
    words >> kind;
    if (kind == "response")
      words >> method;
    words >> hex;
    auto bytes = bytes_of(hex);
    testing::http1_reader at_once{method};
    at_once.feed(bytes);
    testing::http1_reader trickled{method};
    for (char c : bytes)
      trickled.feed({&c, 1});
    auto said = at_once.finish();
    auto again = trickled.finish();
    std::cout << (said == again ? said : "splits matter: " + said + " / " + again) << std::endl;
  }
  return 0;
}

std::shared_ptr<const relay::policy_snapshot> allow_loopback() {
  model::ruleset rules;
  rules.revision = revision{1};
  model::service here;
  here.id = service_id{1};
  here.name = "here";
  here.address = *parse_prefix("127.0.0.1/32");
  rules.services = {here};
  model::mapping m;
  m.id = mapping_id{1};
  m.name = "loopback";
  m.sources = {here.id};
  m.destinations = {here.id};
  m.action = model::mapping_action::allow;
  rules.mappings = {m};
  auto shared = std::make_shared<const model::ruleset>(rules);
  auto compiled = policy::program::compile(shared);
  if (!compiled)
    return nullptr;
  return std::make_shared<const relay::policy_snapshot>(
    relay::policy_snapshot{*compiled, std::make_shared<const identity::authenticator>(rules)});
}

int serve() {
  relay::relay_settings settings;
  settings.proxy_listen = {*parse_ip("127.0.0.1"), 0};
  settings.max_idle_upstreams = 0; // a case is over when the origin's connections are
  settings.service_listen = *parse_ip("127.0.0.1");
  auto server = relay::relay_server::start(settings, {});
  auto snapshot = allow_loopback();
  if (!server || !snapshot) {
    std::cerr << (server ? "the policy does not compile" : to_string(server.error())) << std::endl;
    return 1;
  }
  (*server)->publish(snapshot);
  std::cout << (*server)->proxy_port() << std::endl;
  std::string line;
  while (std::getline(std::cin, line))
    ;
  (*server)->stop(std::chrono::milliseconds{0});
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  std::string mode = argc == 2 ? argv[1] : "";
  if (mode == "read")
    return read();
  if (mode == "relay")
    return serve();
  std::cerr << "usage: http1_under_test read|relay" << std::endl;
  return 2;
}
