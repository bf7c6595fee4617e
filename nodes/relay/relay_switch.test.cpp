// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/crypto/encoding.hpp"
#include "actors/identity/tokens.hpp"
#include "nodes/relay/relay_fixture.test.hpp"

#include <condition_variable>
#include <cstdlib>

namespace marchproxy::relay {
namespace {

using namespace testing;

bool is_odd(std::uint64_t revision) {
  return revision % 2 == 1;
}

/// Two policies whose mix is impossible. An odd revision allows one of two ports, by a mapping and
/// with a token of its own, an even one the other; a client shows the token that goes with the port
/// it asks for. Whichever revision is in force, alone, it either allows with its own mapping and
/// credential or has no mapping at all: a program of the one with credentials of the other refuses
/// a token.
class relay_switch : public relaying {
protected:
  relay_switch() {
    settings.workers = 2;
    settings.record_ring = 65'536;
  }

  [[nodiscard]] std::shared_ptr<const policy_snapshot> whole(std::uint64_t revision) const {
    rules r{revision};
    auto odd = is_odd(revision);
    r.first_mapping = odd ? 1 : 1001;
    auto client = r.service("client", "127.0.0.1/32");
    r.credential(client, odd ? "odd" : "even", "", identity::token_hash(odd ? "odd" : "even"));
    auto to = r.service("target", "127.0.0.1/32", {}, odd ? odd_one.port : even_one.port);
    r.mapping(client, to).auth_required = true;
    return r.snapshot();
  }

  /// Whether no single revision can have said this.
  [[nodiscard]] bool mixed(const decision_record& r) const {
    auto odd = is_odd(r.revision.value);
    auto meant = odd == (r.port == odd_one.port);
    if (!r.allowed)
      return meant || r.mapping || r.why != reason::implicit_deny;
    return !meant || r.mapping.value != (odd ? 1U : 1001U)
           || r.credential != (odd ? "odd" : "even");
  }

  /// Asks for both ports in turn, over and over, until @p end.
  void ask(bool odd, const std::atomic<bool>& end) {
    auto p = dial();
    for (; !end; odd = !odd) {
      auto shown = crypto::to_base64(odd ? "client:odd" : "client:even");
      auto head = connect(p, at(odd ? odd_one.port : even_one.port),
                          "Proxy-Authorization: Basic " + shown + "\r\n");
      {
        std::lock_guard lock{mutex_};
        ++answers_;
      }
      answered_.notify_one();
      auto length = head.find("Content-Length: ");
      if (length == std::string::npos)
        p = dial(); // a tunnel
      else
        p.exactly(std::stoul(head.substr(length + 16)));
    }
  }
  /// Runs @p switching while two clients ask.
  template <class Switching>
  void under_connects(Switching switching) {
    std::atomic<bool> end{false};
    std::vector<std::thread> clients;
    for (auto odd : {true, false})
      clients.emplace_back([this, odd, &end] { ask(odd, end); });
    switching();
    end = true;
    for (auto& t : clients)
      t.join();
    server->stop(0ms);
    EXPECT_EQ(server->totals().records_lost, 0U);
  }
  /// Puts @p next in force until it has given four answers. Waits for no more than that: the
  /// clients go on meanwhile, and a thousand switches are to take seconds.
  void turn_to(std::shared_ptr<const policy_snapshot> next) {
    server->publish(std::move(next));
    auto deadline = std::chrono::steady_clock::now() + patience;
    while (!server->in_force() && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
    ASSERT_TRUE(server->in_force());
    std::unique_lock lock{mutex_};
    auto enough = answers_ + 4;
    ASSERT_TRUE(answered_.wait_for(lock, patience, [&] { return answers_ >= enough; }));
  }

  origin odd_one{echo};
  origin even_one{echo};

private:
  std::mutex mutex_;
  std::condition_variable answered_;
  std::uint64_t answers_ = 0;
};

TEST_F(relay_switch, leaves_every_verdict_with_one_revision) {
  // What switches is the same by both backends of waiting.
  const std::uint64_t switches = std::getenv("MP_TEST_IO") == nullptr ? 1'000 : 250;
  start(whole(1));
  under_connects([&] {
    for (std::uint64_t n = 2; n <= 1 + switches && !HasFatalFailure(); ++n)
      turn_to(whole(n));
  });
  std::size_t wrong = 0, allowed = 0, denied = 0;
  for (const auto& r : records()) {
    wrong += mixed(r) ? 1U : 0U;
    ++(r.allowed ? allowed : denied);
  }
  EXPECT_EQ(wrong, 0U);
  EXPECT_GT(allowed, switches);
  EXPECT_GT(denied, switches);
  RecordProperty("judged", std::to_string(allowed + denied));
}

/// The check above can fail: the same revisions, put in force in two steps, first the program and
/// then the credentials, are seen mixed.
TEST_F(relay_switch, would_be_seen_mixed_if_it_were_not_atomic) {
  start(whole(1));
  under_connects([&] {
    auto before = whole(1);
    for (std::uint64_t n = 2; n <= 11 && !HasFatalFailure(); ++n) {
      auto next = whole(n);
      turn_to(
        std::make_shared<const policy_snapshot>(policy_snapshot{next->program, before->auth}));
      turn_to(next);
      before = next;
    }
  });
  auto all = records();
  EXPECT_GT(std::count_if(all.begin(), all.end(), [&](const auto& r) { return mixed(r); }), 0);
}

} // namespace
} // namespace marchproxy::relay
