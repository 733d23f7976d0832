# SPDX-License-Identifier: MIT
# The instructions for a push and a pop are those in the table, or no more than 3 % away.
#   cmake -D VALGRIND=... -D PROGRAM=... -D QUEUE=... -D COMPILER=... -D TABLE=...
#         [-D INSIDE=<function>] -P check.cmake
# With INSIDE only what happens inside of that function is counted.
# They are counted for a hundred pushes and pops, so that there is no fraction. The count is exact;
# 3 % is for what another version of the same compiler may change.
cmake_minimum_required(VERSION 3.25)

if(NOT VALGRIND)
  message("mailroom: nothing to compare with: valgrind is not installed")
  return()
endif()

set(options --tool=callgrind --callgrind-out-file=/dev/null)
if(INSIDE)
  list(APPEND options --toggle-collect=*${INSIDE}*)
endif()

# collected(<variable> <way> <count>): the instructions of a whole run.
function(collected out way count)
  execute_process(
    COMMAND ${VALGRIND} ${options} ${PROGRAM} ${way} ${count}
    RESULT_VARIABLE status ERROR_VARIABLE text OUTPUT_QUIET)
  if(NOT status EQUAL 0 OR NOT text MATCHES "Collected *: *([0-9]+)")
    message(FATAL_ERROR "mailroom: callgrind has failed: ${status} ${text}")
  endif()
  set(${out} ${CMAKE_MATCH_1} PARENT_SCOPE)
endfunction()

execute_process(COMMAND ${PROGRAM} OUTPUT_VARIABLE ways COMMAND_ERROR_IS_FATAL ANY)
file(STRINGS ${TABLE} rows REGEX "^${COMPILER} ")
if(NOT rows) # a compiler that nobody has counted with; else every queue has its rows
  message("mailroom: nothing to compare with for ${COMPILER}. The lines for ${TABLE} are:")
endif()
foreach(way IN LISTS ways)
  collected(few ${way} 1000)
  collected(many ${way} 11000)
  math(EXPR counted "(${many} - ${few}) / 100")

  set(expected "")
  foreach(row IN LISTS rows)
    if(row MATCHES "^${COMPILER} ${QUEUE} ${way} ([0-9]+)$")
      set(expected ${CMAKE_MATCH_1})
    endif()
  endforeach()
  if(NOT rows)
    message("${COMPILER} ${QUEUE} ${way} ${counted}")
    continue()
  elseif(expected STREQUAL "")
    message(SEND_ERROR "mailroom: a line is missing in ${TABLE}. If the count is as it should be, "
      "it is:\n  ${COMPILER} ${QUEUE} ${way} ${counted}")
    continue()
  endif()
  math(EXPR away "100 * (${counted} - ${expected})")
  math(EXPR allowed "3 * ${expected}")
  if(away GREATER allowed OR away LESS -${allowed})
    message(SEND_ERROR "mailroom: more than 3 % away from the table.\n"
      "${QUEUE}, ${way}: 100 pushes and pops take ${counted} instructions, and ${expected} by "
      "${TABLE}. If that is meant, the line is:\n  ${COMPILER} ${QUEUE} ${way} ${counted}")
  else()
    message("${QUEUE}, ${way}: ${counted} instructions for 100 pushes and pops; table: ${expected}")
  endif()
endforeach()
