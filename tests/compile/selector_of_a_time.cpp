// SPDX-License-Identifier: MIT
// What a selector keeps are mailboxes; a time that has come once would come for ever.
// expect: a selector takes on_pop and on_push
#include <mailroom/mailbox/selector.hpp>

#include <chrono>

void fill(mailroom::selector& all, mailroom::mailbox<int>& box) {
#ifdef WRONG
  auto one = all.add(mailroom::after(std::chrono::seconds{1}));
#else
  auto one = all.add(mailroom::on_pop(box, [](int) {}));
#endif
  (void)one;
  (void)box;
}
