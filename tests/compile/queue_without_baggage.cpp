// SPDX-License-Identifier: MIT
// Whoever includes a queue parses nothing that waits: neither our headers for it nor the standard
// library's, as far as libstdc++'s include guards tell.
// expect: a queue makes its users parse
#ifdef WRONG
#include <mailroom/mailbox/mailbox.hpp>
#endif
#include <mailroom/queue/broadcast_queue.hpp>
#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#if defined(MAILROOM_CORE_CLOCK_HPP) || defined(MAILROOM_DETAIL_MUTEX_HPP)
#error a queue makes its users parse headers of mailroom that it does not need
#endif

#if MAILROOM_DETAIL_FUTEX // elsewhere a condition variable stands in for the futex
#if defined(_GLIBCXX_CHRONO) || defined(_GLIBCXX_CONDITION_VARIABLE) || defined(_GLIBCXX_DEQUE) || \
    defined(_GLIBCXX_FUNCTIONAL) || defined(_GLIBCXX_MUTEX) || defined(_GLIBCXX_STOP_TOKEN) ||     \
    defined(_GLIBCXX_THREAD) || defined(_GLIBCXX_VECTOR)
#error a queue makes its users parse headers of the standard library that it does not need
#endif
#endif
