// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace marchproxy::cli {

struct api_request {
  std::string method = "GET";
  std::string path; ///< with its query, from `/`
  std::string body = {};
  std::string if_match = {};
};

struct api_response {
  std::uint16_t status = 0;
  std::string body;
  std::string next_after; ///< X-Next-After of an audit export; empty when it is complete
};

/// A blocking client of one manager. Not thread-safe.
class api_client {
public:
  /// @param url  `http://host:port` or `https://...`
  api_client(std::string url, std::string api_key, std::chrono::seconds timeout);
  api_client(const api_client&) = delete;
  api_client& operator=(const api_client&) = delete;
  ~api_client();

  /// @errors unavailable when there is no HTTP answer; timeout; too_large past 128 MiB
  [[nodiscard]] result<api_response> send(const api_request& what);

private:
  struct handle;
  std::string url_;
  std::string api_key_;
  std::chrono::seconds timeout_;
  std::unique_ptr<handle> handle_;
};

} // namespace marchproxy::cli
