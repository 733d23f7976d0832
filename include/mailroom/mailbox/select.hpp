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
// How one is chosen and waited for is in selection.hpp.
//
// Decision: a push in a select waits for room, whatever the overflow policy of its mailbox: a
//   policy decides what to do instead of waiting.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/core/clock.hpp>
#include <mailroom/mailbox/stop.hpp>
#include <mailroom/mailbox/waiter.hpp>
#include <mailroom/mailbox/checks.hpp>
#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/mailbox/mailbox_access.hpp>
#include <mailroom/mailbox/selection.hpp>

#include <chrono>      // duration, time_point
#include <concepts>    // invocable, same_as
#include <memory>      // addressof
#include <optional>    // optional
#include <type_traits> // decay, remove_cvref, remove_reference
#include <utility>     // forward, move

namespace mailroom::inline MAILROOM_ABI {

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
  void enter(presence& self) noexcept {
    mailbox_access::enter(box_, self, "on_pop of select", station::consuming);
  }
  void count_wait() noexcept { mailbox_access::count_pop_wait(box_); }
  void order_before_attempt() noexcept { mailbox_access::order_before_attempt(box_); }
  queue_status attempt() {
    auto found = box_.try_pop();
    if (found) taken_.emplace(std::move(*found));
    return found.error();
  }
  void finish() {
    auto message = std::move(*taken_); // which is gone when the handler is through with it
    taken_.reset();
    handler_(std::move(message));
  }

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
  void enter(presence& self) noexcept {
    mailbox_access::enter(box_, self, "on_push of select", station::producing);
  }
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

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_MAILBOX_SELECT_HPP
