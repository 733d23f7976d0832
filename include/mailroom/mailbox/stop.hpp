// SPDX-License-Identifier: MIT
#ifndef MAILROOM_MAILBOX_STOP_HPP
#define MAILROOM_MAILBOX_STOP_HPP

// How a stop request reaches a thread that sleeps.
//
// A token that can call back (std::stop_token, or any token with a member callback_type, which
// C++26 makes the common form) wakes the sleeper the moment the stop is requested. A token that
// only answers questions is asked again every millisecond.
//
// Decision: this header includes <stop_token> where the standard library has one, for C++20's
//   std::stop_token does not name its callback. Nothing below the mailbox floor includes it.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/core/concepts.hpp>

#include <utility> // move
#include <version> // __cpp_lib_jthread

#if defined(__cpp_lib_jthread)
#include <stop_token> // stop_callback, stop_token
#endif

namespace mailroom::inline MAILROOM_ABI::detail {

template <class S, class F>
concept calls_back = requires { typename S::template callback_type<F>; };

/// Calls `F` from the thread that requests the stop, from construction to destruction; at once if
/// the stop was requested before. The destructor waits for a call in progress.
///
/// Only for tokens that never call back: how long to sleep before asking again.
template <stoppable_token S, class F>
class stop_watch {
public:
  static constexpr bool calls_back = false;
  stop_watch(const S& token, F) noexcept : possible_{token.stop_possible()} {}
  nanoseconds look_again_at() const noexcept { return possible_ ? now() + 1'000'000 : never; }

private:
  bool possible_;
};

template <class F>
class stop_watch<never_stop, F> {
public:
  static constexpr bool calls_back = true; // when that time comes
  stop_watch(const never_stop&, F) noexcept {}
  static constexpr nanoseconds look_again_at() noexcept { return never; }
};

template <stoppable_token S, class F>
  requires calls_back<S, F>
class stop_watch<S, F> {
public:
  static constexpr bool calls_back = true;
  stop_watch(const S& token, F call) : callback_(token, std::move(call)) {}
  static constexpr nanoseconds look_again_at() noexcept { return never; }

private:
  typename S::template callback_type<F> callback_;
};

#if defined(__cpp_lib_jthread)
template <class F>
  requires(!calls_back<std::stop_token, F>)
class stop_watch<std::stop_token, F> {
public:
  static constexpr bool calls_back = true;
  stop_watch(const std::stop_token& token, F call) : callback_(token, std::move(call)) {}
  static constexpr nanoseconds look_again_at() noexcept { return never; }

private:
  std::stop_callback<F> callback_;
};
#endif

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_MAILBOX_STOP_HPP
