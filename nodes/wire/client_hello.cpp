// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/wire/client_hello.hpp"

#include <algorithm>

namespace marchproxy::wire {

namespace {

using error = client_hello_error;

constexpr std::size_t record_head = 5;
constexpr std::size_t max_record = std::size_t{1} << 14;
constexpr std::uint8_t first_content_type = 20; // change_cipher_spec
constexpr std::uint8_t handshake = 22;
constexpr std::uint8_t last_content_type = 24; // heartbeat
constexpr std::uint8_t major_version = 3;      // of every version from SSL 3 on
constexpr std::uint8_t client_hello_type = 1;

enum extension : std::uint16_t {
  server_name = 0,
  alpn = 16,
  supported_versions = 43,
  encrypted_client_hello = 0xfe0d,
};

std::uint8_t byte(std::string_view in, std::size_t at) noexcept {
  return static_cast<std::uint8_t>(in[at]);
}

/// Takes values from the front of bytes. After what does not fit, everything is empty and fits()
/// is false.
class cursor {
public:
  explicit cursor(std::string_view in) noexcept : in_(in) {}
  [[nodiscard]] bool fits() const noexcept { return fits_; }
  [[nodiscard]] bool empty() const noexcept { return in_.empty(); }

  std::string_view take(std::size_t n) noexcept {
    if (n > in_.size()) {
      fits_ = false;
      n = in_.size();
    }
    auto out = in_.substr(0, fits_ ? n : 0);
    in_.remove_prefix(n);
    return out;
  }
  std::uint8_t u8() noexcept {
    auto bytes = take(1);
    return fits_ ? byte(bytes, 0) : std::uint8_t{0};
  }
  std::uint16_t u16() noexcept {
    auto bytes = take(2);
    return fits_ ? static_cast<std::uint16_t>(byte(bytes, 0) << 8 | byte(bytes, 1))
                 : std::uint16_t{0};
  }
  std::string_view list8() noexcept { return take(u8()); }
  std::string_view list16() noexcept { return take(u16()); }

private:
  std::string_view in_;
  bool fits_ = true;
};

/// A list with one name of type host_name: others were never defined, and two names would be read
/// differently by different servers.
error read_server_name(std::string_view in, client_hello& out) noexcept {
  constexpr std::uint8_t host_name = 0;
  cursor all{in};
  cursor list{all.list16()};
  auto type = list.u8();
  auto name = host::parse(list.list16());
  if (!all.fits() || !all.empty() || !list.fits() || !list.empty() || type != host_name || !name
      || name->address())
    return error::bad_server_name;
  out.server_name = *name;
  return error::none;
}

error read_alpn(std::string_view in, client_hello& out) noexcept {
  cursor all{in};
  out.alpn = all.list16();
  if (!all.fits() || !all.empty() || out.alpn.empty())
    return error::bad_alpn;
  for (cursor names{out.alpn}; !names.empty();)
    if (names.list8().empty()) // which it also is when it does not fit
      return error::bad_alpn;
  return error::none;
}

error read_versions(std::string_view in, client_hello& out) noexcept {
  cursor all{in};
  out.versions = all.list8();
  return all.fits() && all.empty() && !out.versions.empty() && out.versions.size() % 2 == 0
           ? error::none
           : error::bad_versions;
}

error read_ech(std::string_view in, client_hello& out) noexcept {
  enum : std::uint8_t { outer = 0, inner = 1 };
  auto type = in.empty() ? std::uint8_t{255} : byte(in, 0);
  if (type != outer && (type != inner || in.size() != 1))
    return error::bad_ech;
  out.encrypted = type == outer;
  return error::none;
}

error read_extensions(cursor all, client_hello& out) noexcept {
  unsigned met = 0;
  auto first = [&met](unsigned bit) {
    auto is_new = (met & bit) == 0;
    met |= bit;
    return is_new;
  };
  while (!all.empty()) {
    auto type = all.u16();
    auto content = all.list16();
    if (!all.fits())
      return error::bad_structure;
    auto e = error::none;
    switch (type) {
    case server_name:
      e = first(1) ? read_server_name(content, out) : error::duplicate_extension;
      break;
    case alpn:
      e = first(2) ? read_alpn(content, out) : error::duplicate_extension;
      break;
    case supported_versions:
      e = first(4) ? read_versions(content, out) : error::duplicate_extension;
      break;
    case encrypted_client_hello:
      e = first(8) ? read_ech(content, out) : error::duplicate_extension;
      break;
    default: // GREASE (RFC 8701) and all that is not asked for here
      break;
    }
    if (e != error::none)
      return e;
  }
  return error::none;
}

/// @param in  the message without its head
error read_hello(std::string_view in, client_hello& out) noexcept {
  constexpr std::size_t random_size = 32;
  constexpr std::size_t max_session = 32;
  cursor all{in};
  out.legacy_version = all.u16();
  all.take(random_size);
  auto session = all.list8();
  auto ciphers = all.list16();
  auto compressions = all.list8();
  if (!all.fits() || session.size() > max_session || ciphers.empty() || ciphers.size() % 2 != 0
      || compressions.empty())
    return error::bad_structure;
  if (all.empty())
    return error::none;
  auto extensions = all.list16();
  return all.fits() && all.empty() ? read_extensions(cursor{extensions}, out)
                                   : error::bad_structure;
}

client_hello_scanner::outcome failed(error e) noexcept {
  return {parse_state::error, e};
}

} // namespace

std::string_view to_string(client_hello_error e) noexcept {
  switch (e) {
  case error::none:
    return "none";
  case error::not_tls:
    return "not_tls";
  case error::unexpected_record:
    return "unexpected_record";
  case error::empty_record:
    return "empty_record";
  case error::record_too_long:
    return "record_too_long";
  case error::too_many_records:
    return "too_many_records";
  case error::not_client_hello:
    return "not_client_hello";
  case error::too_long:
    return "too_long";
  case error::bad_structure:
    return "bad_structure";
  case error::duplicate_extension:
    return "duplicate_extension";
  case error::bad_server_name:
    return "bad_server_name";
  case error::bad_alpn:
    return "bad_alpn";
  case error::bad_versions:
    return "bad_versions";
  case error::bad_ech:
    return "bad_ech";
  }
  return "none";
}

bool client_hello::offers_alpn(std::string_view protocol) const noexcept {
  for (cursor names{alpn}; !names.empty();)
    if (names.list8() == protocol)
      return true;
  return false;
}

bool client_hello::offers_version(std::uint16_t version) const noexcept {
  // RFC 8446 4.2.1: without the extension it is the legacy version or an earlier one.
  if (versions.empty())
    return version <= legacy_version;
  for (cursor all{versions}; !all.empty();)
    if (all.u16() == version)
      return true;
  return false;
}

/// Judges the bytes of a record's head that are there, in their order, so that no split matters.
client_hello_scanner::outcome client_hello_scanner::enter_record(std::string_view head) noexcept {
  auto type = byte(head, 0);
  auto first = records_ == 0;
  if (type < first_content_type || type > last_content_type)
    return failed(first ? error::not_tls : error::unexpected_record);
  if (head.size() == 1)
    return {};
  if (byte(head, 1) != major_version)
    return failed(first ? error::not_tls : error::unexpected_record);
  if (type != handshake)
    return failed(error::unexpected_record);
  if (head.size() < record_head)
    return {};
  left_ = std::size_t{byte(head, 3)} << 8 | byte(head, 4);
  if (left_ == 0)
    return failed(error::empty_record);
  if (left_ > max_record)
    return failed(error::record_too_long);
  if (++records_ > max_records)
    return failed(error::too_many_records);
  return {parse_state::complete, error::none};
}

/// Takes a byte of the message's head.
client_hello_error client_hello_scanner::enter_message(char next) noexcept {
  auto value = static_cast<std::uint8_t>(next);
  if (head_seen_++ == 0)
    return value == client_hello_type ? error::none : error::not_client_hello;
  size_ = size_ << 8 | value;
  if (head_seen_ < message_head)
    return error::none;
  if (size_ == 0)
    return error::bad_structure;
  return size_ > max_size ? error::too_long : error::none;
}

/// @param rest  what is there of the record at hand, and behind it
/// @return the message's body; empty: not all of it is there
std::string_view client_hello_scanner::gather(std::string_view rest) {
  // All of it in this record, as nearly always: read where it lies.
  if (joined_.empty() && size_ <= left_)
    return rest.substr(0, rest.size() < size_ ? 0 : size_);
  joined_.reserve(size_);
  auto part = rest.substr(0, std::min(left_, size_ - joined_.size()));
  joined_.append(part);
  seen_ += part.size();
  left_ -= part.size();
  return joined_.size() < size_ ? std::string_view{} : joined_;
}

client_hello_scanner::outcome client_hello_scanner::scan(std::string_view in) {
  while (seen_ < in.size()) {
    if (left_ == 0) {
      auto entered = enter_record(in.substr(seen_, record_head));
      if (entered.state != parse_state::complete)
        return entered;
      seen_ += record_head;
    } else if (head_seen_ < message_head) {
      auto e = enter_message(in[seen_]);
      if (e != error::none)
        return failed(e);
      ++seen_;
      --left_;
    } else if (auto body = gather(in.substr(seen_)); !body.empty()) {
      auto e = read_hello(body, hello_);
      return e == error::none ? outcome{parse_state::complete, e} : failed(e);
    } else if (left_ > 0) {
      return {};
    }
  }
  return {};
}

} // namespace marchproxy::wire
