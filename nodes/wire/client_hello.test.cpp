// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/wire/client_hello.hpp"

#include "nodes/wire/openssl_hello.test.hpp"
#include "nodes/wire/tls_alert.hpp"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

namespace marchproxy::wire {
namespace {

using namespace std::string_literals;
using namespace testing;
using enum client_hello_error;

/// What was read, in a form that outlives the bytes.
struct reading {
  client_hello_error error = none;
  std::size_t decided_at = 0; ///< bytes that it took; 0: undecided
  std::string server_name;
  std::string alpn;
  std::string versions;
  bool encrypted = false;

  bool operator==(const reading&) const = default;
};

/// Shows the bytes as a connection would: @p steps at a time, over and over, each time all so far.
reading read(std::string_view bytes, const std::vector<std::size_t>& steps) {
  client_hello_scanner scanner;
  std::size_t shown = 0;
  for (std::size_t i = 0; shown < bytes.size(); ++i) {
    shown = std::min(bytes.size(), shown + steps[i % steps.size()]);
    // A copy of just the right size: reading past it is seen by ASan.
    std::vector<char> so_far(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(shown));
    auto out = scanner.scan({so_far.data(), so_far.size()});
    if (out.state == parse_state::error)
      return {out.error, shown, {}, {}, {}, false};
    if (out.state == parse_state::complete) {
      const auto& hello = scanner.hello();
      return {none,
              shown,
              std::string{hello.server_name.name()},
              std::string{hello.alpn},
              std::string{hello.versions},
              hello.encrypted};
    }
  }
  return {};
}

reading read(std::string_view bytes) {
  auto whole = read(bytes, {bytes.size()});
  auto dripping = read(bytes, {1});
  whole.decided_at = dripping.decided_at;
  EXPECT_EQ(whole, dripping);
  return whole;
}

std::string number(std::size_t n, int bytes) {
  std::string out;
  for (auto shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
    out += static_cast<char>(n >> shift & 0xff);
  return out;
}

std::string list(const std::string& of, int bytes) {
  return number(of.size(), bytes) + of;
}

std::string extension(std::size_t type, const std::string& content) {
  return number(type, 2) + list(content, 2);
}

std::string server_name(const std::string& name) {
  return extension(0, list("\0"s + list(name, 2), 2));
}

std::string message(const std::string& extensions) {
  auto body = "\x03\x03"s + std::string(32, 'r') + list(std::string(32, 's'), 1)
              + list("\x1a\x1a\x13\x01"s, 2) + list("\0"s, 1) + list(extensions, 2);
  return "\x01"s + list(body, 3);
}

std::string record(const std::string& content, const std::string& head = "\x16\x03\x01"s) {
  return head + list(content, 2);
}

TEST(client_hello, captured_hellos_say_their_names) {
  const auto newest = "\x03\x04\x03\x03\x03\x02\x03\x01"s;
  const std::map<std::string, reading> expected{
    {"openssl", {none, 321, "www.example.org", "", newest, false}},
    {"openssl_tls12_alpn", {none, 231, "www.example.org", "\x02h2\x08http/1.1"s, "", false}},
    {"openssl_noname", {none, 297, "", "", newest, false}},
    {"openssl_tls10", {none, 157, "tls1.example.org", "", "", false}},
    {"curl", {none, 517, "curl.example.org", "\x02h2\x08http/1.1"s, newest, false}},
    {"curl_ip", {none, 517, "", "\x02h2\x08http/1.1"s, newest, false}},
    {"node", {none, 374, "node.example.org", "", "\x03\x04\x03\x03"s, false}},
    {"sslv2", {not_tls, 1, "", "", "", false}},
    {"not_tls", {not_tls, 1, "", "", "", false}},
  };
  std::filesystem::path corpus{MP_CLIENT_HELLO_CORPUS};
  for (const auto& [name, meant] : expected) {
    std::ifstream in{corpus / name, std::ios::binary};
    std::string bytes{std::istreambuf_iterator<char>{in}, {}};
    ASSERT_FALSE(bytes.empty()) << name;
    auto got = read(bytes);
    EXPECT_EQ(got.error, meant.error) << name;
    EXPECT_EQ(got.decided_at, meant.decided_at) << name;
    EXPECT_EQ(got.server_name, meant.server_name) << name;
    EXPECT_EQ(got.alpn, meant.alpn) << name;
    EXPECT_EQ(got.versions, meant.versions) << name;
    EXPECT_EQ(got.encrypted, meant.encrypted) << name;
  }
}

TEST(client_hello, what_openssl_writes_is_read_however_it_is_cut_up) {
  std::mt19937_64 random{7};
  auto any = [&](std::size_t below) { return static_cast<std::size_t>(random() % below); };
  for (int round = 0; round < 300; ++round) {
    hello_wish wish;
    std::string name;
    for (auto labels = any(5); labels > 0; --labels) {
      name += name.empty() ? "" : ".";
      for (auto letters = 1 + any(60); letters > 0; --letters)
        name += static_cast<char>((any(3) == 0 ? 'A' : 'a') + any(26));
    }
    wish.server_name = name.substr(0, 200);
    if (!name.empty() && wish.server_name.back() == '.')
      wish.server_name += 'x';
    for (auto protocols = any(12); protocols > 0; --protocols)
      wish.alpn += list(std::string(1 + any(20), 'p'), 1);
    wish.max_version = any(2) == 0 ? TLS1_2_VERSION : 0;
    auto hello = openssl_hello(wish);
    auto lower = wish.server_name;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](char c) { return static_cast<char>(std::tolower(c)); });
    auto seen = openssl_server_name(hello);
    EXPECT_EQ(seen.value_or(""), wish.server_name);
    // In records as small as the bound on their number lets them be.
    std::string sizes;
    for (auto i = 1 + any(4); i > 0; --i)
      sizes += static_cast<char>(hello.size() / 40 + 1 + any(90));
    for (const auto& bytes : {hello, in_records(hello, sizes)}) {
      auto got = read(bytes);
      EXPECT_EQ(got.error, none) << to_string(got.error);
      EXPECT_EQ(got.decided_at, bytes.size());
      EXPECT_EQ(got.server_name, lower);
      EXPECT_EQ(got.alpn, wish.alpn);
      auto steps = read(bytes, {1 + any(7), 1 + any(100), 1 + any(30)});
      steps.decided_at = got.decided_at;
      EXPECT_EQ(steps, got);
      EXPECT_EQ(openssl_server_name(bytes), seen);
    }
  }
}

TEST(client_hello, versions_and_protocols_that_are_offered) {
  auto hello_of = [](const std::string& bytes) {
    client_hello_scanner scanner;
    EXPECT_EQ(scanner.scan(bytes).state, parse_state::complete);
    return scanner.hello();
  };
  auto modern = openssl_hello({"a.test", "\x02h2\x08http/1.1"s, 0});
  auto hello = hello_of(modern);
  EXPECT_TRUE(hello.offers_version(TLS1_3_VERSION));
  EXPECT_TRUE(hello.offers_version(TLS1_2_VERSION));
  EXPECT_FALSE(hello.offers_version(0x0305));
  EXPECT_TRUE(hello.offers_alpn("h2"));
  EXPECT_TRUE(hello.offers_alpn("http/1.1"));
  EXPECT_FALSE(hello.offers_alpn("h3"));
  auto older = openssl_hello({"a.test", {}, TLS1_2_VERSION});
  hello = hello_of(older);
  EXPECT_TRUE(hello.offers_version(TLS1_2_VERSION));
  EXPECT_FALSE(hello.offers_version(TLS1_3_VERSION));
  EXPECT_FALSE(hello.offers_alpn("h2"));
}

TEST(client_hello, grease_and_what_follows_the_hello_do_not_matter) {
  auto greased = extension(0x0a0a, "") + server_name("a.test") + extension(0xfafa, "x");
  for (const auto& head : {"\x16\x03\x00"s, "\x16\x03\x01"s, "\x16\x03\x03"s, "\x16\x03\x7f"s}) {
    auto bytes = record(message(greased), head);
    auto got = read(bytes + "\x14\x03\x03\0\x01\x01\x17\x03\x03"s);
    EXPECT_EQ(got.server_name, "a.test");
    EXPECT_EQ(got.decided_at, bytes.size());
  }
  // Another message in the same record.
  EXPECT_EQ(read(record(message(greased) + "\x10\0\0\0"s)).server_name, "a.test");
  // No extensions at all, as in SSL 3.
  auto bare = message("");
  bare.resize(bare.size() - 2);
  bare[3] = static_cast<char>(bare[3] - 2);
  EXPECT_EQ(read(record(bare)).error, none);
}

TEST(client_hello, an_encrypted_hello_is_known_by_its_outer_form) {
  auto outer = extension(0xfe0d, "\0\0\1\0\1"s + std::string(200, 'e'));
  auto got = read(record(message(server_name("outer.test") + outer)));
  EXPECT_TRUE(got.encrypted);
  EXPECT_EQ(got.server_name, "outer.test");
  got = read(record(message(server_name("inner.test") + extension(0xfe0d, "\1"s))));
  EXPECT_FALSE(got.encrypted);
  for (const auto& wrong : {""s, "\2"s, "\1x"s})
    EXPECT_EQ(read(record(message(extension(0xfe0d, wrong)))).error, bad_ech);
}

TEST(client_hello, names_that_are_none) {
  for (const auto& name : {"192.0.2.1"s, "127.1"s, "[::1]"s, "::1"s, ""s, "a..b"s, "-a.test"s,
                           "a.test\0.b"s, "a b"s, "."s, std::string(254, 'a'), "b\xc3\xbc.test"s})
    EXPECT_EQ(read(record(message(server_name(name)))).error, bad_server_name) << name;
  EXPECT_EQ(read(record(message(server_name("A.Test.")))).server_name, "a.test");
  auto one = "\0"s + list("a.test", 2);
  for (const auto& content :
       {""s, list("", 2), list(one + one, 2), list("\1"s + list("a.test", 2), 2),
        list(one, 2) + "x", number(99, 2) + one})
    EXPECT_EQ(read(record(message(extension(0, content)))).error, bad_server_name);
}

TEST(client_hello, malformed_hellos_are_errors) {
  auto good = message(server_name("a.test"));
  auto at = [&](std::size_t position, char value) {
    auto out = good;
    out[position] = value;
    return out;
  };
  const std::vector<std::pair<client_hello_error, std::string>> wrong{
    {not_tls, "GET / HTTP/1.1\r\n"},
    {not_tls, "\x16\x02\x01"s},
    {not_tls, "\x80\x2e\x01\x03\x01"s}, // SSL 2, which has no names
    {unexpected_record, "\x15\x03\x01\x00\x02\x01\x00"s + record(good)},
    {unexpected_record, "\x14\x03\x01\x00\x01\x01"s},
    {unexpected_record, record(good.substr(0, 9)) + "\x15\x03\x01\x00\x02\x01\x00"s},
    {unexpected_record, record(good.substr(0, 9)) + "G"},
    {unexpected_record, record(good.substr(0, 9)) + "\x16\x02"s},
    {empty_record, "\x16\x03\x01\0\0"s},
    {empty_record, record(good.substr(0, 9)) + "\x16\x03\x01\0\0"s},
    {record_too_long, "\x16\x03\x01\x40\x01"s},
    {not_client_hello, record("\x02\0\0\x26"s)},
    {not_client_hello, record("\0\0\0\0"s)},
    {too_long, record("\x01\0\x40\x01"s)},
    {too_long, record("\x01\xff\xff\xff"s)},
    {bad_structure, record("\x01\0\0\0"s)},
    {bad_structure, record("\x01\0\0\x01\x03"s)},
    {bad_structure, record(at(38, 33))}, // session id past 32 bytes
    {bad_structure, record(at(38, '\xff'))},
    {bad_structure, record(at(72, 3))}, // half a cipher suite
    {bad_structure, record(at(72, 0))},
    {bad_structure, record(at(77, 0))}, // no compression method
    {bad_structure, record(at(80, good[80] + 1))},
    {bad_structure, record(at(80, good[80] - 1))},
    {bad_structure, record(at(84, '\xff'))},
    {duplicate_extension, record(message(server_name("a.test") + server_name("a.test")))},
    {duplicate_extension, record(message(extension(43, "\2\3\4"s) + extension(43, "\2\3\4"s)))},
    {bad_alpn, record(message(extension(16, "")))},
    {bad_alpn, record(message(extension(16, list("", 2))))},
    {bad_alpn, record(message(extension(16, list("\0"s, 2))))},
    {bad_alpn, record(message(extension(16, list("\3h2"s, 2))))},
    {bad_alpn, record(message(extension(16, list("\2h2"s, 2) + "x")))},
    {bad_versions, record(message(extension(43, "")))},
    {bad_versions, record(message(extension(43, "\0"s)))},
    {bad_versions, record(message(extension(43, "\3\3\4\3"s)))},
    {bad_versions, record(message(extension(43, "\2\3\4x"s)))},
  };
  for (const auto& [error, bytes] : wrong)
    EXPECT_EQ(to_string(read(bytes).error), to_string(error)) << ::testing::PrintToString(bytes);
}

TEST(client_hello, bounds_hold) {
  auto full = client_hello_scanner::max_size;
  auto padding = full - (message("").size() - 4) - 4;
  auto biggest = message(extension(21, std::string(padding, '\0')));
  ASSERT_EQ(biggest.size(), full + 4);
  EXPECT_EQ(read(record(biggest.substr(0, 9000)) + record(biggest.substr(9000)), {4096}).error,
            none);
  auto bigger = message(extension(21, std::string(padding + 1, '\0')));
  EXPECT_EQ(read(record(bigger.substr(0, 9)), {9}).error, too_long);
  // As many records as there may be, and one more.
  auto hello = message(server_name("a.test"));
  for (std::size_t more : {0U, 1U}) {
    std::string bytes;
    auto single = client_hello_scanner::max_records - 1 + more;
    for (std::size_t i = 0; i < single; ++i)
      bytes += record(hello.substr(i, 1));
    bytes += record(hello.substr(single));
    EXPECT_EQ(read(bytes).error, more == 0 ? none : too_many_records);
  }
}

TEST(client_hello, a_beginning_is_no_error) {
  auto bytes = in_records(openssl_hello({"a.test", {}, 0}), "\x07\x64");
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_EQ(client_hello_scanner{}.scan(std::string_view{bytes}.substr(0, size)).state,
              parse_state::need_more);
}

TEST(tls_alert, is_a_fatal_one_in_a_record) {
  EXPECT_EQ(tls_alert_record{tls_alert::access_denied}.view(), "\x15\x03\x03\0\x02\x02\x31"s);
  // A client of OpenSSL says what it was.
  ssl_ctx_ptr context{SSL_CTX_new(TLS_client_method()), SSL_CTX_free};
  ssl_ptr ssl{SSL_new(context.get()), SSL_free};
  auto* in = BIO_new(BIO_s_mem());
  tls_alert_record alert{tls_alert::unrecognized_name};
  BIO_write(in, alert.view().data(), static_cast<int>(alert.view().size()));
  SSL_set_bio(ssl.get(), in, BIO_new(BIO_s_mem()));
  EXPECT_LE(SSL_connect(ssl.get()), 0);
  EXPECT_EQ(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_TLSV1_UNRECOGNIZED_NAME);
}

} // namespace
} // namespace marchproxy::wire
