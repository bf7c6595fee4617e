// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// What tests of forwarded HTTP share.

#include "nodes/relay/relay_fixture.test.hpp"
#include "nodes/wire/chunked.hpp"

namespace marchproxy::relay::testing {

/// Reads a request's head, then its body by its framing.
inline std::string read_body(peer& p, const std::string& head) {
  if (auto at = head.find("Content-Length: "); at != std::string::npos)
    return p.exactly(std::stoul(head.substr(at + 16)));
  std::string body;
  if (head.find("Transfer-Encoding: chunked") == std::string::npos)
    return body;
  wire::chunked_decoder decoder;
  while (!decoder.done()) {
    auto text = p.some();
    if (text.empty())
      return "broken off: " + body;
    for (std::string_view left = text; !left.empty();) {
      auto piece = decoder.next(left);
      if (piece.state == wire::parse_state::error)
        return "malformed: " + body;
      body += piece.data;
      left.remove_prefix(piece.consumed);
      if (decoder.done())
        p.unread(std::exchange(left, {}));
    }
  }
  return body;
}

/// One answer: head and body.
inline std::pair<std::string, std::string> answer(peer& p) {
  auto head = p.until("\r\n\r\n");
  auto body = read_body(p, head);
  return {head, body};
}

/// Answers every request with what it got, head and body, until the client goes.
inline void mirror(peer& p) {
  for (auto head = p.until("\r\n\r\n"); !head.empty(); head = p.until("\r\n\r\n")) {
    auto text = head + read_body(p, head);
    p.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(text.size()) + "\r\n\r\n" + text);
  }
}

/// A relay with one worker and an origin that mirrors requests.
class forwarding : public relaying {
protected:
  forwarding() { settings.workers = 1; }
  std::string url(const origin& o, const std::string& path = "/") {
    return "http://" + at(o.port) + path;
  }
  origin mirror_origin{mirror};
};

} // namespace marchproxy::relay::testing
