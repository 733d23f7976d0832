// SPDX-License-Identifier: MIT
// A queue holds at least one message.
// expect: a queue needs a capacity of at least 1
#include <mailroom/queue/spsc_queue.hpp>

#ifdef WRONG
mailroom::spsc_queue<int, 0> queue;
#else
mailroom::spsc_queue<int, 1> queue;
#endif
