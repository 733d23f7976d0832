// SPDX-License-Identifier: MIT
#ifndef MAILROOM_DETAIL_PLATFORM_HPP
#define MAILROOM_DETAIL_PLATFORM_HPP

// The seam, as the model checker wants it: this file stands before the shipped one on the include
// path, and every step that the library takes through it is a step of the checker. The names and
// what they promise are those of include/mailroom/detail/platform.hpp.

#include <mailroom/detail/config.hpp>

#include "../../../engine/engine.hpp"

#include <cstddef>         // size_t
#include <cstdint>         // int64_t, uint32_t, uint64_t
#include <cstring>         // memcpy
#include <limits>          // numeric_limits
#include <memory>          // addressof, construct_at, destroy_at
#include <source_location> // source_location
#include <type_traits>     // is_trivially_copyable
#include <utility>         // forward

namespace mailroom::inline MAILROOM_ABI::detail {

using std::memory_order;
using code_place = std::source_location;

template <class T>
class atomic {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(std::uint64_t));

public:
  atomic() noexcept : word_{encode(T{})} {}
  explicit atomic(T value) noexcept : word_{encode(value)} {}
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;
  ~atomic() = default;

  T load(memory_order order, code_place at = code_place::current()) const noexcept {
    return decode(word_.load(order, at));
  }
  void store(T value, memory_order order, code_place at = code_place::current()) noexcept {
    word_.store(encode(value), order, at);
  }
  T exchange(T value, memory_order order, code_place at = code_place::current()) noexcept {
    return decode(word_.exchange(encode(value), order, at));
  }
  T fetch_add(T value, memory_order order, code_place at = code_place::current()) noexcept {
    return decode(word_.fetch_add(encode(value), encode(static_cast<T>(-1)), order, at));
  }
  T fetch_sub(T value, memory_order order, code_place at = code_place::current()) noexcept {
    return fetch_add(static_cast<T>(0 - value), order, at);
  }
  bool compare_exchange(T& expected, T desired, memory_order success, memory_order failure,
                        code_place at = code_place::current()) noexcept {
    std::uint64_t seen = encode(expected);
    const bool done = word_.compare_exchange(seen, encode(desired), success, failure, at);
    expected = decode(seen);
    return done;
  }

  model::word& inside() noexcept { return word_; }

private:
  static std::uint64_t encode(T value) noexcept {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    return bits;
  }
  static T decode(std::uint64_t bits) noexcept {
    T value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }

  model::word word_;
};

inline void fence(memory_order order, code_place at = code_place::current()) noexcept {
  model::fence(order, at);
}

/// Whether the kernel offers a fence for all threads. It depends on every other step, so few scenarios
/// are small enough for it.
inline bool kernel_has_fence_for_all = false;
inline bool can_fence_all_threads() noexcept { return kernel_has_fence_for_all; }
inline void fence_all_threads(code_place at = code_place::current()) noexcept {
  model::fence_all(at);
}
inline void compiler_fence() noexcept {}

/// Room for one T. Whoever asks for the T is taken to change it, unless through a constant cell; a T
/// that lives at the end, one that is not there, or one made over another is an error.
template <class T>
class cell {
public:
  cell() noexcept {} // NOLINT(modernize-use-equals-default)
  cell(const cell&) = delete;
  cell& operator=(const cell&) = delete;
  ~cell() {
    if (lives_) model::fail("a cell ends with a message inside");
  }

  template <class... Args>
  void construct(Args&&... args) {
    watch_.write(code_place::current());
    if (lives_) model::fail("a message is made where one lives");
    std::construct_at(std::addressof(value_), std::forward<Args>(args)...);
    lives_ = true;
  }
  T& value() noexcept {
    watch_.write(code_place::current());
    if (!lives_) model::fail("a message is used that does not live");
    return value_;
  }
  const T& value() const noexcept {
    watch_.read(code_place::current());
    if (!lives_) model::fail("a message is read that does not live");
    return value_;
  }
  void destroy() noexcept {
    watch_.write(code_place::current());
    if (!lives_) model::fail("a message is destroyed that does not live");
    lives_ = false;
    std::destroy_at(std::addressof(value_));
  }

private:
  union {
    T value_;
  };
  bool lives_ = false;
  mutable model::plain watch_;
};

// ---- Waiting

inline void hesitate(int) noexcept {}
inline void relax(code_place at = code_place::current()) noexcept { model::await(at); }
inline void yield(code_place at = code_place::current()) noexcept { model::await(at); }

inline void prefetch_for_write(const void*) noexcept {}

using nanoseconds = std::int64_t;
inline constexpr nanoseconds never = std::numeric_limits<nanoseconds>::max();
inline nanoseconds now() noexcept { return model::now(); }

struct futex {
  atomic<std::uint32_t> word;
};
inline bool futex_wait(futex& place, std::uint32_t expected, nanoseconds deadline,
                       code_place at = code_place::current()) noexcept {
  return place.word.inside().futex_wait(expected, deadline != never, at);
}
inline void futex_wake_one(futex& place, code_place at = code_place::current()) noexcept {
  place.word.inside().futex_wake(false, at);
}
inline void futex_wake_all(futex& place, code_place at = code_place::current()) noexcept {
  place.word.inside().futex_wake(true, at);
}

/// Readable while the word is 1. The orders are what the shipped one promises.
class descriptor {
public:
  using native_type = descriptor*;
  static constexpr bool is_supported = true;

  int open() noexcept {
    is_open_ = true;
    raise();
    return 0;
  }
  bool is_open() const noexcept { return is_open_; }
  native_type native() noexcept { return this; }
  void raise(code_place at = code_place::current()) noexcept {
    (void)raised_.word.exchange(1, memory_order::release, at);
    futex_wake_one(raised_, at);
  }
  void lower(code_place at = code_place::current()) noexcept {
    (void)raised_.word.exchange(0, memory_order::relaxed, at);
  }

  /// Sleeps until it is readable, as poll does.
  void poll(code_place at = code_place::current()) noexcept {
    while (raised_.word.load(memory_order::acquire, at) == 0) {
      (void)futex_wait(raised_, 0, never, at);
    }
  }
  bool is_raised(code_place at = code_place::current()) const noexcept {
    return raised_.word.load(memory_order::acquire, at) != 0;
  }

private:
  futex raised_;
  bool is_open_ = false;
};

// ---- Numbers that suit a machine; here, the smallest that keep every path

inline constexpr std::size_t line_bytes = 16; // two messages of four bytes, and their end
inline constexpr std::uint32_t longest_spin = 0;
inline constexpr std::uint32_t shortest_spin = 0;
inline constexpr int looks_per_clock = 1;
inline constexpr std::size_t reader_stripes = 1;
inline constexpr std::size_t block_bytes = 128; // two slots for a number, one for anything larger
inline constexpr std::size_t least_block_slots = 1;
inline constexpr std::size_t spare_blocks = 2;
inline constexpr std::uint64_t positions_per_hint = 8;
inline constexpr int looks_at_slot = 1;
inline constexpr int pauses_after_loss = 1;
inline constexpr std::size_t cursors_together = 1;

// ---- What a thread is

struct handler_frame;
inline handler_frame* innermost_handler = nullptr;
inline const bool innermost_handler_is_kept = [] {
  model::keep_per_thread(reinterpret_cast<void**>(&innermost_handler));
  return true;
}();

/// Whether threads begin their searches at different places, or all at the first.
inline bool threads_are_apart = true;
inline std::size_t stack_hint(std::uint32_t places) noexcept {
  return threads_are_apart ? model::thread_index() * (places / model::max_threads) : 0;
}

/// Lots are always drawn alike.
inline std::uint64_t random_seed() noexcept { return 0; }

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_DETAIL_PLATFORM_HPP
