# mp_precompile(TARGET KIND): TARGET is compiled with the headers of KIND precompiled, `room` or `room_test`.
# Each set is compiled once and shared, so what uses it must be compiled for the same processor and have the same
# -fPIC or -fPIE. It takes two fifths off a compilation by clang; g++ 12 copies the whole set into every compilation and
# gains nothing, so only clang's presets ask for it (MP_PRECOMPILE).
option(MP_PRECOMPILE "precompile the headers that most sources include" OFF)

set(mp_precompiled_room
  <algorithm> <array> <atomic> <charconv> <chrono> <condition_variable> <cstddef> <cstdint> <cstring> <filesystem>
  <fstream> <functional> <map> <memory> <mutex> <optional> <random> <set> <span> <sstream> <string> <string_view>
  <thread> <unordered_map> <utility> <variant> <vector> <nlohmann/json.hpp> <tl/expected.hpp>)
set(mp_precompiled_room_test ${mp_precompiled_room} <gtest/gtest.h> <gmock/gmock.h>)

function(mp_precompile TARGET KIND)
  if(NOT MP_PRECOMPILE)
    return()
  endif()
  set(owner mp_precompiled_${KIND})
  if(NOT TARGET ${owner})
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/${owner}.cpp CONTENT "")
    if(KIND STREQUAL room_test)
      add_executable(${owner} ${PROJECT_BINARY_DIR}/${owner}.cpp)
      target_link_libraries(${owner} PRIVATE GTest::gmock_main mp_test_code)
    else()
      add_library(${owner} STATIC ${PROJECT_BINARY_DIR}/${owner}.cpp)
    endif()
    target_link_libraries(${owner} PRIVATE nlohmann_json::nlohmann_json tl::expected)
    # So that ccache finds it again in another clone: without, the headers' times are in it.
    target_compile_options(${owner} PRIVATE "SHELL:$<$<CXX_COMPILER_ID:Clang>:-Xclang -fno-pch-timestamp>")
    target_precompile_headers(${owner} PRIVATE ${mp_precompiled_${KIND}})
  endif()
  target_precompile_headers(${TARGET} REUSE_FROM ${owner})
endfunction()
