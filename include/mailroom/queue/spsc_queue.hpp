// SPDX-License-Identifier: MIT
#ifndef MAILROOM_QUEUE_SPSC_QUEUE_HPP
#define MAILROOM_QUEUE_SPSC_QUEUE_HPP

// A bounded queue from one producer thread to one consumer thread.
//
// Use it       when one thread only pushes and one thread only pops.
// Instead use  mpmc_queue when either side has more than one thread;
//              mailbox when somebody should sleep until there is a message or room.
//
// Two rings have the same members, and the size of a message decides which one is used.
// line_ring.hpp packs messages of up to 16 bytes into cache lines that carry their own news;
// index_ring.hpp is the classical ring with two positions. There is the proof and there are the
// memory orders; this is what one calls.
//
// Invariants
//   (I1)  capacity is exactly what was asked for: full and empty are told from the positions of
//         both sides, and each side looks again before it says so
//   (I2)  what a call has built or taken is told to the other side when the call ends, also when it
//         ends by an exception
//
// Decision: two rings, and no more. A line saves the transfer of a position for each few messages,
//   which counts most where the cores are far apart; a message that fills a line by itself would
//   need a second one for the word beside it, which is what the position costs.
// Decision: what moves one message says inline. Without that g++ calls it wherever a program has a
//   few such places, and the message goes through memory: that costs as much as the queue does.
// Decision: if an iterator or a constructor throws in the middle of a range, what was taken before
//   is published: an input iterator cannot give it back.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/capacity.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/queue/index_ring.hpp>
#include <mailroom/queue/line_ring.hpp>

#include <concepts>    // constructible_from, copy_constructible, assignable_from
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <iterator>    // input_iterator, sentinel_for, output_iterator, make_move_iterator
#include <memory>      // addressof, allocator
#include <span>        // span
#include <type_traits> // conditional, is_invocable_r, is_nothrow_constructible, ...
#include <utility>     // forward, move

namespace mailroom::inline MAILROOM_ABI {

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

  /// Puts as many messages of [first, last) at the back as fit, at most capacity().
  ///
  /// Caller    the producer
  /// Progress  wait-free, if the iterator is
  /// Cost      O(messages taken): one release store, or one for each cache line
  /// Throws    what the iterator or T's constructor throws; the messages before are in the queue
  /// Returns   the first element that was not taken
  template <std::input_iterator I, std::sentinel_for<I> S>
    requires std::constructible_from<T, std::iter_reference_t<I>>
  I try_push_range(I first, S last);

  /// Moves as many messages from the beginning of the run as fit. Otherwise as try_push_range.
  ///
  /// Returns   the rest, untouched
  std::span<T> try_move_range(std::span<T> messages);

  /// Lets `fill(place, n)` build up to n messages in raw storage for T[n], from the first on, and
  /// publishes them. n is at most `max`, and often less: the slots up to the end of a line, or of
  /// the ring. fill says how many it has built; if it throws, it has destroyed them.
  ///
  /// Caller    the producer
  /// Progress  wait-free, if fill is
  /// Cost      one release store
  /// Throws    what `fill` throws; the queue is then as before
  /// Returns   how many were built; 0 when the queue is full, without a call of fill
  template <class F>
    requires std::is_invocable_r_v<std::size_t, F&, T*, std::size_t>
  size_type try_write_n(size_type max, F&& fill);

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

  /// Hands messages to `handler`, in place, as T&&, until there is none. The slots are given back
  /// together, so these are at most capacity(). The handler may not pop from the queue.
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

  /// The first messages that stand in one piece, often not all; none when the queue is empty. They
  /// stay there.
  ///
  /// Caller    the consumer
  /// Progress  wait-free
  std::span<T> readable() noexcept;

  /// Destroys the first `count` of what readable() showed, and gives their slots back together.
  ///
  /// Caller    the consumer, after readable() answered at least `count` messages
  /// Progress  wait-free
  void release(size_type count) noexcept;

  // ---- Anybody

  /// How many messages there are about now, in [0, capacity()]: a hint, never a reason.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  size_type size_approx() const noexcept { return detail::approx_size(*this); }

  /// How many messages fit: exactly what was asked for.
  size_type capacity() const noexcept { return ring_.capacity(); }

  /// How many messages were ever put in, and how many were ever taken out. Exact once the threads
  /// have stopped; while they run each only grows, and popped() read first is never above pushed().
  ///
  /// Caller    anyone
  /// Progress  wait-free
  std::uint64_t pushed() const noexcept { return ring_.written(); }
  std::uint64_t popped() const noexcept { return ring_.read(); }

private:
  static constexpr bool fits_into_lines = sizeof(T) <= detail::line_bytes / 4;
  using ring = std::conditional_t<fits_into_lines, detail::line_ring<T, Capacity, Allocator>,
                                  detail::index_ring<T, Capacity, Allocator>>;
  using writer = typename ring::writer;
  using reader = typename ring::reader;
  using cells = std::span<detail::cell<T>>;

  friend struct detail::test_access;
  spsc_queue(std::size_t capacity, const Allocator& allocator, std::uint64_t first)
      : ring_{capacity, allocator, first} {}

  ring ring_;
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
inline queue_status spsc_queue<T, Capacity, Allocator>::try_emplace(Args&&... args) noexcept(
    std::is_nothrow_constructible_v<T, Args...>) {
  writer back{ring_};
  if (!back.has_room()) return queue_status::full;
  back.next().construct(std::forward<Args>(args)...);
  back.built(1);
  return queue_status::success;
}

template <message T, std::size_t Capacity, class Allocator>
template <std::input_iterator I, std::sentinel_for<I> S>
  requires std::constructible_from<T, std::iter_reference_t<I>>
I spsc_queue<T, Capacity, Allocator>::try_push_range(I first, S last) {
  writer back{ring_};
  size_type left = capacity();
  while (left != 0 && first != last) {
    const cells room = back.room();
    if (room.empty()) break;
    for (detail::cell<T>& each : room.first(detail::smaller_of(room.size(), left))) {
      if (first == last) break;
      each.construct(*first);
      back.built(1);
      --left;
      ++first;
    }
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
template <class F>
  requires std::is_invocable_r_v<std::size_t, F&, T*, std::size_t>
std::size_t spsc_queue<T, Capacity, Allocator>::try_write_n(size_type max, F&& fill) {
  writer back{ring_};
  const cells room = back.room();
  const size_type most = detail::smaller_of(room.size(), max);
  if (most == 0) return 0;
  const size_type count = fill(room.front().place(), most);
  back.built(count);
  return count;
}

template <message T, std::size_t Capacity, class Allocator>
inline expected<T, queue_status>
spsc_queue<T, Capacity, Allocator>::try_pop() noexcept(std::is_nothrow_move_constructible_v<T>) {
  reader front{ring_};
  if (!front.has_message()) return unexpected{queue_status::empty};
  detail::cell<T>& cell = front.next();
  return {detail::take, cell.value(), [&] {
            cell.destroy();
            front.taken(1);
          }};
}

template <message T, std::size_t Capacity, class Allocator>
inline queue_status
spsc_queue<T, Capacity, Allocator>::try_pop(T& into) noexcept(std::is_nothrow_move_assignable_v<T>)
  requires std::assignable_from<T&, T&&>
{
  reader front{ring_};
  if (!front.has_message()) return queue_status::empty;
  detail::cell<T>& cell = front.next();
  into = std::move(cell.value());
  cell.destroy();
  front.taken(1);
  return queue_status::success;
}

template <message T, std::size_t Capacity, class Allocator>
template <std::output_iterator<T> O>
std::size_t spsc_queue<T, Capacity, Allocator>::try_pop_n(O out, size_type max) {
  reader front{ring_};
  size_type count = 0;
  while (count != max) {
    const cells ready = front.ready();
    if (ready.empty()) break;
    for (detail::cell<T>& each : ready.first(detail::smaller_of(ready.size(), max - count))) {
      *out = std::move(each.value());
      each.destroy();
      front.taken(1);
      ++count;
      ++out;
    }
  }
  return count;
}

template <message T, std::size_t Capacity, class Allocator>
template <message_handler<T> F>
std::size_t spsc_queue<T, Capacity, Allocator>::consume_all(F&& handler) {
  struct consumed {
    detail::cell<T>& cell;
    reader& front;
    ~consumed() {
      cell.destroy();
      front.taken(1);
    }
  };
  reader front{ring_};
  size_type count = 0;
  for (cells ready = front.ready(); !ready.empty(); ready = front.ready()) {
    for (detail::cell<T>& each : ready) {
      const consumed one{each, front};
      handler(std::move(each.value()));
      ++count;
    }
  }
  return count;
}

template <message T, std::size_t Capacity, class Allocator>
T* spsc_queue<T, Capacity, Allocator>::front() noexcept {
  reader front{ring_};
  return front.has_message() ? std::addressof(front.next().value()) : nullptr;
}

template <message T, std::size_t Capacity, class Allocator>
void spsc_queue<T, Capacity, Allocator>::pop_front() noexcept {
  release(1);
}

template <message T, std::size_t Capacity, class Allocator>
std::span<T> spsc_queue<T, Capacity, Allocator>::readable() noexcept {
  const cells ready = reader{ring_}.ready();
  if (ready.empty()) return {};
  return {std::addressof(ready.front().value()), ready.size()};
}

template <message T, std::size_t Capacity, class Allocator>
void spsc_queue<T, Capacity, Allocator>::release(size_type count) noexcept {
  reader front{ring_};
  for (detail::cell<T>& each : front.ready().first(count)) each.destroy();
  front.taken(count);
}

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_QUEUE_SPSC_QUEUE_HPP
