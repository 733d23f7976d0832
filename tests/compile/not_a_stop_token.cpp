// SPDX-License-Identifier: MIT
// What ends a wait is a stop token; a bool would be asked only once.
// expect: stoppable_token
#include <mailroom/mailbox/mailbox.hpp>

bool stopped(mailroom::mailbox<int>& box) {
#ifdef WRONG
  return !box.pop(true);
#else
  return !box.pop(mailroom::never_stop{});
#endif
}
