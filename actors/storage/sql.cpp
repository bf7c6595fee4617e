// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/storage/sql.hpp"

#include "actors/storage/backends.hpp"

namespace marchproxy::storage {

namespace {

template <class T>
const T* held_as(const std::vector<value>& columns, std::size_t column) {
  return column < columns.size() ? std::get_if<T>(&columns[column].held) : nullptr;
}

const std::string& empty_text() {
  static const std::string none;
  return none;
}

} // namespace

bool row::null(std::size_t column) const {
  return held_as<std::monostate>(columns_, column) != nullptr;
}

std::int64_t row::integer(std::size_t column) const {
  const auto* number = held_as<std::int64_t>(columns_, column);
  return number != nullptr ? *number : 0;
}

std::uint64_t row::number(std::size_t column) const {
  const auto signed_number = integer(column);
  return signed_number > 0 ? static_cast<std::uint64_t>(signed_number) : 0;
}

double row::real(std::size_t column) const {
  const auto* number = held_as<double>(columns_, column);
  return number != nullptr ? *number : 0;
}

const std::string& row::text(std::size_t column) const {
  const auto* text = held_as<std::string>(columns_, column);
  return text != nullptr ? *text : empty_text();
}

const std::string& row::bytes(std::size_t column) const {
  const auto* data = held_as<blob>(columns_, column);
  return data != nullptr ? data->bytes : empty_text();
}

time_point row::time(std::size_t column) const {
  return time_point{std::chrono::microseconds{integer(column)}};
}

std::optional<time_point> row::maybe_time(std::size_t column) const {
  if (held_as<std::int64_t>(columns_, column) == nullptr)
    return std::nullopt;
  return time(column);
}

result<transaction> transaction::begin(connection& on, access mode) {
  if (auto begun = on.begin(mode); !begun)
    return tl::unexpected(begun.error());
  return transaction(on);
}

transaction::~transaction() {
  if (on_ != nullptr)
    on_->rollback();
}

result<void> transaction::commit() {
  auto* on = std::exchange(on_, nullptr);
  auto done = on->commit();
  if (!done && on->usable())
    on->rollback();
  return done;
}

result<dialect> dialect_of(std::string_view database_url) {
  if (database_url.starts_with("sqlite:") && database_url.size() > 7)
    return dialect::sqlite;
  if (database_url.starts_with("postgresql://") || database_url.starts_with("postgres://"))
    return dialect::postgres;
  return fail_field("DATABASE_URL", "must be sqlite:path or postgresql://...");
}

result<std::unique_ptr<connection>> connect(const std::string& database_url) {
  const auto kind = dialect_of(database_url);
  if (!kind)
    return tl::unexpected(kind.error());
  switch (*kind) {
  case dialect::sqlite: {
    std::string_view path = std::string_view(database_url).substr(7);
    if (path.starts_with("//"))
      path.remove_prefix(2);
    return connect_sqlite(std::string(path));
  }
  case dialect::postgres:
    return connect_postgres(database_url);
  }
  return fail(errc::internal, "unknown dialect");
}

} // namespace marchproxy::storage
