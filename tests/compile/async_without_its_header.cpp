// SPDX-License-Identifier: MIT
// A mailbox alone does not know coroutines; the message shows what is missing.
// expect: mailroom/mailbox/async.hpp
#ifdef WRONG
#include <mailroom/mailbox/mailbox.hpp>
#else
#include <mailroom/mailbox/async.hpp>
#endif

void wait(mailroom::mailbox<int>& box) {
  auto operation = box.async_pop();
  (void)operation;
}
