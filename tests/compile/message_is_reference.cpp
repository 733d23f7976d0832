// SPDX-License-Identifier: MIT
// A message is an object; who wants to send a reference sends a pointer.
// expect: is_object_v
#include <mailroom/queue/spsc_queue.hpp>

#ifdef WRONG
mailroom::spsc_queue<int&> queue{1};
#else
mailroom::spsc_queue<int*> queue{1};
#endif
