// SPDX-License-Identifier: MIT
#ifndef MAILROOM_DETAIL_PLATFORM_HPP
#define MAILROOM_DETAIL_PLATFORM_HPP

// The seam, for threads that may stand still: this file stands before the shipped one on the include
// path, and every step that the library takes through it passes a point at which the stage can stop
// the thread. The names and what they promise are those of include/mailroom/detail/platform.hpp.
//
// The atomics are the real ones. The futex is the stage's, which knows its sleepers.

#include <mailroom/detail/config.hpp>

#include "../../../stage.hpp"

#include <atomic>  // atomic, memory_order
#include <chrono>  // nanoseconds, steady_clock
#include <cstddef> // size_t
#include <cstdint> // int64_t, uint32_t
#include <limits>  // numeric_limits
#include <memory>  // addressof, construct_at, destroy_at
#include <thread>  // this_thread
#include <utility> // forward

namespace mailroom::inline MAILROOM_ABI::detail {

using std::memory_order;
using test::suspension_point;

// ---- Atomics

template <class T>
class atomic {
public:
  constexpr atomic() noexcept : value_{T{}} {}
  constexpr explicit atomic(T value) noexcept : value_{value} {}
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;
  ~atomic() = default;

  T load(memory_order order, const char* path = __builtin_FILE()) const noexcept {
    suspension_point("load", path);
    return value_.load(order);
  }
  void store(T value, memory_order order, const char* path = __builtin_FILE()) noexcept {
    suspension_point("store", path);
    value_.store(value, order);
  }
  T exchange(T value, memory_order order, const char* path = __builtin_FILE()) noexcept {
    suspension_point("exchange", path);
    return value_.exchange(value, order);
  }
  T fetch_add(T value, memory_order order, const char* path = __builtin_FILE()) noexcept {
    suspension_point("fetch_add", path);
    return value_.fetch_add(value, order);
  }
  T fetch_sub(T value, memory_order order, const char* path = __builtin_FILE()) noexcept {
    suspension_point("fetch_sub", path);
    return value_.fetch_sub(value, order);
  }
  bool compare_exchange(T& expected, T desired, memory_order success, memory_order failure,
                        const char* path = __builtin_FILE()) noexcept {
    suspension_point("compare_exchange", path);
    return value_.compare_exchange_strong(expected, desired, success, failure);
  }

  /// For the futex, which looks without being a step.
  T peek() const noexcept { return value_.load(memory_order::seq_cst); }

private:
  std::atomic<T> value_;
};

/// As the shipped one under the thread sanitizer, which knows no fences.
inline std::atomic<unsigned> fence_word{0};
inline void fence(memory_order, const char* path = __builtin_FILE()) noexcept {
  suspension_point("fence", path);
  fence_word.fetch_add(0, memory_order::seq_cst);
}

inline void compiler_fence() noexcept {}
inline bool can_fence_all_threads() noexcept { return false; }
inline void fence_all_threads() noexcept {}

// ---- Room for one message

template <class T>
class cell {
public:
  cell() noexcept {} // NOLINT(modernize-use-equals-default)
  cell(const cell&) = delete;
  cell& operator=(const cell&) = delete;
  ~cell() {} // NOLINT(modernize-use-equals-default)

  template <class... Args>
  void construct(Args&&... args) {
    suspension_point("construct");
    std::construct_at(std::addressof(value_), std::forward<Args>(args)...);
  }
  T& value() noexcept { return value_; }
  T* place() noexcept { return std::addressof(value_); }
  const T& value() const noexcept { return value_; }
  void destroy(const char* path = __builtin_FILE()) noexcept {
    suspension_point("destroy", path);
    std::destroy_at(std::addressof(value_));
  }

private:
  union {
    T value_;
  };
};

// ---- Waiting

inline void hesitate(int) noexcept {}
inline void relax() noexcept {}

/// Gives the core away now and then: on a busy machine it may be long until it comes back, and whoever
/// goes round in circles here does so some thousand times.
inline void yield(const char* path = __builtin_FILE()) noexcept {
  thread_local unsigned calls = 0;
  suspension_point("yield", path);
  if (++calls % 64 == 0) std::this_thread::yield();
}

inline void prefetch_for_write(const void*) noexcept {}

using nanoseconds = std::int64_t;
inline constexpr nanoseconds never = std::numeric_limits<nanoseconds>::max();
inline nanoseconds now() noexcept {
  const auto time = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
}

struct futex {
  atomic<std::uint32_t> word;
  test::dormitory sleepers;
};
inline bool futex_wait(futex& place, std::uint32_t expected, nanoseconds deadline,
                       const char* path = __builtin_FILE()) {
  suspension_point("sleep", path);
  return place.sleepers.sleep([&] { return place.word.peek() == expected; },
                              deadline == never ? test::dormitory::no_end : deadline - now());
}
inline void futex_wake_one(futex& place, const char* path = __builtin_FILE()) {
  suspension_point("wake", path);
  place.sleepers.wake(1);
}
inline void futex_wake_all(futex& place, const char* path = __builtin_FILE()) {
  suspension_point("wake", path);
  place.sleepers.wake(std::numeric_limits<std::size_t>::max());
}

class descriptor {
public:
  using native_type = int;
  static constexpr bool is_supported = false;

  static constexpr bool is_open() noexcept { return false; }
  static constexpr void raise() noexcept {}
  static constexpr void lower() noexcept {}
};

// ---- Numbers that suit a machine; here, small ones that keep every path

inline constexpr std::size_t line_bytes = 16;    // two numbers and their end: calls cross lines
inline constexpr std::uint32_t longest_spin = 2; // one look or two
inline constexpr std::uint32_t shortest_spin = 2;
inline constexpr int looks_per_clock = 1;
inline constexpr std::size_t reader_stripes = 2;
inline constexpr std::size_t block_bytes = 0;
inline constexpr std::size_t least_block_slots = 2;
inline constexpr std::size_t spare_blocks = 2;
inline constexpr std::uint64_t positions_per_hint = 8;
inline constexpr int looks_at_slot = 1;
inline constexpr int pauses_after_loss = 1;
inline constexpr std::size_t cursors_together = 2;

// ---- What a thread is

struct handler_frame;
inline thread_local handler_frame* innermost_handler = nullptr;

/// All begin their searches at the same place, so that everybody meets.
inline std::size_t stack_hint(std::uint32_t) noexcept { return 0; }

/// Lots are always drawn alike.
inline std::uint64_t random_seed() noexcept { return 0; }

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_DETAIL_PLATFORM_HPP
