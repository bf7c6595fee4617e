# mp_bpf_skeleton(NAME mp_redirect SOURCE redirect.bpf.c)
#
# Builds a program for the BPF target, links it once more by bpftool (which drops the debug sections), and makes a
# skeleton <NAME>.skel.h in ${CMAKE_CURRENT_BINARY_DIR}/generated. Target <NAME>_skeleton. Neither the running kernel's
# BTF nor privileges are needed.
find_program(MP_BPF_CLANG NAMES clang-14 clang REQUIRED)
find_program(MP_BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin REQUIRED)

function(mp_bpf_skeleton)
  cmake_parse_arguments(BPF "" "NAME;SOURCE" "" ${ARGN})
  set(generated ${CMAKE_CURRENT_BINARY_DIR}/generated)
  set(object ${generated}/${BPF_NAME}.bpf.o)
  set(source ${CMAKE_CURRENT_SOURCE_DIR}/${BPF_SOURCE})
  file(MAKE_DIRECTORY ${generated})
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${MP_BPF_CLANG} -target bpf -mcpu=v3 -g -O2 -Wall -Wextra -Werror -I${PROJECT_SOURCE_DIR}
            -idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE} -MD -MF ${object}.d -c ${source} -o ${object}
    DEPENDS ${source}
    DEPFILE ${object}.d
    COMMENT "BPF ${BPF_SOURCE}" VERBATIM)
  add_custom_command(
    OUTPUT ${generated}/${BPF_NAME}.skel.h
    COMMAND ${MP_BPFTOOL} gen object ${generated}/${BPF_NAME}.o ${object}
    COMMAND ${MP_BPFTOOL} gen skeleton ${generated}/${BPF_NAME}.o name ${BPF_NAME} > ${generated}/${BPF_NAME}.skel.h
    DEPENDS ${object}
    COMMENT "BPF skeleton ${BPF_NAME}" VERBATIM)
  add_custom_target(${BPF_NAME}_skeleton DEPENDS ${generated}/${BPF_NAME}.skel.h)
  # clang-tidy reads what includes the skeleton, so it can be made without building the rest.
  if(NOT TARGET mp_generated)
    add_custom_target(mp_generated)
  endif()
  add_dependencies(mp_generated ${BPF_NAME}_skeleton)
endfunction()
