// SPDX-License-Identifier: MIT
// A queue holds at least one message.
// expect: a queue needs a capacity of at least 1
#include <mailroom/queue/mpmc_ticket_queue.hpp>

#ifdef WRONG
mailroom::mpmc_ticket_queue<int, 0> queue;
#else
mailroom::mpmc_ticket_queue<int, 1> queue;
#endif
