// SPDX-License-Identifier: MIT
#ifndef MAILROOM_DETAIL_MUTEX_HPP
#define MAILROOM_DETAIL_MUTEX_HPP

// The lock of the rare paths, as the model checker sees it.

#include <mailroom/detail/config.hpp>

#include "../../../engine/engine.hpp"

#include <source_location> // source_location

namespace mailroom::inline MAILROOM_ABI::detail {

class mutex {
public:
  void lock(std::source_location at = std::source_location::current()) noexcept { word_.lock(at); }
  void unlock() noexcept { word_.unlock(); }

private:
  model::lock_word word_;
};

class lock_guard {
public:
  explicit lock_guard(mutex& held,
                      std::source_location at = std::source_location::current()) noexcept
      : held_{held} {
    held_.lock(at);
  }
  lock_guard(const lock_guard&) = delete;
  lock_guard& operator=(const lock_guard&) = delete;
  ~lock_guard() { held_.unlock(); }

private:
  mutex& held_;
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_DETAIL_MUTEX_HPP
