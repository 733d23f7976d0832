# SPDX-License-Identifier: MIT
# A project without CMake: one compiler call with what pkg-config says.
#   cmake -D COMPILER=c++ -D PREFIX=folder -D PKG_CONFIG=pkg-config -D BUILD=folder -P pkg_config.cmake
cmake_minimum_required(VERSION 3.25)
set(ENV{PKG_CONFIG_PATH} ${PREFIX}/share/pkgconfig)
execute_process(COMMAND ${PKG_CONFIG} --cflags --libs mailroom
                OUTPUT_VARIABLE flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
if(NOT flags MATCHES "^-I[^ ]+ -pthread *(-pthread)?$")
  message(FATAL_ERROR "more than an include path and threads: ${flags}")
endif()
separate_arguments(flags UNIX_COMMAND "${flags}")
execute_process(COMMAND ${COMPILER} -std=c++20 ${CMAKE_CURRENT_LIST_DIR}/consumer.cpp ${flags}
                        -o ${BUILD}/pkg_config_consumer COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${BUILD}/pkg_config_consumer COMMAND_ERROR_IS_FATAL ANY)
