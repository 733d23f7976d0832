// SPDX-License-Identifier: MIT
// A push that stays in a selector needs somebody who brings the next message.
// expect: a push in a selector needs a handler
#include <mailroom/mailbox/selector.hpp>

void fill(mailroom::selector& all, mailroom::mailbox<int>& box, int& next) {
#ifdef WRONG
  auto one = all.add(mailroom::on_push(box, next));
#else
  auto one = all.add(mailroom::on_push(box, next, [&] { ++next; }));
#endif
  (void)one;
}
