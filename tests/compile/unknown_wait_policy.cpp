// SPDX-License-Identifier: MIT
// A wait policy that the mailbox does not know is an error, not a default.
// expect: the wait policy is none of
#include <mailroom/mailbox/mailbox.hpp>

using queue = mailroom::mpmc_queue<int>;
#ifdef WRONG
mailroom::mailbox<int, queue, int> box{1};
#else
mailroom::mailbox<int, queue, mailroom::wait_policy::yield> box{1};
#endif
