// SPDX-License-Identifier: MIT
#ifndef MAILROOM_MAILBOX_SELECTOR_HPP
#define MAILROOM_MAILBOX_SELECTOR_HPP

// A set of mailboxes that changes while the program runs, for one thread or one event loop: a
// select that is kept, and a descriptor for epoll, poll and asio.
//
//      selector all;
//      auto first = all.add(on_pop(orders, [](order&& next) { ... }));
//      auto second = all.add(on_pop(prices, [](price&& next) { ... }));
//
//      while (all.select(token) == queue_status::success) {}          a thread, which sleeps
//
//      poll(all.native_handle()), and whenever it is readable:        an event loop
//      while (all.try_select() == queue_status::success) {}
//
// Use it       where one thread serves mailboxes that come and go; where it waits for sockets too.
// Instead use  select, where the mailboxes are known when the program is written: it allocates
//              nothing, and waits for times and stops as for any other case;
//              coroutines (async.hpp), for thousands: here, to wait takes a lock for each.
//
// A case stays until it is cancelled, or its mailbox is drained (for a push: closed): then it
// leaves the set by itself, and the mailbox may go. The cases take turns: one that is ready is
// carried out before any other is for the second time. How one is chosen is in rotation.hpp.
//
// A coroutine that waits in one of the mailboxes may be resumed inside of a call of the selector.
// There it must not use the selector; its promise can have it resumed elsewhere (async.hpp).
//
//      the selector                          the descriptor        the mailboxes
//      looks: nothing                        readable              pushes find nobody
//      stands in all lists, looks: nothing   lowered: not          pushes find its places
//      is woken by the first of them         raised: readable      pushes find nobody
//      looks: leaves all lists, a handler
//
// Invariants
//   (I1)  an open descriptor is readable, unless the selector stands in the lists as its doorbell
//         and has not been woken: from a try_select, outside of its handlers, that answers empty or
//         closed to the next event
//   (I2)  while a handler runs the selector stands nowhere and has no wake-up in hand, but in a
//         select that the handler calls: what comes meanwhile wakes others
//   (I3)  nobody waits on `busy`: that state ends without a wake-up
//
// Decision: the descriptor is made when it is first asked for: a thread that sleeps needs none.
// Decision: a case belongs to its registration, and the selector only links them: either may be
//   destroyed first.
//
// Sources: Schmidt, Reactor, in Pattern Languages of Program Design, 1995 (handlers that come and
// go, and one loop that waits for what they handle).

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/core/clock.hpp>
#include <mailroom/mailbox/stop.hpp>
#include <mailroom/mailbox/waiter.hpp>
#include <mailroom/mailbox/event_count.hpp>
#include <mailroom/mailbox/selection.hpp>
#include <mailroom/mailbox/select.hpp>
#include <mailroom/mailbox/rotation.hpp>

#include <algorithm>    // min
#include <chrono>       // duration, time_point
#include <cstddef>      // size_t
#include <cstdlib>      // abort
#include <memory>       // make_unique, unique_ptr
#include <system_error> // generic_category, system_error
#include <utility>      // move

namespace mailroom::inline MAILROOM_ABI {

class selector {
public:
  using native_handle_type = detail::descriptor::native_type;
  class registration;

  /// An empty set. It is destroyed by its owner, perhaps in a handler; its cases may stay behind.
  selector() = default;
  selector(const selector&) = delete;
  selector& operator=(const selector&) = delete;
  ~selector() {
    for (handling* each = innermost_; each != nullptr; each = each->outer) each->of = nullptr;
  }

  // ---- The set

  /// Takes in an on_pop or an on_push. The value of a push must be there as long as the case is in
  /// the set; its handler puts the next message where the last one was, or cancels, before anything
  /// else.
  ///
  /// Caller    the owner, also from a handler. The mailbox must be there as long as the case is in
  ///           the set
  /// Progress  blocking: on the locks of the lists, where an empty try_select was the last call
  /// Cost      one allocation; a system call where the descriptor is not readable
  /// Throws    what the allocation, and the move of the handler, throw
  /// Returns   what it is cancelled with
  template <detail::select_case Case>
  registration add(Case one);

  /// How many cases are in it.
  std::size_t size() const noexcept { return cases_.size(); }

  // ---- For an event loop

  /// What poll and its kind wait for: while it is readable, try_select may find something. For a
  /// wait by level, or one by edge (EPOLLET) that asks until the answer is empty or closed. It is
  /// the selector's: nobody else reads or closes it. Only where the system has such descriptors.
  ///
  /// Caller    the owner
  /// Throws    std::system_error, by the first call
  template <class Descriptor = detail::descriptor>
    requires(Descriptor::is_supported)
  native_handle_type native_handle();

  /// Carries out one case, if one is ready.
  ///
  /// Caller    the owner, also from a handler; as for each mailbox's pop or push
  /// Progress  as the pops and pushes; with a descriptor, blocking: on the locks of the lists,
  ///           where it finds nothing
  /// Cost      the attempts. With a descriptor, the first that finds nothing: a system call, a
  ///           lock for each case, a fence (over spsc_queue one for all threads), and the attempts
  ///           again; the next that finds something: a lock for each case, and a system call where
  ///           no event has raised the descriptor
  /// Throws    what the handler throws, whose message is consumed; what a push's copy throws
  /// Orders    as the pop or push
  /// Returns   success; empty; closed if the set is empty; busy if a mailbox was, and none ready
  queue_status try_select();

  // ---- For a thread

  /// Carries out one case; waits for one.
  ///
  /// Progress  blocking: waits for the first case, or the stop
  /// Returns   success; closed; stopped. Otherwise as try_select
  template <stoppable_token S = never_stop>
  queue_status select(S token = {}) {
    return select_or_wait(detail::no_deadline{}, token);
  }

  /// The same until a point in time, on any clock, or for a duration.
  ///
  /// Progress  blocking: waits for the first case, the deadline, or the stop
  /// Returns   success; closed; stopped; timeout, never early
  template <class Rep, class Period, stoppable_token S = never_stop>
  queue_status try_select_for(std::chrono::duration<Rep, Period> timeout, S token = {}) {
    return select_or_wait(detail::steady_deadline{timeout}, token);
  }
  template <class Clock, class Duration, stoppable_token S = never_stop>
  queue_status try_select_until(std::chrono::time_point<Clock, Duration> deadline, S token = {}) {
    return select_or_wait(detail::deadline_at(deadline), token);
  }

private:
  using outcome = detail::rotation::outcome;

  /// Who waits while an event loop does.
  class doorbell final : public detail::waiter {
  public:
    detail::descriptor wire;
    void ring() noexcept { wire.raise(); }

  private:
    bool wake() noexcept override {
      ring();
      return false;
    }
  };

  /// Leaves the lists, and hands on a wake-up that was not used. (I2)
  struct departure {
    selector& all;
    bool is_needed = true;
    ~departure() {
      if (!is_needed) return;
      all.withdraw();
      all.cases_.hand_on();
    }
  };

  /// A handler that runs, which may destroy the selector.
  struct handling {
    selector* of;
    handling* outer;
    explicit handling(selector& by) noexcept : of{&by}, outer{std::exchange(by.innermost_, this)} {}
    handling(const handling&) = delete;
    handling& operator=(const handling&) = delete;
    ~handling() {
      if (of != nullptr) of->innermost_ = outer;
    }
  };

  template <class Deadline, stoppable_token S>
  queue_status select_or_wait(const Deadline& deadline, const S& token);
  template <class Deadline, stoppable_token S>
  outcome look_for_a_while(const Deadline& deadline, const S& token);
  template <class Deadline, stoppable_token S>
  outcome sleep(const Deadline& deadline, const S& token);
  template <class Deadline, stoppable_token S>
  outcome look(const Deadline& deadline, const S& token);
  outcome look_or_ring();
  queue_status carry_out(const outcome& found);
  void withdraw() noexcept;

  handling* innermost_ = nullptr;
  doorbell bell_;
  detail::rotation cases_; // the last: its end leaves the lists
};

/// The right of a case to be in a selector; given back when it is destroyed or cancelled.
class [[nodiscard]] selector::registration {
public:
  /// Of no case.
  registration() noexcept = default;
  registration(registration&& other) noexcept = default;
  registration& operator=(registration&& other) noexcept {
    if (this != &other) {
      cancel();
      one_ = std::move(other.one_);
    }
    return *this;
  }

  /// Cancels.
  ~registration() { cancel(); }

  /// Takes the case out of the set, if it is still in one, and destroys it; while its handler runs,
  /// when that has returned.
  ///
  /// Caller    the owner of the selector, also from any handler
  /// Progress  blocking: on the locks of the lists. Whoever is woken in place of the selector is
  ///           woken here: a coroutine is resumed
  void cancel() noexcept { detail::kept_case::cancel(std::move(one_)); }

  /// Is the case in a set? Not after cancel(), nor once its mailbox is drained.
  bool is_active() const noexcept { return one_ != nullptr && one_->is_in_a_set(); }

private:
  friend class selector;
  explicit registration(std::unique_ptr<detail::kept_case> one) noexcept : one_{std::move(one)} {}

  std::unique_ptr<detail::kept_case> one_;
};

// ---- Definitions, in the order of the class

namespace detail {

/// Does a handler hear of it when the case is carried out?
template <class Case>
inline constexpr bool is_heard = true;
template <class Box, class U>
inline constexpr bool is_heard<push_case<Box, U, nothing>> = false;

[[noreturn]] inline void throw_no_descriptor([[maybe_unused]] int error) {
#if MAILROOM_EXCEPTIONS
  throw std::system_error{error, std::generic_category(), "mailroom: no descriptor for a selector"};
#else
  std::abort();
#endif
}

} // namespace detail

template <detail::select_case Case>
selector::registration selector::add(Case one) {
  static_assert(Case::is_event,
                "mailroom: a selector takes on_pop and on_push; a time or a stop is "
                "an argument of its select");
  static_assert(detail::is_heard<Case>, "mailroom: a push in a selector needs a handler, which "
                                        "brings the next message or cancels");
  auto made = std::make_unique<detail::kept_case_of<Case>>(std::move(one));
  withdraw(); // the new one may be ready: (I1)
  cases_.add(*made);
  return registration{std::move(made)};
}

template <class Descriptor>
  requires(Descriptor::is_supported)
selector::native_handle_type selector::native_handle() {
  Descriptor& wire = bell_.wire;
  if (!wire.is_open()) {
    const int error = wire.open();
    if (error != 0) detail::throw_no_descriptor(error);
  }
  return wire.native();
}

inline queue_status selector::try_select() { return carry_out(look_or_ring()); }

template <class Deadline, stoppable_token S>
queue_status selector::select_or_wait(const Deadline& deadline, const S& token) {
  outcome found = look_for_a_while(deadline, token);
  if (detail::is_unfinished(found.status)) found = sleep(deadline, token);
  return carry_out(found);
}

template <class Deadline, stoppable_token S>
selector::outcome selector::look_for_a_while(const Deadline& deadline, const S& token) {
  const departure leaves{*this};
  withdraw();
  outcome found = look(deadline, token);
  if constexpr (detail::longest_spin != 0) {
    const detail::nanoseconds end = detail::now() + detail::longest_spin / 4;
    while (detail::is_unfinished(found.status) && detail::now() < end) {
      detail::relax();
      found = look(deadline, token);
    }
  }
  return found;
}

template <class Deadline, stoppable_token S>
selector::outcome selector::sleep(const Deadline& deadline, const S& token) {
  detail::sleeper self;
  const departure leaves{*this};
  const detail::stop_watch<S, detail::unparking> watch{token, detail::unparking{&self}};
  cases_.count_waits();
  for (;;) {
    self.begin();
    cases_.stand(self);
    outcome found = look(deadline, token);
    while (found.status == queue_status::busy) {
      detail::yield(); // (I3)
      found = look(deadline, token);
    }
    if (found.status != queue_status::empty) return found;
    self.park(std::min(deadline.wake_at(), watch.look_again_at()));
    withdraw();
  }
}

/// The end of the wait is looked for first, so that whatever happened before the stop or the
/// deadline is still found.
template <class Deadline, stoppable_token S>
selector::outcome selector::look(const Deadline& deadline, const S& token) {
  const bool is_stopped = token.stop_requested();
  const bool is_late = !is_stopped && deadline.expired();
  const outcome found = cases_.look();
  if (!detail::is_unfinished(found.status)) return found;
  if (is_stopped) return {nullptr, queue_status::stopped};
  return is_late ? outcome{nullptr, queue_status::timeout} : found;
}

/// Looks; before it says that there is nothing, it looks again with a lowered descriptor.
inline selector::outcome selector::look_or_ring() {
  departure leaves{*this};
  for (;;) {
    const outcome found = cases_.look();
    const bool is_quiet =
        found.status == queue_status::empty || found.status == queue_status::closed;
    if (!is_quiet || !bell_.wire.is_open()) return found;
    if (innermost_ != nullptr) return found; // (I2): the descriptor stays readable
    if (cases_.is_standing() && !cases_.is_woken()) {
      leaves.is_needed = false;
      return found;
    }
    withdraw();
    bell_.wire.lower();
    bell_.begin();
    cases_.count_waits();
    cases_.stand(bell_);
  }
}

/// Calls the handler, which may destroy the selector.
inline queue_status selector::carry_out(const outcome& found) {
  if (found.which == nullptr) return found.status;
  const handling now{*this};
  detail::kept_case::carry_out(*found.which);
  return found.status;
}

/// Leaves the lists. Where that ends the wait of the doorbell, nobody else raises it. (I1)
inline void selector::withdraw() noexcept {
  if (cases_.withdraw() == &bell_) bell_.ring();
}

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_MAILBOX_SELECTOR_HPP
