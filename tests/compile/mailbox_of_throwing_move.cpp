// SPDX-License-Identifier: MIT
// What waits in a mailbox must not get lost on its way out.
// expect: a mailbox needs a message whose move cannot throw
#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/queue/spsc_queue.hpp>

struct moved {
#ifdef WRONG
  moved(moved&&) noexcept(false) {}
#else
  moved(moved&&) noexcept {}
#endif
};

mailroom::mailbox<moved, mailroom::spsc_queue<moved>> box{1};
