# SPDX-License-Identifier: AGPL-3.0-only
# cmake -DINPUTS=a.sql;b.sql -DOUTPUT=migrations.cpp -P embed_migrations.cmake
# Writes the numbered .sql files as one C++ source, in the order given.
set(sqlite "")
set(postgres "")
foreach(file IN LISTS INPUTS)
  get_filename_component(name ${file} NAME)
  if(NOT name MATCHES "^([0-9]+)_([a-z0-9_]+)\\.(sqlite|postgres)\\.sql$")
    message(FATAL_ERROR "${name} is not NNNN_name.(sqlite|postgres).sql")
  endif()
  set(digits ${CMAKE_MATCH_1})
  set(title ${CMAKE_MATCH_2})
  set(dialect ${CMAKE_MATCH_3})
  string(REGEX REPLACE "^0+" "" number ${digits})
  file(READ ${file} script)
  string(APPEND ${dialect} "  {${number}, \"${title}\", R\"mp_sql(${script})mp_sql\"},\n")
endforeach()
file(WRITE ${OUTPUT} "// Generated from migrations/ by embed_migrations.cmake.
#include \"actors/storage/migrate.hpp\"

namespace marchproxy::storage {

namespace {
constexpr migration sqlite_migrations[] = {
${sqlite}};
constexpr migration postgres_migrations[] = {
${postgres}};
} // namespace

std::span<const migration> migrations(dialect kind) noexcept {
  if (kind == dialect::sqlite)
    return sqlite_migrations;
  return postgres_migrations;
}

} // namespace marchproxy::storage
")
