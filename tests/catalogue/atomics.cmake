# SPDX-License-Identifier: MIT
# No program calls a library for its atomics: that would be a lock.
#   cmake -D NM=nm -D PROGRAMS=a,b -P atomics.cmake
cmake_minimum_required(VERSION 3.25)
string(REPLACE "," ";" PROGRAMS "${PROGRAMS}")
foreach(program IN LISTS PROGRAMS)
  execute_process(COMMAND ${NM} -u ${program} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  if(NOT symbols MATCHES " U ")
    message(SEND_ERROR "nm says nothing about ${program}")
  endif()
  string(REGEX MATCHALL "__(atomic|sync)_[a-z0-9_]+" calls "${symbols}")
  if(calls)
    message(SEND_ERROR "${program} calls ${calls}")
  endif()
endforeach()
