// SPDX-License-Identifier: MIT
#ifndef MAILROOM_DETAIL_MUTEX_HPP
#define MAILROOM_DETAIL_MUTEX_HPP

// The lock of the rare paths: subscribing, cancelling, naming a topic for the first time, and
// waiting in a list.
//
// Nothing that pushes, pops or publishes to a known topic takes it, but to wake a select or a
// coroutine. It stands here, and not where it is used, so that the tests can put their own in its
// place.

#include <mailroom/detail/config.hpp>

#include <mutex> // mutex, lock_guard

namespace mailroom::inline MAILROOM_ABI::detail {

using std::lock_guard;
using std::mutex;

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_DETAIL_MUTEX_HPP
