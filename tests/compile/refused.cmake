# SPDX-License-Identifier: MIT
# Compiles CASE twice: as it is, which must succeed in silence, and with WRONG defined, which must
# fail with a message that matches the line `// expect: <regular expression>` of the file.
#   cmake -D COMPILER=c++ -D CASE=x.cpp -D FLAGS=-a,-b -D INCLUDE=include -P refused.cmake
cmake_minimum_required(VERSION 3.25)
string(REPLACE "," ";" FLAGS "${FLAGS}")

file(STRINGS "${CASE}" expected REGEX "^// expect: ")
string(REPLACE "// expect: " "" expected "${expected}")
if(expected STREQUAL "")
  message(FATAL_ERROR "${CASE} does not say what it expects")
endif()

function(compile)
  execute_process(
    COMMAND ${COMPILER} ${FLAGS} -fsyntax-only -I ${INCLUDE} ${ARGN} ${CASE}
    RESULT_VARIABLE code OUTPUT_VARIABLE text ERROR_VARIABLE text)
  set(code "${code}" PARENT_SCOPE)
  set(text "${text}" PARENT_SCOPE)
endfunction()

compile()
if(NOT code EQUAL 0 OR NOT text STREQUAL "")
  message(FATAL_ERROR "The right use does not compile:\n${text}")
endif()
compile(-D WRONG)
if(code EQUAL 0)
  message(FATAL_ERROR "The wrong use compiles.")
endif()
if(NOT text MATCHES "${expected}")
  message(FATAL_ERROR "The wrong use is refused, but not with '${expected}':\n${text}")
endif()
