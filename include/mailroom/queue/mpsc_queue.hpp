// SPDX-License-Identifier: MIT
#ifndef MAILROOM_QUEUE_MPSC_QUEUE_HPP
#define MAILROOM_QUEUE_MPSC_QUEUE_HPP

// An unbounded queue from many producer threads to one consumer thread.
//
// Use it       where a producer must never be told full, as the inbox of an actor or a logger.
// Instead use  mpmc_queue with a bound, where producers may be faster for long: this one then grows
//              until memory ends; or where a producer may be stopped in the middle of a push;
//              intrusive_mpsc_queue when the messages are objects that exist already.
//
// Messages stand in an endless row of slots (block_chain.hpp, which has the proof). A producer
// takes the next slot, builds its message in it and says so; the consumer takes them in the order
// of the row. Blocks of slots that the consumer has left are used again: while the number of
// messages inside swings by less than eight blocks, of a kilobyte or eight messages, nothing is
// allocated.
//
//      try_push    ticket: CAS --> slot: build, then full        one RMW and one store
//      try_pop     slot is full? take the message                no RMW
//
// Invariants
//   (I1)  a slot is filled or skipped once, by who took it, and then left by the consumer once
//   (I2)  only the consumer writes popped and passed_over
//   (I3)  pushed() tells a number, not what is in the messages; that it is not below popped() comes
//         from (E)
//
// Memory order
//   (F)   filled: the producer stores full -> the consumer loads it and sees the message built.
//   (E)   emptied: the consumer has seen the ticket of what it took -> whoever reads popped() first
//         and pushed() then.
//   (X)   skipped: the ticket of a message that was never built -> whoever takes it off pushed().
//
// Linearisation: a push where it takes its ticket; empty and closed where the ticket word is read.
//
// A producer that stands still between its ticket and its store hides what was pushed behind it:
// pop answers busy until it goes on. So pop_progress is blocking, though no call waits.
//
// Decision: what may throw is done before there is a ticket: the memory for a new block, and the
//   message itself where its constructor may throw and its move cannot. Only a message whose move
//   may throw too is built in its slot whatever happens; if that fails the slot is skipped.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/queue/block_chain.hpp>

#include <concepts>    // constructible_from, copy_constructible, assignable_from
#include <cstddef>     // size_t
#include <cstdint>     // int64_t, uint32_t, uint64_t
#include <iterator>    // input_iterator, sentinel_for, output_iterator
#include <limits>      // numeric_limits
#include <memory>      // addressof, allocator
#include <span>        // span
#include <type_traits> // is_nothrow_constructible, is_nothrow_move_constructible
#include <utility>     // forward, move

namespace mailroom::inline MAILROOM_ABI {

template <message T, class Allocator = std::allocator<T>>
class mpsc_queue {
public:
  using value_type = T;
  using size_type = std::size_t;
  using allocator_type = Allocator;

  /// Makes an empty queue. The allocator is used by whoever pushes or pops, by several threads at a
  /// time: it must permit that, as std::allocator does and an unsynchronized pool does not.
  ///
  /// Cost      allocates the first block
  /// Throws    what the allocator throws
  mpsc_queue() : mpsc_queue{Allocator{}} {}
  explicit mpsc_queue(const Allocator& allocator) : mpsc_queue{allocator, 0} {}

  /// Destroys the messages still inside, first in first.
  ///
  /// Caller    anyone, once no other thread uses the queue
  ~mpsc_queue();

  mpsc_queue(const mpsc_queue&) = delete;
  mpsc_queue& operator=(const mpsc_queue&) = delete;

  // ---- Producers

  /// Puts a message at the back.
  ///
  /// Caller    anyone
  /// Progress  lock-free, if the allocator is
  /// Cost      O(1): one RMW and one store; more when others are faster. Allocates a block when the
  ///           last one is used up and no spare one is left
  /// Throws    what T's constructor throws, and what the allocator throws: no message was put in
  ///           then, and the argument keeps its own unless T's move threw
  /// Orders    all before a successful call happens before the return of the pop that takes it
  /// Returns   success; closed after seal(), and the argument keeps its message
  queue_status try_push(const T& value)
    requires std::copy_constructible<T>
  {
    return try_emplace(value);
  }
  queue_status try_push(T&& value) { return try_emplace(std::move(value)); }

  /// Builds a message from the arguments at the back. Everything else is as for try_push, but where
  /// the memory ends or the queue is sealed during the call the arguments may have been used.
  template <class... Args>
    requires std::constructible_from<T, Args...>
  queue_status try_emplace(Args&&... args);

  /// Puts the messages of [first, last) at the back, in order. Other producers' messages may come
  /// between them.
  ///
  /// Caller    anyone
  /// Progress  lock-free, if the iterator and the allocator are
  /// Cost      O(messages): one RMW each
  /// Throws    what the iterator, T's constructor or the allocator throws; the messages before are
  ///           in the queue
  /// Returns   the first element that was not taken: `last`, unless the queue is sealed
  template <std::input_iterator I, std::sentinel_for<I> S>
    requires range_element<std::iter_reference_t<I>, T>
  I try_push_range(I first, S last);

  /// Moves the messages of the run. Otherwise as try_push_range.
  ///
  /// Returns   the rest, untouched
  std::span<T> try_move_range(std::span<T> messages);

  // ---- The consumer

  /// Takes the message at the front.
  ///
  /// Caller    the consumer
  /// Progress  wait-free, but for the allocator, which gets blocks back that are too many
  /// Cost      O(1): no RMW; a few once in a block
  /// Throws    what T's move constructor throws; the message then is still in the queue
  /// Orders    see try_push
  /// Returns   the message; or empty, exactly; closed after seal(); busy when the message at the
  ///           front is just being put in
  expected<T, queue_status> try_pop() noexcept(std::is_nothrow_move_constructible_v<T>);

  /// The same by assignment: `into` is untouched unless the answer is success.
  ///
  /// Throws    what T's move assignment throws; the message then is still in the queue
  queue_status try_pop(T& into) noexcept(std::is_nothrow_move_assignable_v<T>)
    requires std::assignable_from<T&, T&&>;

  /// Takes up to `max` messages, until there is none or the answer is busy.
  ///
  /// Caller    the consumer
  /// Progress  as try_pop, if the iterator is wait-free
  /// Throws    what the assignment to `*out` throws; that message is still in the queue
  /// Returns   how many were taken
  template <std::output_iterator<T> O>
  size_type try_pop_n(O out, size_type max);

  /// Hands the messages that are there at the call to `handler`, in place, as T&&, until there is
  /// none or the answer is busy. The handler may push into the queue, but not pop from it.
  ///
  /// Caller    the consumer
  /// Progress  as try_pop, if the handler is wait-free
  /// Throws    what `handler` throws; the message that it was given is consumed, the others stay
  /// Returns   how many were handed over
  template <message_handler<T> F>
  size_type consume_all(F&& handler);

  // ---- Anybody

  /// Ends the queue, if it is empty: from then on every push and pop answers closed.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Returns   whether the queue is sealed now; false when there is a message, a pop in flight, or
  ///           a slot that a push left by a throw, until a pop has passed over it
  bool seal() noexcept;

  /// How many messages there are about now: a hint, never a reason.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  size_type size_approx() const noexcept;

  /// How many messages fit: there is no bound, so this is the largest number.
  static constexpr size_type capacity() noexcept { return std::numeric_limits<size_type>::max(); }

  /// How many messages were ever put in, and how many were ever taken out. Exact once the threads
  /// have stopped; while they run popped() read first is never above pushed(), and each only grows,
  /// except that a message whose constructor throws in its slot is counted until then.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  std::uint64_t pushed() const noexcept;
  std::uint64_t popped() const noexcept;

private:
  using enum detail::memory_order;

  enum class state : std::uint32_t { claimed, full, skipped };
  struct slot {
    detail::atomic<state> is;
    detail::cell<T> message;
  };

  /// Tells the consumer, when it goes out of scope, what has become of a slot.
  struct filling {
    mpsc_queue& queue;
    slot& at;
    state outcome = state::skipped;
    ~filling() {
      if (outcome == state::skipped) queue.skipped_.fetch_add(1, release); // (X)
      at.is.store(outcome, release);                                       // (F)
    }
  };

  friend struct detail::test_access;
  mpsc_queue(const Allocator& allocator, std::uint64_t first);

  template <class... Args>
  queue_status put(Args&&... args);
  slot* front(queue_status& status) noexcept;
  void pop_front(slot& at) noexcept;

  detail::block_chain<slot, Allocator> slots_;

  // The consumer's line.
  alignas(detail::cache_line) detail::atomic<std::uint64_t> popped_;
  detail::atomic<std::uint64_t> passed_over_;

  // Written when a constructor throws in its slot.
  alignas(detail::cache_line) detail::atomic<std::uint64_t> skipped_;
};

template <class T, class Allocator>
struct queue_facts<mpsc_queue<T, Allocator>> {
  static constexpr arity producers = arity::many;
  static constexpr arity consumers = arity::one;
  static constexpr ordering order = ordering::fifo;
  static constexpr progress push_progress = progress::lock_free;
  static constexpr progress pop_progress = progress::blocking;
  static constexpr bool bounded = false;
  static constexpr bool sequentially_consistent = true; // a push by its ticket; nobody awaits a pop
};

// ---- Definitions, in the order of the class

template <message T, class Allocator>
mpsc_queue<T, Allocator>::~mpsc_queue() {
  queue_status status;
  while (slot* const at = front(status)) pop_front(*at);
}

template <message T, class Allocator>
template <class... Args>
  requires std::constructible_from<T, Args...>
queue_status mpsc_queue<T, Allocator>::try_emplace(Args&&... args) {
  if constexpr (nothrow_message<T> && !std::is_nothrow_constructible_v<T, Args...>) {
    if (slots_.is_sealed()) return queue_status::closed;
    return put(T(std::forward<Args>(args)...));
  } else {
    return put(std::forward<Args>(args)...);
  }
}

template <message T, class Allocator>
template <std::input_iterator I, std::sentinel_for<I> S>
  requires range_element<std::iter_reference_t<I>, T>
I mpsc_queue<T, Allocator>::try_push_range(I first, S last) {
  while (first != last && try_emplace(*first) == queue_status::success) ++first;
  return first;
}

template <message T, class Allocator>
std::span<T> mpsc_queue<T, Allocator>::try_move_range(std::span<T> messages) {
  while (!messages.empty() && try_push(std::move(messages.front())) == queue_status::success) {
    messages = messages.subspan(1);
  }
  return messages;
}

template <message T, class Allocator>
expected<T, queue_status>
mpsc_queue<T, Allocator>::try_pop() noexcept(std::is_nothrow_move_constructible_v<T>) {
  queue_status status;
  slot* const at = front(status);
  if (at == nullptr) return unexpected{status};
  return {detail::take, at->message.value(), [this, at] { pop_front(*at); }};
}

template <message T, class Allocator>
queue_status
mpsc_queue<T, Allocator>::try_pop(T& into) noexcept(std::is_nothrow_move_assignable_v<T>)
  requires std::assignable_from<T&, T&&>
{
  queue_status status;
  slot* const at = front(status);
  if (at == nullptr) return status;
  into = std::move(at->message.value());
  pop_front(*at);
  return queue_status::success;
}

template <message T, class Allocator>
template <std::output_iterator<T> O>
std::size_t mpsc_queue<T, Allocator>::try_pop_n(O out, size_type max) {
  queue_status status;
  size_type count = 0;
  for (; count != max; ++count, (void)++out) {
    slot* const at = front(status);
    if (at == nullptr) break;
    *out = std::move(at->message.value());
    pop_front(*at);
  }
  return count;
}

template <message T, class Allocator>
template <message_handler<T> F>
std::size_t mpsc_queue<T, Allocator>::consume_all(F&& handler) {
  struct consumed {
    mpsc_queue& queue;
    slot& at;
    ~consumed() { queue.pop_front(at); }
  };
  const std::uint64_t end = slots_.end();
  queue_status status;
  size_type count = 0;
  for (; slots_.head() < end; ++count) {
    slot* const at = front(status);
    if (at == nullptr || slots_.head() >= end) break; // perhaps behind slots that were skipped
    const consumed one{*this, *at};
    handler(std::move(at->message.value()));
  }
  return count;
}

template <message T, class Allocator>
bool mpsc_queue<T, Allocator>::seal() noexcept {
  return slots_.seal(popped() + passed_over_.load(relaxed)); // (I2)
}

template <message T, class Allocator>
std::size_t mpsc_queue<T, Allocator>::size_approx() const noexcept {
  const std::uint64_t out = popped();
  return static_cast<std::size_t>(pushed() - out);
}

template <message T, class Allocator>
std::uint64_t mpsc_queue<T, Allocator>::pushed() const noexcept {
  const std::uint64_t skipped = skipped_.load(acquire); // (X)
  return slots_.end() - skipped;
}

template <message T, class Allocator>
std::uint64_t mpsc_queue<T, Allocator>::popped() const noexcept {
  return popped_.load(acquire); // (E)
}

template <message T, class Allocator>
mpsc_queue<T, Allocator>::mpsc_queue(const Allocator& allocator, std::uint64_t first)
    : slots_{allocator, first}, popped_{first} {}

/// Builds a message in the next slot. If its constructor throws the slot is skipped.
template <message T, class Allocator>
template <class... Args>
queue_status mpsc_queue<T, Allocator>::put(Args&&... args) {
  slot* const at = slots_.claim();
  if (at == nullptr) return queue_status::closed;
  filling own{*this, *at};
  at->message.construct(std::forward<Args>(args)...);
  own.outcome = state::full;
  return queue_status::success;
}

/// The slot of the message at the front; or nullptr, and the status that says why.
template <message T, class Allocator>
auto mpsc_queue<T, Allocator>::front(queue_status& status) noexcept -> slot* {
  for (;;) {
    slot* const at = slots_.front();
    const state is = at == nullptr ? state::claimed : at->is.load(acquire); // (F)
    if (is == state::full) return at;
    if (is == state::claimed) {
      status = slots_.why_not();
      return nullptr;
    }
    slots_.pop_front();
    passed_over_.store(passed_over_.load(relaxed) + 1, relaxed); // (I2)
  }
}

template <message T, class Allocator>
void mpsc_queue<T, Allocator>::pop_front(slot& at) noexcept {
  at.message.destroy();
  slots_.pop_front();
  popped_.store(popped_.load(relaxed) + 1, release); // (E) (I2)
}

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_QUEUE_MPSC_QUEUE_HPP
