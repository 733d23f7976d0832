# SPDX-License-Identifier: MIT
# A table in a README is the one that the program prints.
#   cmake -D PROGRAM=<program> -D TABLE=progress -D README=<README.md> -P table.cmake
execute_process(COMMAND ${PROGRAM} --table
  OUTPUT_VARIABLE printed RESULT_VARIABLE status ERROR_VARIABLE errors)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "mailroom: ${PROGRAM} --table has failed: ${status} ${errors}")
endif()

file(READ ${README} text)
set(begin "<!-- ${TABLE} table -->")
set(end "<!-- /${TABLE} table -->")
string(FIND "${text}" "${begin}" from)
string(FIND "${text}" "${end}" to)
if(from EQUAL -1 OR to EQUAL -1 OR to LESS from)
  message(FATAL_ERROR "mailroom: ${README} has no lines '${begin}' and '${end}' with the ${TABLE} "
    "table between them. The table is:\n${printed}")
endif()
string(LENGTH "${begin}" skip)
math(EXPR from "${from} + ${skip}")
math(EXPR length "${to} - ${from}")
string(SUBSTRING "${text}" ${from} ${length} written)

string(STRIP "${written}" written)
string(STRIP "${printed}" printed)
if(NOT written STREQUAL printed)
  message(FATAL_ERROR "mailroom: the ${TABLE} table in ${README} is not what the program prints. "
    "Put this between the markers:\n${printed}")
endif()
