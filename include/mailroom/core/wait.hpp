// SPDX-License-Identifier: MIT
#ifndef MAILROOM_CORE_WAIT_HPP
#define MAILROOM_CORE_WAIT_HPP

// How a thread waits in a mailbox. The policy is the third template parameter of mailbox.
//
// Use it       as it comes: park. A waiting thread then costs nothing.
// Instead use  spin when a core is yours and nothing but the answer matters: nobody ever makes a
//              system call, and a push need not look for sleepers;
//              yield when threads share cores and none may sleep;
//              park_fenced where cores are kept free of interrupts.

#include <mailroom/detail/config.hpp>

namespace mailroom::inline MAILROOM_ABI::wait_policy {

struct spin {};  ///< looks again, with a pause between
struct yield {}; ///< looks a few times, then lets another thread run between looks
struct park {};  ///< looks a few times, then sleeps in the kernel until there is something to do

/// As park, but never interrupts another core. Over spsc_queue, park lets who goes to sleep pass a
/// fence for all threads (membarrier), which costs a core that is in the middle of something
/// else a microsecond; here every push and pop passes one for itself.
struct park_fenced {};

} // namespace mailroom::inline MAILROOM_ABI::wait_policy

#endif // MAILROOM_CORE_WAIT_HPP
