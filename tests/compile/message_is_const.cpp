// SPDX-License-Identifier: MIT
// A message is moved out of its slot, so it cannot be const.
// expect: is_const_v
#include <mailroom/queue/spsc_queue.hpp>

#ifdef WRONG
mailroom::spsc_queue<const int> queue{1};
#else
mailroom::spsc_queue<int> queue{1};
#endif
