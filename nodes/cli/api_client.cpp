// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/cli/api_client.hpp"

#include <curl/curl.h>

#include <array>
#include <string_view>
#include <utility>

namespace marchproxy::cli {

namespace {

constexpr std::size_t most_bytes = 128U << 20U;

struct list_free {
  void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};
using header_lines = std::unique_ptr<curl_slist, list_free>;

void add(header_lines& to, const std::string& line) {
  if (auto* longer = curl_slist_append(to.get(), line.c_str()); longer != nullptr) {
    static_cast<void>(to.release());
    to.reset(longer);
  }
}

extern "C" std::size_t take_body(char* data, std::size_t one, std::size_t count, void* into) {
  auto& out = *static_cast<api_response*>(into);
  if (out.body.size() + one * count > most_bytes)
    return 0;
  out.body.append(data, one * count);
  return one * count;
}

extern "C" std::size_t take_header(char* data, std::size_t one, std::size_t count, void* into) {
  const std::string_view line(data, one * count);
  constexpr std::string_view name = "x-next-after:";
  bool same = line.size() > name.size();
  for (std::size_t i = 0; same && i < name.size(); ++i)
    same = (line[i] | 0x20) == (name[i] | 0x20);
  if (same) {
    auto& out = static_cast<api_response*>(into)->next_after;
    for (const char c : line.substr(name.size()))
      if (c >= '0' && c <= '9')
        out += c;
  }
  return one * count;
}

} // namespace

struct api_client::handle {
  CURL* curl = curl_easy_init();
  handle() = default;
  handle(const handle&) = delete;
  handle& operator=(const handle&) = delete;
  ~handle() { curl_easy_cleanup(curl); }
};

api_client::api_client(std::string url, std::string api_key, std::chrono::seconds timeout)
  : url_(std::move(url)),
    api_key_(std::move(api_key)),
    timeout_(timeout),
    handle_(std::make_unique<handle>()) {
  while (!url_.empty() && url_.back() == '/')
    url_.pop_back();
}

api_client::~api_client() = default;

result<api_response> api_client::send(const api_request& what) {
  CURL* curl = handle_->curl;
  if (curl == nullptr)
    return fail(errc::internal, "libcurl does not start");
  curl_easy_reset(curl);
  api_response out;
  std::array<char, CURL_ERROR_SIZE> why{};
  const std::string target = url_ + what.path;
  header_lines headers;
  add(headers, "Accept: application/json");
  add(headers, "Expect:");
  if (!api_key_.empty())
    add(headers, "Authorization: Bearer " + api_key_);
  if (!what.if_match.empty())
    add(headers, "If-Match: " + what.if_match);
  if (!what.body.empty()) {
    add(headers, "Content-Type: application/json");
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, what.body.data());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(what.body.size()));
  }
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, what.method.c_str());
  curl_easy_setopt(curl, CURLOPT_URL, target.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 10L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, static_cast<long>(timeout_.count()));
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why.data());
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &out);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &out);
  const auto code = curl_easy_perform(curl);
  if (code == CURLE_WRITE_ERROR)
    return fail(errc::too_large, "the answer is larger than 128 MiB");
  if (code != CURLE_OK) {
    const std::string text = why[0] != '\0' ? why.data() : curl_easy_strerror(code);
    return fail(code == CURLE_OPERATION_TIMEDOUT ? errc::timeout : errc::unavailable, text);
  }
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  out.status = static_cast<std::uint16_t>(status);
  return out;
}

} // namespace marchproxy::cli
