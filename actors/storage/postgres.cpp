// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/storage/backends.hpp"

#include <libpq-fe.h>

#include <charconv>
#include <unordered_map>

namespace marchproxy::storage {

namespace {

struct finish_connection {
  void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
};
struct clear_result {
  void operator()(PGresult* answer) const noexcept { PQclear(answer); }
};
using connection_ptr = std::unique_ptr<PGconn, finish_connection>;
using result_ptr = std::unique_ptr<PGresult, clear_result>;

// pg_type.dat of PostgreSQL: numbers that never change.
constexpr Oid oid_bool = 16;
constexpr Oid oid_bytea = 17;
constexpr Oid oid_int8 = 20;
constexpr Oid oid_int2 = 21;
constexpr Oid oid_int4 = 23;
constexpr Oid oid_float8 = 701;

/// @source PostgreSQL manual, appendix A
errc classify(std::string_view state) {
  if (state == "40001" || state == "40P01" || state == "55P03" || state == "25006"
      || state == "57P01" || state == "57P02" || state == "57P03" || state.starts_with("08")
      || state.starts_with("53"))
    return errc::unavailable;
  if (state == "23505" || state == "23503")
    return errc::conflict;
  if (state.starts_with("22"))
    return errc::invalid_argument;
  if (state == "57014")
    return errc::timeout;
  if (state.starts_with("XX") || state.starts_with("58"))
    return errc::corrupt;
  return errc::internal;
}

std::string trimmed(const char* text) {
  std::string out(text == nullptr ? "" : text);
  while (!out.empty() && (out.back() == '\n' || out.back() == ' '))
    out.pop_back();
  return out;
}

value read_number(std::string_view text) {
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return value(number);
}

int hex_digit(char c) {
  return c <= '9' ? c - '0' : c - 'a' + 10;
}

/// bytea_output=hex, the default since 9.0: `\x` and two digits a byte.
value read_bytea(std::string_view text) {
  blob out;
  if (!text.starts_with("\\x"))
    return value(std::move(out));
  text.remove_prefix(2);
  out.bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    out.bytes.push_back(static_cast<char>(hex_digit(text[i]) * 16 + hex_digit(text[i + 1])));
  return value(std::move(out));
}

value read(const PGresult* answer, int line, int column) {
  if (PQgetisnull(answer, line, column) == 1)
    return {};
  const std::string_view text(PQgetvalue(answer, line, column),
                              static_cast<std::size_t>(PQgetlength(answer, line, column)));
  switch (PQftype(answer, column)) {
  case oid_bool:
    return value(text == "t");
  case oid_int2:
  case oid_int4:
  case oid_int8:
    return read_number(text);
  case oid_float8:
    return value(std::strtod(std::string(text).c_str(), nullptr));
  case oid_bytea:
    return read_bytea(text);
  default:
    return value(text);
  }
}

rows read_all(const PGresult* answer) {
  rows out;
  const int lines = PQntuples(answer);
  const int width = PQnfields(answer);
  out.list.reserve(static_cast<std::size_t>(lines));
  for (int line = 0; line < lines; ++line) {
    std::vector<value> columns;
    columns.reserve(static_cast<std::size_t>(width));
    for (int column = 0; column < width; ++column)
      columns.push_back(read(answer, line, column));
    out.list.emplace_back(std::move(columns));
  }
  const std::string_view affected = PQcmdTuples(const_cast<PGresult*>(answer));
  std::from_chars(affected.data(), affected.data() + affected.size(), out.affected);
  return out;
}

/// Parameters in the form libpq wants; numbers as text, bytes in binary.
struct wire_parameters {
  std::vector<std::string> numbers;
  std::vector<const char*> values;
  std::vector<int> lengths;
  std::vector<int> formats;

  result<void> add(const value& one) {
    return std::visit([this](const auto& held) { return add(held); }, one.held);
  }
  void push(const char* data, std::size_t size, int format) {
    values.push_back(data);
    lengths.push_back(static_cast<int>(size));
    formats.push_back(format);
  }
  result<void> add(std::monostate) {
    push(nullptr, 0, 0);
    return {};
  }
  result<void> add(std::int64_t number) {
    const auto& text = numbers.emplace_back(std::to_string(number));
    push(text.c_str(), text.size(), 0);
    return {};
  }
  result<void> add(double number) {
    char text[32];
    const auto end = std::to_chars(text, text + sizeof text, number).ptr;
    const auto& kept = numbers.emplace_back(text, end);
    push(kept.c_str(), kept.size(), 0);
    return {};
  }
  result<void> add(const std::string& text) {
    if (text.find('\0') != std::string::npos)
      return fail(errc::invalid_argument, "text with a zero byte");
    push(text.c_str(), text.size(), 0);
    return {};
  }
  result<void> add(const blob& data) {
    push(data.bytes.data(), data.bytes.size(), 1);
    return {};
  }
};

class postgres_connection final : public connection {
public:
  explicit postgres_connection(connection_ptr session) : session_(std::move(session)) {}

  [[nodiscard]] dialect kind() const noexcept override { return dialect::postgres; }
  [[nodiscard]] bool usable() const noexcept override {
    return PQstatus(session_.get()) == CONNECTION_OK;
  }

  [[nodiscard]] result<void> exec_script(std::string_view script) override {
    const std::string text(script);
    const result_ptr answer(PQexec(session_.get(), text.c_str()));
    return check(answer.get());
  }

  [[nodiscard]] result<void> begin(access mode) override {
    return exec_script(mode == access::write ? "BEGIN"
                                             : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  }

  [[nodiscard]] result<void> commit() override {
    const result_ptr answer(PQexec(session_.get(), "COMMIT"));
    auto done = check(answer.get());
    if (!done && !usable())
      return fail(errc::timeout, "the connection was lost during a commit");
    // A failed transaction answers COMMIT with ROLLBACK and no error.
    if (done && std::string_view(PQcmdStatus(answer.get())) != "COMMIT")
      return fail(errc::internal, "the transaction had failed before its commit");
    return done;
  }

  void rollback() noexcept override { const result_ptr answer(PQexec(session_.get(), "ROLLBACK")); }

protected:
  [[nodiscard]] result<rows> run(std::string_view sql, const parameters& values) override {
    wire_parameters wire;
    wire.numbers.reserve(values.size());
    for (const auto& one : values) {
      if (auto added = wire.add(one); !added)
        return tl::unexpected(added.error());
    }
    const auto name = prepare(sql);
    if (!name)
      return tl::unexpected(name.error());
    const result_ptr answer(PQexecPrepared(session_.get(), name->c_str(),
                                           static_cast<int>(values.size()), wire.values.data(),
                                           wire.lengths.data(), wire.formats.data(), 0));
    return check(answer.get()).map([&] { return read_all(answer.get()); });
  }

private:
  /// Parsing and planning once a session costs less than once a call. Statements are literals, so
  /// there are few.
  result<std::string> prepare(std::string_view sql) {
    if (const auto known = prepared_.find(sql); known != prepared_.end())
      return known->second;
    const auto name = "s" + std::to_string(prepared_.size());
    const result_ptr answer(
      PQprepare(session_.get(), name.c_str(), std::string(sql).c_str(), 0, nullptr));
    if (auto done = check(answer.get()); !done)
      return tl::unexpected(done.error());
    prepared_.emplace(sql, name);
    return name;
  }

  result<void> check(const PGresult* answer) {
    const auto status = PQresultStatus(answer);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
      return {};
    const char* state = PQresultErrorField(answer, PG_DIAG_SQLSTATE);
    if (state == nullptr)
      return fail(usable() ? errc::internal : errc::unavailable,
                  "postgresql: " + trimmed(PQerrorMessage(session_.get())));
    return fail(classify(state),
                "postgresql: " + trimmed(PQresultErrorField(answer, PG_DIAG_MESSAGE_PRIMARY)));
  }

  connection_ptr session_;
  std::unordered_map<std::string_view, std::string> prepared_;
};

void ignore_notice(void*, const char*) {}

} // namespace

result<std::unique_ptr<connection>> connect_postgres(const std::string& uri) {
  // What stands before dbname is a default that the URI may override.
  const char* const keywords[] = {
    "fallback_application_name", "connect_timeout",  "keepalives_idle",
    "keepalives_interval",       "keepalives_count", "tcp_user_timeout",
    "client_encoding",           "dbname",           nullptr};
  const char* const values[] = {"marchproxy", "5",    "10",        "3",    "3",
                                "15000",      "UTF8", uri.c_str(), nullptr};
  connection_ptr session(PQconnectdbParams(keywords, values, 1));
  if (session == nullptr || PQstatus(session.get()) != CONNECTION_OK)
    return fail(errc::unavailable, "postgresql: cannot connect: "
                                     + trimmed(session ? PQerrorMessage(session.get()) : ""));
  PQsetNoticeProcessor(session.get(), ignore_notice, nullptr);
  auto out = std::make_unique<postgres_connection>(std::move(session));
  // A lock or a statement that hangs must not hold its caller for ever.
  auto set = out->exec_script("SET lock_timeout='10s'; SET statement_timeout='60s';"
                              "SET idle_in_transaction_session_timeout='60s';"
                              "SET bytea_output='hex'");
  if (!set)
    return tl::unexpected(set.error());
  return out;
}

} // namespace marchproxy::storage
