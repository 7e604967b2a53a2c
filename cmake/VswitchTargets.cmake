# SPDX-License-Identifier: Apache-2.0
# House functions: every target is made by one of these, so that warnings, sanitizers and include paths are the
# same everywhere and a folder's CMakeLists.txt says only what it is made of.

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

function(vswitch_target_settings name)
  # Headers are included as "folder/header.h" from the top of the tree, so a line shows which layer it reaches into.
  target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}")
  target_compile_definitions(${name} PRIVATE
    _GNU_SOURCE
    VSWITCH_VERSION="${PROJECT_VERSION}"
    VSWITCH_RUNTIME_DIR="${VSWITCH_RUNTIME_DIR}"
    VSWITCH_STATE_DIR="${VSWITCH_STATE_DIR}"
    VSWITCH_CONFIG_FILE="${VSWITCH_CONFIG_FILE}")
  target_compile_options(${name} PRIVATE
    -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wno-unused-parameter
    -Wno-format-truncation -fno-strict-aliasing)
  if(VSWITCH_WERROR)
    target_compile_options(${name} PRIVATE -Werror)
  endif()
  if(VSWITCH_SANITIZE)
    target_compile_options(${name} PRIVATE -fsanitize=address,undefined -fno-sanitize-recover=undefined
      -fno-omit-frame-pointer)
    target_link_options(${name} PRIVATE -fsanitize=address,undefined)
  endif()
endfunction()

# vswitch_library(NAME SOURCES a.c b.c [LINKS targets...]): a static library for use inside the tree.
function(vswitch_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  vswitch_target_settings(${name})
  target_link_libraries(${name} PUBLIC ${ARG_LINKS})
endfunction()

# vswitch_executable(NAME SOURCES a.c [LINKS targets...] [DESTINATION dir]): a program; installed with DESTINATION.
function(vswitch_executable name)
  cmake_parse_arguments(ARG "" "DESTINATION" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  vswitch_target_settings(${name})
  target_link_libraries(${name} PRIVATE ${ARG_LINKS})
  if(ARG_DESTINATION)
    install(TARGETS ${name} RUNTIME DESTINATION ${ARG_DESTINATION})
  endif()
endfunction()

# vswitch_test(NAME SOURCES a.c [LINKS targets...] [LABELS labels...]): a Check program run by ctest.
function(vswitch_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  vswitch_target_settings(${name})
  target_link_libraries(${name} PRIVATE ${ARG_LINKS} PkgConfig::CHECK)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 120 SKIP_RETURN_CODE 77)
  if(ARG_LABELS)
    set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}")
  endif()
endfunction()
