// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/strong_id.hpp"
#include "actors/base/time.hpp"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

/// SQL for two databases, as little of it as the store needs. Every value travels as a parameter.
namespace marchproxy::storage {

enum class dialect : std::uint8_t { sqlite, postgres };

/// Bytes that are not text (a column of type BLOB or BYTEA).
struct blob {
  std::string bytes;
  bool operator==(const blob&) const = default;
};

/// A parameter or a column. Times are stored as microseconds since the epoch, booleans as 0 and 1.
struct value {
  std::variant<std::monostate, std::int64_t, double, std::string, blob> held;

  value() = default;
  // Implicit on purpose: a statement's parameters are written as a plain list.
  // NOLINTBEGIN(google-explicit-constructor)
  template <std::integral T>
  value(T number) : held(static_cast<std::int64_t>(number)) {}
  value(double number) : held(number) {}
  value(std::string text) : held(std::move(text)) {}
  value(std::string_view text) : held(std::string(text)) {}
  value(const char* text) : held(std::string(text)) {}
  value(blob bytes) : held(std::move(bytes)) {}
  value(time_point at) : held(std::int64_t{at.time_since_epoch().count()}) {}
  template <class Tag>
  value(strong_id<Tag> id) : held(static_cast<std::int64_t>(id.value)) {}
  template <class T>
  value(const std::optional<T>& maybe) {
    if (maybe)
      held = value(*maybe).held;
  }
  // NOLINTEND(google-explicit-constructor)
  bool operator==(const value&) const = default;
};

/// One row of a result. The schema is ours, so a column that does not hold the type asked for reads
/// as 0 or empty.
class row {
public:
  explicit row(std::vector<value> columns) : columns_(std::move(columns)) {}

  [[nodiscard]] bool null(std::size_t column) const;
  [[nodiscard]] std::int64_t integer(std::size_t column) const;
  [[nodiscard]] std::uint64_t number(std::size_t column) const;
  [[nodiscard]] bool flag(std::size_t column) const { return integer(column) != 0; }
  [[nodiscard]] double real(std::size_t column) const;
  [[nodiscard]] const std::string& text(std::size_t column) const;
  [[nodiscard]] const std::string& bytes(std::size_t column) const;
  [[nodiscard]] time_point time(std::size_t column) const;
  [[nodiscard]] std::optional<time_point> maybe_time(std::size_t column) const;
  template <class Id>
  [[nodiscard]] Id id(std::size_t column) const {
    return Id{number(column)};
  }

private:
  std::vector<value> columns_;
};

struct rows {
  std::vector<row> list;
  std::uint64_t affected = 0; ///< rows inserted, updated or deleted

  [[nodiscard]] bool empty() const noexcept { return list.empty(); }
  [[nodiscard]] const row& front() const { return list.front(); }
};

/// The text of a statement. It can only be made from a literal, at compile time, so that no
/// statement is ever built from input (DB-2). Parameters are $1, $2 and so on in both dialects.
class statement {
public:
  template <std::size_t N>
  // NOLINTNEXTLINE(google-explicit-constructor): a literal stands for itself
  consteval statement(const char (&literal)[N]) : text_(literal, N - 1) {}
  [[nodiscard]] constexpr std::string_view text() const noexcept { return text_; }

private:
  std::string_view text_;
};

using parameters = std::vector<value>;

enum class access : std::uint8_t {
  read,  ///< one consistent view, no writes
  write, ///< SQLite: takes the write lock at once; PostgreSQL: read committed, rows are locked by
         ///< updating them
};

/// One session with a database. Used by one thread at a time.
///
/// Errors of all members: unavailable = transient, nothing was changed (lost connection, deadlock,
/// serialisation failure, busy, too many connections); timeout = the connection was lost during a
/// commit or a statement took too long: outcome not known; conflict = a unique or foreign key
/// constraint; invalid_argument = text with a zero byte, which no database takes; corrupt = the
/// database is damaged.
class connection {
public:
  connection() = default;
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  virtual ~connection() = default;

  [[nodiscard]] virtual dialect kind() const noexcept = 0;
  /// False once the session is lost; the pool then replaces it.
  [[nodiscard]] virtual bool usable() const noexcept = 0;
  [[nodiscard]] result<rows> exec(statement sql, const parameters& values = {}) {
    return run(sql.text(), values);
  }
  /// Several statements without parameters: a migration, from the binary.
  [[nodiscard]] virtual result<void> exec_script(std::string_view script) = 0;

  [[nodiscard]] virtual result<void> begin(access mode) = 0;
  [[nodiscard]] virtual result<void> commit() = 0;
  virtual void rollback() noexcept = 0;

protected:
  [[nodiscard]] virtual result<rows> run(std::string_view sql, const parameters& values) = 0;
};

/// A transaction on a connection that outlives it. Rolls back unless committed.
class transaction {
public:
  [[nodiscard]] static result<transaction> begin(connection& on, access mode);
  transaction(transaction&& other) noexcept : on_(std::exchange(other.on_, nullptr)) {}
  transaction& operator=(transaction&&) = delete;
  transaction(const transaction&) = delete;
  transaction& operator=(const transaction&) = delete;
  ~transaction();

  [[nodiscard]] result<rows> exec(statement sql, const parameters& values = {}) {
    return on_->exec(sql, values);
  }
  [[nodiscard]] connection& session() noexcept { return *on_; }
  /// After this the object does nothing more, whatever the outcome.
  [[nodiscard]] result<void> commit();

private:
  explicit transaction(connection& on) : on_(&on) {}
  connection* on_;
};

/// `sqlite:path`, `sqlite:///path`, `sqlite::memory:`, `postgresql://user@host/db?...` (also
/// `postgres://`).
/// @errors invalid_argument for another scheme (the URL is not repeated: it may hold a password);
/// unavailable
[[nodiscard]] result<std::unique_ptr<connection>> connect(const std::string& database_url);
/// @errors invalid_argument as connect()
[[nodiscard]] result<dialect> dialect_of(std::string_view database_url);

} // namespace marchproxy::storage
