// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/identity/data_auth.hpp"

#include "actors/crypto/digest.hpp"
#include "actors/crypto/ed25519.hpp"
#include "actors/crypto/encoding.hpp"
#include "actors/identity/jwt.hpp"
#include "actors/identity/tokens.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace marchproxy::identity {
namespace {

using nlohmann::json;

constexpr std::int64_t now_s = 1'800'000'000;
const time_point now{std::chrono::seconds{now_s}};

time_point at(std::int64_t seconds) {
  return time_point{std::chrono::seconds{seconds}};
}

const std::string hs_secret(43, 'A'); // 32 bytes of 0
const std::string other_secret = std::string(42, 'B') + "A";

const crypto::ed25519_key& ed_key() {
  static const auto key =
    crypto::ed25519_key::from_seed(crypto::secret{std::string(32, 's')}).value();
  return key;
}

std::string ed_pem() {
  const auto der = *crypto::from_hex("302a300506032b6570032100")
                   + std::string{crypto::view(ed_key().public_key())};
  return "-----BEGIN PUBLIC KEY-----\n" + crypto::to_base64(der) + "\n-----END PUBLIC KEY-----\n";
}

std::string unsigned_part(const json& header, const json& claims) {
  return crypto::to_base64url(header.dump()) + "." + crypto::to_base64url(claims.dump());
}

std::string hs256(const json& header, const json& claims, const std::string& secret = hs_secret) {
  const auto text = unsigned_part(header, claims);
  const auto mac = crypto::hmac_sha256(*crypto::from_base64url(secret), text);
  return text + "." + crypto::to_base64url(crypto::view(mac));
}

std::string eddsa(const json& header, const json& claims) {
  const auto text = unsigned_part(header, claims);
  return text + "." + crypto::to_base64url(crypto::view(ed_key().sign(text)));
}

model::service make_service(std::uint64_t id, std::string name, model::auth_type auth) {
  model::service out;
  out.id = service_id{id};
  out.name = std::move(name);
  out.auth = auth;
  return out;
}

/// 1 web: two Base64 tokens. 2 app: HS256 keys k1 and k2. 3 api: EdDSA key e1. 4 old: inactive.
model::ruleset rules() {
  using enum model::auth_type;
  model::ruleset out;
  out.services = {make_service(1, "web", base64), make_service(2, "app", jwt),
                  make_service(3, "api", jwt), make_service(4, "old", base64)};
  out.services[3].active = false;
  const auto token = [](const char* id, std::uint64_t service, const char* text) {
    return model::credential{id, service_id{service}, base64, "", token_hash(text), std::nullopt};
  };
  out.credentials = {token("t1", 1, "first"),
                     token("t2", 1, "second"),
                     {"k1", service_id{2}, jwt, "HS256", hs_secret, std::nullopt},
                     {"k2", service_id{2}, jwt, "HS256", other_secret, std::nullopt},
                     {"e1", service_id{3}, jwt, "EdDSA", ed_pem(), std::nullopt},
                     token("t4", 4, "fourth")};
  out.credentials[1].expires_at = now_s + 100;
  return out;
}

/// `service/credential` or the reason.
std::string check(const authenticator& by,
                  const std::string& secret,
                  std::vector<std::uint64_t> candidates = {1, 2, 3, 4},
                  time_point when = now,
                  const std::string& service = {}) {
  std::vector<service_id> ids;
  for (const auto id : candidates)
    ids.push_back(service_id{id});
  const presented shown{service, secret};
  const auto got = by.check(std::span<const service_id>{ids}, &shown, when);
  if (!got)
    return std::string{to_string(got.error())};
  return std::to_string(got->service.value) + "/" + got->credential;
}

const json hs_header{{"alg", "HS256"}, {"typ", "JWT"}};
const json good{{"exp", now_s + 60}};

json claims(const char* changes) {
  auto out = good;
  out.update(json::parse(changes));
  return out;
}

TEST(data_auth, finds_the_service_of_a_base64_token) {
  const authenticator by{rules()};
  EXPECT_TRUE(by.unusable().empty());
  EXPECT_EQ(check(by, "first"), "1/t1");
  EXPECT_EQ(check(by, "second"), "1/t2"); // both hold during a rotation
  EXPECT_EQ(check(by, "second", {1}, at(now_s + 99)), "1/t2");
  EXPECT_EQ(check(by, "second", {1}, at(now_s + 100)), "expired");
  EXPECT_EQ(check(by, "third"), "unknown_token");
  EXPECT_EQ(check(by, "First"), "unknown_token");
  EXPECT_EQ(check(by, "fourth"), "unknown_token"); // its service is inactive
  EXPECT_EQ(check(by, token_hash("first")), "unknown_token");
  EXPECT_EQ(check(by, "first", {2, 3}), "other_service");
  EXPECT_EQ(check(by, "first", {}), "other_service");
  EXPECT_EQ(check(by, "first", {1}, now, "web"), "1/t1");
  EXPECT_EQ(check(by, "first", {1, 2}, now, "app"), "other_service");
  EXPECT_EQ(check(by, ""), "no_credential");
  EXPECT_EQ(by.check(std::nullopt, nullptr, now).error(), auth_failure::no_credential);
  const presented first{"", "first"};
  EXPECT_EQ(by.check(std::nullopt, &first, now).value().service, service_id{1});
}

TEST(data_auth, accepts_jwts_of_each_credential_of_a_service) {
  const authenticator by{rules()};
  EXPECT_EQ(check(by, hs256(hs_header, good)), "2/k1");
  EXPECT_EQ(check(by, hs256(hs_header, good, other_secret)), "2/k2");
  EXPECT_EQ(check(by, hs256({{"alg", "HS256"}, {"kid", "k2"}}, good, other_secret)), "2/k2");
  EXPECT_EQ(check(by, hs256(hs_header, claims(R"({"sub":"app"})"))), "2/k1");
  EXPECT_EQ(check(by, hs256(hs_header, good), {2}, now, "app"), "2/k1");
  EXPECT_EQ(check(by, eddsa({{"alg", "EdDSA"}}, good)), "3/e1");
  EXPECT_EQ(check(by, hs256(hs_header, claims(R"({"aud":"marchproxy"})"))), "2/k1");
  EXPECT_EQ(check(by, hs256(hs_header, claims(R"({"aud":["x","marchproxy"]})"))), "2/k1");
}

struct refusal {
  const char* why;
  std::string token;
};

TEST(data_auth, refuses_jwts_with_the_reason) {
  const authenticator by{rules()};
  const auto signed_with = [](const char* changes) { return hs256(hs_header, claims(changes)); };
  const auto none = unsigned_part({{"alg", "none"}}, good) + ".";
  auto altered = hs256(hs_header, good);
  altered.back() = altered.back() == 'A' ? 'E' : 'A';
  // The EdDSA key's own PEM as an HMAC secret: the classic confusion.
  const auto confused_part = unsigned_part(hs_header, claims(R"({"sub":"api"})"));
  const auto confused =
    confused_part + "."
    + crypto::to_base64url(crypto::view(crypto::hmac_sha256(ed_pem(), confused_part)));
  const refusal refusals[] = {
    {"wrong_algorithm", none},
    {"wrong_algorithm", unsigned_part({{"alg", "NONE"}}, good) + "."},
    {"wrong_algorithm", hs256({{"alg", "HS384"}}, good)},
    {"wrong_algorithm", hs256({{"alg", ""}}, good)},
    {"wrong_algorithm", confused},
    {"wrong_algorithm", hs256({{"alg", "HS256"}, {"kid", "e1"}}, good)},
    {"wrong_algorithm", eddsa({{"alg", "EdDSA"}, {"kid", "k1"}}, good)},
    {"bad_signature", altered},
    {"bad_signature", hs256(hs_header, good, std::string(43, 'C').replace(42, 1, "A"))},
    {"bad_signature", hs256({{"alg", "HS256"}, {"kid", "k1"}}, good, other_secret)},
    {"bad_signature", unsigned_part(hs_header, good) + "."},
    {"wrong_key", hs256({{"alg", "HS256"}, {"kid", "k9"}}, good)},
    {"wrong_key", hs256({{"alg", "HS256"}, {"kid", ""}}, good)},
    {"no_expiry", hs256(hs_header, json::object())},
    {"expired", signed_with(R"({"exp":1799999970})")},
    {"expired", signed_with(R"({"exp":-1})")},
    {"not_yet_valid", signed_with(R"({"nbf":1800000031})")},
    {"other_service", signed_with(R"({"sub":"nobody"})")},
    {"wrong_subject", hs256({{"alg", "HS256"}, {"kid", "k1"}}, claims(R"({"sub":"api"})"))},
    {"wrong_subject", hs256({{"alg", "HS256"}, {"kid", "k1"}}, claims(R"({"sub":"App"})"))},
    {"wrong_audience", signed_with(R"({"aud":"elsewhere"})")},
    {"wrong_audience", signed_with(R"({"aud":[]})")},
    {"malformed", signed_with(R"({"exp":"soon"})")},
    {"malformed", signed_with(R"({"nbf":null})")},
    {"malformed", signed_with(R"({"sub":7})")},
    {"malformed", signed_with(R"({"aud":[7]})")},
    {"malformed", hs256({{"alg", "HS256"}, {"crit", {"exp"}}}, good)},
    {"malformed", hs256({{"alg", 7}}, good)},
    {"malformed", hs256({{"typ", "JWT"}}, good)},
    {"malformed", hs256({{"alg", "HS256"}, {"kid", 1}}, good)},
    {"malformed", hs256(json::array(), good)},
    {"malformed", hs256(hs_header, json::array())},
    {"malformed", ".."},
    {"malformed", "a.b.c"},
    {"malformed", hs256(hs_header, good) + "="},
    {"too_large", hs256(hs_header, {{"exp", now_s + 60}, {"x", std::string(9000, 'x')}})},
    {"unknown_token", hs256(hs_header, good) + ".x"},
  };
  for (const auto& [why, token] : refusals)
    EXPECT_EQ(check(by, token), why) << token;
}

TEST(data_auth, allows_clocks_to_differ_by_thirty_seconds) {
  const authenticator by{rules()};
  const auto token = hs256(hs_header, {{"exp", now_s}, {"nbf", now_s}});
  EXPECT_EQ(check(by, token, {2}, at(now_s + 29)), "2/k1");
  EXPECT_EQ(check(by, token, {2}, at(now_s + 30)), "expired");
  EXPECT_EQ(check(by, token, {2}, at(now_s - 30)), "2/k1");
  EXPECT_EQ(check(by, token, {2}, at(now_s - 31)), "not_yet_valid");
}

TEST(data_auth, an_expired_credential_signs_nothing_and_its_successor_does) {
  auto changed = rules();
  changed.credentials[2].expires_at = now_s;
  const authenticator by{changed};
  EXPECT_EQ(check(by, hs256(hs_header, good), {2}, at(now_s - 1)), "2/k1");
  EXPECT_EQ(check(by, hs256(hs_header, good)), "expired");
  EXPECT_EQ(check(by, hs256(hs_header, good, other_secret)), "2/k2");
}

TEST(data_auth, only_candidates_at_the_source_address_count) {
  const authenticator by{rules()};
  EXPECT_EQ(check(by, hs256(hs_header, good), {1, 3}), "wrong_algorithm");
  EXPECT_EQ(check(by, hs256(hs_header, good), {1}), "other_service");
  EXPECT_EQ(check(by, hs256({{"alg", "HS256"}, {"kid", "k1"}}, good), {3}), "wrong_key");
  EXPECT_EQ(check(by, hs256(hs_header, claims(R"({"sub":"app"})")), {3}), "other_service");
}

TEST(data_auth, duplicate_claims_are_refused) {
  const auto text = crypto::to_base64url(hs_header.dump()) + "."
                    + crypto::to_base64url(R"({"exp":1,"exp":9999999999})");
  const auto mac = crypto::hmac_sha256(*crypto::from_base64url(hs_secret), text);
  EXPECT_EQ(check(authenticator{rules()}, text + "." + crypto::to_base64url(crypto::view(mac))),
            "malformed");
}

TEST(data_auth, a_guess_does_not_cost_hundreds_of_signatures) {
  model::ruleset many;
  for (std::uint64_t i = 1; i <= 100; ++i) {
    many.services.push_back(make_service(i, "s" + std::to_string(i), model::auth_type::jwt));
    many.credentials.push_back(
      {"k", service_id{i}, model::auth_type::jwt, "HS256", hs_secret, std::nullopt});
  }
  const authenticator by{many};
  const auto try_any = [&](const std::string& secret) {
    const presented shown{"", secret};
    const auto got = by.check(std::nullopt, &shown, now);
    return got ? std::to_string(got->service.value) : std::string{to_string(got.error())};
  };
  EXPECT_EQ(try_any(hs256(hs_header, good)), "ambiguous");
  EXPECT_EQ(try_any(hs256({{"alg", "HS256"}, {"kid", "k"}}, good)), "ambiguous");
  EXPECT_EQ(try_any(hs256(hs_header, claims(R"({"sub":"s42"})"))), "42");
  EXPECT_EQ(try_any(hs256({{"alg", "HS256"}, {"kid", "k"}}, claims(R"({"sub":"s42"})"))), "42");
}

TEST(data_auth, credentials_of_the_other_kind_or_with_unreadable_keys_prove_nothing) {
  auto changed = rules();
  changed.credentials[4].verifier = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
  changed.credentials[0].kind = model::auth_type::jwt;
  const authenticator by{changed};
  ASSERT_EQ(by.unusable().size(), 1U);
  EXPECT_EQ(by.unusable()[0].substr(0, 7), "api/e1:");
  EXPECT_EQ(check(by, eddsa({{"alg", "EdDSA"}}, good), {3}), "other_service");
  EXPECT_EQ(check(by, "first"), "unknown_token");
  EXPECT_FALSE(check_credential_key(changed.credentials[4]));
  EXPECT_TRUE(check_credential_key(rules().credentials[4]));
  EXPECT_TRUE(check_credential_key(rules().credentials[1]));
}

/// RFC 7515 A.1 to A.3: all three carry the same claims, which ran out in 2011.
TEST(data_auth, the_published_tokens_of_rfc_7515_hold_until_they_expire) {
  const std::string payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl"
                              "LmNvbS9pc19yb290Ijp0cnVlfQ";
  const std::string tokens[] = {
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + payload
      + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    "eyJhbGciOiJSUzI1NiJ9." + payload
      + ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2"
        "Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQ"
        "BMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6Ie"
        "YI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    "eyJhbGciOiJFUzI1NiJ9." + payload
      + ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"};
  model::ruleset of;
  of.services = {make_service(1, "joe", model::auth_type::jwt)};
  const auto key = [](const char* id, const char* algorithm, const char* verifier) {
    return model::credential{id, service_id{1}, model::auth_type::jwt, algorithm, verifier, {}};
  };
  of.credentials = {
    key("a1", "HS256",
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"),
    key("a2", "RS256",
        "-----BEGIN PUBLIC KEY-----\n"
        "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAofgWCuLjybRlzo0tZWJj\n"
        "NiuSfb4p4fAkd/wWJcyQoTbji9k0l8W26mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEz\n"
        "P1Pt0Bm4d4QlL+yRT+SFd2lZS+pCgNMsD1W/YpRPEwOWvG6b32690r2jZ47soMZo\n"
        "9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTB\n"
        "EMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxX\n"
        "FvUK+DWNmoudF8NAco9/h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXp\n"
        "oQIDAQAB\n"
        "-----END PUBLIC KEY-----\n"),
    key("a3", "ES256",
        "-----BEGIN PUBLIC KEY-----\n"
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n"
        "6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n"
        "-----END PUBLIC KEY-----\n")};
  const authenticator by{of};
  ASSERT_TRUE(by.unusable().empty());
  for (std::size_t i = 0; i < 3; ++i) {
    const auto expected = "1/a" + std::to_string(i + 1);
    EXPECT_EQ(check(by, tokens[i], {1}, at(1'300'819'300)), expected);
    EXPECT_EQ(check(by, tokens[i], {1}), "expired");
    auto altered = tokens[i];
    altered[altered.find('.') + 10] ^= 1;
    EXPECT_NE(check(by, altered, {1}, at(1'300'819'300)), expected);
  }
}

TEST(jwt, any_bytes_are_read_or_refused) {
  const auto intact = hs256(hs_header, good);
  ASSERT_EQ(parse_jwt(intact).fault, jwt_fault::none);
  for (std::size_t i = 0; i < intact.size(); ++i) {
    const auto part = intact.substr(0, i);
    if (!looks_like_jwt(part)) {
      EXPECT_EQ(parse_jwt(part).fault, jwt_fault::malformed);
    }
    for (int c = 0; c < 256; c += 5) {
      auto changed = intact;
      changed[i] = static_cast<char>(c);
      const auto got = parse_jwt(changed);
      EXPECT_TRUE(got.fault != jwt_fault::none || !got.token.signed_part.empty());
    }
  }
  EXPECT_EQ(parse_jwt(std::string(8193, '.')).fault, jwt_fault::too_large);
  EXPECT_EQ(parse_jwt("").fault, jwt_fault::malformed);
}

} // namespace
} // namespace marchproxy::identity
