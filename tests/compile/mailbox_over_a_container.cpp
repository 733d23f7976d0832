// SPDX-License-Identifier: MIT
// A container is not a queue: threads would race in it.
// expect: a mailbox needs a queue of mailroom's kind
#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <deque>

#ifdef WRONG
mailroom::mailbox<int, std::deque<int>> box{1};
#else
mailroom::mailbox<int, mailroom::spsc_queue<int>> box{1};
#endif
