// SPDX-License-Identifier: MIT
#ifndef MAILROOM_QUEUE_MPMC_QUEUE_HPP
#define MAILROOM_QUEUE_MPMC_QUEUE_HPP

// A bounded queue from many producer threads to many consumer threads, lock-free.
//
// Use it       when either side has more than one thread, or one that may be stopped anywhere.
// Instead use  spsc_queue when each side has exactly one thread;
//              mailbox when somebody should sleep until there is a message or room.
//
// Messages live in cells, and a ring of cell indices keeps their order (exchange_ring.hpp, which
// has the proof). A producer builds its message in a cell that nobody else knows, then swaps that
// cell for the empty one in the slot; a consumer swaps an empty cell in and the full one out.
//
//      try_push    spare cell --build--> own cell --CAS--> slot, and the slot's empty cell is ours
//      try_pop     spare cell ----------CAS--------------> slot, and the slot's full cell is ours
//
// Invariants
//   (I1)  a cell is in one slot, or in one spare place, or in the hands of one call (the cell whose
//         slot was sealed is in none)
//   (I2)  a message lives in a cell that is full in a slot, or in the hands of a call; nowhere else
//
// Limit: a call in progress holds one of 64 spare cells. When a call finds none, which takes about
// 64 others that stand still inside, it answers busy. A thread that dies in a call costs one.
//
// Decision: cells instead of messages in the slots. A message cannot be written in one step, so
//   whoever writes it into the ring owns a slot meanwhile, and stops all others when it stands
//   still: that is the ticket ring. The price is one more cache line for each message.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/capacity.hpp>
#include <mailroom/detail/storage.hpp>
#include <mailroom/detail/spare_cells.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/queue/exchange_ring.hpp>

#include <algorithm>   // min
#include <concepts>    // constructible_from, copy_constructible
#include <cstddef>     // size_t
#include <cstdint>     // int64_t, uint64_t
#include <iterator>    // input_iterator, sentinel_for, output_iterator, make_move_iterator
#include <memory>      // addressof, allocator, construct_at, destroy_at
#include <span>        // span
#include <type_traits> // is_nothrow_move_assignable, is_polymorphic, is_same
#include <utility>     // forward, move

namespace mailroom::inline v0 {

template <message T, std::size_t Capacity = dynamic_capacity, class Allocator = std::allocator<T>>
class mpmc_queue {
  static_assert(Capacity != 0, "mailroom: a queue needs a capacity of at least 1");

public:
  using value_type = T;
  using size_type = std::size_t;
  using allocator_type = Allocator;

  /// About how many calls may stand still inside at a time before one answers busy.
  static constexpr std::size_t spare_cells = 64;

  /// Makes an empty queue whose slots are inside the object. Throws nothing.
  mpmc_queue()
    requires(Capacity != dynamic_capacity)
      : mpmc_queue{Capacity, Allocator{}, 0} {}

  /// Makes an empty queue for exactly `capacity` messages; allocates here, and never again.
  ///
  /// Cost      bit_ceil(capacity) words, and as many cells and spare_cells more
  /// Throws    std::invalid_argument for 0, std::length_error for too many, and what the
  ///           allocator throws
  explicit mpmc_queue(std::size_t capacity, const Allocator& allocator = {})
    requires(Capacity == dynamic_capacity)
      : mpmc_queue{detail::checked_capacity(capacity), allocator, 0} {}

  /// Destroys the messages still inside, first in first.
  ///
  /// Caller    anyone, once no other thread uses the queue
  ~mpmc_queue();

  mpmc_queue(const mpmc_queue&) = delete;
  mpmc_queue& operator=(const mpmc_queue&) = delete;

  // ---- Producers

  /// Puts a message at the back.
  ///
  /// Caller    anyone
  /// Progress  lock-free
  /// Cost      O(1): two RMWs, one more in 8 calls; more when others are faster
  /// Throws    what T's constructor throws; the queue is then as before
  /// Orders    all before a successful call happens before the return of the pop that takes it
  /// Returns   success; or full, exactly; closed after seal(); busy behind 64 unfinished calls.
  ///           The argument keeps its message unless success
  queue_status try_push(const T& value)
    requires std::copy_constructible<T>
  {
    return try_emplace(value);
  }
  queue_status try_push(T&& value)
    requires nothrow_message<T>;

  /// Builds a message from the arguments at the back. Everything else is as for try_push, but where
  /// the queue fills up during the call the arguments may have been used and their message dropped.
  template <class... Args>
    requires std::constructible_from<T, Args...>
  queue_status try_emplace(Args&&... args) {
    return try_put([](T&) noexcept {}, std::forward<Args>(args)...);
  }

  /// Puts messages of [first, last) at the back, in order, until one does not fit or the answer is
  /// busy. Other producers' messages may come between them. An element may be read twice.
  ///
  /// Caller    anyone
  /// Progress  lock-free, if the iterator is
  /// Cost      O(messages taken): one RMW each
  /// Throws    what the iterator or T's constructor throws; the messages before are in the queue
  /// Returns   the first element that was not taken
  template <std::input_iterator I, std::sentinel_for<I> S>
    requires range_element<std::iter_reference_t<I>, T>
  I try_push_range(I first, S last);

  /// Moves messages from the beginning of the run. Otherwise as try_push_range.
  ///
  /// Returns   the rest, untouched
  std::span<T> try_move_range(std::span<T> messages)
    requires nothrow_message<T>;

  // ---- Consumers

  /// Takes the message at the front.
  ///
  /// Caller    anyone
  /// Progress  lock-free
  /// Cost      O(1): two RMWs, one more in 8 calls; more when others are faster
  /// Throws    nothing
  /// Orders    see try_push
  /// Returns   the message; or empty, exactly; closed after seal(); busy behind 64 unfinished calls
  expected<T, queue_status> try_pop() noexcept
    requires nothrow_message<T>;

  /// The same by assignment: `into` is untouched unless the answer is success.
  queue_status try_pop(T& into) noexcept
    requires std::is_nothrow_move_assignable_v<T>;

  /// Takes up to `max` messages, one by one, until there is none or the answer is busy.
  ///
  /// Caller    anyone
  /// Progress  lock-free, if the iterator is
  /// Cost      O(messages taken): one RMW each
  /// Throws    what the assignment to `*out` throws; that message is consumed, the others stay
  /// Returns   how many were taken
  template <std::output_iterator<T> O>
  size_type try_pop_n(O out, size_type max);

  /// Hands messages to `handler`, in place, as T&&, until there is none or the answer is busy, and
  /// at most capacity().
  /// The handler may use the queue. While it runs it holds one spare cell, and blocks nobody.
  ///
  /// Caller    anyone
  /// Progress  lock-free, if the handler is
  /// Throws    what `handler` throws; the message that it was given is consumed, the others stay
  /// Returns   how many were handed over
  template <message_handler<T> F>
  size_type consume_all(F&& handler);

  // ---- Anybody

  /// Ends the queue, if it is empty: from then on every push and pop answers closed.
  ///
  /// Caller    anyone
  /// Progress  lock-free
  /// Returns   whether the queue is sealed now; false when there is a message
  bool seal() noexcept { return ring_.seal(); }

  /// How many messages there are about now, in [0, capacity()]: a hint, never a reason.
  ///
  /// Caller    anyone
  /// Progress  lock-free
  size_type size_approx() const noexcept;

  /// How many messages fit: exactly what was asked for.
  size_type capacity() const noexcept { return ring_.capacity(); }

  /// How many messages were ever put in, and how many were ever taken out. Exact once the threads
  /// have stopped; while they run each only grows, and popped() read first is never above pushed().
  ///
  /// Caller    anyone
  /// Progress  lock-free
  std::uint64_t pushed() const noexcept { return ring_.end(); }
  std::uint64_t popped() const noexcept { return ring_.front(); }

private:
  static constexpr std::size_t static_slots =
      Capacity == dynamic_capacity ? dynamic_capacity : detail::slots_for(Capacity);
  static constexpr std::size_t static_cells =
      Capacity == dynamic_capacity ? dynamic_capacity : static_slots + spare_cells;

  using ring = detail::exchange_ring<static_slots, Allocator>;
  using place = typename ring::place;
  class own_cell;

  friend struct detail::test_access;
  mpmc_queue(std::size_t capacity, const Allocator& allocator, std::uint64_t first);

  template <class Undo, class... Args>
  queue_status try_put(Undo undo, Args&&... args);
  template <class Undo, class... Args>
  queue_status try_put_at(place& end, own_cell& own, Undo& undo, Args&&... args);
  queue_status try_take(own_cell& own) noexcept;
  queue_status try_take_at(place& front, own_cell& own) noexcept;
  static void hand_back(T& target, T& built) noexcept;

  ring ring_;
  detail::storage<detail::cell<T>, static_cells, Allocator> cells_;
  detail::spare_cells<spare_cells> spares_;
};

template <class T, std::size_t Capacity, class Allocator>
struct queue_facts<mpmc_queue<T, Capacity, Allocator>> {
  static constexpr arity producers = arity::many;
  static constexpr arity consumers = arity::many;
  static constexpr ordering order = ordering::fifo;
  static constexpr progress push_progress = progress::lock_free;
  static constexpr progress pop_progress = progress::lock_free;
  static constexpr bool bounded = true;
  static constexpr bool sequentially_consistent = true;
};

// ---- Definitions, in the order of the class

template <message T, std::size_t Capacity, class Allocator>
mpmc_queue<T, Capacity, Allocator>::~mpmc_queue() {
  place front = ring_.near_front();
  for (; ring_.walk_to_message(front) == queue_status::success; ++front.at) {
    cells_[ring_.cell_at(front)].destroy();
  }
}

/// The cell that a call has in its hands, with the message in it if there is one.
template <message T, std::size_t Capacity, class Allocator>
class mpmc_queue<T, Capacity, Allocator>::own_cell {
public:
  explicit own_cell(mpmc_queue& queue) noexcept : queue_{queue} {}
  own_cell(const own_cell&) = delete;
  own_cell& operator=(const own_cell&) = delete;
  ~own_cell() {
    if (alive_) destroy();
    if (is_held()) queue_.spares_.give(loan_);
  }

  /// Takes a spare cell, if the call has none yet.
  bool acquire() noexcept {
    if (!is_held()) loan_ = queue_.spares_.take();
    return is_held();
  }

  template <class... Args>
  void construct(Args&&... args) {
    queue_.cells_[loan_.cell].construct(std::forward<Args>(args)...);
    alive_ = true;
  }
  T& value() noexcept { return queue_.cells_[loan_.cell].value(); }
  void destroy() noexcept {
    alive_ = false;
    queue_.cells_[loan_.cell].destroy();
  }

  /// Swaps the message into the ring, for an empty cell.
  bool try_fill(place& end) noexcept {
    if (!queue_.ring_.try_fill(end, loan_.cell)) return false;
    alive_ = false;
    return true;
  }

  /// Swaps a message out of the ring, for the empty cell.
  bool try_empty(place& front) noexcept {
    if (!queue_.ring_.try_empty(front, loan_.cell)) return false;
    alive_ = true;
    return true;
  }

private:
  bool is_held() const noexcept { return loan_.cell != detail::no_cell; }

  mpmc_queue& queue_;
  typename detail::spare_cells<spare_cells>::loan loan_;
  bool alive_ = false;
};

template <message T, std::size_t Capacity, class Allocator>
queue_status mpmc_queue<T, Capacity, Allocator>::try_push(T&& value)
  requires nothrow_message<T>
{
  return try_put([&value](T& built) noexcept { hand_back(value, built); }, std::move(value));
}

template <message T, std::size_t Capacity, class Allocator>
template <std::input_iterator I, std::sentinel_for<I> S>
  requires range_element<std::iter_reference_t<I>, T>
I mpmc_queue<T, Capacity, Allocator>::try_push_range(I first, S last) {
  own_cell own{*this};
  place end = ring_.near_end();
  for (; first != last && ring_.walk_to_room(end) == queue_status::success; ++first) {
    auto&& source = *first;
    auto undo = [&]([[maybe_unused]] T& built) noexcept {
      if constexpr (std::is_same_v<decltype(source), T&&>) hand_back(source, built);
    };
    const auto status = try_put_at(end, own, undo, std::forward<decltype(source)>(source));
    if (status != queue_status::success) break;
    ring_.advance_end(end);
  }
  return first;
}

template <message T, std::size_t Capacity, class Allocator>
std::span<T> mpmc_queue<T, Capacity, Allocator>::try_move_range(std::span<T> messages)
  requires nothrow_message<T>
{
  const auto begin = std::make_move_iterator(messages.begin());
  const auto rest = try_push_range(begin, std::make_move_iterator(messages.end()));
  return messages.subspan(static_cast<std::size_t>(rest - begin));
}

template <message T, std::size_t Capacity, class Allocator>
expected<T, queue_status> mpmc_queue<T, Capacity, Allocator>::try_pop() noexcept
  requires nothrow_message<T>
{
  own_cell own{*this};
  if (const auto status = try_take(own); status != queue_status::success) {
    return unexpected{status};
  }
  return std::move(own.value());
}

template <message T, std::size_t Capacity, class Allocator>
queue_status mpmc_queue<T, Capacity, Allocator>::try_pop(T& into) noexcept
  requires std::is_nothrow_move_assignable_v<T>
{
  own_cell own{*this};
  const auto status = try_take(own);
  if (status == queue_status::success) into = std::move(own.value());
  return status;
}

template <message T, std::size_t Capacity, class Allocator>
template <std::output_iterator<T> O>
std::size_t mpmc_queue<T, Capacity, Allocator>::try_pop_n(O out, size_type max) {
  own_cell own{*this};
  place front = ring_.near_front();
  size_type count = 0;
  for (; count != max && try_take_at(front, own) == queue_status::success; ++count, (void)++out) {
    *out = std::move(own.value());
    own.destroy();
  }
  return count;
}

template <message T, std::size_t Capacity, class Allocator>
template <message_handler<T> F>
std::size_t mpmc_queue<T, Capacity, Allocator>::consume_all(F&& handler) {
  own_cell own{*this};
  place front = ring_.near_front();
  size_type count = 0;
  for (; count != capacity() && try_take_at(front, own) == queue_status::success; ++count) {
    handler(std::move(own.value()));
    own.destroy();
  }
  return count;
}

template <message T, std::size_t Capacity, class Allocator>
std::size_t mpmc_queue<T, Capacity, Allocator>::size_approx() const noexcept {
  const std::uint64_t out = popped();
  const auto size = static_cast<std::int64_t>(pushed() - out);
  return size <= 0 ? 0 : std::min(static_cast<std::size_t>(size), capacity());
}

template <message T, std::size_t Capacity, class Allocator>
mpmc_queue<T, Capacity, Allocator>::mpmc_queue(std::size_t capacity, const Allocator& allocator,
                                               std::uint64_t first)
    : ring_{capacity, spare_cells, allocator, first},
      cells_{ring_.slots() + spare_cells, allocator}, spares_{ring_.slots()} {}

/// Puts one message in; `undo` gets it back if the queue fills up on the way.
template <message T, std::size_t Capacity, class Allocator>
template <class Undo, class... Args>
queue_status mpmc_queue<T, Capacity, Allocator>::try_put(Undo undo, Args&&... args) {
  place end = ring_.near_end();
  if (const auto status = ring_.walk_to_room(end); status != queue_status::success) return status;
  own_cell own{*this};
  const auto status = try_put_at(end, own, undo, std::forward<Args>(args)...);
  if (status == queue_status::success) ring_.advance_end(end);
  return status;
}

/// The same at a place where a walk has seen room.
template <message T, std::size_t Capacity, class Allocator>
template <class Undo, class... Args>
queue_status mpmc_queue<T, Capacity, Allocator>::try_put_at(place& end, own_cell& own, Undo& undo,
                                                            Args&&... args) {
  if (!own.acquire()) return queue_status::busy;
  own.construct(std::forward<Args>(args)...);
  while (!own.try_fill(end)) {
    if (const auto status = ring_.walk_to_room(end); status != queue_status::success) {
      undo(own.value());
      return status;
    }
  }
  return queue_status::success;
}

/// Takes the first message out, into `own`.
template <message T, std::size_t Capacity, class Allocator>
queue_status mpmc_queue<T, Capacity, Allocator>::try_take(own_cell& own) noexcept {
  place front = ring_.near_front();
  return try_take_at(front, own);
}

template <message T, std::size_t Capacity, class Allocator>
queue_status mpmc_queue<T, Capacity, Allocator>::try_take_at(place& front, own_cell& own) noexcept {
  do {
    const auto status = ring_.walk_to_message(front);
    if (status != queue_status::success) return status;
    if (!own.acquire()) return queue_status::busy;
  } while (!own.try_empty(front));
  ring_.advance_front(front);
  return queue_status::success;
}

/// Moves a message back into the argument that it came from. Without an assignment it is made anew
/// there, which a part of a larger object would not survive.
template <message T, std::size_t Capacity, class Allocator>
void mpmc_queue<T, Capacity, Allocator>::hand_back(T& target, T& built) noexcept {
  if constexpr (std::is_nothrow_move_assignable_v<T>) {
    target = std::move(built);
  } else {
    static_assert(!std::is_polymorphic_v<T>,
                  "mailroom: a polymorphic message needs a nothrow move assignment");
    std::destroy_at(std::addressof(target));
    std::construct_at(std::addressof(target), std::move(built));
  }
}

} // namespace mailroom::inline v0

#endif // MAILROOM_QUEUE_MPMC_QUEUE_HPP
