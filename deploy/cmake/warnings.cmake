# mp_warnings: what every room is compiled with. Third-party headers are system headers.
add_library(mp_warnings INTERFACE)
target_compile_options(mp_warnings INTERFACE
  -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Werror
  $<$<COMPILE_LANGUAGE:CXX>:-Wold-style-cast -Wnon-virtual-dtor>)

# mp_test_code: what tests call is as optimised as the product is; optimising the tests themselves would double the
# time their build takes.
add_library(mp_test_code INTERFACE)
target_compile_options(mp_test_code INTERFACE $<$<CONFIG:Release>:-O0>)

find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()
