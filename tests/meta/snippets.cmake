# SPDX-License-Identifier: MIT
# Every block of C++ in the README is a piece of an example that the build compiles and runs, and
# every block of CMake a piece of a consumer project that the tests build: word for word, but for
# the indentation.
#   cmake -D README=README.md -D EXAMPLES=examples -D PACKAGES=tests/package -P snippets.cmake
cmake_minimum_required(VERSION 3.25)

# read_flat(<variable> <file>...): all files in one text whose lines begin at the margin.
function(read_flat out)
  set(all "")
  foreach(file IN LISTS ARGN)
    file(READ "${file}" text)
    string(APPEND all "\n${text}\n")
  endforeach()
  string(REGEX REPLACE "\n +" "\n" all "${all}")
  set(${out} "${all}" PARENT_SCOPE)
endfunction()

# check_blocks(<language> <files>...)
function(check_blocks language)
  read_flat(source ${ARGN})
  read_flat(rest "${README}")
  set(open "\n```${language}\n")
  string(LENGTH "${open}" skip)
  while(TRUE)
    string(FIND "${rest}" "${open}" start)
    if(start EQUAL -1)
      break()
    endif()
    math(EXPR start "${start} + ${skip}")
    string(SUBSTRING "${rest}" ${start} -1 rest)
    string(FIND "${rest}" "\n```" end)
    string(SUBSTRING "${rest}" 0 ${end} block)
    string(FIND "${source}" "\n${block}\n" found)
    if(found EQUAL -1)
      message(SEND_ERROR "This block of the README stands in no file that is built:\n${block}")
    endif()
    string(SUBSTRING "${rest}" ${end} -1 rest)
  endwhile()
endfunction()

file(GLOB_RECURSE examples "${EXAMPLES}/*.cpp" "${EXAMPLES}/*.hpp")
file(GLOB packages "${PACKAGES}/*/CMakeLists.txt")
check_blocks(cpp ${examples})
check_blocks(cmake ${packages})
