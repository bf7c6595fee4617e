// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/api/answer.hpp"

#include <utility>

namespace marchproxy::api {

std::uint16_t status_of(errc code) noexcept {
  switch (code) {
  case errc::invalid_argument:
    return 400;
  case errc::unauthenticated:
    return 401;
  case errc::forbidden:
    return 403;
  case errc::not_found:
    return 404;
  case errc::conflict:
  case errc::refused:
    return 409;
  case errc::precondition_failed:
    return 412;
  case errc::too_large:
    return 413;
  case errc::limit_reached:
    return 429;
  case errc::unsupported:
    return 501;
  case errc::unavailable:
    return 503;
  case errc::timeout:
    return 504;
  case errc::corrupt:
  case errc::internal:
    return 500;
  }
  return 500;
}

bool is_safe(std::string_view method) noexcept {
  return method == "GET" || method == "HEAD";
}

refusal refuse(error what) {
  refusal out{status_of(what.code), std::string(to_string(what.code)), std::move(what)};
  if (out.status == 401)
    out.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"marchproxy\"");
  if (out.status == 429)
    out.headers.emplace_back("Retry-After", "5");
  return out;
}

namespace {

std::string_view name_of(rollout_state state) {
  switch (state) {
  case rollout_state::in_force:
    return "in_force";
  case rollout_state::pending:
    return "pending";
  case rollout_state::aborted:
    return "aborted";
  }
  return "";
}

json to_json(const rollout_outcome& rollout) {
  return {{"number", rollout.revision},
          {"state", name_of(rollout.state)},
          {"reason", rollout.reason},
          {"proxies", {{"expected", rollout.expected}, {"applied", rollout.applied}}}};
}

json to_json(const std::string& code, const error& what) {
  json details = json::array();
  for (const auto& field : what.fields)
    details.push_back({{"field", field.field}, {"message", field.message}});
  return {{"code", code}, {"message", what.message}, {"details", std::move(details)}};
}

std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string etag_of(std::uint64_t version) {
  return '"' + std::to_string(version) + '"';
}

bool has_already(const call& c, std::uint64_t version) {
  return version != 0 && is_safe(c.request.method)
         && c.request.header("if-none-match").value_or("") == etag_of(version);
}

void put_json(http::response& out, const json& body) {
  out.headers.emplace_back("Content-Type", "application/json");
  out.body = dump(body);
}

void put_envelope(http::response& out, json envelope, const call& c, time_point now) {
  envelope["timestamp"] = format_time(now);
  envelope["request_id"] = c.by.request_id;
  put_json(out, envelope);
}

http::response render_success(const route& which, const call& c, reply good, time_point now) {
  http::response out;
  out.status = good.status != 0 ? good.status : which.status;
  out.headers = std::move(good.headers);
  if (good.version != 0)
    out.headers.emplace_back("ETag", etag_of(good.version));
  if (has_already(c, good.version)) {
    out.status = 304;
    return out;
  }
  if (!good.content_type.empty()) {
    out.headers.emplace_back("Content-Type", good.content_type);
    out.body = std::move(good.text);
    return out;
  }
  if (good.bare) {
    put_json(out, good.data);
    return out;
  }
  json envelope = {{"success", true}, {"data", std::move(good.data)}};
  if (good.rollout)
    envelope["revision"] = to_json(*good.rollout);
  if (good.next_cursor)
    envelope["next_cursor"] = good.next_cursor->empty() ? json(nullptr) : json(*good.next_cursor);
  put_envelope(out, std::move(envelope), c, now);
  return out;
}

} // namespace

http::response render(const route* which, const call& c, outcome made, time_point now) {
  if (made && which != nullptr)
    return render_success(*which, c, *std::move(made), now);
  const refusal bad = made ? refuse({errc::internal, "an answer without a route"}) : made.error();
  http::response out;
  out.status = bad.status;
  out.headers = bad.headers;
  put_envelope(out, {{"success", false}, {"error", to_json(bad.code, bad.what)}}, c, now);
  return out;
}

} // namespace marchproxy::api
