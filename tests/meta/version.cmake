# SPDX-License-Identifier: MIT
# The version that a program can ask for is the version of the project.
#   cmake -D VERSION=x.y.z -D FROM=include -P version.cmake
cmake_minimum_required(VERSION 3.25)
file(READ "${FROM}/mailroom/detail/config.hpp" config)
set(numbers "")
foreach(part MAJOR MINOR PATCH)
  string(REGEX MATCH "#define MAILROOM_VERSION_${part} ([0-9]+)" define "${config}")
  list(APPEND numbers "${CMAKE_MATCH_1}")
endforeach()
list(JOIN numbers "." macros)
if(NOT macros STREQUAL VERSION)
  message(SEND_ERROR "config.hpp says version ${macros}, CMakeLists.txt ${VERSION}")
endif()
