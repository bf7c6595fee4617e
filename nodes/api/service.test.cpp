// SPDX-License-Identifier: AGPL-3.0-only
// What holds for every operation: envelope, headers, parameters, sessions, limits.
#include "nodes/api/api_fixture.test.hpp"

#include <string>

namespace marchproxy::api {
namespace {

class service_test : public api_test {
protected:
  static constexpr const char* services = "/api/v1/clusters/eu/services";
};

TEST_F(service_test, an_answer_has_the_envelope_the_version_and_the_revision) {
  const auto got = send({.method = "POST",
                         .path = services,
                         .body = R"({"name":"db"})",
                         .headers = "X-Request-Id: my-id-1\r\n"});
  EXPECT_EQ(got.status, 201);
  EXPECT_EQ(got.body["success"], true);
  EXPECT_EQ(got.body["data"]["name"], "db");
  EXPECT_EQ(got.body["request_id"], "my-id-1");
  EXPECT_TRUE(parse_time(got.body["timestamp"].get<std::string>()));
  EXPECT_EQ(got.header("ETag"), "\"1\"");
  EXPECT_EQ(got.header("X-Request-Id"), "my-id-1");
  EXPECT_EQ(got.body["revision"], (json{{"number", 7},
                                        {"state", "in_force"},
                                        {"reason", ""},
                                        {"proxies", {{"expected", 2}, {"applied", 2}}}}));
  EXPECT_EQ(manager.seen_caller.source, "127.0.0.1");
  EXPECT_EQ(manager.seen_caller.request_id, "my-id-1");
}

TEST_F(service_test, a_revision_that_was_given_up_says_why) {
  manager.next_rollout.state = rollout_state::aborted;
  manager.next_rollout.reason = "edge-2 refused: map is full";
  const auto got = send({.method = "POST", .path = services, .body = R"({"name":"db"})"});
  EXPECT_EQ(got.body["revision"]["state"], "aborted");
  EXPECT_EQ(got.body["revision"]["reason"], "edge-2 refused: map is full");
}

TEST_F(service_test, a_bad_field_is_named) {
  for (const auto* body : {"{}", R"({"name":7})"}) {
    const auto got = send({.method = "POST", .path = services, .body = body});
    EXPECT_EQ(got.status, 400);
    EXPECT_EQ(got.body["success"], false);
    EXPECT_EQ(got.error_code(), "invalid_argument");
    EXPECT_EQ(got.first_field(), "name");
  }
}

struct bad_request {
  const char* name;
  ask what;
  int status;
  const char* field;
};

TEST_F(service_test, bad_parameters_and_bodies_are_refused_by_name) {
  const std::string deep = "{\"a\":" + std::string(40, '[') + std::string(40, ']') + "}";
  const bad_request cases[] = {
    {"limit", {.path = "/api/v1/clusters/eu/services?limit=0"}, 400, "limit"},
    {"limit", {.path = "/api/v1/clusters/eu/services?limit=501"}, 400, "limit"},
    {"limit", {.path = "/api/v1/clusters/eu/services?limit=1e2"}, 400, "limit"},
    {"unknown", {.path = "/api/v1/clusters/eu/services?colour=red"}, 400, "colour"},
    {"after", {.path = "/api/v1/audit?after=-1"}, 400, "after"},
    {"wait",
     {.method = "POST", .path = "/api/v1/clusters/eu/services?wait=61", .body = "{}"},
     400,
     "wait"},
    {"etag",
     {.method = "DELETE",
      .path = "/api/v1/clusters/eu/services/1",
      .headers = "If-Match: W/\"1\"\r\n"},
     400,
     "If-Match"},
    {"idempotency key",
     {.method = "POST", .path = services, .body = "{}", .headers = "Idempotency-Key: a b\r\n"},
     400,
     "Idempotency-Key"},
    {"not json", {.method = "POST", .path = services, .body = "{"}, 400, ""},
    {"array", {.method = "POST", .path = services, .body = "[]"}, 400, ""},
    {"deep", {.method = "POST", .path = services, .body = deep}, 400, ""},
    {"no body", {.method = "POST", .path = services}, 415, ""},
    {"form",
     {.method = "POST",
      .path = services,
      .body = "name=x",
      .headers = "Content-Type: application/x-www-form-urlencoded\r\n"},
     415,
     ""},
    {"overlap",
     {.method = "POST", .path = "/api/v1/clusters/eu/keys", .body = R"({"overlap_seconds":-1})"},
     400,
     "overlap_seconds"},
    {"login",
     {.method = "POST", .path = "/api/v1/auth/login", .body = R"({"username":"a"})"},
     400,
     "password"},
  };
  for (const auto& one : cases) {
    const auto got = send(one.what);
    EXPECT_EQ(got.status, one.status) << one.name << ": " << got.text;
    EXPECT_EQ(got.first_field(), one.field) << one.name;
  }
}

TEST_F(service_test, a_conflict_is_409_and_says_with_what) {
  auto got = send({.method = "POST", .path = services, .body = R"({"name":"web"})"});
  EXPECT_EQ(got.status, 409);
  EXPECT_EQ(got.error_code(), "conflict");
  got = send({.method = "DELETE", .path = "/api/v1/clusters/eu/services/1"});
  EXPECT_EQ(got.status, 409);
  EXPECT_EQ(got.body["error"]["message"], "mapping 9 names the service");
}

TEST_F(service_test, a_stale_etag_is_412_and_a_good_one_moves_on) {
  const std::string one = "/api/v1/clusters/eu/services/1";
  const auto etag = send({.path = one}).header("ETag");
  const ask change{.method = "PATCH",
                   .path = one,
                   .body = R"({"active":false})",
                   .headers = "If-Match: " + etag + "\r\n"};
  const auto first = send(change);
  EXPECT_EQ(first.status, 200);
  EXPECT_NE(first.header("ETag"), etag);
  const auto second = send(change);
  EXPECT_EQ(second.status, 412);
  EXPECT_EQ(second.error_code(), "precondition_failed");
}

TEST_F(service_test, a_client_that_has_the_version_gets_304) {
  const auto got =
    send({.path = "/api/v1/clusters/eu/services/1", .headers = "If-None-Match: \"4\"\r\n"});
  EXPECT_EQ(got.status, 304);
  EXPECT_EQ(got.text, "");
}

TEST_F(service_test, how_a_change_is_made_reaches_the_backend) {
  const auto sent = send({.method = "POST",
                          .path = "/api/v1/clusters/eu/services?wait=30",
                          .body = R"({"name":"db"})",
                          .headers = "Idempotency-Key: job-1\r\n"});
  EXPECT_EQ(sent.status, 201);
  EXPECT_EQ(manager.seen_how.wait, std::chrono::seconds(30));
  EXPECT_EQ(manager.seen_how.idempotency_key, "job-1");
  EXPECT_EQ(
    send(
      {.method = "POST", .path = "/api/v1/clusters/eu/keys", .body = R"({"overlap_seconds":60})"})
      .status,
    201);
  EXPECT_EQ(manager.seen_overlap, std::chrono::seconds(60));
}

TEST_F(service_test, lists_come_in_pages_with_filters) {
  for (std::uint64_t id = 2; id <= 5; ++id)
    manager.services[id] = manager.services[1];
  auto got = send({.path = "/api/v1/clusters/eu/services?limit=2&name=web&active=true"});
  EXPECT_EQ(got.body["data"].size(), 2U);
  EXPECT_EQ(manager.seen_query.filters, (std::vector<std::pair<std::string, std::string>>{
                                          {"name", "web"}, {"active", "true"}}));
  std::size_t seen = 2;
  while (!got.body["next_cursor"].is_null()) {
    got = send({.path = "/api/v1/clusters/eu/services?limit=2&cursor="
                        + got.body["next_cursor"].get<std::string>()});
    seen += got.body["data"].size();
  }
  EXPECT_EQ(seen, 5U);
}

TEST_F(service_test, a_method_that_a_path_does_not_have_is_405_with_those_it_has) {
  const auto got = send({.method = "PATCH", .path = services, .body = "{}"});
  EXPECT_EQ(got.status, 405);
  EXPECT_EQ(got.header("Allow"), "GET, POST");
  EXPECT_EQ(got.error_code(), "method_not_allowed");
}

TEST_F(service_test, head_is_get_without_the_body) {
  const auto got = send({.method = "HEAD", .path = services});
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.text, "");
  EXPECT_NE(got.header("Content-Length"), "0");
}

TEST_F(service_test, secure_headers_are_on_every_answer) {
  for (const auto* path : {"/healthz", "/nowhere", services, "/metrics"}) {
    const auto got = send({.path = path});
    EXPECT_NE(got.header("Content-Security-Policy").find("default-src 'none'"), std::string::npos);
    EXPECT_EQ(got.header("X-Content-Type-Options"), "nosniff");
    EXPECT_EQ(got.header("X-Frame-Options"), "DENY");
    EXPECT_EQ(got.header("Referrer-Policy"), "no-referrer");
    EXPECT_EQ(got.header("Cache-Control"), "no-store");
    EXPECT_EQ(got.header("Strict-Transport-Security"), "");
  }
  start({.behind_tls = true});
  EXPECT_NE(send({.path = "/healthz"}).header("Strict-Transport-Security"), "");
}

TEST_F(service_test, a_session_reads_with_its_cookie_and_changes_with_its_csrf_token) {
  const auto login = send({.method = "POST",
                           .path = "/api/v1/auth/login",
                           .key = "",
                           .body = R"({"username":"alice","password":"right"})"});
  ASSERT_EQ(login.status, 200);
  const auto cookie = login.header("Set-Cookie");
  for (const auto* attribute : {"; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age=3600"})
    EXPECT_NE(cookie.find(attribute), std::string::npos) << cookie;
  EXPECT_EQ(cookie.find("Secure"), std::string::npos);
  const auto csrf = login.body["data"]["csrf_token"].get<std::string>();
  EXPECT_EQ(login.text.find("session-"), login.text.find(csrf) + 5) << "only the CSRF token";

  const auto with_cookie = "Cookie: other=1; " + cookie.substr(0, cookie.find(';')) + "\r\n";
  const auto me = send({.path = "/api/v1/auth/me", .key = "", .headers = with_cookie});
  EXPECT_EQ(me.status, 200);
  EXPECT_EQ(me.body["data"]["name"], "alice");
  EXPECT_EQ(me.body["data"]["csrf_token"], csrf);

  ask change{.method = "POST",
             .path = services,
             .key = "",
             .body = R"({"name":"db"})",
             .headers = with_cookie};
  EXPECT_EQ(send(change).status, 403);
  change.headers = with_cookie + "X-CSRF-Token: wrong\r\n";
  EXPECT_EQ(send(change).status, 403);
  change.headers = with_cookie + "X-CSRF-Token: " + csrf + "\r\n";
  EXPECT_EQ(send(change).status, 201);

  const auto bye = send({.method = "POST",
                         .path = "/api/v1/auth/logout",
                         .key = "",
                         .headers = with_cookie + "X-CSRF-Token: " + csrf + "\r\n"});
  EXPECT_EQ(bye.status, 200);
  EXPECT_NE(bye.header("Set-Cookie").find("Max-Age=0"), std::string::npos);
  EXPECT_EQ(send({.path = "/api/v1/auth/me", .key = "", .headers = with_cookie}).status, 401);
}

TEST_F(service_test, over_tls_the_cookie_is_secure) {
  start({.behind_tls = true});
  const auto login = send({.method = "POST",
                           .path = "/api/v1/auth/login",
                           .key = "",
                           .body = R"({"username":"alice","password":"right"})"});
  EXPECT_NE(login.header("Set-Cookie").find("; Secure"), std::string::npos);
}

TEST_F(service_test, guessing_passwords_is_slowed_down) {
  start({.logins_burst = 3, .logins_per_second = 0.001});
  const ask guess{.method = "POST",
                  .path = "/api/v1/auth/login",
                  .key = "",
                  .body = R"({"username":"alice","password":"wrong"})"};
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(send(guess).status, 401);
  const auto got = send(guess);
  EXPECT_EQ(got.status, 429);
  EXPECT_EQ(got.error_code(), "limit_reached");
  EXPECT_NE(got.header("Retry-After"), "");
  EXPECT_EQ(send({.path = services}).status, 200) << "the rest goes on";
}

TEST_F(service_test, too_many_requests_of_one_address_get_429) {
  time_point now{};
  start({.requests_burst = 2, .requests_per_second = 1, .now = [&] { return now; }});
  EXPECT_EQ(send({.path = "/healthz"}).status, 200);
  EXPECT_EQ(send({.path = "/healthz"}).status, 200);
  EXPECT_EQ(send({.path = "/healthz"}).status, 429);
  now += std::chrono::seconds(1);
  EXPECT_EQ(send({.path = "/healthz"}).status, 200);
}

TEST_F(service_test, the_earlier_proxies_may_show_their_key_in_any_of_four_headers) {
  for (const auto* header :
       {"X-API-Key: ", "Authorization: Bearer ", "X-Cluster-API-Key: ", "Cluster-API-Key: "}) {
    const auto got = send({.method = "POST",
                           .path = "/api/proxy/register",
                           .key = "",
                           .body = R"({"name":"edge"})",
                           .headers = std::string(header) + "key-eu\r\n"});
    EXPECT_EQ(got.status, 200) << header;
    EXPECT_EQ(got.body, json({{"cluster", "eu"}})) << "no envelope";
  }
  EXPECT_EQ(send({.path = "/api/config/eu", .key = "key-us"}).status, 403);
  EXPECT_EQ(send({.path = "/api/config/2", .key = "key-us"}).status, 200);
}

TEST_F(service_test, one_proxy_too_many_gets_429) {
  manager.seats_left = false;
  const auto got = send({.method = "POST",
                         .path = "/api/proxy/register",
                         .key = "key-eu",
                         .body = R"({"name":"edge"})"});
  EXPECT_EQ(got.status, 429);
  EXPECT_EQ(got.error_code(), "limit_reached");
}

TEST_F(service_test, health_names_each_dependency_and_is_503_when_one_fails) {
  EXPECT_EQ(send({.path = "/healthz", .key = ""}).status, 200);
  manager.healthy = false;
  const auto got = send({.path = "/healthz", .key = ""});
  EXPECT_EQ(got.status, 503);
  EXPECT_EQ(got.body["dependencies"]["storage"]["status"], "ok");
  EXPECT_EQ(got.body["dependencies"]["bus"]["status"], "failed");
}

TEST_F(service_test, metrics_count_the_requests_by_operation_and_status) {
  EXPECT_EQ(send({.path = services}).status, 200);
  EXPECT_EQ(send({.path = "/nowhere"}).status, 404);
  const auto got = send({.path = "/metrics", .key = ""});
  EXPECT_NE(got.header("Content-Type").find("text/plain"), std::string::npos);
  EXPECT_NE(
    got.text.find(R"(marchproxy_api_requests_total{operation="listServices",status="200"} 1)"),
    std::string::npos)
    << got.text;
  EXPECT_NE(got.text.find(R"(marchproxy_api_requests_total{operation="none",status="404"} 1)"),
            std::string::npos);
}

TEST_F(service_test, the_audit_export_is_the_whole_chain_one_record_a_line) {
  const auto got = send({.path = "/api/v1/audit/export?after=100"});
  EXPECT_EQ(got.header("Content-Type"), "application/x-ndjson");
  std::uint64_t expected = 101;
  std::size_t at = 0;
  while (at < got.text.size()) {
    const auto end = got.text.find('\n', at);
    EXPECT_EQ(json::parse(got.text.substr(at, end - at))["sequence"], expected++);
    at = end + 1;
  }
  EXPECT_EQ(expected, 1201U);
}

TEST(rate_limiter, holds_a_bounded_number_of_clients) {
  rate_limiter limiter(1, 1);
  const time_point now{};
  for (int i = 0; i < 40'000; ++i)
    EXPECT_TRUE(limiter.allow("client-" + std::to_string(i), now));
  EXPECT_FALSE(limiter.allow("client-39999", now));
}

} // namespace
} // namespace marchproxy::api
