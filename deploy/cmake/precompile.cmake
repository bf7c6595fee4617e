# mp_precompile(TARGET KIND [HEADER...]): TARGET is compiled with the headers of KIND precompiled: `room`, `room_of_actors`
# (CAF's, too) or `room_test`.
# Each set is compiled once and shared, so what uses it must be compiled for the same processor and have the same
# -fPIC or -fPIE. With headers of its own TARGET gets a set of its own, which pays from a dozen sources that include them.
# It takes two fifths off a compilation by clang; g++ 12 copies the whole set into every compilation and
# gains nothing, so only clang's presets ask for it (MP_PRECOMPILE).
option(MP_PRECOMPILE "precompile the headers that most sources include" OFF)

set(mp_precompiled_room
  <algorithm> <array> <atomic> <charconv> <chrono> <condition_variable> <cstddef> <cstdint> <cstring> <filesystem>
  <fstream> <functional> <map> <memory> <mutex> <optional> <random> <set> <span> <sstream> <string> <string_view>
  <thread> <unordered_map> <utility> <variant> <vector> <nlohmann/json.hpp> <tl/expected.hpp>
  # Layer 0: every room may use it, and almost every source does.
  ${PROJECT_SOURCE_DIR}/actors/base/error.hpp ${PROJECT_SOURCE_DIR}/actors/base/ip.hpp
  ${PROJECT_SOURCE_DIR}/actors/base/strong_id.hpp)
set(mp_precompiled_room_of_actors ${mp_precompiled_room}
  <caf/actor_system.hpp> <caf/actor_system_config.hpp> <caf/allowed_unsafe_message_type.hpp> <caf/scoped_actor.hpp>
  <caf/send.hpp> <caf/stateful_actor.hpp> <caf/typed_actor.hpp> <caf/typed_event_based_actor.hpp>
  <caf/typed_response_promise.hpp>)
set(mp_precompiled_room_test ${mp_precompiled_room} <gtest/gtest.h> <gmock/gmock.h>)

function(mp_precompile TARGET KIND)
  if(NOT MP_PRECOMPILE)
    return()
  endif()
  # So that ccache finds it again in another clone: without, the headers' times are in it.
  set(timeless "SHELL:$<$<CXX_COMPILER_ID:Clang>:-Xclang -fno-pch-timestamp>")
  if(ARGN)
    target_compile_options(${TARGET} PRIVATE ${timeless})
    target_precompile_headers(${TARGET} PRIVATE ${mp_precompiled_${KIND}} ${ARGN})
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
    if(KIND STREQUAL room_of_actors)
      target_link_libraries(${owner} PRIVATE CAF::core)
    endif()
    target_include_directories(${owner} PRIVATE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${owner} PRIVATE nlohmann_json::nlohmann_json tl::expected)
    target_compile_options(${owner} PRIVATE ${timeless})
    target_precompile_headers(${owner} PRIVATE ${mp_precompiled_${KIND}})
  endif()
  target_precompile_headers(${TARGET} REUSE_FROM ${owner})
endfunction()
