# SPDX-License-Identifier: MIT
# The list of headers is the architecture.
#   - a header includes only headers listed above it, and every header on disk is listed
#   - the machine and the operating system are reached through detail/ only
#   - the last one, the roof, reaches all others that a user may name
#   - whoever includes a queue parses nothing that waits, allocates strings or erases types
#   cmake -D HEADERS=a,b,c -D FROM=include -P floors.cmake
cmake_minimum_required(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/lines.cmake)
string(REPLACE "," ";" HEADERS "${HEADERS}")

set(seam mailroom/detail/platform.hpp)
set(threads_headers mutex shared_mutex condition_variable thread semaphore latch barrier future)
set(threads_names "std::(recursive_|shared_|timed_)*mutex|std::condition_variable|std::(j|this_)?thread")
set(queue_goes_without
    ${threads_headers} stop_token chrono functional string vector deque list map set unordered_map
    unordered_set iostream sstream regex filesystem)

# The waits of std::atomic have no deadline and may miss a store, so the seam must not offer them.
set(atomic_waits "std::atomic_(wait|notify)|value_[.](wait|notify)")

set(above "")
foreach(header IN LISTS HEADERS)
  if(NOT EXISTS "${FROM}/${header}")
    message(SEND_ERROR "${header} is listed but not on disk")
    continue()
  endif()
  set(reaches_${header} "")
  set(parses_${header} "") # what a user of this header gets from the standard library through us
  read_lines(lines "${FROM}/${header}")
  foreach(line IN LISTS lines)
    code_of(code "${line}")
    if(code MATCHES "^ *# *include <(mailroom/[^>]+)>")
      set(below ${CMAKE_MATCH_1})
      if(NOT below IN_LIST above)
        message(SEND_ERROR "${header} reaches up to ${below}")
      endif()
      list(APPEND parses_${header} ${parses_${below}})
      list(APPEND reaches_${header} ${below} ${reaches_${below}})
    elseif(code MATCHES "^ *# *include \"")
      message(SEND_ERROR "${header} includes a file by quotes: write <mailroom/...>")
    elseif(code MATCHES "^ *# *include <([^>]+)>")
      set(std ${CMAKE_MATCH_1})
      if(std STREQUAL "atomic" AND NOT header STREQUAL seam)
        message(SEND_ERROR "${header} includes <atomic>: only ${seam} may")
      endif()
      if(std IN_LIST threads_headers AND NOT header MATCHES "^mailroom/detail/")
        message(SEND_ERROR "${header} includes <${std}>: only detail/ may")
      endif()
      # What the seam includes where there is no futex is the price of such a platform.
      if(NOT header STREQUAL seam)
        list(APPEND parses_${header} ${std})
      endif()
    elseif(NOT header STREQUAL seam AND code MATCHES "std::atomic|std::memory_order")
      message(SEND_ERROR "${header} names std::atomic: only ${seam} may\n  ${line}")
    elseif(NOT header MATCHES "^mailroom/detail/" AND code MATCHES "${threads_names}")
      message(SEND_ERROR "${header} names a thread or a lock: only detail/ may\n  ${line}")
    elseif(header STREQUAL seam AND code MATCHES "${atomic_waits}")
      message(SEND_ERROR "${header} waits on a std::atomic: use the futex\n  ${line}")
    endif()
  endforeach()
  if(header MATCHES "^mailroom/queue/")
    foreach(std IN LISTS queue_goes_without)
      if(std IN_LIST parses_${header})
        message(SEND_ERROR "${header} makes its users parse <${std}>")
      endif()
    endforeach()
  endif()
  list(APPEND above ${header})
endforeach()

list(POP_BACK HEADERS roof)
foreach(header IN LISTS HEADERS)
  if(NOT header MATCHES "^mailroom/detail/" AND NOT header IN_LIST reaches_${roof})
    message(SEND_ERROR "${roof} does not reach ${header}")
  endif()
endforeach()
list(APPEND HEADERS ${roof})

file(GLOB_RECURSE on_disk RELATIVE "${FROM}" "${FROM}/*.h*")
foreach(header IN LISTS on_disk)
  if(NOT header IN_LIST HEADERS)
    message(SEND_ERROR "${header} is on disk but not in MAILROOM_HEADERS")
  endif()
endforeach()
