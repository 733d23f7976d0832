// SPDX-License-Identifier: MIT
// A push may be refused: whoever does not look at the answer loses messages.
// expect: unused-result
#include <mailroom/queue/spsc_queue.hpp>

#pragma GCC diagnostic error "-Wunused-result"

bool push(mailroom::spsc_queue<int>& queue) {
#ifdef WRONG
  queue.try_push(1);
  return true;
#else
  return queue.try_push(1) == mailroom::queue_status::success;
#endif
}
