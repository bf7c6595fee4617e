// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/crypto/signature.hpp"

#include "actors/crypto/digest.hpp"
#include "actors/crypto/encoding.hpp"

#include <gtest/gtest.h>

#include <string>

namespace {

using namespace marchproxy::crypto;
using enum signature_algorithm;

constexpr auto payload =
  "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

struct token {
  signature_algorithm algorithm;
  std::string key;
  std::string message;
  std::string signature;
};

const token hs256_token = { // RFC 7515 A.1
  hs256, "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
  std::string{"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."} + payload,
  "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"};

const token rs256_token = { // RFC 7515 A.2
  rs256,
  "-----BEGIN PUBLIC KEY-----\n"
  "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAofgWCuLjybRlzo0tZWJj\n"
  "NiuSfb4p4fAkd/wWJcyQoTbji9k0l8W26mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEz\n"
  "P1Pt0Bm4d4QlL+yRT+SFd2lZS+pCgNMsD1W/YpRPEwOWvG6b32690r2jZ47soMZo\n"
  "9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTB\n"
  "EMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxX\n"
  "FvUK+DWNmoudF8NAco9/h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXp\n"
  "oQIDAQAB\n"
  "-----END PUBLIC KEY-----\n",
  std::string{"eyJhbGciOiJSUzI1NiJ9."} + payload,
  "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujG"
  "bds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K"
  "0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6"
  "LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"};

const token es256_token = { // RFC 7515 A.3
  es256,
  "-----BEGIN PUBLIC KEY-----\n"
  "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n"
  "6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n"
  "-----END PUBLIC KEY-----\n",
  std::string{"eyJhbGciOiJFUzI1NiJ9."} + payload,
  "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"};

const token eddsa_token = { // RFC 8037 A.4
  eddsa,
  "-----BEGIN PUBLIC KEY-----\n"
  "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
  "-----END PUBLIC KEY-----\n",
  "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
  "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"};

// 1024 bits: too short for RFC 7518 3.3.
constexpr auto short_rsa_key = "-----BEGIN PUBLIC KEY-----\n"
                               "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDAqm+OTTMLh9T75r4yBzhRm0XV\n"
                               "ZVqSvIeGyrqv923y7Kuf+FyJD78lVKV0FX1tN3CS62I8FajthV0mt1jORWlfXoj6\n"
                               "IVKKGu/U7wSNOMRpklB+TEx1RNJzc0QzBSlhU/11oL7paWTrvsQUQXgq74oI0ZB7\n"
                               "pNMvAcXgFF4om4GrPQIDAQAB\n"
                               "-----END PUBLIC KEY-----\n";

class tokens : public ::testing::TestWithParam<const token*> {};

TEST_P(tokens, the_published_signature_verifies_and_no_altered_one_does) {
  const auto& t = *GetParam();
  const auto signature = *from_base64url(t.signature);
  EXPECT_TRUE(verify_signature(t.algorithm, t.key, t.message, signature));
  EXPECT_FALSE(verify_signature(t.algorithm, t.key, t.message + "x", signature));
  EXPECT_FALSE(verify_signature(t.algorithm, t.key, t.message, ""));
  EXPECT_FALSE(verify_signature(t.algorithm, t.key, t.message, signature + "x"));
  auto altered = signature;
  altered.back() = static_cast<char>(altered.back() ^ 1);
  EXPECT_FALSE(verify_signature(t.algorithm, t.key, t.message, altered));
}

TEST_P(tokens, the_key_of_one_algorithm_serves_no_other) {
  const auto& t = *GetParam();
  for (const auto other : {hs256, rs256, es256, eddsa}) {
    EXPECT_EQ(verification_key::parse(other, t.key).has_value(), other == t.algorithm)
      << to_string(other);
  }
}

INSTANTIATE_TEST_SUITE_P(rfc_vectors,
                         tokens,
                         ::testing::Values(&hs256_token, &rs256_token, &es256_token, &eddsa_token),
                         [](const auto& test) {
                           return std::string{to_string(test.param->algorithm)};
                         });

TEST(signature, a_public_key_taken_as_hmac_secret_is_refused) {
  // The classic confusion: HS256 with the bytes of the public key. Pinning and base64url both stand
  // in the way.
  const auto forged = hmac_sha256(rs256_token.key, rs256_token.message);
  EXPECT_FALSE(verify_signature(rs256, rs256_token.key, rs256_token.message, view(forged)));
  EXPECT_FALSE(verify_signature(hs256, rs256_token.key, rs256_token.message, view(forged)));
}

TEST(signature, weak_and_malformed_keys_are_refused_with_a_reason) {
  EXPECT_FALSE(verification_key::parse(hs256, "c2hvcnQ"));
  EXPECT_FALSE(verification_key::parse(hs256, "not base64url!"));
  EXPECT_EQ(verification_key::parse(rs256, short_rsa_key).error().message,
            "an RSA key has at least 2048 bits");
  EXPECT_FALSE(verification_key::parse(eddsa, ""));
  EXPECT_FALSE(verification_key::parse(es256, "-----BEGIN PUBLIC KEY-----\nAAAA\n"));
}

TEST(signature, algorithm_names_are_exact) {
  EXPECT_EQ(parse_signature_algorithm("EdDSA"), eddsa);
  EXPECT_EQ(parse_signature_algorithm("HS256"), hs256);
  EXPECT_FALSE(parse_signature_algorithm("none"));
  EXPECT_FALSE(parse_signature_algorithm("hs256"));
}

} // namespace
