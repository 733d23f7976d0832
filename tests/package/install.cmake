# SPDX-License-Identifier: MIT
# Installs the library, moves it to PREFIX, and looks whether it is all there and nothing else.
#   cmake -D BUILD=build/dev -D PREFIX=folder -D HEADERS=a,b,c -P install.cmake
cmake_minimum_required(VERSION 3.25)
file(REMOVE_RECURSE ${PREFIX} ${PREFIX}.before)
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${PREFIX}.before
                COMMAND_ERROR_IS_FATAL ANY)
file(RENAME ${PREFIX}.before ${PREFIX})

string(REPLACE "," ";" expected "${HEADERS}")
list(TRANSFORM expected PREPEND include/)
foreach(name mailroom-config.cmake mailroom-config-version.cmake mailroom-targets.cmake)
  list(APPEND expected share/cmake/mailroom/${name})
endforeach()
list(APPEND expected share/pkgconfig/mailroom.pc)

file(GLOB_RECURSE installed RELATIVE ${PREFIX} ${PREFIX}/*)
list(SORT expected)
list(SORT installed)
if(NOT installed STREQUAL expected)
  message(FATAL_ERROR "installed:\n  ${installed}\nexpected:\n  ${expected}")
endif()
