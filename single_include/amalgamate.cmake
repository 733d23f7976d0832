# SPDX-License-Identifier: MIT
cmake_minimum_required(VERSION 3.25)
# Joins the headers into one. HEADERS is ordered from the ground up, so to join them is to write one
# after the other without their includes of each other. The include guards stay: the single header
# can then meet the split ones in one program, and in one file.
#   cmake -D HEADERS=a,b,c -D VERSION=x.y.z -D FROM=include -D TO=out.hpp -P amalgamate.cmake
string(REPLACE "," ";" HEADERS "${HEADERS}")
set(single "// SPDX-License-Identifier: MIT
// mailroom ${VERSION} in one header, generated from include/ by single_include/amalgamate.cmake.
// Do not edit it: edit there, then build the target mailroom.amalgamate.
")
foreach(header IN LISTS HEADERS)
  file(READ "${FROM}/${header}" text)
  string(REGEX REPLACE "// SPDX-License-Identifier:[^\n]*\n" "" text "${text}")
  string(REGEX REPLACE "#include <mailroom/[^\n]*\n" "" text "${text}")
  string(APPEND single "\n// ---- <${header}>\n\n${text}")
endforeach()
string(REGEX REPLACE "\n\n\n+" "\n\n" single "${single}") # what the removed includes leave behind
file(WRITE "${TO}" "${single}")
