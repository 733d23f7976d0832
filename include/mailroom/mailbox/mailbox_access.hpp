// SPDX-License-Identifier: MIT
#ifndef MAILROOM_MAILBOX_MAILBOX_ACCESS_HPP
#define MAILROOM_MAILBOX_MAILBOX_ACCESS_HPP

// What select, the coroutines and the topics need of a mailbox that its users do not: one attempt,
// where to wait for the next, and the fence between; and waits with a deadline of any kind.

#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/mailbox/waiter.hpp>
#include <mailroom/mailbox/options.hpp>
#include <mailroom/mailbox/checks.hpp>

#include <utility> // forward

namespace mailroom::inline MAILROOM_ABI::detail {

struct mailbox_access {
  template <class Box>
  static constexpr bool is_asymmetric = Box::event::is_asymmetric;
  template <class Box>
  static wait_list& not_empty(Box& box) noexcept {
    static_assert(Box::event::parks, "mailroom: select and coroutines need a mailbox that parks");
    return box.not_empty_.list();
  }
  /// Belongs between a place in one of the lists, and the attempt.
  template <class Box>
  static void order_before_attempt(const Box& box) noexcept {
    box.not_empty_.order_before_look();
  }
  template <class Box>
  static wait_list& not_full(Box& box) noexcept {
    static_assert(Box::event::parks, "mailroom: select and coroutines need a mailbox that parks");
    return box.not_full_.list();
  }
  template <class Box>
  static void count_pop_wait(Box& box) noexcept {
    box.not_empty_.count_wait();
  }
  template <class Box>
  static void count_push_wait(Box& box) noexcept {
    box.not_full_.count_wait();
  }
  /// Somebody begins to wait, or goes on, who is no call of the mailbox.
  template <class Box>
  static void enter(Box& box, presence& who, const char* call, station at) noexcept {
    who.enter(box.visitors_, call, at);
  }
  /// Does a push wait for room?
  template <class Box>
  static bool blocks(const Box& box) noexcept {
    return box.options_.on_full == overflow::block;
  }
  /// Waits for room in the end, whatever the overflow policy: full is not decided upon here.
  template <class Box, class U>
  static queue_status attempt_push(Box& box, U&& value) {
    const presence here{box.visitors_, "on_push of try_select", station::producing};
    return box.attempt_push(std::forward<U>(value));
  }
  /// As the timed calls of a mailbox, of which each takes the deadline in a form of its own.
  template <class Box, class U, class Deadline, stoppable_token S>
  static queue_status push_until(Box& box, U&& value, const Deadline& deadline, const S& token) {
    return box.push_or_wait(std::forward<U>(value), deadline, token);
  }
  template <class Box, class Deadline, stoppable_token S>
  static queue_status close_and_wait_until(Box& box, const Deadline& deadline, const S& token) {
    return box.close_and_await(deadline, token);
  }
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_MAILBOX_MAILBOX_ACCESS_HPP
