// SPDX-License-Identifier: MIT
// A registration that is thrown away is cancelled at once.
// expect: nodiscard
#include <mailroom/mailbox/selector.hpp>

void fill(mailroom::selector& all, mailroom::mailbox<int>& box) {
#ifdef WRONG
  all.add(mailroom::on_pop(box, [](int) {}));
#else
  (void)all.add(mailroom::on_pop(box, [](int) {}));
#endif
}
