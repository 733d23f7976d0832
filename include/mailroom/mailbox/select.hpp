// SPDX-License-Identifier: MIT
#ifndef MAILROOM_MAILBOX_SELECT_HPP
#define MAILROOM_MAILBOX_SELECT_HPP

// Waits for the first of several mailboxes: a message in one, room in another, a time, a stop.
//
//      select(on_pop(orders, [](order&& next) { ... }),
//             on_pop(prices, [](price&& next) { ... }),
//             on_push(log, entry, [] { ... }),
//             after(100ms, [] { ... }),
//             on_stop(token));
//
// Use it       where one thread serves several mailboxes and has to serve whichever is ready.
// Instead use  one mailbox, if the messages can be of one type: it is cheaper and keeps an order;
//              pop with a token or a deadline, for one mailbox.
//
// Exactly one case is carried out, in the calling thread, after the waiting is over. If several are
// ready, each of them is as likely (select), or the first in the list comes first
// (select_in_order). Messages and room come before a stop, a stop before a time. A case whose
// mailbox is closed and drained, or closed for a push, is out; when all are, the answer is closed.
//
// Invariants
//   (I1)  a case that is not carried out has taken no message, and has left its own where it was
//   (I2)  a wake-up that another case got is never carried away: who leaves without having used it
//         wakes the next of that list
//   (I3)  nobody sleeps on `busy`: that state ends without a wake-up
//
// A thread takes its places in the lists, passes the fence of each mailbox, and looks: that is its
// half of what waiter.hpp calls (D).
//
// Decision: a push in a select waits for room, whatever the overflow policy of its mailbox: a
//   policy decides what to do instead of waiting.
// Decision: the order in which cases are tried is drawn anew for each call, from the clock: no
//   state is left behind, in the thread or elsewhere.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/capacity.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/core/clock.hpp>
#include <mailroom/mailbox/stop.hpp>
#include <mailroom/mailbox/waiter.hpp>
#include <mailroom/mailbox/mailbox.hpp>

#include <array>       // array
#include <chrono>      // duration, time_point
#include <concepts>    // convertible_to, invocable, same_as
#include <cstddef>     // size_t
#include <cstdint>     // uint32_t, uint64_t
#include <memory>      // addressof
#include <optional>    // optional
#include <tuple>       // get, tuple
#include <type_traits> // decay, remove_cvref, remove_reference
#include <utility>     // forward, index_sequence, index_sequence_for, move, swap

namespace mailroom::inline v0 {

/// What a select has done.
struct [[nodiscard]] select_result {
  std::size_t index;   ///< of the case that was carried out; the number of cases if none was
  queue_status status; ///< success; timeout; stopped; closed: all are out; empty: none was ready

  explicit operator bool() const noexcept { return status == queue_status::success; }
};

namespace detail {

template <class Box, class F>
class pop_case;
template <class Box, class U, class F>
class push_case;
template <class Deadline, class F>
class time_case;
template <stoppable_token S, class F>
class stop_case;

struct nothing {
  constexpr void operator()() const noexcept {}
};

template <class Case>
concept select_case = requires(std::remove_cvref_t<Case>& one) { one.finish(); };

} // namespace detail

/// The case of a message: `handler(T&&)` gets it. If the handler throws, the message is consumed.
template <class Box, message_handler<typename Box::value_type> F>
[[nodiscard]] auto on_pop(Box& box, F&& handler) {
  return detail::pop_case<Box, std::decay_t<F>>{box, std::forward<F>(handler)};
}

/// The case of room for `value`, which keeps its message unless this case is carried out;
/// `handler()` is called when it is in. The value must outlive the select.
template <class Box, class U, std::invocable F = detail::nothing>
  requires std::same_as<std::remove_cvref_t<U>, typename Box::value_type>
[[nodiscard]] auto on_push(Box& box, U&& value, F&& handler = {}) {
  return detail::push_case<Box, U, std::decay_t<F>>{box, std::forward<U>(value),
                                                    std::forward<F>(handler)};
}

/// The case that it takes too long, or a time has come on any clock. Counted from this call on.
template <class Rep, class Period, std::invocable F = detail::nothing>
[[nodiscard]] auto after(std::chrono::duration<Rep, Period> span, F&& handler = {}) {
  return detail::time_case<detail::steady_deadline, std::decay_t<F>>{detail::steady_deadline{span},
                                                                     std::forward<F>(handler)};
}
template <class Clock, class Duration, std::invocable F = detail::nothing>
[[nodiscard]] auto at(std::chrono::time_point<Clock, Duration> point, F&& handler = {}) {
  return detail::time_case<decltype(detail::deadline_at(point)), std::decay_t<F>>{
      detail::deadline_at(point), std::forward<F>(handler)};
}

/// The case that a stop is requested.
template <stoppable_token S, std::invocable F = detail::nothing>
[[nodiscard]] auto on_stop(S token, F&& handler = {}) {
  return detail::stop_case<S, std::decay_t<F>>{std::move(token), std::forward<F>(handler)};
}

/// Waits until one of the cases is ready, and carries it out. Any of those that are, with the same
/// probability.
///
/// Caller    as for each mailbox's pop or push
/// Progress  blocking: waits for the first case
/// Throws    what the handler of the case, or the copy of its message, throws
/// Orders    as the pop or push
/// Returns   which case; timeout is never early
template <detail::select_case... Cases>
select_result select(Cases&&... cases);

/// The same, but of several the first in the list is carried out.
template <detail::select_case... Cases>
select_result select_in_order(Cases&&... cases);

/// Carries out one of the cases that are ready, as select, but does not wait for one.
///
/// Progress  as the pops and pushes
/// Returns   which case; empty if none is ready
template <detail::select_case... Cases>
select_result try_select(Cases&&... cases);

// ---- The cases

namespace detail {

/// How a stop reaches the thread that selects.
struct unparking {
  sleeper* thread;
  void operator()() const noexcept { thread->unpark(); }
};

template <class Box, class F>
class pop_case {
  static_assert(
      !requires { typename Box::mailbox_type; },
      "mailroom: a select takes a mailbox: of the end of a channel that is box()");

public:
  static constexpr bool is_event = true;
  static constexpr bool is_asymmetric = mailbox_access::is_asymmetric<Box>;
  template <class G>
  pop_case(Box& box, G&& handler) : box_{box}, handler_(std::forward<G>(handler)) {}

  wait_list& list() noexcept { return mailbox_access::not_empty(box_); }
  void count_wait() noexcept { mailbox_access::count_pop_wait(box_); }
  void order_before_attempt() noexcept { mailbox_access::order_before_attempt(box_); }
  queue_status attempt() {
    auto found = box_.try_pop();
    if (found) taken_.emplace(std::move(*found));
    return found.error();
  }
  void finish() { handler_(std::move(*taken_)); }

private:
  Box& box_;
  F handler_;
  std::optional<typename Box::value_type> taken_;
};

template <class Box, class U, class F>
class push_case {
  static_assert(
      !requires { typename Box::mailbox_type; },
      "mailroom: a select takes a mailbox: of the end of a channel that is box()");

public:
  static constexpr bool is_event = true;
  static constexpr bool is_asymmetric = mailbox_access::is_asymmetric<Box>;
  template <class G>
  push_case(Box& box, U&& value, G&& handler)
      : box_{box}, value_{std::addressof(value)}, handler_(std::forward<G>(handler)) {}

  wait_list& list() noexcept { return mailbox_access::not_full(box_); }
  void count_wait() noexcept { mailbox_access::count_push_wait(box_); }
  void order_before_attempt() noexcept { mailbox_access::order_before_attempt(box_); }
  queue_status attempt() { return mailbox_access::attempt_push(box_, std::forward<U>(*value_)); }
  void finish() { handler_(); }

private:
  Box& box_;
  std::remove_reference_t<U>* value_;
  F handler_;
};

template <class Deadline, class F>
class time_case {
public:
  static constexpr bool is_event = false;
  static constexpr queue_status meaning = queue_status::timeout;
  template <class G>
  time_case(Deadline deadline, G&& handler)
      : deadline_{deadline}, handler_(std::forward<G>(handler)) {}

  bool has_come() const { return deadline_.expired(); }
  void watch(sleeper&) noexcept {}
  void forget() noexcept {}
  nanoseconds look_again_at() const { return deadline_.wake_at(); }
  void finish() { handler_(); }

private:
  Deadline deadline_;
  F handler_;
};

template <stoppable_token S, class F>
class stop_case {
public:
  static constexpr bool is_event = false;
  static constexpr queue_status meaning = queue_status::stopped;
  template <class G>
  stop_case(S token, G&& handler) : token_{std::move(token)}, handler_(std::forward<G>(handler)) {}

  bool has_come() const { return token_.stop_requested(); }
  void watch(sleeper& thread) { watch_.emplace(token_, unparking{&thread}); }
  void forget() noexcept { watch_.reset(); }
  nanoseconds look_again_at() const noexcept { return watch_ ? watch_->look_again_at() : never; }
  void finish() { handler_(); }

private:
  S token_;
  F handler_;
  std::optional<stop_watch<S, unparking>> watch_;
};

// ---- The choice between them

enum class preference : unsigned char { none, in_order };

/// One call of select.
template <class... Cases>
class selection {
  static constexpr std::size_t count = sizeof...(Cases);
  static constexpr std::size_t events = (std::size_t{Cases::is_event} + ... + 0);
  static_assert(events != 0, "mailroom: a select needs an on_pop or an on_push");

public:
  selection(preference order, Cases&... cases) noexcept : cases_{cases...} {
    if (order == preference::none) shuffle();
  }

  /// Looks at every case, and waits until one is ready; then carries it out.
  select_result wait() {
    outcome found = look_for_a_while();
    if (!found.is_done()) found = sleep();
    return finish(found);
  }

  /// The same without waiting.
  select_result look_once() { return finish(look()); }

private:
  using lists = std::array<wait_list*, events>;

  struct outcome {
    std::size_t index;
    queue_status status;
    bool saw_busy = false;
    bool is_done() const noexcept { return status != queue_status::empty; }
  };

  /// A wake-up that has not been used: the next of that list gets it. (I2)
  struct wake_up {
    wait_list* in_hand = nullptr;
    ~wake_up() { take(nullptr); }
    void take(wait_list* another) noexcept {
      if (in_hand != nullptr) in_hand->wake_one();
      in_hand = another;
    }
  };

  /// The thread's places in all the lists. A wake-up that it gets is then in hand.
  class attendance {
  public:
    attendance(sleeper& self, const lists& all, wake_up& woken) noexcept
        : attendance{self, all, woken, std::make_index_sequence<events>{}} {}
    attendance(const attendance&) = delete;
    attendance& operator=(const attendance&) = delete;
    ~attendance() {
      if (!self_.leave()) woken_.take(lists_[self_.event()]);
    }

  private:
    template <std::size_t... I>
    attendance(sleeper& self, const lists& all, wake_up& woken, std::index_sequence<I...>) noexcept
        : self_{(self.begin(), self)}, lists_{all}, woken_{woken},
          places_{{wait_list::place{*all[I], self, static_cast<std::uint32_t>(I)}...}} {}

    sleeper& self_;
    const lists& lists_;
    wake_up& woken_;
    std::array<wait_list::place, events> places_;
  };

  /// The stop callbacks, as long as the thread may sleep.
  struct watching {
    selection& all;
    ~watching() {
      all.for_each_other([](auto& one) { one.forget(); });
    }
  };

  outcome look();
  outcome look_for_a_while();
  outcome sleep();
  select_result finish(const outcome& found);
  void shuffle() noexcept;
  lists all_lists() noexcept;
  void order_before_look() noexcept;

  /// Calls `visit` with case `which`.
  template <class F>
  void visit(std::size_t which, F&& call) {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (void)((I == which && (call(std::get<I>(cases_)), true)) || ...);
    }(std::index_sequence_for<Cases...>{});
  }
  /// Calls `call` with each case that is no event: the times and the stops.
  template <class F>
  void for_each_other(F&& call) {
    for (std::size_t i = 0; i != count; ++i) {
      visit(i, [&]<class Case>(Case& one) {
        if constexpr (!Case::is_event) call(one);
      });
    }
  }

  /// And with each that is one.
  template <class F>
  void for_each_event(F&& call) {
    for (const std::size_t which : event_cases) {
      visit(which, [&]<class Case>(Case& one) {
        if constexpr (Case::is_event) call(one);
      });
    }
  }
  static wait_list* list_of(const lists& all, std::size_t which) noexcept {
    for (std::size_t i = 0; i != events; ++i) {
      if (event_cases[i] == which) return all[i];
    }
    return nullptr;
  }

  static constexpr std::array<std::size_t, events> event_cases = [] {
    std::array<std::size_t, events> all{};
    std::size_t found = 0;
    std::size_t i = 0;
    ((Cases::is_event ? void(all[found++] = i++) : void(++i)), ...);
    return all;
  }();

  std::tuple<Cases&...> cases_;
  std::array<std::size_t, events> order_ = event_cases; // in which they are tried
};

/// One attempt at each. The times and stops are looked at first, so that whatever happened before
/// them is still found.
template <class... Cases>
typename selection<Cases...>::outcome selection<Cases...>::look() {
  outcome found{count, queue_status::empty};
  for (std::size_t i = 0; i != count; ++i) {
    visit(i, [&]<class Case>(Case& one) {
      if constexpr (!Case::is_event) {
        if (found.status == queue_status::stopped || !one.has_come()) return;
        if (found.is_done() && Case::meaning != queue_status::stopped) return;
        found = {i, Case::meaning};
      }
    });
  }
  bool is_open = false;
  for (const std::size_t which : order_) {
    queue_status status = queue_status::closed;
    visit(which, [&]<class Case>(Case& one) {
      if constexpr (Case::is_event) status = one.attempt();
    });
    if (status == queue_status::success) return {which, status, found.saw_busy};
    is_open |= status != queue_status::closed;
    found.saw_busy |= status == queue_status::busy;
  }
  if (!is_open) return {count, queue_status::closed};
  return found;
}

template <class... Cases>
typename selection<Cases...>::outcome selection<Cases...>::look_for_a_while() {
  outcome found = look();
  if constexpr (longest_spin != 0) {
    const nanoseconds end = now() + longest_spin / 4;
    while (!found.is_done() && now() < end) {
      relax();
      found = look();
    }
  }
  return found;
}

template <class... Cases>
typename selection<Cases...>::outcome selection<Cases...>::sleep() {
  sleeper self;
  const watching watch{*this};
  nanoseconds wake_at = never;
  for_each_other([&](auto& one) { one.watch(self); });
  const lists all = all_lists();
  for_each_event([](auto& one) { one.count_wait(); });
  wake_up woken;
  for (;;) {
    outcome found{count, queue_status::empty, true};
    {
      const attendance here{self, all, woken};
      order_before_look();
      while (!found.is_done() && found.saw_busy) {
        found = look();
        if (found.saw_busy) yield(); // (I3)
      }
      const bool is_used =
          found.status != queue_status::success || woken.in_hand == list_of(all, found.index);
      if (is_used && !found.saw_busy) woken.in_hand = nullptr; // (I2)
      if (!found.is_done()) {
        wake_at = never;
        for_each_other([&](auto& one) { wake_at = smaller_of(wake_at, one.look_again_at()); });
        self.park(wake_at);
      }
    }
    if (found.is_done()) return found;
  }
}

template <class... Cases>
select_result selection<Cases...>::finish(const outcome& found) {
  visit(found.index, [](auto& one) { one.finish(); });
  return {found.index, found.status};
}

/// Draws an order.
template <class... Cases>
void selection<Cases...>::shuffle() noexcept {
  std::uint64_t drawn = random_seed();
  for (std::size_t left = events; left > 1; --left) {
    drawn = drawn * 6364136223846793005U + 1442695040888963407U; // Knuth's MMIX
    const auto which = static_cast<std::size_t>(((drawn >> 32) * left) >> 32);
    std::swap(order_[left - 1], order_[which]);
  }
}

template <class... Cases>
typename selection<Cases...>::lists selection<Cases...>::all_lists() noexcept {
  lists all{};
  for (std::size_t i = 0; i != events; ++i) {
    visit(event_cases[i], [&]<class Case>(Case& one) {
      if constexpr (Case::is_event) all[i] = &one.list();
    });
  }
  return all;
}

/// One fence of each kind: what one of them does, it does for all mailboxes.
template <class... Cases>
void selection<Cases...>::order_before_look() noexcept {
  bool has_passed[2]{};
  for_each_event([&]<class Case>(Case& one) {
    bool& passed = has_passed[Case::is_asymmetric ? 1 : 0];
    if (!passed) one.order_before_attempt();
    passed = true;
  });
}

} // namespace detail

template <detail::select_case... Cases>
select_result select(Cases&&... cases) {
  return detail::selection<std::remove_cvref_t<Cases>...>{detail::preference::none, cases...}
      .wait();
}

template <detail::select_case... Cases>
select_result select_in_order(Cases&&... cases) {
  using selection = detail::selection<std::remove_cvref_t<Cases>...>;
  return selection{detail::preference::in_order, cases...}.wait();
}

template <detail::select_case... Cases>
select_result try_select(Cases&&... cases) {
  using selection = detail::selection<std::remove_cvref_t<Cases>...>;
  return selection{detail::preference::none, cases...}.look_once();
}

} // namespace mailroom::inline v0

#endif // MAILROOM_MAILBOX_SELECT_HPP
