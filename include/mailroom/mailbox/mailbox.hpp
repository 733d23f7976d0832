// SPDX-License-Identifier: MIT
#ifndef MAILROOM_MAILBOX_MAILBOX_HPP
#define MAILROOM_MAILBOX_MAILBOX_HPP

// A queue that waits: with deadlines, stop tokens, a policy for overflow, and an orderly end.
//
// Use it       between threads of which one may have to wait for the other; it is to a queue what
//              std::stack is to a container: mailbox<T, spsc_queue<T>> is the same over another.
// Instead use  the queue itself, if nobody ever waits;
//              dispatcher, when the same message is for several receivers.
//
//      push -->  [ queue ]  --> pop             closed: a flag; what was pushed before it is still
//        :          |            :              delivered, and the pop that finds no more seals
//     not_full <----+----> not_empty            the queue, so that no push can slip in behind it
//
// When several outcomes are possible at once:
//      pop    a message, before closed, before stopped, before timeout
//      push   closed, before room, before stopped, before timeout
//
// Invariants
//   (I1)  every push that answered success is delivered, discarded by drop_oldest or close(discard)
//         and counted, or destroyed with the mailbox; every push that answered anything else left
//         its message alone, unless drop_newest has given it to on_drop
//   (I2)  once a pop has answered closed, no push succeeds and every pop answers closed
//
// Memory order
//   (C)   close: what happened before close() -> whoever sees the flag. How a racing push is told
//         from a late one is in closing.hpp.
// A push, a pop or close publishes, by a seq_cst RMW or with the light fence behind it, then looks
// for sleepers: that is its half of (D) in event_count.hpp. Where the queue has no bound, and so
// need not publish its pops, the pop that answers closed does so for those before it.
//
// Decision: the overflow policy belongs to the mailbox, not to the push: a bound that every caller
//   may lift is none. A policy other than block never waits, not even in a timed push.
// Decision: the message needs a nothrow move, so that none can be lost on its way out.
// Decision: who waits for the end sleeps where pushes wait for room. In a closed mailbox none does,
//   and every pop looks there anyway, so that it costs nothing when nobody waits.
// Decision: the first attempt of a push or a pop, and the look for sleepers behind it, are inline;
//   what waits and what wakes is kept out of line. Inline too, it costs every call its registers.
// Decision: run takes its messages out one by one, not by consume_all. Handled where they are, they
//   would keep a slow handler's room from the producers.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/fences.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/core/wait.hpp>
#include <mailroom/core/clock.hpp>
#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/mailbox/event_count.hpp>
#include <mailroom/mailbox/closing.hpp>
#include <mailroom/mailbox/options.hpp>
#include <mailroom/mailbox/checks.hpp>
#include <mailroom/mailbox/loss.hpp>

#include <chrono>      // duration, time_point
#include <concepts>    // constructible_from, convertible_to
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <iterator>    // input_iterator, sentinel_for, output_iterator
#include <memory>      // allocator
#include <optional>    // optional
#include <type_traits> // conditional, is_constructible, is_lvalue_reference, is_same, remove_cvref
#include <utility>     // forward, move

namespace mailroom::inline MAILROOM_ABI {

namespace detail {

struct mailbox_access; // mailbox_access.hpp
template <class Box>
class pop_attempt;
template <class Box>
class push_attempt;
template <class Attempt, class S>
class async_operation; // needs #include <mailroom/mailbox/async.hpp>

/// How a push or a pop, and a thread that goes to sleep, notice each other. A seq_cst RMW needs no
/// fence behind it, so there is nothing to save; a plain store does, and then the sleeper pays.
template <class Queue, class Wait>
using mailbox_fences = std::conditional_t<!queue_facts<Queue>::sequentially_consistent &&
                                              std::is_same_v<Wait, wait_policy::park>,
                                          asymmetric_fences, symmetric_fences>;

} // namespace detail

template <message T, class Queue = mpmc_queue<T>, class Wait = wait_policy::park>
class mailbox {
  static_assert(queue<Queue>, "mailroom: a mailbox needs a queue of mailroom's kind");
  static_assert(nothrow_message<T>, "mailroom: a mailbox needs a message whose move cannot throw");

public:
  using value_type = T;
  using queue_type = Queue;

  /// Makes an empty, open mailbox.
  ///
  /// Throws    what the queue's constructor throws; std::invalid_argument for drop_oldest over a
  ///           queue with one consumer, where a push cannot take the oldest message out
  explicit mailbox(std::size_t capacity) : mailbox{mailbox_options{.capacity = capacity}} {}
  explicit mailbox(mailbox_options options = {});
  template <class Allocator>
    requires std::constructible_from<Queue, std::size_t, const Allocator&>
  mailbox(mailbox_options options, const Allocator& allocator);

  /// The same, with somebody who gets, as T&&, the messages that the policy, close(discard) or the
  /// destructor discards. `on_drop` is called by the thread that does, in several perhaps at once,
  /// and may not throw. It may use this mailbox, but for a push into it that may discard again.
  template <message_handler<T> F>
  mailbox(mailbox_options options, F&& on_drop);

  /// Discards the messages still inside.
  ///
  /// Caller    anyone, once no other thread uses the mailbox or waits in it
  ~mailbox();

  mailbox(const mailbox&) = delete;
  mailbox& operator=(const mailbox&) = delete;

  // ---- Producers

  /// Puts a message in; waits for room if overflow is block.
  ///
  /// Caller    as for the queue's push
  /// Progress  blocking: waits for room; with any other policy as the queue's push
  /// Cost      the queue's push and three loads (over spsc_queue two fences more, where the kernel
  ///           has none for all threads); a system call when somebody sleeps, and a lock when a
  ///           select or a coroutine waits
  /// Throws    what copying the message throws; nothing was put in
  /// Orders    all before a successful call happens before the return of the pop that takes it
  /// Returns   true if the message is in; false if it is not, and the argument untouched (unless
  ///           drop_newest gave it to on_drop): the mailbox is closed, the stop was requested, or
  ///           the policy refused it
  bool push(const T& value) { return push(value, never_stop{}); }
  bool push(T&& value) { return push(std::move(value), never_stop{}); }
  template <stoppable_token S>
  bool push(const T& value, S token) {
    return push_or_wait(value, detail::no_deadline{}, token) == queue_status::success;
  }
  template <stoppable_token S>
  bool push(T&& value, S token) {
    return push_or_wait(std::move(value), detail::no_deadline{}, token) == queue_status::success;
  }

  /// Builds a message from the arguments, then puts it in like push.
  template <class... Args>
    requires std::constructible_from<T, Args...>
  bool emplace(Args&&... args) {
    return push(T(std::forward<Args>(args)...));
  }

  /// Puts a message in if there is room, or as the overflow policy has it.
  ///
  /// Caller    as for the queue's push
  /// Progress  as the queue's push; but where a select or a coroutine waits, blocking: on the lock
  ///           of their list
  /// Returns   success; full; closed; dropped under drop_newest; busy if the queue says so. The
  ///           argument keeps its message unless success, or unless on_drop got it
  queue_status try_push(const T& value) { return offer(value); }
  queue_status try_push(T&& value) { return offer(std::move(value)); }

  /// The same, and adds to `dropped` how many messages the policy discarded in this call.
  queue_status try_push(const T& value, std::size_t& dropped) { return offer(value, &dropped); }
  queue_status try_push(T&& value, std::size_t& dropped) {
    return offer(std::move(value), &dropped);
  }

  /// Like push, from a coroutine, which is suspended instead of the thread:
  /// `bool is_in = co_await box.async_push(std::move(message))`. Needs mailbox/async.hpp.
  ///
  /// Caller    as for the queue's push; the message, and the mailbox, must be there until then
  /// Progress  as try_push, and blocking: on the lock of the list, where it must wait for room
  /// Returns   what can be awaited, once: whether the message is in; if not, it is untouched
  template <stoppable_token S = never_stop>
  detail::async_operation<detail::push_attempt<mailbox>, S> async_push(T&& value,
                                                                       S token = {}) noexcept {
    return {detail::push_attempt<mailbox>(*this, value), std::move(token)};
  }

  /// Waits for room until a point in time, on any clock, or for a duration.
  ///
  /// Progress  blocking: waits for room, the deadline, or the stop
  /// Returns   success; closed; stopped; timeout, never early; or what the policy answers
  template <class Rep, class Period, stoppable_token S = never_stop>
  queue_status try_push_for(T&& value, std::chrono::duration<Rep, Period> timeout, S token = {}) {
    return push_or_wait(std::move(value), detail::steady_deadline{timeout}, token);
  }
  template <class Rep, class Period, stoppable_token S = never_stop>
  queue_status try_push_for(const T& value, std::chrono::duration<Rep, Period> timeout,
                            S token = {}) {
    return push_or_wait(value, detail::steady_deadline{timeout}, token);
  }
  template <class Clock, class Duration, stoppable_token S = never_stop>
  queue_status try_push_until(T&& value, std::chrono::time_point<Clock, Duration> deadline,
                              S token = {}) {
    return push_or_wait(std::move(value), detail::deadline_at(deadline), token);
  }
  template <class Clock, class Duration, stoppable_token S = never_stop>
  queue_status try_push_until(const T& value, std::chrono::time_point<Clock, Duration> deadline,
                              S token = {}) {
    return push_or_wait(value, detail::deadline_at(deadline), token);
  }

  /// Puts [first, last) in, in order, waiting for room as push does. What the policy discards is
  /// passed over; other producers' messages may come between.
  ///
  /// Progress  blocking: waits for room
  /// Throws    what the iterator or the copy of a message throws; those before it are in
  /// Returns   the first element that was not taken: `last`, unless closed or refused
  template <std::input_iterator I, std::sentinel_for<I> E>
    requires range_element<std::iter_reference_t<I>, T> &&
             std::convertible_to<std::iter_reference_t<I>, T>
  I push_range(I first, E last);

  // ---- Consumers

  /// Takes the first message; waits for one.
  ///
  /// Caller    as for the queue's pop
  /// Progress  blocking: waits for a message
  /// Cost      the queue's pop and two loads (over spsc_queue one fence more, where the kernel has
  ///           none for all threads); a system call when somebody sleeps, and a lock when a select
  ///           or a coroutine waits
  /// Throws    nothing (a token's callback may)
  /// Orders    see push
  /// Returns   the message; nullopt once closed and drained, or stopped with no message there
  std::optional<T> pop() { return pop(never_stop{}); }
  template <stoppable_token S>
  std::optional<T> pop(S token);

  /// Takes the first message if there is one.
  ///
  /// Caller    as for the queue's pop
  /// Progress  as the queue's pop; but where a select or a coroutine waits for room, blocking: on
  ///           the lock of their list
  /// Returns   the message; empty; closed, for ever; busy if the queue says so, or if the one
  ///           producer is in the middle of a push into a mailbox that is being closed
  expected<T, queue_status> try_pop();

  /// The same by assignment: `into` is untouched unless the answer is success.
  queue_status try_pop(T& into)
    requires std::is_nothrow_move_assignable_v<T>;

  /// Waits for a message until a point in time, on any clock, or for a duration.
  ///
  /// Progress  blocking: waits for a message, the deadline, or the stop
  /// Returns   the message; closed; stopped; timeout, never early
  template <class Rep, class Period, stoppable_token S = never_stop>
  expected<T, queue_status> try_pop_for(std::chrono::duration<Rep, Period> timeout, S token = {}) {
    return pop_or_wait(detail::steady_deadline{timeout}, token);
  }
  template <class Clock, class Duration, stoppable_token S = never_stop>
  expected<T, queue_status> try_pop_until(std::chrono::time_point<Clock, Duration> deadline,
                                          S token = {}) {
    return pop_or_wait(detail::deadline_at(deadline), token);
  }

  /// Waits for one message, then takes what is there, up to `max`.
  ///
  /// Progress  blocking: waits for the first message
  /// Throws    what the assignment to `*out` throws; that message is consumed, unless the queue can
  ///           keep it (spsc_queue does, but for the first); the others stay
  /// Returns   how many; 0 once closed and drained, stopped, or if max is 0
  template <std::output_iterator<T> O, stoppable_token S = never_stop>
  std::size_t pop_n(O out, std::size_t max, S token = {});

  /// Hands what is there to `handler`, in place, as T&&, without waiting. Producers that wait are
  /// told of the room at the end of the call, so the handler must not wait for one of them.
  ///
  /// Progress  as the queue's consume_all, if the handler is; but where a select or a coroutine
  ///           waits for room, blocking: on the lock of their list
  /// Throws    what `handler` throws; the message that it was given is consumed, the others stay
  /// Returns   how many were handed over; 0 also when it is drained, which is_drained() tells
  template <message_handler<T> F>
  std::size_t consume_all(F&& handler);

  /// Hands every message to `handler` as T&&, waiting for the next one.
  ///
  /// Progress  blocking: waits for messages
  /// Throws    what `handler` throws; its message is consumed, and run may be called again
  /// Returns   closed, when everything was delivered; or stopped
  template <message_handler<T> F, stoppable_token S = never_stop>
  queue_status run(F&& handler, S token = {});

  /// Like pop, from a coroutine: `std::optional<T> got = co_await box.async_pop()`. Who pops is the
  /// coroutine, in whatever thread: a queue with one consumer has one that awaits.
  ///
  /// Caller    as for the queue's pop; the mailbox must be there until then
  /// Progress  as try_pop, and blocking: on the lock of the list, where it must wait for a message
  /// Returns   what can be awaited, once: the message; nullopt once closed and drained, or stopped
  template <stoppable_token S = never_stop>
  detail::async_operation<detail::pop_attempt<mailbox>, S> async_pop(S token = {}) noexcept {
    return {detail::pop_attempt<mailbox>(*this), std::move(token)};
  }

  // ---- Anybody

  /// Ends the intake: from now on pushes are refused; what is inside is still delivered. Whoever
  /// waits is woken. May be called again.
  ///
  /// Caller    anyone
  /// Progress  wait-free, with a system call for each side where somebody sleeps; but where a
  ///           select or a coroutine waits, blocking: on the lock of their list
  /// Orders    all before the call happens before whoever is told closed
  void close() noexcept;

  /// The same, and discards what is inside.
  ///
  /// Caller    as for the queue's pop
  /// Progress  blocking: waits for pushes that are in the middle; over mpmc_queue lock-free
  void close(discard_t) noexcept;

  /// Ends the intake and waits until all messages are taken, though perhaps not handled yet.
  ///
  /// Caller    anyone but a thread that is to take them
  /// Progress  blocking: waits for the pop that takes the last message; over mpsc_queue, at worst,
  ///           for the one after it, which is told closed
  /// Cost      every pop meanwhile makes a system call; over spsc_queue the end itself one that
  ///           interrupts the program's other cores
  /// Returns   closed; or stopped, or timeout, never early: the mailbox is closed then too
  void close_and_wait() { (void)close_and_await(detail::no_deadline{}, never_stop{}); }
  template <class Rep, class Period, stoppable_token S = never_stop>
  queue_status close_and_wait_for(std::chrono::duration<Rep, Period> timeout, S token = {}) {
    return close_and_await(detail::steady_deadline{timeout}, token);
  }
  template <class Clock, class Duration, stoppable_token S = never_stop>
  queue_status close_and_wait_until(std::chrono::time_point<Clock, Duration> deadline,
                                    S token = {}) {
    return close_and_await(detail::deadline_at(deadline), token);
  }

  bool is_closed() const noexcept { return closed_.load(acquire) != 0; } // (C)

  /// Is it closed, and nothing left, for ever?
  ///
  /// Caller    anyone
  /// Progress  lock-free
  bool is_drained() const noexcept { return is_closed() && closing_.is_over(queue_); }

  /// Caller    anyone
  /// Progress  as the queue's size_approx
  mailbox_stats stats() const noexcept;
  std::size_t size_approx() const noexcept { return queue_.size_approx(); }
  std::size_t capacity() const noexcept { return queue_.capacity(); }
  const char* name() const noexcept { return options_.name; }

private:
  using enum detail::memory_order;
  using fences = detail::mailbox_fences<Queue, Wait>;
  using event = detail::event_count<Wait, fences>;
  using station = detail::station;
  friend struct detail::mailbox_access;

  template <class Deadline, class S>
  static constexpr bool is_endless =
      std::is_same_v<Deadline, detail::no_deadline> && std::is_same_v<S, never_stop>;
  template <class Deadline>
  static constexpr const char* call_name(const char* endless, const char* timed) noexcept {
    return std::is_same_v<Deadline, detail::no_deadline> ? endless : timed;
  }

  static void check(const mailbox_options& options);
  static Queue make_queue(std::size_t capacity);
  template <class U, class Deadline, stoppable_token S>
  queue_status push_or_wait(U&& value, const Deadline& deadline, const S& token);
  template <class U, class Deadline, stoppable_token S>
  queue_status wait_to_push(queue_status status, U&& value, const Deadline& deadline,
                            const S& token);
  template <class Deadline, stoppable_token S>
  expected<T, queue_status> pop_or_wait(const Deadline& deadline, const S& token);
  template <class Deadline, stoppable_token S>
  void wait_to_pop(expected<T, queue_status>& result, const Deadline& deadline, const S& token);
  template <class U>
  queue_status push_element(U&& element);
  template <class U>
  queue_status attempt_push(U&& value);
  template <class U>
  queue_status offer(U&& value, std::size_t* dropped = nullptr);
  template <class U>
  queue_status refuse(U&& value, std::size_t* dropped);
  queue_status evict_and_push(T&& value, std::size_t* dropped);
  template <class Deadline, stoppable_token S>
  queue_status close_and_await(const Deadline& deadline, const S& token);
  void told_closed() noexcept;
  void told_of_all() noexcept;
  void order_before_look() const noexcept;
  void published(event& other_side) noexcept;

  /// Tells the other side, when it goes out of scope, that there may be several.
  struct announcement {
    const mailbox& from;
    event& other_side;
    ~announcement() {
      from.order_before_look();
      other_side.notify_all();
    }
  };

  const mailbox_options options_;
  mutable Queue queue_; // mutable: to ask whether it is over may seal it
  [[no_unique_address]] const fences fences_{};
  mutable detail::closing<Queue, fences> closing_{fences_};
  [[no_unique_address]] detail::visitors visitors_{queue_facts<Queue>::producers,
                                                   queue_facts<Queue>::consumers, options_.name};
  alignas(detail::cache_line) detail::closed_flag closed_;
  event not_empty_{fences_};
  event not_full_{fences_}; // or, once closed, over
  detail::losses<T> losses_;
};

/// P0260's name for it.
template <message T, class Allocator = std::allocator<T>>
using bounded_queue = mailbox<T, mpmc_queue<T, dynamic_capacity, Allocator>>;

// ---- Definitions, in the order of the class

template <message T, class Queue, class Wait>
mailbox<T, Queue, Wait>::mailbox(mailbox_options options)
    : options_{options}, queue_(make_queue(options.capacity)) {
  check(options);
}

template <message T, class Queue, class Wait>
template <class Allocator>
  requires std::constructible_from<Queue, std::size_t, const Allocator&>
mailbox<T, Queue, Wait>::mailbox(mailbox_options options, const Allocator& allocator)
    : options_{options}, queue_(options.capacity, allocator) {
  check(options);
}

template <message T, class Queue, class Wait>
template <message_handler<T> F>
mailbox<T, Queue, Wait>::mailbox(mailbox_options options, F&& on_drop)
    : options_{options}, queue_(make_queue(options.capacity)), losses_(std::forward<F>(on_drop)) {
  check(options);
}

template <message T, class Queue, class Wait>
mailbox<T, Queue, Wait>::~mailbox() {
  visitors_.expect_none();
  if (!losses_.is_watched()) return;
  const detail::presence told{visitors_, "on_drop of ~mailbox",
                              MAILROOM_CHECKED != 0 && !is_closed() ? station::dropping
                                                                    : station::elsewhere};
  while (auto left = queue_.try_pop()) losses_.discard(std::move(*left));
}

template <message T, class Queue, class Wait>
template <std::input_iterator I, std::sentinel_for<I> E>
  requires range_element<std::iter_reference_t<I>, T> &&
           std::convertible_to<std::iter_reference_t<I>, T>
I mailbox<T, Queue, Wait>::push_range(I first, E last) {
  const detail::presence here{visitors_, "push_range", station::producing};
  while (first != last) {
    {
      const announcement announced{*this,
                                   not_empty_}; // after the push, also if it throws in the middle
      const auto push = closing_.begin_push(closed_);
      if (!push.is_open) return first;
      first = queue_.try_push_range(std::move(first), last);
    }
    if (first == last) break;
    const queue_status status = push_element(*first);
    if (status != queue_status::success && status != queue_status::dropped) return first;
    ++first;
  }
  return first;
}

template <message T, class Queue, class Wait>
template <stoppable_token S>
inline std::optional<T> mailbox<T, Queue, Wait>::pop(S token) {
  auto result = pop_or_wait(detail::no_deadline{}, token);
  if (!result) return std::nullopt;
  return std::optional<T>{std::move(*result)};
}

template <message T, class Queue, class Wait>
inline expected<T, queue_status> mailbox<T, Queue, Wait>::try_pop() {
  const detail::presence here{visitors_, "try_pop", station::consuming};
  auto result = queue_.try_pop();
  if (!result && result.error() == queue_status::empty && is_closed()) {
    result = closing_.last_pop(queue_);
  }
  if (result) {
    published(not_full_);
  } else if (result.error() == queue_status::closed) {
    told_closed();
  }
  return result;
}

template <message T, class Queue, class Wait>
queue_status mailbox<T, Queue, Wait>::try_pop(T& into)
  requires std::is_nothrow_move_assignable_v<T>
{
  auto result = try_pop();
  if (result) into = std::move(*result);
  return result.error();
}

template <message T, class Queue, class Wait>
template <std::output_iterator<T> O, stoppable_token S>
std::size_t mailbox<T, Queue, Wait>::pop_n(O out, std::size_t max, S token) {
  if (max == 0) return 0;
  const detail::presence here{visitors_, "pop_n", station::consuming};
  auto first = pop_or_wait(detail::no_deadline{}, token);
  if (!first) return 0;
  *out = std::move(*first);
  const announcement announced{*this,
                               not_full_}; // after the pops, also if one throws in the middle
  return 1 + queue_.try_pop_n(++out, max - 1);
}

template <message T, class Queue, class Wait>
template <message_handler<T> F>
std::size_t mailbox<T, Queue, Wait>::consume_all(F&& handler) {
  const detail::presence here{visitors_, "consume_all", station::consuming};
  struct ending {
    mailbox& of;
    ~ending() { of.told_of_all(); }
  };
  const ending told{*this}; // after the handler, also if it throws
  return queue_.consume_all(std::forward<F>(handler));
}

template <message T, class Queue, class Wait>
template <message_handler<T> F, stoppable_token S>
queue_status mailbox<T, Queue, Wait>::run(F&& handler, S token) {
  detail::presence here;
  for (;;) {
    here.enter(visitors_, "run", station::consuming);
    auto result = pop_or_wait(detail::no_deadline{}, token);
    if (!result) return result.error();
    here.enter(visitors_, "the handler of run", station::handling);
    handler(std::move(*result));
  }
}

template <message T, class Queue, class Wait>
void mailbox<T, Queue, Wait>::close() noexcept {
  const detail::presence here{visitors_, "close", station::elsewhere};
  closed_.store(1, release); // (C)
  not_empty_.interrupt();
  not_full_.interrupt();
}

template <message T, class Queue, class Wait>
void mailbox<T, Queue, Wait>::close(discard_t) noexcept {
  const detail::presence here{visitors_, "close(discard)", station::consuming};
  close();
  for (;;) {
    auto left = try_pop();
    if (left) {
      losses_.discard(std::move(*left));
    } else if (left.error() == queue_status::closed) {
      return;
    } else {
      detail::yield(); // busy
    }
  }
}

template <message T, class Queue, class Wait>
mailbox_stats mailbox<T, Queue, Wait>::stats() const noexcept {
  const std::uint64_t dropped = losses_.dropped();
  const std::uint64_t discarded = losses_.discarded();
  const std::uint64_t lost =
      discarded + (options_.on_full == overflow::drop_oldest ? dropped : 0); // of those inside
  const std::uint64_t taken = queue_.popped();
  return {.pushed = queue_.pushed(),
          .popped = taken < lost ? 0 : taken - lost,
          .rejected = losses_.rejected(),
          .dropped = dropped,
          .discarded = discarded,
          .push_waits = not_full_.waits(),
          .pop_waits = not_empty_.waits(),
          .wakeups = not_full_.wakeups() + not_empty_.wakeups(),
          .depth = queue_.size_approx()};
}

template <message T, class Queue, class Wait>
void mailbox<T, Queue, Wait>::check(const mailbox_options& options) {
  if (options.on_full == overflow::drop_oldest && queue_facts<Queue>::consumers == arity::one) {
    detail::throw_invalid_argument(
        "mailroom: overflow::drop_oldest needs a queue with many consumers");
  }
}

template <message T, class Queue, class Wait>
Queue mailbox<T, Queue, Wait>::make_queue([[maybe_unused]] std::size_t capacity) {
  if constexpr (std::is_constructible_v<Queue, std::size_t>) {
    return Queue(capacity);
  } else {
    return Queue();
  }
}

template <message T, class Queue, class Wait>
template <class U, class Deadline, stoppable_token S>
inline queue_status mailbox<T, Queue, Wait>::push_or_wait(U&& value, const Deadline& deadline,
                                                          const S& token) {
  const detail::presence here{visitors_, call_name<Deadline>("push", "try_push_for"),
                              station::producing};
  const queue_status status = attempt_push(std::forward<U>(value));
  if (status == queue_status::success) return status;
  return wait_to_push(status, std::forward<U>(value), deadline, token);
}

/// What a push does whose first attempt has not succeeded.
template <message T, class Queue, class Wait>
template <class U, class Deadline, stoppable_token S>
[[gnu::noinline]] queue_status mailbox<T, Queue, Wait>::wait_to_push(queue_status status, U&& value,
                                                                     const Deadline& deadline,
                                                                     const S& token) {
  if (status == queue_status::closed) return status;
  const auto attempt = [&] {
    const queue_status answer = attempt_push(std::forward<U>(value));
    if (is_endless<Deadline, S> && answer == queue_status::full) {
      visitors_.expect_a_consumer("push");
    }
    return answer;
  };
  if (options_.on_full == overflow::block) return not_full_.await(deadline, token, attempt);
  if (status == queue_status::full) status = refuse(std::forward<U>(value), nullptr);
  while (status == queue_status::busy) {
    detail::yield();
    status = offer(std::forward<U>(value));
  }
  return status;
}

template <message T, class Queue, class Wait>
template <class Deadline, stoppable_token S>
inline expected<T, queue_status> mailbox<T, Queue, Wait>::pop_or_wait(const Deadline& deadline,
                                                                      const S& token) {
  const detail::presence here{visitors_, call_name<Deadline>("pop", "try_pop_for"),
                              station::consuming};
  auto result = try_pop();
  if (!result) wait_to_pop(result, deadline, token);
  return result;
}

/// What a pop does whose first attempt has not succeeded.
template <message T, class Queue, class Wait>
template <class Deadline, stoppable_token S>
[[gnu::noinline]] void mailbox<T, Queue, Wait>::wait_to_pop(expected<T, queue_status>& result,
                                                            const Deadline& deadline,
                                                            const S& token) {
  if (result.error() == queue_status::closed) return;
  const queue_status status = not_empty_.await(deadline, token, [&] {
    result = try_pop();
    return result.error();
  });
  if (!result) result = unexpected{status};
}

/// Pushes an element of a range. If it is not a message it becomes one here, once.
template <message T, class Queue, class Wait>
template <class U>
queue_status mailbox<T, Queue, Wait>::push_element(U&& element) {
  if constexpr (std::is_same_v<std::remove_cvref_t<U>, T>) {
    return push_or_wait(std::forward<U>(element), detail::no_deadline{}, never_stop{});
  } else {
    return push_or_wait(T(std::forward<U>(element)), detail::no_deadline{}, never_stop{});
  }
}

/// One attempt, without waiting. The value is moved from only on success.
template <message T, class Queue, class Wait>
template <class U>
inline queue_status mailbox<T, Queue, Wait>::attempt_push(U&& value) {
  queue_status status = queue_status::closed;
  {
    const auto push = closing_.begin_push(closed_);
    if (!push.is_open) return status;
    status = queue_.try_push(std::forward<U>(value));
  }
  if (status == queue_status::success) published(not_empty_);
  return status;
}

/// One attempt, and what the overflow policy makes of it when there is no room.
template <message T, class Queue, class Wait>
template <class U>
queue_status mailbox<T, Queue, Wait>::offer(U&& value, std::size_t* dropped) {
  const detail::presence here{visitors_, "try_push", station::producing};
  const queue_status status = attempt_push(std::forward<U>(value));
  return status == queue_status::full ? refuse(std::forward<U>(value), dropped) : status;
}

/// What the overflow policy makes of a push that has found no room.
template <message T, class Queue, class Wait>
template <class U>
queue_status mailbox<T, Queue, Wait>::refuse(U&& value, std::size_t* dropped) {
  switch (options_.on_full) {
  case overflow::block: break;
  case overflow::reject: losses_.reject(); break;
  case overflow::drop_newest: {
    const detail::presence told{visitors_, "on_drop", station::dropping};
    losses_.drop(std::forward<U>(value));
    if (dropped != nullptr) ++*dropped;
    return queue_status::dropped;
  }
  case overflow::drop_oldest:
    if constexpr (std::is_lvalue_reference_v<U>) {
      return evict_and_push(T(value), dropped); // a copy that throws costs no other message
    } else {
      return evict_and_push(std::move(value), dropped);
    }
  }
  return queue_status::full;
}

/// Discards the oldest message until there is room. Whoever pops meanwhile helps.
template <message T, class Queue, class Wait>
queue_status mailbox<T, Queue, Wait>::evict_and_push(T&& value, std::size_t* dropped) {
  queue_status status = queue_status::full;
  while (status == queue_status::full) {
    if (is_closed()) return queue_status::closed;
    if (auto oldest = queue_.try_pop()) {
      published(not_full_); // for who waits for the end
      if (dropped != nullptr) ++*dropped;
      const detail::presence told{visitors_, "on_drop", station::dropping};
      losses_.drop(std::move(*oldest));
    }
    status = attempt_push(std::move(value));
  }
  return status;
}

/// Ends the intake, and waits until it is over. What is neither over nor inside is in the middle of
/// a call, at whose end nobody need be told.
template <message T, class Queue, class Wait>
template <class Deadline, stoppable_token S>
queue_status mailbox<T, Queue, Wait>::close_and_await(const Deadline& deadline, const S& token) {
  const detail::presence here{visitors_, "close_and_wait", station::elsewhere};
  close();
  const queue_status status = not_full_.await(deadline, token, [this]() noexcept {
    if (is_drained()) return queue_status::closed;
    const queue_status seen = queue_.size_approx() == 0 ? queue_status::busy : queue_status::empty;
    if (is_endless<Deadline, S> && seen == queue_status::empty) {
      visitors_.expect_a_consumer("close_and_wait");
    }
    return seen;
  });
  if (status == queue_status::closed) not_full_.notify_all(); // the last pop tells only one
  return status;
}

/// A pop has found the end. Where pops are not published, who waits for it may not know of all.
template <message T, class Queue, class Wait>
void mailbox<T, Queue, Wait>::told_closed() noexcept {
  if constexpr (event::parks && !queue_facts<Queue>::bounded) {
    fences_.light();
    not_full_.notify_all();
  }
}

/// Several messages were taken out. Where pops are not published, it is told who waits for the end.
template <message T, class Queue, class Wait>
void mailbox<T, Queue, Wait>::told_of_all() noexcept {
  if constexpr (queue_facts<Queue>::bounded) {
    order_before_look();
    not_full_.notify_all();
  } else {
    told_closed();
  }
}

/// Makes what was published come before the look for sleepers that follows.
template <message T, class Queue, class Wait>
void mailbox<T, Queue, Wait>::order_before_look() const noexcept {
  if constexpr (event::parks && !queue_facts<Queue>::sequentially_consistent) fences_.light();
}

/// Tells the other side that there is a message, or room for one.
template <message T, class Queue, class Wait>
inline void mailbox<T, Queue, Wait>::published(event& other_side) noexcept {
  order_before_look();
  other_side.notify_one();
}

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_MAILBOX_MAILBOX_HPP
