// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/time.hpp"
#include "nodes/api/answer.hpp"
#include "nodes/api/backend.hpp"
#include "nodes/api/rate_limiter.hpp"
#include "nodes/api/route.hpp"
#include "nodes/http/message.hpp"

#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::api {

struct service_options {
  bool behind_tls = false;     ///< clients come by HTTPS: Secure cookies, HSTS
  double requests_burst = 400; ///< of one address, at once
  double requests_per_second = 100;
  double logins_burst = 10;
  double logins_per_second = 1.0 / 6;
  std::function<time_point()> now = wall_now;
  /// Further sources of what /metrics shows, asked at each scrape.
  std::vector<std::shared_ptr<prometheus::Collectable>> collectables = {};
};

/// The API: makes answers of requests by the route table and a backend. Thread-safe; blocks as the
/// backend does.
class service {
public:
  /// @param manager  must outlive the service
  /// @param metrics  what /metrics shows; the service adds `marchproxy_api_*` of its own
  service(backend& manager, std::shared_ptr<prometheus::Registry> metrics, service_options options);

  [[nodiscard]] http::response handle(const http::request& request);

private:
  [[nodiscard]] outcome process(const route_match& matched, call& c);
  [[nodiscard]] std::string metrics_text() const;
  [[nodiscard]] result<void> admit(const route& which, call& c);
  [[nodiscard]] result<void> identify(call& c) const;
  [[nodiscard]] result<void> identify_proxy(call& c) const;
  void secure(http::response& out, const call& c) const;
  void count(const route* which, std::uint16_t status, double seconds);

  backend& manager_;
  std::shared_ptr<prometheus::Registry> metrics_;
  service_options options_;
  system_texts texts_;
  rate_limiter requests_;
  rate_limiter logins_;
  prometheus::Family<prometheus::Counter>& counted_;
  prometheus::Family<prometheus::Histogram>& timed_;
};

} // namespace marchproxy::api
