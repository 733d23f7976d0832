// SPDX-License-Identifier: MIT
#ifndef MAILROOM_CORE_WAIT_HPP
#define MAILROOM_CORE_WAIT_HPP

// How a thread waits in a mailbox. The policy is the third template parameter of mailbox.
//
// Use it       as it comes: park. A waiting thread then costs nothing.
// Instead use  spin when a core is yours and nothing but the answer matters: nobody ever makes a
//              system call, and a push need not look for sleepers;
//              yield when threads share cores and none may sleep.

namespace mailroom::inline v0::wait_policy {

struct spin {};  ///< looks again, with a pause between
struct yield {}; ///< looks a few times, then lets another thread run between looks
struct park {};  ///< looks a few times, then sleeps in the kernel until there is something to do

} // namespace mailroom::inline v0::wait_policy

#endif // MAILROOM_CORE_WAIT_HPP
