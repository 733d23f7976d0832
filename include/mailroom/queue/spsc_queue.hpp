// SPDX-License-Identifier: MIT
#ifndef MAILROOM_QUEUE_SPSC_QUEUE_HPP
#define MAILROOM_QUEUE_SPSC_QUEUE_HPP

// A bounded queue from one producer thread to one consumer thread.
//
// Use it       when one thread only pushes and one thread only pops; nothing here is cheaper.
// Instead use  mpmc_queue when either side has more than one thread;
//              mailbox when somebody should sleep until there is a message or room.
//
// A ring of slots and two positions that only grow; position p lives in slot p & mask.
//
//              head (the consumer's)   tail (the producer's)
//                v                       v
//      . . . . . a  b  c  d  e  f  g  h  . . . .
//
// Invariants
//   (I1)  0 <= tail - head <= capacity, in unsigned arithmetic; the positions may wrap
//   (I2)  the slots of [head, tail) hold a message; all others are raw storage
//   (I3)  only the producer writes tail and seen_head, only the consumer head and seen_tail; a
//         thread that reads what only it writes needs no order
//   (I4)  seen_head <= head and seen_tail <= tail: a stale copy can only err towards looking again
//   (I5)  pushed() tells a number, not what is in the messages; that it is not below popped() comes
//         from (E)
//
// Memory order: two edges carry everything between the threads.
//   (F)   filled:  the producer stores tail -> the consumer loads it and sees the messages built.
//   (E)   emptied: the consumer stores head -> the producer loads it and sees the slots empty.
//
// Decision: capacity is exactly what was asked for, over a ring of the next power of two, so that
//   neither side divides, and none keeps a slot free to tell full from empty.
// Decision: a run of messages is published once. If an iterator or a constructor throws in the
//   middle, what was taken before is published: an input iterator cannot give it back.
//
// Sources: Lamport, Specifying Concurrent Program Modules, TOPLAS 1983 (the ring); Le, Guatto,
// Cohen, Pop, Correct and Efficient Bounded FIFO Queues, SBAC-PAD 2013 (the orders and the copies).

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/capacity.hpp>
#include <mailroom/detail/storage.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>

#include <algorithm>   // min
#include <concepts>    // constructible_from, copy_constructible, assignable_from
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <iterator>    // input_iterator, sentinel_for, output_iterator, make_move_iterator
#include <memory>      // allocator
#include <span>        // span
#include <type_traits> // is_nothrow_constructible, is_nothrow_move_constructible
#include <utility>     // forward, move

namespace mailroom::inline v0 {

template <message T, std::size_t Capacity = dynamic_capacity, class Allocator = std::allocator<T>>
class spsc_queue {
  static_assert(Capacity != 0, "mailroom: a queue needs a capacity of at least 1");

public:
  using value_type = T;
  using size_type = std::size_t;
  using allocator_type = Allocator;

  /// Makes an empty queue whose slots are inside the object. Throws nothing.
  spsc_queue()
    requires(Capacity != dynamic_capacity)
      : spsc_queue{Capacity, Allocator{}, 0} {}

  /// Makes an empty queue for exactly `capacity` messages; allocates once, and never again.
  ///
  /// Throws    std::invalid_argument for 0, std::length_error for too many, and what the
  ///           allocator throws
  explicit spsc_queue(std::size_t capacity, const Allocator& allocator = {})
    requires(Capacity == dynamic_capacity)
      : spsc_queue{detail::checked_capacity(capacity), allocator, 0} {}

  /// Destroys the messages still inside, first in first.
  ///
  /// Caller    anyone, once both threads have stopped using the queue
  ~spsc_queue();

  spsc_queue(const spsc_queue&) = delete;
  spsc_queue& operator=(const spsc_queue&) = delete;

  // ---- The producer

  /// Puts a message at the back.
  ///
  /// Caller    the producer
  /// Progress  wait-free
  /// Cost      O(1): one release store, and one acquire load when the queue looks full
  /// Throws    what T's constructor throws; queue and argument are then as that left them
  /// Orders    all before a successful call happens before the return of the pop that takes it
  /// Returns   success, or full and the argument untouched: pops that happen before the call are
  ///           always seen, a pop in flight may not be
  queue_status try_push(const T& value)
    requires std::copy_constructible<T>
  {
    return try_emplace(value);
  }
  queue_status try_push(T&& value) { return try_emplace(std::move(value)); }

  /// Builds a message at the back, in its slot. Everything else is as for try_push; the arguments
  /// are not touched unless there is room.
  template <class... Args>
    requires std::constructible_from<T, Args...>
  queue_status try_emplace(Args&&... args) noexcept(std::is_nothrow_constructible_v<T, Args...>);

  /// Puts as many messages of [first, last) at the back as fit, and publishes them together.
  ///
  /// Caller    the producer
  /// Progress  wait-free, if the iterator is
  /// Cost      O(messages taken): one release store
  /// Throws    what the iterator or T's constructor throws; the messages before are in the queue
  /// Returns   the first element that was not taken
  template <std::input_iterator I, std::sentinel_for<I> S>
    requires std::constructible_from<T, std::iter_reference_t<I>>
  I try_push_range(I first, S last);

  /// Moves as many messages from the beginning of the run as fit. Otherwise as try_push_range.
  ///
  /// Returns   the rest, untouched
  std::span<T> try_move_range(std::span<T> messages);

  // ---- The consumer

  /// Takes the message at the front.
  ///
  /// Caller    the consumer
  /// Progress  wait-free
  /// Cost      O(1): one release store, and one acquire load when the queue looks empty
  /// Throws    what T's move constructor throws; the message then is still in the queue
  /// Orders    see try_push
  /// Returns   the message, or empty: pushes that happen before the call are always seen, a push
  ///           in flight may not be
  expected<T, queue_status> try_pop() noexcept(std::is_nothrow_move_constructible_v<T>);

  /// The same by assignment: `into` is untouched unless the answer is success.
  ///
  /// Throws    what T's move assignment throws; the message then is still in the queue
  queue_status try_pop(T& into) noexcept(std::is_nothrow_move_assignable_v<T>)
    requires std::assignable_from<T&, T&&>;

  /// Takes up to `max` messages, and gives their slots back together.
  ///
  /// Caller    the consumer
  /// Progress  wait-free, if the iterator is
  /// Throws    what the assignment to `*out` throws; that message is still in the queue
  /// Returns   how many were taken
  template <std::output_iterator<T> O>
  size_type try_pop_n(O out, size_type max);

  /// Hands every message that is there at the call to `handler`, in place, as T&&, and gives the
  /// slots back together. The handler may not pop from the queue.
  ///
  /// Caller    the consumer
  /// Progress  wait-free, if the handler is
  /// Throws    what `handler` throws; the message that it was given is consumed, the others stay
  /// Returns   how many were handed over
  template <message_handler<T> F>
  size_type consume_all(F&& handler);

  /// The message at the front, which stays there; nullptr when the queue is empty.
  ///
  /// Caller    the consumer
  /// Progress  wait-free
  T* front() noexcept;

  /// Destroys the message that front() showed, and gives its slot back.
  ///
  /// Caller    the consumer, after front() answered a message
  /// Progress  wait-free
  void pop_front() noexcept;

  // ---- Anybody

  /// How many messages there are about now, in [0, capacity()]: a hint, never a reason.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  size_type size_approx() const noexcept;

  /// How many messages fit: exactly what was asked for.
  size_type capacity() const noexcept { return capacity_; }

  /// How many messages were ever put in, and how many were ever taken out. Exact once the threads
  /// have stopped; while they run each only grows, and popped() read first is never above pushed().
  ///
  /// Caller    anyone
  /// Progress  wait-free
  std::uint64_t pushed() const noexcept;
  std::uint64_t popped() const noexcept;

private:
  using enum detail::memory_order;
  using position = std::uint64_t;
  static constexpr std::size_t static_slots =
      Capacity == dynamic_capacity ? dynamic_capacity : detail::slots_for(Capacity);

  /// Publishes, when it goes out of scope, the run that one side has got through.
  struct published_run {
    detail::atomic<position>& end;
    const position from;
    position at = from;
    ~published_run() {
      if (at != from) end.store(at, release); // (F) (E)
    }
  };

  friend struct detail::test_access;
  spsc_queue(std::size_t capacity, const Allocator& allocator, position first);

  T& slot(position at) noexcept { return cell(at).value(); }
  detail::cell<T>& cell(position at) noexcept {
    return cells_[static_cast<std::size_t>(at) & (cells_.size() - 1)];
  }
  position room(position tail) noexcept;
  position waiting(position head) noexcept;

  // Constant after construction, but for the cells.
  const std::size_t capacity_;
  detail::storage<detail::cell<T>, static_slots, Allocator> cells_;

  // The producer's line.
  alignas(detail::cache_line) detail::atomic<position> tail_;
  position seen_head_;

  // The consumer's line.
  alignas(detail::cache_line) detail::atomic<position> head_;
  position seen_tail_;
};

template <class T, std::size_t Capacity, class Allocator>
struct queue_facts<spsc_queue<T, Capacity, Allocator>> {
  static constexpr arity producers = arity::one;
  static constexpr arity consumers = arity::one;
  static constexpr ordering order = ordering::fifo;
  static constexpr progress push_progress = progress::wait_free;
  static constexpr progress pop_progress = progress::wait_free;
  static constexpr bool bounded = true;
  static constexpr bool sequentially_consistent = false;
};

// ---- Definitions, in the order of the class

template <message T, std::size_t Capacity, class Allocator>
spsc_queue<T, Capacity, Allocator>::~spsc_queue() {
  consume_all([](T&&) noexcept {});
}

template <message T, std::size_t Capacity, class Allocator>
template <class... Args>
  requires std::constructible_from<T, Args...>
queue_status spsc_queue<T, Capacity, Allocator>::try_emplace(Args&&... args) noexcept(
    std::is_nothrow_constructible_v<T, Args...>) {
  const position tail = tail_.load(relaxed); // (I3)
  if (room(tail) == 0) return queue_status::full;
  cell(tail).construct(std::forward<Args>(args)...);
  tail_.store(tail + 1, release); // (F)
  return queue_status::success;
}

template <message T, std::size_t Capacity, class Allocator>
template <std::input_iterator I, std::sentinel_for<I> S>
  requires std::constructible_from<T, std::iter_reference_t<I>>
I spsc_queue<T, Capacity, Allocator>::try_push_range(I first, S last) {
  published_run run{tail_, tail_.load(relaxed)}; // (I3)
  seen_head_ = head_.load(acquire);              // (E)
  const position end = seen_head_ + capacity_;
  for (; run.at != end && first != last; ++first) {
    cell(run.at).construct(*first);
    ++run.at;
  }
  return first;
}

template <message T, std::size_t Capacity, class Allocator>
std::span<T> spsc_queue<T, Capacity, Allocator>::try_move_range(std::span<T> messages) {
  const auto begin = std::make_move_iterator(messages.begin());
  const auto rest = try_push_range(begin, std::make_move_iterator(messages.end()));
  return messages.subspan(static_cast<std::size_t>(rest - begin));
}

template <message T, std::size_t Capacity, class Allocator>
expected<T, queue_status>
spsc_queue<T, Capacity, Allocator>::try_pop() noexcept(std::is_nothrow_move_constructible_v<T>) {
  T* const first = front();
  if (first == nullptr) return unexpected{queue_status::empty};
  return {detail::take, *first, [this] { pop_front(); }};
}

template <message T, std::size_t Capacity, class Allocator>
queue_status
spsc_queue<T, Capacity, Allocator>::try_pop(T& into) noexcept(std::is_nothrow_move_assignable_v<T>)
  requires std::assignable_from<T&, T&&>
{
  T* const first = front();
  if (first == nullptr) return queue_status::empty;
  into = std::move(*first);
  pop_front();
  return queue_status::success;
}

template <message T, std::size_t Capacity, class Allocator>
template <std::output_iterator<T> O>
std::size_t spsc_queue<T, Capacity, Allocator>::try_pop_n(O out, size_type max) {
  const position head = head_.load(relaxed);                     // (I3)
  if (seen_tail_ - head < max) seen_tail_ = tail_.load(acquire); // (F)
  const position count = std::min<position>(seen_tail_ - head, max);
  published_run run{head_, head};
  for (; run.at != head + count; ++out) {
    *out = std::move(slot(run.at));
    cell(run.at).destroy();
    ++run.at;
  }
  return static_cast<std::size_t>(count);
}

template <message T, std::size_t Capacity, class Allocator>
template <message_handler<T> F>
std::size_t spsc_queue<T, Capacity, Allocator>::consume_all(F&& handler) {
  struct consumed {
    spsc_queue& queue;
    published_run& run;
    ~consumed() { queue.cell(run.at++).destroy(); }
  };
  const position head = head_.load(relaxed); // (I3)
  seen_tail_ = tail_.load(acquire);          // (F)
  published_run run{head_, head};
  while (run.at != seen_tail_) {
    const consumed one{*this, run};
    handler(std::move(slot(run.at)));
  }
  return static_cast<std::size_t>(seen_tail_ - head);
}

template <message T, std::size_t Capacity, class Allocator>
T* spsc_queue<T, Capacity, Allocator>::front() noexcept {
  const position head = head_.load(relaxed); // (I3)
  return waiting(head) == 0 ? nullptr : std::addressof(slot(head));
}

template <message T, std::size_t Capacity, class Allocator>
void spsc_queue<T, Capacity, Allocator>::pop_front() noexcept {
  const position head = head_.load(relaxed); // (I3)
  cell(head).destroy();
  head_.store(head + 1, release); // (E)
}

template <message T, std::size_t Capacity, class Allocator>
std::size_t spsc_queue<T, Capacity, Allocator>::size_approx() const noexcept {
  const std::uint64_t out = popped();
  const auto size = static_cast<std::int64_t>(pushed() - out);
  return size <= 0 ? 0 : std::min(static_cast<std::size_t>(size), capacity_);
}

template <message T, std::size_t Capacity, class Allocator>
std::uint64_t spsc_queue<T, Capacity, Allocator>::pushed() const noexcept {
  return tail_.load(relaxed); // (I5)
}

template <message T, std::size_t Capacity, class Allocator>
std::uint64_t spsc_queue<T, Capacity, Allocator>::popped() const noexcept {
  return head_.load(acquire); // (E)
}

template <message T, std::size_t Capacity, class Allocator>
spsc_queue<T, Capacity, Allocator>::spsc_queue(std::size_t capacity, const Allocator& allocator,
                                               position first)
    : capacity_{capacity}, cells_{detail::slots_for(capacity), allocator}, tail_{first},
      seen_head_{first}, head_{first}, seen_tail_{first} {}

/// How many messages fit behind `tail`, looking again only when none seems to.
template <message T, std::size_t Capacity, class Allocator>
std::uint64_t spsc_queue<T, Capacity, Allocator>::room(position tail) noexcept {
  if (tail - seen_head_ == capacity_) seen_head_ = head_.load(acquire); // (E)
  return capacity_ - (tail - seen_head_);
}

/// How many messages stand at `head`, looking again only when none seems to.
template <message T, std::size_t Capacity, class Allocator>
std::uint64_t spsc_queue<T, Capacity, Allocator>::waiting(position head) noexcept {
  if (head == seen_tail_) seen_tail_ = tail_.load(acquire); // (F)
  return seen_tail_ - head;
}

} // namespace mailroom::inline v0

#endif // MAILROOM_QUEUE_SPSC_QUEUE_HPP
