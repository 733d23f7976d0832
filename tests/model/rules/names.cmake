# SPDX-License-Identifier: MIT
# The tests that README names for a rule are those that bear it.
#   cmake -D README=tests/model/README.md -D TESTS=tests/unit/mailbox -P names.cmake
cmake_minimum_required(VERSION 3.25)
set(rule "\"[a-z_]+: W[1-6]: [^\"]+\"")

function(names_in variable)
  set(names "")
  foreach(file IN LISTS ARGN)
    file(READ "${file}" text)
    string(REPLACE ";" "," text "${text}")
    string(REGEX REPLACE "\"[ \n]+\"" "" text "${text}")
    string(REGEX MATCHALL "TEST_CASE[(]${rule}|\n- ${rule}" found "${text}")
    foreach(one IN LISTS found)
      string(REGEX MATCH "${rule}" name "${one}")
      list(APPEND names "${name}")
    endforeach()
  endforeach()
  list(SORT names)
  set(${variable} "${names}" PARENT_SCOPE)
endfunction()

file(GLOB files "${TESTS}/*.test.cpp")
names_in(written ${files})
names_in(named "${README}")
if(named STREQUAL "" OR NOT named STREQUAL written)
  message(FATAL_ERROR "mailroom: ${README} names ${named}, and the tests are ${written}")
endif()
