// SPDX-License-Identifier: MIT
#ifndef MAILROOM_MAILBOX_CLOSING_HPP
#define MAILROOM_MAILBOX_CLOSING_HPP

// How a mailbox closes without losing a message that is just being pushed.
//
// A push looks at the closed flag and then puts its message in; close() may come between the two.
// Every push that answered success must be delivered, so the pop that wants to answer closed has to
// know that no push can still come. There are two ways to know:
//
//   sealed_end    the queue itself can be ended: the pop seals it, and a late push meets the seal.
//                 Costs nothing before that.
//   watched_end   one producer: it says when it is in a push, and the pop waits for it to leave.
//                 Costs a push the light one of two fences.
//
// Invariants
//   (I1)  watched_end: only the producer writes pushing
//   (I2)  watched_end: once closed, with no push in progress and nothing in the queue, it stays so;
//         whoever finds that out notes it in over, for a producer that goes on trying sets pushing
//         again and again. The note says no more than that, so it orders nothing: who reads it has
//         seen the closed flag
//
// Memory order
//   (C)   close: what happened before close() -> whoever sees the flag.
//   (D)   Dekker: the producer sets pushing, then the light fence, then it looks at closed <-> the
//         pop sees closed, then the heavy fence, then it looks at pushing. One sees the other.
//   (P)   push ended: the message in the queue -> the pop that sees pushing cleared.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/fences.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>

#include <concepts>    // same_as
#include <cstdint>     // uint32_t
#include <type_traits> // conditional

namespace mailroom::inline MAILROOM_ABI::detail {

/// 1 once closed. A whole word: not every machine has lock-free atomics of a byte.
using closed_flag = atomic<std::uint32_t>;

/// A queue that can be ended from outside.
template <class Queue>
concept sealable = requires(Queue& queue) {
  { queue.seal() } noexcept -> std::same_as<bool>;
};

template <class Queue>
class sealed_end {
  using result = expected<typename Queue::value_type, queue_status>;

public:
  sealed_end() = default;
  explicit sealed_end(const auto& /* fences */) noexcept {} // it needs none

  /// Is the mailbox still open for the push that begins now?
  struct push_in_progress {
    bool is_open;
  };
  static push_in_progress begin_push(const closed_flag& closed) noexcept {
    return {closed.load(memory_order::acquire) == 0}; // (C)
  }

  /// The pop of a closed mailbox: a message, or closed for ever.
  ///
  /// Progress  lock-free
  static result last_pop(Queue& queue) noexcept {
    while (!queue.seal()) {
      if (result last = queue.try_pop(); last || last.error() == queue_status::busy) return last;
    }
    return unexpected{queue_status::closed};
  }

  /// Is there nothing left in a closed mailbox, for ever?
  static bool is_over(Queue& queue) noexcept { return queue.seal(); }
};

template <class Queue, class Fences = symmetric_fences>
class watched_end {
  using result = expected<typename Queue::value_type, queue_status>;

public:
  explicit watched_end(const Fences& fences = {}) noexcept : fences_{fences} {}

  struct push_in_progress {
    atomic<std::uint32_t>& pushing;
    const bool is_open;
    push_in_progress(watched_end& end, const closed_flag& closed) noexcept
        : pushing{end.pushing_}, is_open{end.begin(closed)} {}
    push_in_progress(const push_in_progress&) = delete;
    push_in_progress& operator=(const push_in_progress&) = delete;
    ~push_in_progress() { pushing.store(0, memory_order::release); } // (P)
  };
  push_in_progress begin_push(const closed_flag& closed) noexcept { return {*this, closed}; }

  /// Progress  wait-free; answers busy while a push is in progress
  result last_pop(Queue& queue) noexcept {
    if (over_.load(memory_order::relaxed) != 0) return unexpected{queue_status::closed}; // (I2)
    if (is_pushing()) return unexpected{queue_status::busy};
    result last = queue.try_pop();
    if (last || last.error() != queue_status::empty) return last;
    over_.store(1, memory_order::relaxed); // (I2)
    return unexpected{queue_status::closed};
  }

  bool is_over(const Queue& queue) noexcept {
    if (over_.load(memory_order::relaxed) != 0) return true; // (I2)
    if (queue.size_approx() != 0 || is_pushing() || queue.size_approx() != 0) return false;
    over_.store(1, memory_order::relaxed); // (I2)
    return true;
  }

private:
  bool begin(const closed_flag& closed) noexcept {
    pushing_.store(1, memory_order::relaxed); // (D) (I1)
    fences_.light();
    return closed.load(memory_order::acquire) == 0; // (D) (C)
  }
  bool is_pushing() const noexcept {
    fences_.heavy();
    return pushing_.load(memory_order::acquire) != 0; // (D) (P)
  }

  [[no_unique_address]] Fences fences_;
  alignas(cache_line) atomic<std::uint32_t> pushing_; // (I1)
  alignas(cache_line) atomic<std::uint32_t> over_;    // (I2)
};

template <class Queue, class Fences>
struct choose_closing {
  static_assert(sealable<Queue> || queue_facts<Queue>::producers == arity::one,
                "mailroom: a queue with many producers needs seal() to be closed without loss");
  using type = std::conditional_t<sealable<Queue>, sealed_end<Queue>, watched_end<Queue, Fences>>;
};

/// The way in which a mailbox over `Queue` closes.
template <class Queue, class Fences = symmetric_fences>
using closing = typename choose_closing<Queue, Fences>::type;

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_MAILBOX_CLOSING_HPP
