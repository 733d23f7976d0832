# SPDX-License-Identifier: MIT
# What the README says about speed is what was measured:
#   - the text between its lines <!-- figures: FILE --> and <!-- /figures --> is that of the part
#     "figures" of FILE, word for word, and names a machine;
#   - it shows a picture for each question, all pictures are there, and each names that machine.
#   cmake -D README=<README.md> [-D UPDATE=ON] -P figures.cmake
# With UPDATE it puts the figures there instead.
cmake_minimum_required(VERSION 3.25)
get_filename_component(README ${README} ABSOLUTE)
get_filename_component(root ${README} DIRECTORY)

# between(<variable> <text> <first line> <last line>): what stands between them, by position.
function(between out text first last)
  string(FIND "${text}" "${first}" from)
  string(FIND "${text}" "${last}" to)
  if(from EQUAL -1 OR to LESS from)
    message(FATAL_ERROR "There is no text between ${first} and ${last}")
  endif()
  string(LENGTH "${first}" skip)
  math(EXPR from "${from} + ${skip}")
  math(EXPR length "${to} - ${from}")
  string(SUBSTRING "${text}" ${from} ${length} part)
  set(${out} "${part}" PARENT_SCOPE)
endfunction()

file(READ ${README} text)
if(NOT text MATCHES "<!-- figures: ([^ ]+)\\.md -->")
  message(FATAL_ERROR "The README does not say which figures it shows")
endif()
set(results ${CMAKE_MATCH_1})
set(first "<!-- figures: ${results}.md -->")
set(last "<!-- /figures -->")
file(READ ${root}/${results}.md measured)
between(measured "${measured}" "<!-- figures -->" ${last})
between(written "${text}" ${first} ${last})

if(UPDATE)
  string(REPLACE "${first}${written}${last}" "${first}${measured}${last}" text "${text}")
  file(WRITE ${README} "${text}")
  return()
endif()

if(NOT written STREQUAL measured)
  message(SEND_ERROR "The figures in the README are not those of ${results}.md. To put them there:\n"
    "  cmake -D README=README.md -D UPDATE=ON -P tests/meta/figures.cmake")
endif()
if(NOT written MATCHES "atios hold, absolute numbers do not")
  message(SEND_ERROR "The README does not say what its figures are worth")
endif()
if(NOT written MATCHES "Measured on ([^;]+);")
  message(FATAL_ERROR "The README does not name the machine of its figures")
endif()
set(machine "${CMAKE_MATCH_1}")

string(REGEX MATCHALL "]\\([^ )]+\\.svg\\)" links "${text}")
string(REGEX REPLACE "]\\(([^ )]+)\\)" "\\1" shown "${links}")
file(GLOB pictures RELATIVE ${root} ${root}/${results}.*.svg)
foreach(picture IN LISTS pictures)
  if(NOT picture IN_LIST shown)
    message(SEND_ERROR "The README does not show ${picture}")
  endif()
endforeach()
foreach(picture IN LISTS shown)
  if(NOT EXISTS ${root}/${picture})
    message(SEND_ERROR "The README shows ${picture}, which is not there")
    continue()
  endif()
  file(READ ${root}/${picture} drawn)
  string(FIND "${drawn}" "${machine}" found)
  if(found EQUAL -1)
    message(SEND_ERROR "${picture} does not name the machine, ${machine}")
  endif()
endforeach()
