# SPDX-License-Identifier: MIT
# read_lines(<list> <file>): the lines of a file as a list, without what CMake's lists cannot hold.
# Brackets, semicolons and backslashes become look-alikes that no rule asks about; the number of
# lines and of columns stays.
function(read_lines out file)
  file(READ "${file}" text)
  string(REGEX REPLACE "\n$" "" text "${text}")
  string(REPLACE "\\" "|" text "${text}")
  string(REPLACE "[" "(" text "${text}")
  string(REPLACE "]" ")" text "${text}")
  string(REPLACE ";" "," text "${text}")
  string(REPLACE "\n" ";" text "${text}")
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

# code_of(<variable> <line>): the line without its comment and without what stands in quotes.
function(code_of out line)
  string(REGEX REPLACE "\"[^\"]*\"" "\"\"" line "${line}")
  string(REGEX REPLACE "//.*" "" line "${line}")
  set(${out} "${line}" PARENT_SCOPE)
endfunction()
