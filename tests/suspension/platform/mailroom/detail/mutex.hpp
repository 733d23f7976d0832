// SPDX-License-Identifier: MIT
#ifndef MAILROOM_DETAIL_MUTEX_HPP
#define MAILROOM_DETAIL_MUTEX_HPP

// The lock of the rare paths, for threads that may stand still: before it is taken, while it is
// held, and before it is given back. Who waits for it sleeps where the stage sees it.

#include <mailroom/detail/platform.hpp>

#include <atomic> // atomic

namespace mailroom::inline MAILROOM_ABI::detail {

class mutex {
public:
  void lock(const char* path = __builtin_FILE()) {
    suspension_point("lock", path);
    while (held_.exchange(true)) {
      (void)waiting_.sleep([this] { return held_.load(); }, test::dormitory::no_end);
    }
  }
  void unlock(const char* path = __builtin_FILE()) {
    suspension_point("unlock", path);
    held_.store(false);
    waiting_.wake(1);
  }

private:
  std::atomic<bool> held_{false};
  test::dormitory waiting_;
};

class lock_guard {
public:
  explicit lock_guard(mutex& held, const char* path = __builtin_FILE()) : held_{held}, path_{path} {
    held_.lock(path_);
  }
  lock_guard(const lock_guard&) = delete;
  lock_guard& operator=(const lock_guard&) = delete;
  ~lock_guard() { held_.unlock(path_); }

private:
  mutex& held_;
  const char* path_;
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_DETAIL_MUTEX_HPP
