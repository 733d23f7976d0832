// SPDX-License-Identifier: MIT
// A token that can only be asked never stops a coroutine, for nobody asks it.
// expect: needs a token that calls back
#include <mailroom/mailbox/async.hpp>

struct asked {
  bool stop_requested() const noexcept { return false; }
  bool stop_possible() const noexcept { return true; }
};

void wait(mailroom::mailbox<int>& box) {
#ifdef WRONG
  auto operation = box.async_pop(asked{});
#else
  auto operation = box.async_pop(mailroom::never_stop{});
#endif
  (void)operation;
}
