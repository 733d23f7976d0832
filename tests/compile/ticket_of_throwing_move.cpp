// SPDX-License-Identifier: MIT
// A move that throws between taking a position and giving it on would stop mpmc_ticket_queue.
// expect: mpmc_ticket_queue needs a message whose move cannot throw
#include <mailroom/queue/mpmc_ticket_queue.hpp>

struct moved {
#ifdef WRONG
  moved(moved&&) noexcept(false) {}
#else
  moved(moved&&) noexcept {}
#endif
};

mailroom::mpmc_ticket_queue<moved, 4> queue;
