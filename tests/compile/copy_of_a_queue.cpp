// SPDX-License-Identifier: MIT
// A queue is a place that threads know by its address: it is not copied.
// expect: deleted
#include <mailroom/queue/mpmc_queue.hpp>

mailroom::mpmc_queue<int> queue{1};
#ifdef WRONG
mailroom::mpmc_queue<int> other = queue;
#else
mailroom::mpmc_queue<int>& other = queue;
#endif
