// SPDX-License-Identifier: MIT
#ifndef MAILROOM_MAILBOX_ASYNC_HPP
#define MAILROOM_MAILBOX_ASYNC_HPP

// A coroutine that waits in a mailbox, instead of a thread.
//
//      std::optional<T> got = co_await box.async_pop();             nullopt: closed, or stopped
//      bool is_in = co_await box.async_push(std::move(message));    false: then it is still there
//
// Use it       where very many wait, or where the thread has something else to do meanwhile.
// Instead use  pop and push, where a thread may sleep.
//
// These are members of mailbox; this header must be included where they are called. Both take a
// stop token too. The kind of coroutine is the caller's own: the library has none, and allocates
// nothing.
//
//        co_await --> one attempt --> done: that was all
//                         |
//            +------> running: a place in the list, a fence, the stop, an attempt --> done: resumed
//            |            |
//            |<-- no -- not notified meanwhile? then suspended; the thread goes its own way
//            |            :
//            +------- notified, by a push (pop), by close(), or by a stop: that thread runs it
//
// A suspended coroutine is resumed in the thread that woke it, before its push, pop, close() or
// request_stop() returns: that thread runs the coroutine until it suspends again. Where it wakes
// another one by what it does, that one runs inside of it: a chain of n that wake each other is n
// calls deep. A promise with a member schedule(std::coroutine_handle<>) is asked instead, and may
// have the coroutine resumed elsewhere or later; a message that was taken for a coroutine which is
// destroyed before that goes with it. What leaves schedule(), or a resumed coroutine, as an
// exception ends the program.
//
// Who wakes a coroutine makes the attempt for it. Where the queue then answers busy, that thread
// waits until the call that is in the middle goes on.
//
// Precedence is that of mailbox: a message before closed before stopped; for a push closed before
// room before stopped.
//
// Invariants
//   (I1)  one thread at a time runs an awaiter: the one that awaits, and later whoever has changed
//         phase from suspended. All others touch nothing of it but phase and, under the lock of the
//         list, what waiter.hpp says
//   (I2)  who has suspended an awaiter does not touch it again: it may be gone already
//   (I3)  a wake-up is used or handed on: one that came before the last look is used by it; one
//         that came later, or was followed by nothing but busy, wakes the next in the list
//   (I4)  nobody is suspended on `busy`: that state ends without a wake-up
//
// Memory order
//   (S)   suspended: all that was done to the awaiter -> whoever finds it suspended and runs it.
//         Argued: the acquire is for place_, a plain member, which the checker does not see; what
//         it sees are looks, and before them comes the fence of the mailbox.
//   (N)   notified: a stop that was requested -> the next look of the thread that runs the awaiter.
//         (What an event has published comes with the lock of the list.)
//         Whoever notifies does it by an RMW: it hides neither (S) nor another (N).
//
// A coroutine takes its place in the list, passes the fence of the mailbox, and looks: that is its
// half of what waiter.hpp calls (D).
//
// Decision: a stop does not end the wait itself, it makes the awaiter look again, like an event. So
//   there is one way through, and one word that says who goes on.
// Decision: a token that can only be asked does not compile: nobody would ask it.
// Decision: a coroutine that finds nothing after a wake-up waits behind the others from then on.
//
// Sources: P0260R20 (async_push, async_pop); Baker, cppcoro (who suspends last, goes on).

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/mailbox/stop.hpp>
#include <mailroom/mailbox/waiter.hpp>
#include <mailroom/mailbox/event_count.hpp>
#include <mailroom/mailbox/checks.hpp>
#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/mailbox/mailbox_access.hpp>

#include <cstdint>  // uint32_t
#include <optional> // optional
#include <utility>  // move
#include <version>  // __cpp_lib_coroutine

#if defined(__cpp_lib_coroutine)
#include <coroutine> // coroutine_handle

namespace mailroom::inline MAILROOM_ABI {

/// A promise that says itself where and when its coroutine is resumed.
template <class Promise>
concept scheduling_promise =
    requires(Promise& promise, std::coroutine_handle<> who) { promise.schedule(who); };

namespace detail {

/// What a coroutine tries until it is done: to take a message.
template <class Box>
class pop_attempt {
public:
  using answer = std::optional<typename Box::value_type>;

  explicit pop_attempt(Box& box) noexcept : box_{&box} {}
  queue_status operator()() {
    auto got = box_->try_pop();
    if (got) taken_.emplace(std::move(*got));
    return got.error();
  }
  answer take_answer() noexcept { return std::move(taken_); }
  wait_list& list() noexcept { return mailbox_access::not_empty(*box_); }
  void order_before_attempt() noexcept { mailbox_access::order_before_attempt(*box_); }
  void enter(presence& self) noexcept {
    mailbox_access::enter(*box_, self, "async_pop", station::consuming);
    self.keep_name();
  }
  void count_wait() noexcept { mailbox_access::count_pop_wait(*box_); }

private:
  Box* box_;
  answer taken_;
};

/// Or to put one in.
template <class Box>
class push_attempt {
public:
  using answer = bool;

  push_attempt(Box& box, typename Box::value_type& value) noexcept : box_{&box}, value_{&value} {}
  queue_status operator()() {
    const queue_status status = box_->try_push(std::move(*value_));
    is_in_ = status == queue_status::success;
    const bool is_refused = status == queue_status::full && !mailbox_access::blocks(*box_);
    return is_refused ? queue_status::dropped : status;
  }
  answer take_answer() noexcept { return is_in_; }
  wait_list& list() noexcept { return mailbox_access::not_full(*box_); }
  void order_before_attempt() noexcept { mailbox_access::order_before_attempt(*box_); }
  void enter(presence& self) noexcept {
    mailbox_access::enter(*box_, self, "async_push", station::producing);
    self.keep_name();
  }
  void count_wait() noexcept { mailbox_access::count_push_wait(*box_); }

private:
  Box* box_;
  typename Box::value_type* value_;
  bool is_in_ = false;
};

/// A coroutine that waits until an attempt is done.
template <class Attempt, class S>
class awaiter final : public waiter {
public:
  awaiter(Attempt attempt, S token) noexcept
      : attempt_{std::move(attempt)}, token_{std::move(token)} {}
  awaiter(const awaiter&) = delete;
  awaiter& operator=(const awaiter&) = delete;

  /// Of a suspended coroutine too, which then waits no longer.
  ///
  /// Caller    anyone, while nothing resumes the coroutine
  ~awaiter() {
    stop_.reset(); // waits for a call in progress
    if (place_) withdraw();
  }

  bool await_ready() { return !is_unfinished(attempt_()); }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> who);
  typename Attempt::answer await_resume() noexcept { return attempt_.take_answer(); }

private:
  using enum memory_order;
  static constexpr std::uint32_t running = 0;
  static constexpr std::uint32_t suspended = 1;
  static constexpr std::uint32_t notified = 2;

  /// What a stop calls.
  struct end_of_wait {
    awaiter* self;
    void operator()() const noexcept { self->stop(); }
  };

  bool wake() noexcept override { return phase_.exchange(notified, relaxed) == suspended; } // (S)
  void resume() noexcept override;
  void stop() noexcept;
  bool run();
  bool look();
  void withdraw() noexcept;
  template <class Promise>
  static void go_on(std::coroutine_handle<> who);

  Attempt attempt_;
  S token_;
  std::coroutine_handle<> who_;
  void (*go_on_)(std::coroutine_handle<>) = nullptr;
  atomic<std::uint32_t> phase_{running};
  std::optional<wait_list::place> place_;
  [[no_unique_address]] presence presence_;
  std::optional<stop_watch<S, end_of_wait>> stop_;
};

/// What async_pop and async_push return: it does nothing until it is awaited, once.
template <class Attempt, class S>
class [[nodiscard]] async_operation {
  static_assert(stop_watch<S, void (*)()>::calls_back,
                "mailroom: to stop a coroutine needs a token that calls back");

public:
  async_operation(Attempt attempt, S token) noexcept
      : attempt_{std::move(attempt)}, token_{std::move(token)} {}
  awaiter<Attempt, S> operator co_await() && noexcept {
    return awaiter<Attempt, S>(std::move(attempt_), std::move(token_));
  }

private:
  Attempt attempt_;
  S token_;
};

// ---- Definitions, in the order of the class

/// Returns   whether the coroutine is suspended; then it may be running elsewhere, or gone
template <class Attempt, class S>
template <class Promise>
bool awaiter<Attempt, S>::await_suspend(std::coroutine_handle<Promise> who) {
  who_ = who;
  go_on_ = go_on<Promise>;
  attempt_.count_wait();
  stop_.emplace(token_, end_of_wait{this});
  return !run();
}

/// Goes on in place of the thread that has suspended it. (I1)
template <class Attempt, class S>
void awaiter<Attempt, S>::resume() noexcept {
  if (run()) go_on_(who_);
}

template <class Attempt, class S>
void awaiter<Attempt, S>::stop() noexcept {
  if (phase_.exchange(notified, release) == suspended) resume(); // (S) (N)
}

/// Attempt after attempt, until one is done, or nothing is left to do but to wait.
///
/// Returns   whether it is done; if not, whoever wakes it has it now (I2)
template <class Attempt, class S>
bool awaiter<Attempt, S>::run() {
  for (;;) {
    (void)phase_.exchange(running, acquire); // (S) (N)
    attempt_.enter(presence_);
    if (place_) { // the look that follows uses the wake-up
      (void)leave();
      place_.reset();
    }
    begin();
    place_.emplace(attempt_.list(), *this);
    attempt_.order_before_attempt();
    if (look()) {
      withdraw();
      presence_.leave();
      return true;
    }
    std::uint32_t expected = running;
    if (phase_.compare_exchange(expected, suspended, release, relaxed)) return false; // (S) (N)
  }
}

/// Returns   whether an attempt was done or the wait is stopped; false: there is nothing to do
template <class Attempt, class S>
bool awaiter<Attempt, S>::look() {
  for (;;) {
    const bool is_stopped = token_.stop_requested();
    const queue_status status = attempt_();
    if (!is_unfinished(status)) return true;
    if (is_stopped) {
      if (status == queue_status::busy) attempt_.list().wake_one(); // (I3), be it for itself
      return true;
    }
    if (status != queue_status::busy) return false;
    yield(); // (I4)
  }
}

/// Waits no longer, and hands on a wake-up that came behind the last look. (I3)
template <class Attempt, class S>
void awaiter<Attempt, S>::withdraw() noexcept {
  const bool is_unused = !leave();
  place_.reset();
  if (is_unused) attempt_.list().wake_one();
}

/// Where a coroutine is resumed: where its promise says, or here.
template <class Attempt, class S>
template <class Promise>
void awaiter<Attempt, S>::go_on(std::coroutine_handle<> who) {
  if constexpr (scheduling_promise<Promise>) {
    std::coroutine_handle<Promise>::from_address(who.address()).promise().schedule(who);
  } else {
    who.resume();
  }
}

} // namespace detail
} // namespace mailroom::inline MAILROOM_ABI

#endif // defined(__cpp_lib_coroutine)

#endif // MAILROOM_MAILBOX_ASYNC_HPP
