// SPDX-License-Identifier: MIT
#ifndef MAILROOM_QUEUE_MPMC_TICKET_QUEUE_HPP
#define MAILROOM_QUEUE_MPMC_TICKET_QUEUE_HPP

// A bounded queue from many producer threads to many consumer threads, fast but not lock-free.
//
// Use it       when either side has more than one thread, and a thread that is stopped in the
//              middle of a call may hold up the others for as long: they are told busy meanwhile.
// Instead use  mpmc_queue when nobody may be held up, or a move may throw;
//              spsc_queue when each side has exactly one thread;
//              mailbox when somebody should sleep until there is a message or room.
//
// Messages live in the slots of a ring; ticket_ring.hpp has the proof and the memory orders.
// A call takes the next position by a CAS; then its slot is its own until it gives it on.
//
//      try_push    free slot? --CAS tail--> build the message     --store--> whoever pops
//      try_pop     full slot? --CAS head--> move the message out  --store--> whoever pushes
//
// A call that stands still between its CAS and its store stops the others, though none of them
// waits: behind a push the messages are hidden, behind a pop its place is missing a lap later, and
// the answer is busy. Full and empty never stand for busy: they are exact, and count what is in the
// middle of being put in as inside, what is in the middle of being taken out as gone.
//
// Invariants
//   (I1)  between the CAS and the store of a call runs nothing but a constructor, an assignment
//         from and the destructor of a message, and none of these throws
//
// Decision: so that (I1) holds, what may throw or take long is done before the CAS, or after the
//   store: a message whose constructor may throw is built beside the queue and moved in, and
//   handlers and iterators get messages that were moved out.
// Decision: a run takes several positions by one CAS where no iterator of the caller's runs in
//   between: from and to contiguous ranges, if building and assigning cannot throw. Else one by
//   one.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/capacity.hpp>
#include <mailroom/detail/storage.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/queue/ticket_ring.hpp>

#include <concepts>    // constructible_from, copy_constructible
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <iterator>    // input_iterator, sentinel_for, output_iterator, contiguous_iterator, ...
#include <memory>      // allocator, to_address
#include <span>        // span
#include <type_traits> // is_nothrow_assignable, is_nothrow_constructible, ...
#include <utility>     // forward, move

namespace mailroom::inline MAILROOM_ABI {

template <message T, std::size_t Capacity = dynamic_capacity, class Allocator = std::allocator<T>>
class mpmc_ticket_queue {
  static_assert(Capacity != 0, "mailroom: a queue needs a capacity of at least 1");
  static_assert(nothrow_message<T>,
                "mailroom: mpmc_ticket_queue needs a message whose move cannot throw; mpmc_queue "
                "takes others too");

public:
  using value_type = T;
  using size_type = std::size_t;
  using allocator_type = Allocator;

  /// Makes an empty queue whose slots are inside the object. Throws nothing.
  mpmc_ticket_queue()
    requires(Capacity != dynamic_capacity)
      : mpmc_ticket_queue{Capacity, Allocator{}, 0} {}

  /// Makes an empty queue for exactly `capacity` messages; allocates once, and never again.
  ///
  /// Cost      bit_ceil(capacity) slots: a word and a message each
  /// Throws    std::invalid_argument for 0, std::length_error for too many, and what the
  ///           allocator throws
  explicit mpmc_ticket_queue(std::size_t capacity, const Allocator& allocator = {})
    requires(Capacity == dynamic_capacity)
      : mpmc_ticket_queue{detail::checked_capacity(capacity), allocator, 0} {}

  /// Destroys the messages still inside, first in first.
  ///
  /// Caller    anyone, once no other thread uses the queue
  ~mpmc_ticket_queue();

  mpmc_ticket_queue(const mpmc_ticket_queue&) = delete;
  mpmc_ticket_queue& operator=(const mpmc_ticket_queue&) = delete;

  // ---- Producers

  /// Puts a message at the back.
  ///
  /// Caller    anyone
  /// Progress  blocking: where a pop stands still with the place that is needed it answers busy, at
  ///           once. No call waits: what it does again is because of others' success
  /// Cost      O(1): one RMW and one store; more when others are faster
  /// Throws    what T's constructor throws; the queue is then as before
  /// Orders    all before a successful call happens before the return of the pop that takes it
  /// Returns   success; full, exactly; closed after seal(); busy, see Progress. The argument keeps
  ///           its message unless success
  queue_status try_push(const T& value)
    requires std::copy_constructible<T>
  {
    return try_emplace(value);
  }
  queue_status try_push(T&& value) noexcept { return put(std::move(value)); }

  /// Builds a message from the arguments at the back. Everything else is as for try_push, but where
  /// that may throw and the answer changes during the call (to full, closed or busy) the arguments
  /// may have been used, and their message dropped.
  template <class... Args>
    requires std::constructible_from<T, Args...>
  queue_status try_emplace(Args&&... args) noexcept(std::is_nothrow_constructible_v<T, Args...>);

  /// Puts messages of [first, last) at the back, in order, until one does not fit or the answer is
  /// busy. Other producers' messages may come between them. An element may be read twice.
  ///
  /// Caller    anyone
  /// Progress  blocking: as try_push
  /// Cost      O(messages taken): one store each, and one RMW each; where the range is contiguous
  ///           and nothing can throw, one RMW for all that there is room for
  /// Throws    what the iterator or T's constructor throws; the messages before are in the queue
  /// Returns   the first element that was not taken
  template <std::input_iterator I, std::sentinel_for<I> S>
    requires range_element<std::iter_reference_t<I>, T>
  I try_push_range(I first, S last);

  /// Moves messages from the beginning of the run. Otherwise as try_push_range.
  ///
  /// Returns   the rest, untouched
  std::span<T> try_move_range(std::span<T> messages) noexcept;

  // ---- Consumers

  /// Takes the message at the front.
  ///
  /// Caller    anyone
  /// Progress  blocking: where a push stands still with the message at the front it answers busy,
  ///           at once. No call waits: what it does again is because of others' success
  /// Cost      O(1): one RMW and one store; more when others are faster
  /// Throws    nothing
  /// Orders    see try_push
  /// Returns   the message; empty, exactly; closed after seal(); busy, see Progress
  expected<T, queue_status> try_pop() noexcept;

  /// The same by assignment: `into` is untouched unless the answer is success.
  queue_status try_pop(T& into) noexcept
    requires std::is_nothrow_move_assignable_v<T>;

  /// Takes up to `max` messages, until there is none or the answer is busy.
  ///
  /// Caller    anyone
  /// Progress  blocking: as try_pop
  /// Cost      O(messages taken): one store each, and one RMW each; where `out` is contiguous and
  ///           the assignment cannot throw, one RMW for all that are there
  /// Throws    what the assignment to `*out` throws; that message is consumed, the others stay
  /// Returns   how many were taken
  template <std::output_iterator<T> O>
  size_type try_pop_n(O out, size_type max);

  /// Hands messages to `handler`, each moved out of its slot before, as T&&, until there is none or
  /// the answer is busy, and at most capacity(). The handler may use the queue and holds up nobody.
  ///
  /// Caller    anyone
  /// Progress  blocking: as try_pop
  /// Throws    what `handler` throws; the message that it was given is consumed, the others stay
  /// Returns   how many were handed over
  template <message_handler<T> F>
  size_type consume_all(F&& handler);

  // ---- Anybody

  /// Ends the queue, if it is empty: from then on every push and pop answers closed.
  ///
  /// Caller    anyone
  /// Progress  lock-free
  /// Returns   whether the queue is sealed now; false when there is a message, or a push in the
  ///           middle
  bool seal() noexcept { return ring_.seal(); }

  /// How many messages there are about now, in [0, capacity()]: a hint, never a reason.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  size_type size_approx() const noexcept { return detail::approx_size(*this); }

  /// How many messages fit: exactly what was asked for.
  size_type capacity() const noexcept { return ring_.capacity(); }

  /// How many messages were ever put in, and how many were ever taken out; those that are just
  /// being put in or taken out count already. While threads run each only grows, and popped() read
  /// first is never above pushed().
  ///
  /// Caller    anyone
  /// Progress  wait-free
  std::uint64_t pushed() const noexcept { return ring_.end(); }
  std::uint64_t popped() const noexcept { return ring_.front(); }

private:
  static constexpr std::size_t static_slots =
      Capacity == dynamic_capacity ? dynamic_capacity : detail::slots_for(Capacity);
  using ring = detail::ticket_ring<T, static_slots, Allocator>;
  using place = typename ring::place;

  friend struct detail::test_access;
  mpmc_ticket_queue(std::size_t capacity, const Allocator& allocator, std::uint64_t first)
      : ring_{capacity, allocator, first} {}

  template <class... Args>
  queue_status build_and_put(Args&&... args);
  template <class... Args>
  queue_status put(Args&&... args) noexcept;
  template <class Build>
  size_type put_run(size_type wanted, Build build) noexcept;
  template <class Take>
  size_type take_run(size_type wanted, Take take) noexcept;
  void end_message(place at) noexcept;

  ring ring_;
};

template <class T, std::size_t Capacity, class Allocator>
struct queue_facts<mpmc_ticket_queue<T, Capacity, Allocator>> {
  static constexpr arity producers = arity::many;
  static constexpr arity consumers = arity::many;
  static constexpr ordering order = ordering::fifo;
  static constexpr progress push_progress = progress::blocking;
  static constexpr progress pop_progress = progress::blocking;
  static constexpr bool bounded = true;
  static constexpr bool sequentially_consistent = true; // by the position that a call takes
};

// ---- Definitions, in the order of the class

template <message T, std::size_t Capacity, class Allocator>
mpmc_ticket_queue<T, Capacity, Allocator>::~mpmc_ticket_queue() {
  take_run(capacity(), [](T&&, size_type) noexcept {});
}

template <message T, std::size_t Capacity, class Allocator>
template <class... Args>
  requires std::constructible_from<T, Args...>
inline queue_status mpmc_ticket_queue<T, Capacity, Allocator>::try_emplace(Args&&... args) noexcept(
    std::is_nothrow_constructible_v<T, Args...>) {
  if constexpr (!std::is_nothrow_constructible_v<T, Args...>) {
    if (const auto status = ring_.look_for_room(); status != queue_status::success) return status;
  }
  return build_and_put(std::forward<Args>(args)...);
}

template <message T, std::size_t Capacity, class Allocator>
template <std::input_iterator I, std::sentinel_for<I> S>
  requires range_element<std::iter_reference_t<I>, T>
I mpmc_ticket_queue<T, Capacity, Allocator>::try_push_range(I first, S last) {
  if constexpr (std::contiguous_iterator<I> && std::sized_sentinel_for<S, I> &&
                std::is_nothrow_constructible_v<T, std::iter_reference_t<I>>) {
    auto* const run = std::to_address(first);
    const auto build = [run](detail::cell<T>& cell, size_type i) noexcept {
      cell.construct(run[i]);
    };
    const size_type count = put_run(static_cast<size_type>(last - first), build);
    return first + static_cast<std::iter_difference_t<I>>(count);
  } else {
    while (first != last && ring_.look_for_room() == queue_status::success &&
           build_and_put(*first) == queue_status::success) {
      ++first;
    }
    return first;
  }
}

template <message T, std::size_t Capacity, class Allocator>
std::span<T>
mpmc_ticket_queue<T, Capacity, Allocator>::try_move_range(std::span<T> messages) noexcept {
  const auto build = [messages](detail::cell<T>& cell, size_type i) noexcept {
    cell.construct(std::move(messages[i]));
  };
  return messages.subspan(put_run(messages.size(), build));
}

template <message T, std::size_t Capacity, class Allocator>
inline expected<T, queue_status> mpmc_ticket_queue<T, Capacity, Allocator>::try_pop() noexcept {
  place taken;
  const auto status = ring_.take_front(taken);
  if (status != queue_status::success) return unexpected{status};
  return {detail::take, ring::cell(taken).value(), [this, taken] { end_message(taken); }};
}

template <message T, std::size_t Capacity, class Allocator>
inline queue_status mpmc_ticket_queue<T, Capacity, Allocator>::try_pop(T& into) noexcept
  requires std::is_nothrow_move_assignable_v<T>
{
  place taken;
  const auto status = ring_.take_front(taken);
  if (status != queue_status::success) return status;
  into = std::move(ring::cell(taken).value());
  end_message(taken);
  return queue_status::success;
}

template <message T, std::size_t Capacity, class Allocator>
template <std::output_iterator<T> O>
std::size_t mpmc_ticket_queue<T, Capacity, Allocator>::try_pop_n(O out, size_type max) {
  if constexpr (std::contiguous_iterator<O> &&
                std::is_nothrow_assignable_v<std::iter_reference_t<O>, T>) {
    auto* const run = std::to_address(out);
    return take_run(max, [run](T&& one, size_type i) noexcept { run[i] = std::move(one); });
  } else {
    size_type count = 0;
    for (; count != max; ++count, (void)++out) {
      auto one = try_pop();
      if (!one) break;
      *out = *std::move(one);
    }
    return count;
  }
}

template <message T, std::size_t Capacity, class Allocator>
template <message_handler<T> F>
std::size_t mpmc_ticket_queue<T, Capacity, Allocator>::consume_all(F&& handler) {
  size_type count = 0;
  for (; count != capacity(); ++count) {
    auto one = try_pop();
    if (!one) break;
    handler(*std::move(one));
  }
  return count;
}

/// Puts a message in that is built in its slot, or beside it where that may throw. (I1)
template <message T, std::size_t Capacity, class Allocator>
template <class... Args>
queue_status mpmc_ticket_queue<T, Capacity, Allocator>::build_and_put(Args&&... args) {
  if constexpr (std::is_nothrow_constructible_v<T, Args...>) {
    return put(std::forward<Args>(args)...);
  } else {
    return put(T(std::forward<Args>(args)...));
  }
}

/// Puts a message in that is built in its slot. (I1)
template <message T, std::size_t Capacity, class Allocator>
template <class... Args>
inline queue_status mpmc_ticket_queue<T, Capacity, Allocator>::put(Args&&... args) noexcept {
  place own;
  const auto status = ring_.take_back(own);
  if (status != queue_status::success) return status;
  ring::cell(own).construct(std::forward<Args>(args)...);
  ring_.filled(own);
  return queue_status::success;
}

/// Lets `build(cell, i)` build messages, as many at a time as there is room for. (I1)
template <message T, std::size_t Capacity, class Allocator>
template <class Build>
std::size_t mpmc_ticket_queue<T, Capacity, Allocator>::put_run(size_type wanted,
                                                               Build build) noexcept {
  size_type done = 0;
  while (done != wanted) {
    place at;
    size_type count = wanted - done;
    if (ring_.take_back(at, count) != queue_status::success) break;
    for (; count != 0; --count, ++done, at = ring_.next(at)) {
      build(ring::cell(at), done);
      ring_.filled(at);
    }
  }
  return done;
}

/// Lets `take(message, i)` move messages out, as many at a time as there are. (I1)
template <message T, std::size_t Capacity, class Allocator>
template <class Take>
std::size_t mpmc_ticket_queue<T, Capacity, Allocator>::take_run(size_type wanted,
                                                                Take take) noexcept {
  size_type done = 0;
  while (done != wanted) {
    place at;
    size_type count = wanted - done;
    if (ring_.take_front(at, count) != queue_status::success) break;
    for (; count != 0; --count, ++done, at = ring_.next(at)) {
      take(std::move(ring::cell(at).value()), done);
      end_message(at);
    }
  }
  return done;
}

template <message T, std::size_t Capacity, class Allocator>
void mpmc_ticket_queue<T, Capacity, Allocator>::end_message(place at) noexcept {
  ring::cell(at).destroy();
  ring_.emptied(at);
}

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_QUEUE_MPMC_TICKET_QUEUE_HPP
