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
// cell for the empty one in the slot; a consumer swaps an empty cell in and the full one out
// (cell_exchange.hpp). So nobody ever stands in another's way, however long a message takes to be
// built (claim) or read (received).
//
// A call borrows its cell. A thread that calls often makes a handle, producer or consumer, which
// keeps its cell from call to call, and knows where in the ring it stood: half as many RMWs.
//
//      mpmc_queue<order> orders{1024};
//      mpmc_queue<order>::producer out{orders};   // in each thread that pushes
//      out.try_push(next);
//
// Limit: 64 calls, handles, claims and received messages can hold a cell at a time. Who finds none
// answers busy. A thread that dies in a call costs one.
//
// Decision: cells instead of messages in the slots. A message cannot be written in one step, so
//   whoever writes it into the ring owns a slot meanwhile, and stops all others when it stands
//   still: that is the ticket ring. The price is one more cache line for each message.
// Decision: where a caller stood last is remembered, by its handle, or beside its spare cell. The
//   ends of the ring as two shared numbers, which everybody reads and writes in every call, were
//   slower with two threads and more; hints alone made each call walk.
// Decision: who has lost a slot to another pauses 32 times before it looks again: the winner goes
//   on with the lines that it has. A fixed number, so that a call that loses nothing counts
//   nothing. Nobody is waited for: the next look comes whatever others do.
// Decision: lock-free for any message first, then these figures: the time of others by that of
//   handles; 8 bytes, room for 1024, two cores of an AMD EPYC near each other, more threads yield.
//   Who can lose a CAS pauses as we do. Medians by turns: of 87 samples alone, of 65 at 1:1, of 15
//   beyond; the quartiles are within 6 %, 25 % and mostly 50 %. (The variants are not kept.)
//                                              alone    1:1    2:2    4:4    8:8
//     SCQ (Nikolaev, DISC 2019)                 3.15   4.64   4.03   4.22   4.85
//     positions claimed, then cells exchanged   1.61   1.91   1.30   1.35   1.51
//     hints every position, not every 32nd      1.74   1.41   1.57   1.32   1.67
//     hints every 8th                           1.08   1.08   0.93   1.03   1.18
//     hints every 128th                         0.98   1.05   0.99   0.88   1.35
//     messages of 32 bits in the slots          0.93   0.49   0.83   0.70   0.91
//     cells on lines of their own               1.00   0.82   1.08   1.05   1.66
//     no pauses                                 1.00   1.02   2.38   1.99   2.98
//     1 pause, doubled by each loss up to 64    1.04   1.05   0.99   1.00   1.70
//     64 pauses                                 1.01   1.02   0.63   0.85   1.08
//     mpmc_ticket_queue, not lock-free          0.98   0.54   0.80   0.84   1.05
//   More pauses make the call of who lost longer; rare hints, the walk of who was away; lines cost
//   room.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/capacity.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/queue/cell_exchange.hpp>

#include <concepts>    // constructible_from, copy_constructible
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <iterator>    // input_iterator, sentinel_for, output_iterator, make_move_iterator
#include <memory>      // addressof, allocator, construct_at, destroy_at
#include <span>        // span
#include <type_traits> // is_nothrow_move_assignable, is_polymorphic, is_same
#include <utility>     // forward, move

namespace mailroom::inline MAILROOM_ABI {

template <message T, std::size_t Capacity = dynamic_capacity, class Allocator = std::allocator<T>>
class mpmc_queue {
  static_assert(Capacity != 0, "mailroom: a queue needs a capacity of at least 1");

public:
  using value_type = T;
  using size_type = std::size_t;
  using allocator_type = Allocator;

  // Handles, and messages in place.
  class producer;
  class consumer;
  class claim;
  class received;

  /// About how many calls, handles, claims and received messages can be at a time before one more
  /// answers busy.
  static constexpr std::size_t spare_cells = 64;

  /// Makes an empty queue whose slots are inside the object. Throws nothing.
  mpmc_queue()
    requires(Capacity != dynamic_capacity)
      : mpmc_queue{Capacity, Allocator{}, 0} {}

  /// Makes an empty queue for exactly `capacity` messages; allocates here, and never again.
  ///
  /// Cost      bit_ceil(capacity) words, and as many cells and spare_cells more; the object has
  ///           4 KiB for those that are spare
  /// Throws    std::invalid_argument for 0, std::length_error for too many, and what the
  ///           allocator throws
  explicit mpmc_queue(std::size_t capacity, const Allocator& allocator = {})
    requires(Capacity == dynamic_capacity)
      : mpmc_queue{detail::checked_capacity(capacity), allocator, 0} {}

  /// Destroys the messages still inside, first in first.
  ///
  /// Caller    anyone, once no other thread uses the queue, and nothing that it lent is left
  ~mpmc_queue() = default;

  mpmc_queue(const mpmc_queue&) = delete;
  mpmc_queue& operator=(const mpmc_queue&) = delete;

  // ---- Producers

  /// Puts a message at the back.
  ///
  /// Caller    anyone
  /// Progress  lock-free
  /// Cost      O(1): two RMWs, by a producer one, and one in 32 calls; more if others are faster
  /// Throws    what T's constructor throws; the queue is then as before
  /// Orders    all before a successful call happens before the return of the pop that takes it
  /// Returns   success; or full, exactly; closed after seal(); busy when there is no spare cell.
  ///           The argument keeps its message unless success
  queue_status try_push(const T& value)
    requires std::copy_constructible<T>
  {
    return producer{*this}.try_push(value);
  }
  /// A message that is handed back is assigned to its argument, or made anew there if it has no
  /// assignment that cannot throw: then the argument is a whole object, not part of another.
  queue_status try_push(T&& value)
    requires nothrow_message<T>
  {
    return producer{*this}.try_push(std::move(value));
  }

  /// Builds a message from the arguments at the back. Everything else is as for try_push, but where
  /// the queue becomes full or closed during the call the arguments may have been used, and their
  /// message dropped.
  template <class... Args>
    requires std::constructible_from<T, Args...>
  queue_status try_emplace(Args&&... args) {
    return producer{*this}.try_emplace(std::forward<Args>(args)...);
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
  I try_push_range(I first, S last) {
    return producer{*this}.try_push_range(std::move(first), std::move(last));
  }

  /// Moves messages from the beginning of the run. Otherwise as try_push_range.
  ///
  /// Returns   the rest, untouched
  std::span<T> try_move_range(std::span<T> messages)
    requires nothrow_message<T>
  {
    return producer{*this}.try_move_range(messages);
  }

  /// Puts a message at the back, and where there is no room takes messages from the front and
  /// hands them to `evicted`, in order, as T&&, until there is.
  ///
  /// Caller    anyone
  /// Progress  lock-free, if `evicted` is
  /// Cost      as try_push, and try_pop for each message handed over
  /// Throws    what `evicted` throws: its message is consumed, and `value` keeps its own
  /// Orders    see try_push
  /// Returns   success; closed; busy when there is no spare cell, perhaps behind messages that were
  ///           handed over. The argument keeps its message unless success
  template <message_handler<T> F>
  queue_status force_push(T&& value, F&& evicted)
    requires nothrow_message<T>;

  /// Builds a message from the arguments, in a cell that nobody else knows: to be filled at leisure
  /// and put in by commit(), or dropped.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Cost      one RMW, mostly; at most spare_cells
  /// Throws    what T's constructor throws
  /// Returns   the claim; or busy when there is no spare cell
  template <class... Args>
    requires std::constructible_from<T, Args...>
  expected<claim, queue_status> try_claim(Args&&... args);

  // ---- Consumers

  /// Takes the message at the front.
  ///
  /// Caller    anyone
  /// Progress  lock-free
  /// Cost      O(1): two RMWs, by a consumer one, and one in 32 calls; more if others are faster
  /// Throws    nothing
  /// Orders    see try_push
  /// Returns   the message; or empty, exactly; closed after seal(); busy for want of a cell
  expected<T, queue_status> try_pop() noexcept
    requires nothrow_message<T>
  {
    return consumer{*this}.try_pop();
  }

  /// The same by assignment: `into` is untouched unless the answer is success.
  queue_status try_pop(T& into) noexcept
    requires std::is_nothrow_move_assignable_v<T>
  {
    return consumer{*this}.try_pop(into);
  }

  /// Takes up to `max` messages, one by one, until there is none or the answer is busy.
  ///
  /// Caller    anyone
  /// Progress  lock-free, if the iterator is
  /// Cost      O(messages taken): one RMW each
  /// Throws    what the assignment to `*out` throws; that message is consumed, the others stay
  /// Returns   how many were taken
  template <std::output_iterator<T> O>
  size_type try_pop_n(O out, size_type max) {
    return consumer{*this}.try_pop_n(std::move(out), max);
  }

  /// Hands messages to `handler`, in place, as T&&, until there is none or the answer is busy, and
  /// at most capacity().
  /// The handler may use the queue. While it runs it holds one spare cell, and blocks nobody.
  ///
  /// Caller    anyone
  /// Progress  lock-free, if the handler is
  /// Throws    what `handler` throws; the message that it was given is consumed, the others stay
  /// Returns   how many were handed over
  template <message_handler<T> F>
  size_type consume_all(F&& handler) {
    return consumer{*this}.consume_all(handler);
  }

  /// Takes the message at the front, to be read where it is.
  ///
  /// Caller    anyone
  /// Progress  lock-free
  /// Cost      as try_pop; the message is not moved
  /// Throws    nothing
  /// Orders    see try_push
  /// Returns   the message, which is out of the queue now; or as try_pop
  expected<received, queue_status> try_receive() noexcept;

  // ---- Anybody

  /// Ends the queue, if it is empty: from then on every push and pop answers closed.
  ///
  /// Caller    anyone
  /// Progress  lock-free
  /// Returns   whether the queue is sealed now; false when there is a message
  bool seal() noexcept { return cells_.ring().seal(); }

  /// How many messages there are about now, in [0, capacity()]: a hint, never a reason.
  ///
  /// Caller    anyone
  /// Progress  lock-free
  size_type size_approx() const noexcept { return detail::approx_size(*this); }

  /// How many messages fit: exactly what was asked for.
  size_type capacity() const noexcept { return cells_.ring().capacity(); }

  /// How many messages were ever put in, and how many were ever taken out. Exact once the threads
  /// have stopped; while they run each only grows, and popped() read first is never above pushed().
  ///
  /// Caller    anyone
  /// Progress  lock-free
  std::uint64_t pushed() const noexcept { return cells_.ring().end(); }
  std::uint64_t popped() const noexcept { return cells_.ring().front(); }

private:
  static constexpr std::size_t static_slots =
      Capacity == dynamic_capacity ? dynamic_capacity : detail::slots_for(Capacity);

  using cells = detail::cell_exchange<T, static_slots, Allocator>;
  static_assert(cells::spares == spare_cells);

  friend struct detail::test_access;
  mpmc_queue(std::size_t capacity, const Allocator& allocator, std::uint64_t first)
      : cells_{capacity, allocator, first} {}

  cells cells_;
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

/// The way in for a thread that pushes often. Its members promise what those of the queue promise;
/// it takes a spare cell with the first message, and keeps one until it is destroyed.
///
/// Caller    one thread at a time, and not from what the handle itself is running: a constructor,
///           an iterator. These may use the queue. The queue outlives it
template <message T, std::size_t Capacity, class Allocator>
class mpmc_queue<T, Capacity, Allocator>::producer {
public:
  explicit producer(mpmc_queue& to) noexcept : own_{to.cells_} {}

  queue_status try_push(const T& value)
    requires std::copy_constructible<T>
  {
    return try_emplace(value);
  }
  queue_status try_push(T&& value)
    requires nothrow_message<T>
  {
    return try_put([&](T& built) noexcept { hand_back(value, built); }, std::move(value));
  }
  template <class... Args>
    requires std::constructible_from<T, Args...>
  queue_status try_emplace(Args&&... args) {
    return try_put([](T&) noexcept {}, std::forward<Args>(args)...);
  }
  template <std::input_iterator I, std::sentinel_for<I> S>
    requires range_element<std::iter_reference_t<I>, T>
  I try_push_range(I first, S last);
  std::span<T> try_move_range(std::span<T> messages)
    requires nothrow_message<T>;

private:
  template <class Undo, class... Args>
  queue_status try_put(Undo undo, Args&&... args) {
    const auto status = own_.look();
    if (status != queue_status::success) return status;
    return own_.build_and_put(undo, std::forward<Args>(args)...);
  }
  static void hand_back(T& target, T& built) noexcept;

  typename cells::filler own_;
};

/// The way out for a thread that pops often: as producer.
///
/// Caller    as for producer: a handler, an assignment or a destructor may use the queue, but not
///           the handle that is running it
template <message T, std::size_t Capacity, class Allocator>
class mpmc_queue<T, Capacity, Allocator>::consumer {
public:
  explicit consumer(mpmc_queue& from) noexcept : own_{from.cells_} {}

  expected<T, queue_status> try_pop() noexcept
    requires nothrow_message<T>;
  queue_status try_pop(T& into) noexcept
    requires std::is_nothrow_move_assignable_v<T>;
  template <std::output_iterator<T> O>
  size_type try_pop_n(O out, size_type max);
  template <message_handler<T> F>
  size_type consume_all(F&& handler);

private:
  using last_use = typename cells::emptier::last_use;

  typename cells::emptier own_;
};

/// A message that is not in the queue yet. Holding one blocks nobody.
///
/// Caller    one thread at a time; the queue outlives it. Who was moved from can only be destroyed
template <message T, std::size_t Capacity, class Allocator>
class mpmc_queue<T, Capacity, Allocator>::claim {
public:
  /// The message; until commit() was successful.
  T& operator*() noexcept { return own_.value(); }
  T* operator->() noexcept { return std::addressof(own_.value()); }

  /// Puts the message at the back. Not after success.
  ///
  /// Progress  lock-free
  /// Cost      one RMW, and one in 32 calls; more if others are faster
  /// Orders    see try_push
  /// Returns   success; or full, exactly; closed after seal(): the message stays here then
  queue_status commit() noexcept {
    const auto status = own_.look();
    return status == queue_status::success ? own_.put() : status;
  }

private:
  friend mpmc_queue;
  explicit claim(mpmc_queue& to) noexcept : own_{to.cells_} {}

  typename cells::filler own_;
};

/// A message that is out of the queue, and destroyed with this. Holding one blocks nobody.
///
/// Caller    as for claim
template <message T, std::size_t Capacity, class Allocator>
class mpmc_queue<T, Capacity, Allocator>::received {
public:
  T& operator*() noexcept { return own_.value(); }
  T* operator->() noexcept { return std::addressof(own_.value()); }

private:
  friend mpmc_queue;
  explicit received(mpmc_queue& from) noexcept : own_{from.cells_} {}

  typename cells::emptier own_;
};

// ---- Definitions, in the order of the classes

template <message T, std::size_t Capacity, class Allocator>
template <message_handler<T> F>
queue_status mpmc_queue<T, Capacity, Allocator>::force_push(T&& value, F&& evicted)
  requires nothrow_message<T>
{
  for (;;) { // with one cell in hand at a time
    const auto status = try_push(std::move(value));
    if (status != queue_status::full) return status;
    typename cells::emptier out{cells_};
    const auto taken = out.take();
    if (taken == queue_status::busy) return taken;
    if (taken != queue_status::success) continue;
    const typename cells::emptier::last_use guard{out};
    evicted(std::move(out.value()));
  }
}

template <message T, std::size_t Capacity, class Allocator>
template <class... Args>
  requires std::constructible_from<T, Args...>
auto mpmc_queue<T, Capacity, Allocator>::try_claim(Args&&... args)
    -> expected<claim, queue_status> {
  claim made{*this};
  if (!made.own_.acquire()) return unexpected{queue_status::busy};
  made.own_.construct(std::forward<Args>(args)...);
  return made;
}

template <message T, std::size_t Capacity, class Allocator>
auto mpmc_queue<T, Capacity, Allocator>::try_receive() noexcept
    -> expected<received, queue_status> {
  received taken{*this};
  const auto status = taken.own_.take();
  if (status != queue_status::success) return unexpected{status};
  return taken;
}

template <message T, std::size_t Capacity, class Allocator>
template <std::input_iterator I, std::sentinel_for<I> S>
  requires range_element<std::iter_reference_t<I>, T>
I mpmc_queue<T, Capacity, Allocator>::producer::try_push_range(I first, S last) {
  for (; first != last && own_.look() == queue_status::success; ++first) {
    auto&& source = *first;
    auto undo = [&]([[maybe_unused]] T& built) noexcept {
      if constexpr (std::is_same_v<decltype(source), T&&>) hand_back(source, built);
    };
    const auto status = own_.build_and_put(undo, std::forward<decltype(source)>(source));
    if (status != queue_status::success) break;
  }
  return first;
}

template <message T, std::size_t Capacity, class Allocator>
std::span<T> mpmc_queue<T, Capacity, Allocator>::producer::try_move_range(std::span<T> messages)
  requires nothrow_message<T>
{
  const auto begin = std::make_move_iterator(messages.begin());
  const auto rest = try_push_range(begin, std::make_move_iterator(messages.end()));
  return messages.subspan(static_cast<std::size_t>(rest - begin));
}

/// Moves a message back into the argument that it came from. Without an assignment it is made anew
/// there, which a part of a larger object would not survive.
template <message T, std::size_t Capacity, class Allocator>
void mpmc_queue<T, Capacity, Allocator>::producer::hand_back(T& target, T& built) noexcept {
  if constexpr (std::is_nothrow_move_assignable_v<T>) {
    target = std::move(built);
  } else {
    static_assert(!std::is_polymorphic_v<T>,
                  "mailroom: a polymorphic message needs a nothrow move assignment");
    std::destroy_at(std::addressof(target));
    std::construct_at(std::addressof(target), std::move(built));
  }
}

template <message T, std::size_t Capacity, class Allocator>
inline expected<T, queue_status> mpmc_queue<T, Capacity, Allocator>::consumer::try_pop() noexcept
  requires nothrow_message<T>
{
  if (const auto status = own_.take(); status != queue_status::success) {
    return unexpected{status};
  }
  const last_use guard{own_};
  return std::move(own_.value());
}

template <message T, std::size_t Capacity, class Allocator>
inline queue_status mpmc_queue<T, Capacity, Allocator>::consumer::try_pop(T& into) noexcept
  requires std::is_nothrow_move_assignable_v<T>
{
  const auto status = own_.take();
  if (status != queue_status::success) return status;
  const last_use guard{own_};
  into = std::move(own_.value());
  return status;
}

template <message T, std::size_t Capacity, class Allocator>
template <std::output_iterator<T> O>
std::size_t mpmc_queue<T, Capacity, Allocator>::consumer::try_pop_n(O out, size_type max) {
  size_type count = 0;
  for (; count != max && own_.take() == queue_status::success; ++count, (void)++out) {
    const last_use guard{own_};
    *out = std::move(own_.value());
  }
  return count;
}

template <message T, std::size_t Capacity, class Allocator>
template <message_handler<T> F>
std::size_t mpmc_queue<T, Capacity, Allocator>::consumer::consume_all(F&& handler) {
  const size_type most = own_.capacity();
  size_type count = 0;
  for (; count != most && own_.take() == queue_status::success; ++count) {
    const last_use guard{own_};
    handler(std::move(own_.value()));
  }
  return count;
}

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_QUEUE_MPMC_QUEUE_HPP
