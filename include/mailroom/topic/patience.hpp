// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TOPIC_PATIENCE_HPP
#define MAILROOM_TOPIC_PATIENCE_HPP

// How long a call of a topic waits at most.
//
//      hub.publish("a", m)                    as long as it takes
//      hub.publish("a", m, 10ms)              a duration from now on
//      hub.publish("a", m, point)             a point in time, on any clock
//      hub.publish("a", m, token)             until a stop is requested
//      hub.publish("a", m, 10ms, token)       whatever comes first
//
// Decision: one name with a limit behind, not publish_for and publish_until: what is published is
//   an argument of its own, so that nothing can be taken for anything else.

#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/core/clock.hpp>

#include <chrono>  // duration, time_point
#include <utility> // move

namespace mailroom::inline MAILROOM_ABI {

namespace detail {

template <class Deadline, stoppable_token S>
struct patience {
  Deadline deadline;
  S token;

  /// Why it is over: stopped or timeout; success while it is not.
  queue_status verdict() const {
    if (token.stop_requested()) return queue_status::stopped;
    return deadline.expired() ? queue_status::timeout : queue_status::success;
  }
};

inline constexpr patience<no_deadline, never_stop> for_ever{};

template <class Rep, class Period, stoppable_token S = never_stop>
auto patience_of(std::chrono::duration<Rep, Period> span, S token = {}) {
  return patience<steady_deadline, S>{steady_deadline{span}, std::move(token)};
}
template <class Clock, class Duration, stoppable_token S = never_stop>
auto patience_of(std::chrono::time_point<Clock, Duration> point, S token = {}) {
  return patience<decltype(deadline_at(point)), S>{deadline_at(point), std::move(token)};
}
template <stoppable_token S>
auto patience_of(S token) {
  return patience<no_deadline, S>{{}, std::move(token)};
}

} // namespace detail

/// A duration, a point in time, a stop token, or one of the first two and a token.
template <class... Limits>
concept wait_limit = requires(Limits... limits) { detail::patience_of(limits...); };

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_TOPIC_PATIENCE_HPP
