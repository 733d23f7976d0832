// SPDX-License-Identifier: MIT
#ifndef MAILROOM_QUEUE_BROADCAST_QUEUE_HPP
#define MAILROOM_QUEUE_BROADCAST_QUEUE_HPP

// A bounded queue each of whose readers sees every message.
//
// Use it       when several threads need the same messages, all of them and in the same order.
// Instead use  mpmc_queue when each message is for one of them;
//              dispatcher when a name decides who gets it, or readers should sleep.
//
// Each message is stored once, whoever reads it; readers keep their own places.
//
//      lossless   the slowest reader holds producers back: the queue is then full (gated_ring.hpp)
//      lossy      producers overwrite the oldest message; a reader that was overtaken is told so,
//                 once, knows how many it missed, and goes on at the oldest one still there
//                 (overwriting_ring.hpp)
//
// What a push costs does not depend on the number of readers: a lossy one knows none of them, a
// lossless one looks at their places only when the queue seems full.
//
//                        push         pop          a thread that stands still in a push
//      lossless, one     wait-free    wait-free    -
//      lossless, many    blocking     blocking     hides its message and those behind: busy
//      lossy, one        wait-free    wait-free    -
//      lossy, many       lock-free    lock-free    holds one of 64 cells; behind 64 of them: busy
//
// A reader that stands still stops no other reader. In a lossless queue it is what full means.
//
// A message is destroyed by the push that uses its slot again, or with the queue.
//
// Limit: several readers look at one message at the same time, as const T&. T must allow that: a
//   copy, or whatever a handler does with it, may not write to what two of them share unguarded.
//
// Sources: Thompson, Farley, Barker, Gee, Stewart, Disruptor, 2011 (a ring and a place for each
// reader). That a claim comes after the check for room, and readers may come and go, is ours.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/capacity.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/queue/gated_ring.hpp>
#include <mailroom/queue/overwriting_ring.hpp>

#include <concepts>    // assignable_from, constructible_from, copy_constructible, invocable
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <iterator>    // input_iterator, sentinel_for, output_iterator, make_move_iterator
#include <memory>      // allocator
#include <span>        // span
#include <type_traits> // is_nothrow_constructible, is_trivially_copyable
#include <utility>     // forward, move

namespace mailroom::inline MAILROOM_ABI {

/// What happens when a reader is slower than the producers.
enum class broadcast_mode : unsigned char {
  lossless, ///< producers are told that the queue is full
  lossy,    ///< the reader misses messages, and is told how many
};

template <message T, broadcast_mode Mode = broadcast_mode::lossless, arity Producers = arity::many,
          class Allocator = std::allocator<T>>
class broadcast_queue {
  static constexpr bool is_lossy = Mode == broadcast_mode::lossy;
  static_assert(!is_lossy || std::is_trivially_copyable_v<T>,
                "mailroom: a lossy broadcast_queue needs trivially copyable messages");
  static_assert(is_lossy || Producers == arity::one || nothrow_message<T>,
                "mailroom: a lossless broadcast_queue of many producers needs messages whose move "
                "cannot throw");

public:
  using value_type = T;
  using size_type = std::size_t;
  using allocator_type = Allocator;
  class reader;

  /// Makes a queue for `capacity` messages, which nobody reads yet.
  ///
  /// Cost      allocates here; later only subscribe() of a lossless queue does
  /// Throws    std::invalid_argument for 0, std::length_error for too many, and what the
  ///           allocator throws
  explicit broadcast_queue(std::size_t capacity, const Allocator& allocator = {})
      : broadcast_queue{detail::checked_capacity(capacity), allocator, 0} {}

  /// Destroys the messages still inside, first in first.
  ///
  /// Caller    anyone, once no other thread uses the queue and all its readers are gone
  ~broadcast_queue() = default;

  broadcast_queue(const broadcast_queue&) = delete;
  broadcast_queue& operator=(const broadcast_queue&) = delete;

  // ---- Producers

  /// Puts a message at the back, for all who are readers now.
  ///
  /// Caller    anyone; one thread, if Producers is one
  /// Progress  as the table in the banner says
  /// Cost      O(1): one producer needs no RMW; many need one (lossless) or three (lossy). When the
  ///           lossless queue seems full, O(readers) and a fence
  /// Throws    what T's constructor throws; readers notice nothing of it
  /// Orders    all before a successful call happens before the return of each pop that reads it
  /// Returns   success; full (lossless): messages that readers passed before the call make room; or
  ///           busy: another push is not finished. The argument keeps its message unless success
  queue_status try_push(const T& value)
    requires std::copy_constructible<T>
  {
    return try_emplace(value);
  }
  queue_status try_push(T&& value) { return try_emplace(std::move(value)); }

  /// Builds a message from the arguments at the back. Everything else is as for try_push, but where
  /// a lossless queue of many producers fills up during the call, and the constructor may throw,
  /// the arguments may have been used and their message dropped.
  template <class... Args>
    requires std::constructible_from<T, Args...>
  queue_status try_emplace(Args&&... args);

  /// Puts messages of [first, last) at the back, in order, until the answer is not success. One
  /// producer of a lossless queue publishes them together. An element may be read twice.
  ///
  /// Caller    as try_push
  /// Progress  as try_push, if the iterator is
  /// Cost      O(messages taken)
  /// Throws    what the iterator or T's constructor throws; the messages before are in the queue
  /// Returns   the first element that was not taken
  template <std::input_iterator I, std::sentinel_for<I> S>
    requires range_element<std::iter_reference_t<I>, T>
  I try_push_range(I first, S last);

  /// Moves messages from the beginning of the run. Otherwise as try_push_range.
  ///
  /// Returns   the rest, untouched
  std::span<T> try_move_range(std::span<T> messages)
    requires range_element<T&&, T>;

  // ---- Anybody

  /// Makes a reader, which sees all messages that are pushed from now on.
  ///
  /// Caller    anyone. Where a lossless queue allocates, its allocator must allow that too
  /// Progress  lock-free, if the allocator is; who stands still in here is already a reader
  /// Cost      O(readers) in a lossless queue, which allocates when there are more than ever before
  /// Throws    what the allocator throws; nothing has changed then
  /// Orders    the reader sees every push that this call happens before, and none that happens
  ///           before the call
  reader subscribe() { return reader{ring_}; }

  /// How many messages are kept for a reader, at least: what was asked for. A lossless queue keeps
  /// no more; a lossy one up to the next power of two.
  size_type capacity() const noexcept { return ring_.capacity(); }

  /// How many messages were ever put in. Exact once the threads have stopped; it only grows.
  ///
  /// Caller    anyone
  /// Progress  as subscribe in a lossy queue; else wait-free
  std::uint64_t pushed() const noexcept { return ring_.end(); }

private:
  using ring = std::conditional_t<is_lossy, detail::overwriting_ring<T, Producers, Allocator>,
                                  detail::gated_ring<T, Producers, Allocator>>;
  using place = std::conditional_t<is_lossy, detail::overtaken_reader<T, Producers, Allocator>,
                                   detail::gated_reader<T, Producers, Allocator>>;

  friend struct detail::test_access;
  broadcast_queue(std::size_t capacity, const Allocator& allocator, std::uint64_t first)
      : ring_{capacity, allocator, first} {}

  ring ring_;
};

/// One who reads all messages. It may pass from thread to thread, but is used by one at a time. It
/// leaves the queue when it is destroyed, and must be gone before the queue is. One that was moved
/// from may only be destroyed or assigned to.
template <message T, broadcast_mode Mode, arity Producers, class Allocator>
class broadcast_queue<T, Mode, Producers, Allocator>::reader {
public:
  reader(reader&&) noexcept = default;
  reader& operator=(reader&&) noexcept = default;
  ~reader() = default;

  /// Copies the next message.
  ///
  /// Caller    the reader's thread, as for all that follows
  /// Progress  as the table in the banner says
  /// Cost      O(1): no RMW
  /// Throws    what T's copy constructor throws; the message then is still the next one
  /// Orders    see try_push
  /// Returns   the message; empty: pushes that happen before the call are always seen; busy behind
  ///           a push that is not finished (lossless, many producers); or lagged (lossy): messages
  ///           were overwritten, missed() has grown, and the next one is the oldest still there
  expected<T, queue_status> try_pop() noexcept(std::is_nothrow_copy_constructible_v<T>)
    requires std::copy_constructible<T>;

  /// The same by assignment: `into` is untouched unless the answer is success.
  ///
  /// Throws    what T's copy assignment throws; the message then is still the next one
  queue_status try_pop(T& into) noexcept(std::is_nothrow_assignable_v<T&, const T&>)
    requires std::assignable_from<T&, const T&>;

  /// Copies up to `max` messages. A gap in a lossy queue ends the run, behind its last message:
  /// missed() has grown then, and the next call goes on behind the gap.
  ///
  /// Progress  as try_pop, if the iterator is
  /// Throws    what the assignment to `*out` throws; that message is still the next one
  /// Returns   how many there were
  template <std::output_iterator<const T&> O>
  size_type try_pop_n(O out, size_type max);

  /// Hands messages to `handler` as const T&, and at most capacity(): in their slots, where the
  /// queue is lossless, and their room is given back together. A gap ends the run as in try_pop_n.
  ///
  /// Progress  as try_pop, if the handler is
  /// Throws    what `handler` throws; the message that it was given is passed, the others stay
  /// Returns   how many were handed over
  template <std::invocable<const T&> F>
  size_type consume_all(F&& handler);

  /// How many messages wait for this reader about now, in [0, capacity()]: a hint, never a reason.
  ///
  /// Progress  as pushed
  size_type size_approx() const noexcept;

  /// How many messages lie behind this reader since it subscribed, and how many of these it missed:
  /// it has seen all others.
  ///
  /// Progress  wait-free
  std::uint64_t passed() const noexcept { return place_.passed(); }
  std::uint64_t missed() const noexcept { return place_.missed(); }

private:
  friend class broadcast_queue;
  explicit reader(ring& of) : capacity_{of.capacity()}, place_{of} {}

  /// Gives the room of a run back, when it goes out of scope.
  struct passed_run {
    place& at;
    ~passed_run() { at.release(); }
  };

  size_type capacity_;
  place place_;
};

template <class T, broadcast_mode Mode, arity Producers, class Allocator>
struct queue_facts<broadcast_queue<T, Mode, Producers, Allocator>> {
  static constexpr arity producers = Producers;
  static constexpr arity consumers = arity::many;
  static constexpr ordering order = ordering::fifo;
  static constexpr progress push_progress = Producers == arity::one         ? progress::wait_free
                                            : Mode == broadcast_mode::lossy ? progress::lock_free
                                                                            : progress::blocking;
  static constexpr progress pop_progress = push_progress;
  static constexpr bool bounded = true;
  static constexpr bool sequentially_consistent = false;
};

// ---- Definitions, in the order of the classes

template <message T, broadcast_mode Mode, arity Producers, class Allocator>
template <class... Args>
  requires std::constructible_from<T, Args...>
queue_status broadcast_queue<T, Mode, Producers, Allocator>::try_emplace(Args&&... args) {
  if constexpr (is_lossy) {
    return ring_.put(T(std::forward<Args>(args)...));
  } else {
    return ring_.try_put(std::forward<Args>(args)...);
  }
}

template <message T, broadcast_mode Mode, arity Producers, class Allocator>
template <std::input_iterator I, std::sentinel_for<I> S>
  requires range_element<std::iter_reference_t<I>, T>
I broadcast_queue<T, Mode, Producers, Allocator>::try_push_range(I first, S last) {
  if constexpr (is_lossy || Producers == arity::many) {
    while (first != last && try_emplace(*first) == queue_status::success) ++first;
    return first;
  } else {
    return ring_.try_put_range(std::move(first), std::move(last));
  }
}

template <message T, broadcast_mode Mode, arity Producers, class Allocator>
std::span<T> broadcast_queue<T, Mode, Producers, Allocator>::try_move_range(std::span<T> messages)
  requires range_element<T&&, T>
{
  const auto begin = std::make_move_iterator(messages.begin());
  const auto rest = try_push_range(begin, std::make_move_iterator(messages.end()));
  return messages.subspan(static_cast<std::size_t>(rest - begin));
}

template <message T, broadcast_mode Mode, arity Producers, class Allocator>
expected<T, queue_status>
broadcast_queue<T, Mode, Producers, Allocator>::reader::try_pop() noexcept(
    std::is_nothrow_copy_constructible_v<T>)
  requires std::copy_constructible<T>
{
  if (const auto status = place_.find(); status != queue_status::success) {
    return unexpected{status};
  }
  const T& next = place_.message();
  return {detail::take, next, [this]() noexcept {
            place_.step();
            place_.release();
          }};
}

template <message T, broadcast_mode Mode, arity Producers, class Allocator>
queue_status broadcast_queue<T, Mode, Producers, Allocator>::reader::try_pop(T& into) noexcept(
    std::is_nothrow_assignable_v<T&, const T&>)
  requires std::assignable_from<T&, const T&>
{
  const auto status = place_.find();
  if (status != queue_status::success) return status;
  const T& next = place_.message();
  into = next;
  place_.step();
  place_.release();
  return status;
}

template <message T, broadcast_mode Mode, arity Producers, class Allocator>
template <std::output_iterator<const T&> O>
std::size_t broadcast_queue<T, Mode, Producers, Allocator>::reader::try_pop_n(O out,
                                                                              size_type max) {
  const passed_run run{place_};
  size_type count = 0;
  for (; count != max && place_.find() == queue_status::success; ++count, (void)++out) {
    const T& next = place_.message();
    *out = next;
    place_.step();
  }
  return count;
}

template <message T, broadcast_mode Mode, arity Producers, class Allocator>
template <std::invocable<const T&> F>
std::size_t broadcast_queue<T, Mode, Producers, Allocator>::reader::consume_all(F&& handler) {
  const passed_run run{place_};
  size_type count = 0;
  for (; count != capacity_ && place_.find() == queue_status::success; ++count) {
    const T& next = place_.message();
    place_.step();
    handler(next);
  }
  return count;
}

template <message T, broadcast_mode Mode, arity Producers, class Allocator>
std::size_t broadcast_queue<T, Mode, Producers, Allocator>::reader::size_approx() const noexcept {
  return detail::size_within(place_.ahead(), capacity_);
}

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_QUEUE_BROADCAST_QUEUE_HPP
