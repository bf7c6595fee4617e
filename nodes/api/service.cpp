// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/api/service.hpp"

#include "actors/crypto/equal.hpp"
#include "actors/crypto/random.hpp"
#include "nodes/api/answer.hpp"
#include "nodes/api/openapi.hpp"
#include "nodes/api/request_reader.hpp"
#include "nodes/api/session_cookie.hpp"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace marchproxy::api {

namespace {

bool is_request_id(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'
           || c == '_' || c == '.';
  });
}

std::string request_id_of(const http::request& request) {
  const auto given = request.header("x-request-id").value_or("");
  return is_request_id(given) ? std::string(given) : crypto::random_token(12);
}

std::string joined(const std::vector<std::string_view>& methods) {
  std::string out;
  for (const auto method : methods)
    out.append(out.empty() ? "" : ", ").append(method);
  return out;
}

prometheus::Family<prometheus::Counter>& counters(prometheus::Registry& registry) {
  return prometheus::BuildCounter()
    .Name("marchproxy_api_requests_total")
    .Help("Requests to the API by operation and status")
    .Register(registry);
}

prometheus::Family<prometheus::Histogram>& timings(prometheus::Registry& registry) {
  return prometheus::BuildHistogram()
    .Name("marchproxy_api_request_seconds")
    .Help("Time from a whole request to its answer, by operation")
    .Register(registry);
}

} // namespace

service::service(backend& manager,
                 std::shared_ptr<prometheus::Registry> metrics,
                 service_options options)
  : manager_(manager),
    metrics_(std::move(metrics)),
    options_(std::move(options)),
    texts_{openapi_document().dump(), [this] { return metrics_text(); }},
    requests_(options_.requests_burst, options_.requests_per_second),
    logins_(options_.logins_burst, options_.logins_per_second),
    counted_(counters(*metrics_)),
    timed_(timings(*metrics_)) {}

std::string service::metrics_text() const {
  auto families = metrics_->Collect();
  for (const auto& one : options_.collectables) {
    auto more = one->Collect();
    families.insert(families.end(), more.begin(), more.end());
  }
  return prometheus::TextSerializer().Serialize(families);
}

http::response service::handle(const http::request& request) {
  const auto began = std::chrono::steady_clock::now();
  call c{manager_, request, texts_, {{}, request.peer, request_id_of(request)}};
  auto matched = match(request.method, request.path);
  c.path = std::move(matched.parameters);
  const auto* which = matched.found;
  auto out = render(which, c, process(matched, c), options_.now());
  secure(out, c);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  count(which, out.status, took.count());
  return out;
}

outcome service::process(const route_match& matched, call& c) {
  if (matched.allowed.empty())
    return tl::unexpected(refuse({errc::not_found, "no such path"}));
  if (matched.found == nullptr)
    return tl::unexpected(refusal{405,
                                  "method_not_allowed",
                                  {errc::unsupported, "the path has no such method"},
                                  {{"Allow", joined(matched.allowed)}}});
  const auto& which = *matched.found;
  if (auto admitted = admit(which, c); !admitted)
    return tl::unexpected(refuse(std::move(admitted).error()));
  if (auto read = read_parameters(which, c); !read)
    return tl::unexpected(refuse(std::move(read).error()));
  if (auto read = read_body(which, c); !read) {
    if (read.error().code == errc::unsupported)
      return tl::unexpected(refusal{415, "unsupported_media_type", std::move(read).error()});
    return tl::unexpected(refuse(std::move(read).error()));
  }
  auto made = which.run(c);
  if (!made)
    return tl::unexpected(refuse(std::move(made).error()));
  return *std::move(made);
}

/// Rate, identity, cluster, permission: in this order, so that nothing is learnt before it may be.
result<void> service::admit(const route& which, call& c) {
  auto& limiter = which.operation == "login" ? logins_ : requests_;
  if (!limiter.allow(c.by.source, options_.now()))
    return fail(errc::limit_reached, "too many requests from this address");
  if (which.needs == permission::none)
    return {};
  if (which.needs == permission::proxy_key)
    return identify_proxy(c);
  if (auto known = identify(c); !known)
    return known;
  if (c.by.who.read_only && !is_safe(c.request.method) && !which.reads_only)
    return fail(errc::forbidden, "the API key may only read");
  const auto names = parameter_names(which.path);
  if (std::find(names.begin(), names.end(), "cluster") != names.end()) {
    auto found = manager_.find_cluster(c.parameter("cluster"));
    if (!found)
      return tl::unexpected(std::move(found).error());
    c.cluster = *std::move(found);
  }
  if (!may(c.by.who, which.needs, c.cluster.id))
    return fail(errc::forbidden, "this needs more than the roles of " + c.by.who.name);
  return {};
}

result<void> service::identify_proxy(call& c) const {
  const auto key = shown_key(c.request);
  if (key.empty())
    return fail(errc::unauthenticated, "the cluster's key is missing");
  auto found = manager_.find_cluster_key(key);
  if (!found)
    return tl::unexpected(std::move(found).error());
  c.cluster = *std::move(found);
  return {};
}

result<void> service::identify(call& c) const {
  if (const auto key = bearer_token(c.request); !key.empty()) {
    auto found = manager_.find_api_key(key);
    if (!found)
      return tl::unexpected(std::move(found).error());
    c.by.who = *std::move(found);
    return {};
  }
  const auto token = session_token(c.request);
  if (token.empty())
    return fail(errc::unauthenticated, "an API key or a session is needed");
  auto found = manager_.find_session(token);
  if (!found)
    return tl::unexpected(std::move(found).error());
  const auto shown = c.request.header("x-csrf-token").value_or("");
  if (!is_safe(c.request.method) && !crypto::equal(shown, found->csrf_token))
    return fail(errc::forbidden, "X-CSRF-Token is missing or not this session's");
  c.by.who = std::move(found->who);
  c.session_token = token;
  return {};
}

void service::count(const route* which, std::uint16_t status, double seconds) {
  const std::string operation(which != nullptr ? which->operation : "none");
  counted_.Add({{"operation", operation}, {"status", std::to_string(status)}}).Increment();
  timed_
    .Add({{"operation", operation}},
         prometheus::Histogram::BucketBoundaries{0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60})
    .Observe(seconds);
}

void service::secure(http::response& out, const call& c) const {
  for (auto& [name, value] : out.headers)
    if (name == "Set-Cookie" && options_.behind_tls)
      value += "; Secure";
  out.headers.emplace_back("X-Request-Id", c.by.request_id);
  out.headers.emplace_back("Content-Security-Policy",
                           "default-src 'none'; frame-ancestors 'none'; base-uri 'none'");
  out.headers.emplace_back("X-Content-Type-Options", "nosniff");
  out.headers.emplace_back("X-Frame-Options", "DENY");
  out.headers.emplace_back("Referrer-Policy", "no-referrer");
  out.headers.emplace_back("Cache-Control", "no-store");
  // RFC 6797 7.2: never over plain HTTP.
  if (options_.behind_tls)
    out.headers.emplace_back("Strict-Transport-Security", "max-age=31536000; includeSubDomains");
}

} // namespace marchproxy::api
