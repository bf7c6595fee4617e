# mp_room(NAME policy LAYER 2 SOURCES a.cpp a.test.cpp DEPS mp::model EXTERNAL fmt::fmt LABELS POL-3)
#
# Declares library mp::<NAME> from every source that is not *.test.cpp, and one
# gtest binary from those that are. A room may only use rooms of a lower layer;
# the check runs at configure time, so a wrong edge never reaches the compiler.
# PRECOMPILE, PRECOMPILE_TEST: headers that a dozen or more of the room's sources, or of its tests, include.
# NO_PRECOMPILE: the room is compiled for another processor than the others (precompile.cmake).
function(mp_room)
  cmake_parse_arguments(ROOM "NO_PRECOMPILE" "NAME;LAYER" "SOURCES;DEPS;EXTERNAL;LABELS;TEST_DEPS;PRECOMPILE;PRECOMPILE_TEST" ${ARGN})
  foreach(required NAME LAYER SOURCES)
    if(NOT DEFINED ROOM_${required})
      message(FATAL_ERROR "mp_room: ${required} is missing")
    endif()
  endforeach()

  foreach(dep IN LISTS ROOM_DEPS)
    get_target_property(real ${dep} ALIASED_TARGET)
    get_target_property(dep_layer ${real} MP_LAYER)
    if(NOT dep_layer LESS ROOM_LAYER)
      message(FATAL_ERROR
        "room '${ROOM_NAME}' (layer ${ROOM_LAYER}) may not use ${dep} (layer ${dep_layer})")
    endif()
  endforeach()

  set(tests ${ROOM_SOURCES})
  list(FILTER tests INCLUDE REGEX "\\.test\\.cpp$")
  set(code ${ROOM_SOURCES})
  list(FILTER code EXCLUDE REGEX "\\.test\\.cpp$")

  add_library(mp_${ROOM_NAME} STATIC ${code})
  add_library(mp::${ROOM_NAME} ALIAS mp_${ROOM_NAME})
  set_target_properties(mp_${ROOM_NAME} PROPERTIES MP_LAYER ${ROOM_LAYER})
  target_include_directories(mp_${ROOM_NAME} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(mp_${ROOM_NAME} PUBLIC ${ROOM_DEPS} ${ROOM_EXTERNAL})
  if(TARGET mp_warnings)
    target_link_libraries(mp_${ROOM_NAME} PRIVATE mp_warnings)
  endif()
  if(NOT ROOM_NO_PRECOMPILE)
    set(kind room)
    if("CAF::core" IN_LIST ROOM_EXTERNAL OR "mp::proxy" IN_LIST ROOM_DEPS)
      set(kind room_of_actors)
    endif()
    mp_precompile(mp_${ROOM_NAME} ${kind} ${ROOM_PRECOMPILE})
  endif()

  if(tests AND BUILD_TESTING)
    add_executable(${ROOM_NAME}_test ${tests})
    target_link_libraries(${ROOM_NAME}_test PRIVATE mp_${ROOM_NAME} GTest::gmock_main ${ROOM_TEST_DEPS})
    if(TARGET mp_warnings)
      target_link_libraries(${ROOM_NAME}_test PRIVATE mp_warnings)
    endif()
    target_link_libraries(${ROOM_NAME}_test PRIVATE mp_test_code)
    mp_precompile(${ROOM_NAME}_test room_test ${ROOM_PRECOMPILE_TEST})
    gtest_discover_tests(${ROOM_NAME}_test TEST_PREFIX "${ROOM_NAME}/" DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 120)
    # Labels go in a second include: gtest_discover_tests keeps only the first of a list.
    file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/labels.cmake @ONLY CONTENT
      "set_tests_properties(\${@ROOM_NAME@_test_TESTS} PROPERTIES LABELS \"unit;@ROOM_NAME@;@ROOM_LABELS@\")\n")
    set_property(DIRECTORY APPEND PROPERTY
      TEST_INCLUDE_FILES ${CMAKE_CURRENT_BINARY_DIR}/labels.cmake)
  endif()
endfunction()
