// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/storage/backends.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <unordered_map>

namespace marchproxy::storage {

namespace {

struct close_database {
  void operator()(sqlite3* db) const noexcept { sqlite3_close_v2(db); }
};
struct finalize_statement {
  void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
};
using database_ptr = std::unique_ptr<sqlite3, close_database>;
using statement_ptr = std::unique_ptr<sqlite3_stmt, finalize_statement>;

errc classify(int code) {
  switch (code & 0xff) {
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
  case SQLITE_FULL:
  case SQLITE_CANTOPEN:
    return errc::unavailable;
  case SQLITE_CONSTRAINT:
    return errc::conflict;
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
    return errc::corrupt;
  case SQLITE_TOOBIG:
    return errc::too_large;
  default:
    return errc::internal;
  }
}

tl::unexpected<error> failure(sqlite3* db) {
  const auto code = classify(sqlite3_extended_errcode(db));
  return fail(code, std::string("sqlite: ") + sqlite3_errmsg(db));
}

class sqlite_connection final : public connection {
public:
  explicit sqlite_connection(database_ptr db) : db_(std::move(db)) {}

  [[nodiscard]] dialect kind() const noexcept override { return dialect::sqlite; }
  [[nodiscard]] bool usable() const noexcept override { return true; }

  [[nodiscard]] result<void> exec_script(std::string_view script) override {
    const std::string text(script);
    if (sqlite3_exec(db_.get(), text.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
      return failure(db_.get());
    return {};
  }

  [[nodiscard]] result<void> begin(access mode) override {
    // A read lock that is upgraded later can deadlock, so writers take the write lock at once.
    return discard(exec(mode == access::write ? statement("BEGIN IMMEDIATE") : statement("BEGIN")));
  }
  [[nodiscard]] result<void> commit() override { return discard(exec("COMMIT")); }
  void rollback() noexcept override {
    if (sqlite3_get_autocommit(db_.get()) == 0)
      sqlite3_exec(db_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
  }

protected:
  [[nodiscard]] result<rows> run(std::string_view sql, const parameters& values) override {
    auto prepared = prepare(sql);
    if (!prepared)
      return tl::unexpected(prepared.error());
    auto* compiled = *prepared;
    auto outcome = bind(compiled, values).and_then([&] { return step(compiled); });
    // Ends the statement's read lock; a statement left open would pin the WAL.
    sqlite3_reset(compiled);
    sqlite3_clear_bindings(compiled);
    return outcome;
  }

private:
  static result<void> discard(const result<rows>& outcome) {
    if (!outcome)
      return tl::unexpected(outcome.error());
    return {};
  }

  result<sqlite3_stmt*> prepare(std::string_view sql) {
    // Statements are literals, so the cache is bounded by the program's text.
    if (const auto known = cache_.find(sql); known != cache_.end())
      return known->second.get();
    sqlite3_stmt* raw = nullptr;
    if (sqlite3_prepare_v3(db_.get(), sql.data(), static_cast<int>(sql.size()),
                           SQLITE_PREPARE_PERSISTENT, &raw, nullptr)
        != SQLITE_OK)
      return failure(db_.get());
    return cache_.emplace(sql, statement_ptr(raw)).first->second.get();
  }

  result<void> bind(sqlite3_stmt* compiled, const parameters& values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto name = "$" + std::to_string(i + 1);
      const int index = sqlite3_bind_parameter_index(compiled, name.c_str());
      if (index == 0)
        return fail(errc::internal, "statement has no parameter " + name);
      const auto bound = std::visit(
        [&](const auto& held) { return bind_one(compiled, index, held); }, values[i].held);
      if (!bound)
        return bound;
    }
    return {};
  }

  result<void> check(int code) {
    if (code != SQLITE_OK)
      return failure(db_.get());
    return {};
  }
  result<void> bind_one(sqlite3_stmt* compiled, int index, std::monostate) {
    return check(sqlite3_bind_null(compiled, index));
  }
  result<void> bind_one(sqlite3_stmt* compiled, int index, std::int64_t number) {
    return check(sqlite3_bind_int64(compiled, index, number));
  }
  result<void> bind_one(sqlite3_stmt* compiled, int index, double number) {
    return check(sqlite3_bind_double(compiled, index, number));
  }
  result<void> bind_one(sqlite3_stmt* compiled, int index, const std::string& text) {
    // PostgreSQL cannot hold it, so neither database takes it.
    if (text.find('\0') != std::string::npos)
      return fail(errc::invalid_argument, "text with a zero byte");
    return check(
      sqlite3_bind_text64(compiled, index, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8));
  }
  result<void> bind_one(sqlite3_stmt* compiled, int index, const blob& data) {
    return check(
      sqlite3_bind_blob64(compiled, index, data.bytes.data(), data.bytes.size(), SQLITE_STATIC));
  }

  result<rows> step(sqlite3_stmt* compiled) {
    rows out;
    const auto before = sqlite3_total_changes64(db_.get());
    for (;;) {
      const int code = sqlite3_step(compiled);
      if (code == SQLITE_DONE)
        break;
      if (code != SQLITE_ROW)
        return failure(db_.get());
      std::vector<value> columns;
      const int count = sqlite3_column_count(compiled);
      columns.reserve(static_cast<std::size_t>(count));
      for (int i = 0; i < count; ++i)
        columns.push_back(read(compiled, i));
      out.list.emplace_back(std::move(columns));
    }
    // changes() keeps the count of an earlier statement when this one only read.
    if (sqlite3_total_changes64(db_.get()) != before)
      out.affected = static_cast<std::uint64_t>(sqlite3_changes64(db_.get()));
    return out;
  }

  static value read(sqlite3_stmt* compiled, int column) {
    const auto size = [&] {
      return static_cast<std::size_t>(sqlite3_column_bytes(compiled, column));
    };
    switch (sqlite3_column_type(compiled, column)) {
    case SQLITE_INTEGER:
      return value(std::int64_t{sqlite3_column_int64(compiled, column)});
    case SQLITE_FLOAT:
      return value(sqlite3_column_double(compiled, column));
    case SQLITE_TEXT: {
      const auto* text = sqlite3_column_text(compiled, column);
      return value(std::string(reinterpret_cast<const char*>(text), size()));
    }
    case SQLITE_BLOB: {
      const auto* data = static_cast<const char*>(sqlite3_column_blob(compiled, column));
      return value(blob{data == nullptr ? std::string() : std::string(data, size())});
    }
    default:
      return {};
    }
  }

  database_ptr db_;
  // After db_: statements must go first. Keys point at literals.
  std::unordered_map<std::string_view, statement_ptr> cache_;
};

/// The file holds password hashes and sealed secrets: nobody else may read it. SQLite gives its WAL
/// the same mode.
result<void> make_private_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail(errc::unavailable, "cannot open the database file " + path);
  ::close(fd);
  return {};
}

} // namespace

result<std::unique_ptr<connection>> connect_sqlite(const std::string& path) {
  if (path != ":memory:") {
    if (auto made = make_private_file(path); !made)
      return tl::unexpected(made.error());
  }
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(
    path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  database_ptr db(raw);
  if (code != SQLITE_OK)
    return fail(classify(code), "sqlite: cannot open " + path);
  sqlite3_busy_timeout(db.get(), 5000);
  // FULL: with WAL, NORMAL may lose acknowledged transactions at a power cut.
  constexpr const char* settings = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                                   "PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;";
  if (sqlite3_exec(db.get(), settings, nullptr, nullptr, nullptr) != SQLITE_OK)
    return failure(db.get());
  return std::make_unique<sqlite_connection>(std::move(db));
}

} // namespace marchproxy::storage
