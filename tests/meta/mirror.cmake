# SPDX-License-Identifier: MIT
# Tests mirror headers: each header from core/ up has tests/unit/<floor>/<header>.test.cpp, and each
# such file has its header. detail/ is tested where a part of it has behaviour of its own.
#   cmake -D HEADERS=a,b,c -D TESTS=tests -P mirror.cmake
cmake_minimum_required(VERSION 3.25)
string(REPLACE "," ";" HEADERS "${HEADERS}")

set(without_test
    core/wait         # only names; mailbox gives them their meaning
    mailbox/options   # the same
    mailbox/mailbox_access # what select and async use, which test it
    mailbox/selection # the inside of select, which tests it
    mailbox/rotation # the inside of selector, which tests it
    topic/patience    # the words that are tested with them
    topic/delivery    # the words of subscription and dispatcher, which test them
    topic/handler_gate topic/subscriber topic/queued_subscriber topic/direct_subscriber # their inside
    topic/destinations) # the inside of dispatcher, which tests it
set(without_header
    queue/mpmc_queue_handles # the other half of mpmc_queue.test.cpp
    mailbox/no_lock          # a claim about the whole floor
    topic/no_lock)           # the same

file(GLOB_RECURSE tests RELATIVE "${TESTS}/unit" "${TESTS}/unit/*.test.cpp")
list(TRANSFORM tests REPLACE "[.]test[.]cpp$" "")

foreach(header IN LISTS HEADERS)
  string(REGEX REPLACE "^mailroom/(.*)[.]hpp$" "\\1" name ${header})
  if(name MATCHES "^(core|queue|mailbox|topic)/" AND NOT name IN_LIST tests
     AND NOT name IN_LIST without_test)
    message(SEND_ERROR "${header} has no test: write tests/unit/${name}.test.cpp")
  endif()
endforeach()

foreach(name IN LISTS tests)
  if(NOT mailroom/${name}.hpp IN_LIST HEADERS AND NOT name IN_LIST without_header)
    message(SEND_ERROR "tests/unit/${name}.test.cpp tests no header: there is no mailroom/${name}.hpp")
  endif()
endforeach()
