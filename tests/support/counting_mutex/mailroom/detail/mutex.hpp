// SPDX-License-Identifier: MIT
#ifndef MAILROOM_DETAIL_MUTEX_HPP
#define MAILROOM_DETAIL_MUTEX_HPP

// Stands in front of the header of the same name: a lock that counts how often it is taken, and
// lets a test do something while it is held.

#include <mailroom/detail/config.hpp>

#include <atomic>     // atomic
#include <functional> // function
#include <mutex>      // mutex, lock_guard
#include <utility>    // exchange

namespace mailroom::inline MAILROOM_ABI::detail {

using std::lock_guard;

class mutex {
public:
  /// How often any lock was taken.
  static inline std::atomic<int> taken{0};

  /// Is called once, by whoever takes a lock next, while it is held.
  static inline std::function<void()> while_held;

  void lock() {
    lock_.lock();
    taken.fetch_add(1);
    if (const auto now = std::exchange(while_held, nullptr)) now();
  }
  void unlock() { lock_.unlock(); }

private:
  std::mutex lock_;
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_DETAIL_MUTEX_HPP
