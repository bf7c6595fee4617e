// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/tls/certificate_store.hpp"

#include "nodes/tls/authority.test.hpp"
#include "nodes/tls/ticket_keys.hpp"

#include <gtest/gtest.h>

#include <condition_variable>

namespace marchproxy::tls::testing {
namespace {

using namespace std::chrono_literals;

/// What a store told, and a wait for it.
class told {
public:
  void take(const std::string& what) {
    const std::lock_guard hold{lock_};
    all_.push_back(what);
    came_.notify_all();
  }
  /// @return the first that has @p part; empty after ten seconds
  [[nodiscard]] std::string wait_for(const std::string& part) {
    std::unique_lock hold{lock_};
    std::string out;
    came_.wait_for(hold, 10s, [&] {
      for (const auto& one : all_)
        if (one.find(part) != std::string::npos)
          out = one;
      return !out.empty();
    });
    return out;
  }

private:
  std::mutex lock_;
  std::condition_variable came_;
  std::vector<std::string> all_;
};

class certificate_stores : public ::testing::Test {
protected:
  std::unique_ptr<certificate_store> open(std::filesystem::path client_ca = {}) {
    auto opened = certificate_store::open({files.path, std::move(client_ca)},
                                          [this](const std::string& what) { said.take(what); });
    EXPECT_TRUE(opened) << (opened ? "" : to_string(opened.error()));
    return opened ? std::move(*opened) : nullptr;
  }
  /// Polls until the store has what @p holds wants.
  template <class Holds>
  static bool eventually(const certificate_store& store, Holds holds) {
    const auto until = std::chrono::steady_clock::now() + 10s;
    while (std::chrono::steady_clock::now() < until) {
      if (holds(*store.current()))
        return true;
      std::this_thread::yield();
    }
    return false;
  }
  static std::string found(const material& in, std::string_view name) {
    const auto* one = in.certificates.find(name);
    return one == nullptr ? "" : one->name;
  }

  authority ca;
  scratch files;
  told said;
};

TEST_F(certificate_stores, choose_the_exact_name_before_a_wildcard) {
  files.write_pair("a", ca.issue({"a", "DNS:shop.test,DNS:*.shop.test"}));
  files.write_pair("b", ca.issue({"b", "DNS:api.shop.test,DNS:shop.test"}));
  files.write_pair("none", ca.issue({"none.test", ""}));
  const auto store = open();
  const auto now = store->current();
  EXPECT_EQ(now->problems, std::vector<std::string>{});
  EXPECT_EQ(found(*now, "shop.test"), "a") << "the first of two";
  EXPECT_EQ(found(*now, "API.Shop.TEST."), "b");
  EXPECT_EQ(found(*now, "x.shop.test"), "a");
  EXPECT_EQ(found(*now, "x.y.shop.test"), "") << "a wildcard stands for one label";
  EXPECT_EQ(found(*now, "none.test"), "") << "a common name is no server name";
  EXPECT_EQ(found(*now, ""), "");
  EXPECT_EQ(found(*now, ".shop.test"), "");
  EXPECT_EQ(now->certificates.usual()->name, "a") << "the first";
  files.write_pair("default", ca.issue({"d", ""}));
  EXPECT_TRUE(eventually(
    *store, [](const material& m) { return m.certificates.usual()->name == "default"; }));
}

TEST_F(certificate_stores, a_key_that_others_may_read_is_refused) {
  const auto pair = ca.issue({"a", "DNS:a.test"});
  files.write_pair("a", pair);
  files.write("a.key", pair.key, 0640);
  const auto store = open();
  EXPECT_EQ(store->current()->certificates.all().size(), 0U);
  const auto why = said.wait_for("certificate a");
  EXPECT_NE(why.find("a.key may be read by others than its owner"), std::string::npos) << why;
  EXPECT_NE(said.wait_for("no certificate that can be served"), "");
  files.write("a.key", pair.key, 0600);
  EXPECT_TRUE(eventually(*store, [](const material& m) { return m.problems.empty(); }));
  EXPECT_EQ(found(*store->current(), "a.test"), "a");
}

TEST_F(certificate_stores, what_is_broken_changes_nothing_and_is_told) {
  files.write_pair("a", ca.issue({"one", "DNS:a.test"}));
  files.write_pair("b", ca.issue({"b", "DNS:b.test"}));
  const auto store = open();
  const auto before = store->current();
  const auto* serving = before->certificates.find("a.test");
  const auto second = ca.issue({"two", "DNS:a.test"});
  files.write("a.crt", second.certificate);
  EXPECT_NE(said.wait_for("a.crt: cannot be served with its key"), "");
  EXPECT_TRUE(eventually(*store, [](const material& m) { return m.problems.size() == 1; }));
  EXPECT_EQ(store->current()->certificates.find("a.test"), serving) << "the old one stays";
  files.write("a.key", second.key);
  EXPECT_TRUE(eventually(*store, [&](const material& m) {
    return m.problems.empty() && m.certificates.find("a.test") != serving;
  }));
  files.write("a.crt", second.certificate.substr(0, 200));
  EXPECT_NE(said.wait_for("no certificates in PEM"), "");
  std::filesystem::remove(files.path / "a.crt");
  EXPECT_TRUE(eventually(*store, [](const material& m) { return found(m, "a.test").empty(); }));
  EXPECT_EQ(found(*store->current(), "b.test"), "b");
}

TEST_F(certificate_stores, client_authorities_are_read_again_too) {
  scratch other;
  const auto file = other.write("ca.pem", ca.pem(), 0644);
  files.write_pair("a", ca.issue({"a", "DNS:a.test"}));
  const auto store = open(file);
  const auto before = store->current()->clients;
  ASSERT_NE(before, nullptr);
  other.write("ca.pem", "nothing");
  EXPECT_NE(said.wait_for("client CAs"), "");
  EXPECT_EQ(store->current()->clients, before);
  other.write("ca.pem", authority{"second"}.pem());
  EXPECT_TRUE(eventually(
    *store, [&](const material& m) { return m.problems.empty() && m.clients != before; }));
}

TEST_F(certificate_stores, say_at_once_what_can_never_work) {
  const auto report = [](const std::string&) {};
  EXPECT_EQ(certificate_store::open({files.path / "none", {}}, report).error().code,
            errc::invalid_argument);
  EXPECT_EQ(certificate_store::open({files.path, files.path / "none"}, report).error().code,
            errc::invalid_argument);
}

TEST(ticket_keys, seal_for_an_hour_and_open_for_one_more) {
  ticket_keys keys;
  const ticket_keys::clock::time_point start{100h};
  const auto first = keys.sealing(start);
  EXPECT_EQ(keys.sealing(start + 59min).name, first.name);
  const auto second = keys.sealing(start + 60min);
  EXPECT_NE(second.name, first.name);
  EXPECT_NE(second.cipher, first.cipher);
  EXPECT_NE(second.mac, first.mac);
  EXPECT_EQ(keys.opening(first.name, start + 119min)->cipher, first.cipher);
  EXPECT_FALSE(keys.opening(first.name, start + 120min));
  EXPECT_EQ(keys.opening(second.name, start + 120min)->mac, second.mac);
  EXPECT_FALSE(keys.opening(std::array<unsigned char, 16>{}, start));
}

} // namespace
} // namespace marchproxy::tls::testing
