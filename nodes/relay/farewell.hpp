// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/context.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace marchproxy::relay {

/// The end of a refused client's connection: it is told why in the protocol that it speaks, then
/// that no more comes, and has a moment to read that. Closing at once, with bytes of it unread,
/// would send a reset, which can overtake the words. The flow's record is gone already.
class farewell final : public connection, public stream::owner {
public:
  farewell(context& c, std::unique_ptr<stream> client, std::string_view words);

  void start() override;
  void on_new_revision() override {}
  void on_drain() override {}
  void abort() override { finish(); }

private:
  void on_ready() override { advance(); }
  void advance();
  void finish();

  std::unique_ptr<stream> client_;
  std::string words_;
  bool told_ = false;
  bool over_ = false;
  std::size_t discarded_ = 0;
  net::timer deadline_;
};

} // namespace marchproxy::relay
