// SPDX-License-Identifier: MIT
#ifndef MAILROOM_CORE_CLOCK_HPP
#define MAILROOM_CORE_CLOCK_HPP

// Deadlines: every timed operation waits for a point in time on the steady clock.
//
// A duration becomes a deadline once, at the beginning of the call. Huge durations, and
// time_point::max(), become the deadline that never comes instead of overflowing; negative ones
// have passed already: the operation is tried, but does not wait.
//
// A time point of another clock, such as the system clock, can move while a thread waits for it. A
// deadline keeps such a time point, and expired() asks that clock again: a wait that ends early
// because the clock was set back goes on.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>

#include <chrono>      // duration, time_point, steady_clock
#include <ratio>       // nano, ratio_divide
#include <type_traits> // is_integral

namespace mailroom::inline MAILROOM_ABI::detail {

/// Converts to nanoseconds, rounding up; what does not fit becomes the nearest that does.
template <class Rep, class Period>
constexpr nanoseconds to_nanoseconds(const std::chrono::duration<Rep, Period>& span) noexcept {
  using wide = std::chrono::duration<long double, std::nano>;
  using factor = std::ratio_divide<Period, std::nano>;
  constexpr long double most = 9.2e18L; // a little less than fits
  const long double wanted = wide{span}.count();
  if (!(wanted < most)) return never; // also what is not a number: it never comes
  if (wanted <= -most) return -never;
  if constexpr (std::is_integral_v<Rep> && factor::den == 1) {
    return static_cast<nanoseconds>(span.count()) * static_cast<nanoseconds>(factor::num);
  } else {
    const auto below = static_cast<nanoseconds>(wanted);
    return static_cast<long double>(below) < wanted ? below + 1 : below;
  }
}

/// The point `span` nanoseconds after `start`, or never.
constexpr nanoseconds later(nanoseconds start, nanoseconds span) noexcept {
  if (span == never) return never;
  if (span > 0 && start > never - span) return never;
  return start + span;
}

/// A wait without a deadline.
struct no_deadline {
  static constexpr nanoseconds wake_at() noexcept { return never; }
  static constexpr bool expired() noexcept { return false; }
};

/// A point on the steady clock.
class steady_deadline {
public:
  template <class Rep, class Period>
  explicit steady_deadline(const std::chrono::duration<Rep, Period>& from_now) noexcept
      : at_{later(now(), to_nanoseconds(from_now))} {}
  template <class Duration>
  explicit steady_deadline(
      const std::chrono::time_point<std::chrono::steady_clock, Duration>& point) noexcept
      : at_{to_nanoseconds(point.time_since_epoch())} {}

  /// When a sleeper should look again.
  nanoseconds wake_at() const noexcept { return at_; }
  bool expired() const noexcept { return at_ != never && now() >= at_; }

private:
  nanoseconds at_;
};

/// A point on any other clock: it is asked again before a wait is given up.
template <class Clock>
class clock_deadline {
public:
  template <class Duration>
  explicit clock_deadline(const std::chrono::time_point<Clock, Duration>& point) noexcept
      : at_{point == point.max() ? never : to_nanoseconds(point.time_since_epoch())} {}

  nanoseconds wake_at() const {
    const nanoseconds current = clock_now();
    if (at_ == never) return never;
    if (at_ <= current) return 0;
    return later(now(), current < 0 && at_ > never + current ? never : at_ - current);
  }
  bool expired() const { return at_ != never && clock_now() >= at_; }

private:
  static nanoseconds clock_now() { return to_nanoseconds(Clock::now().time_since_epoch()); }

  nanoseconds at_; // on Clock
};

/// The deadline for a time point of any clock.
template <class Duration>
auto deadline_at(const std::chrono::time_point<std::chrono::steady_clock, Duration>& point) {
  return steady_deadline{point};
}
template <class Clock, class Duration>
auto deadline_at(const std::chrono::time_point<Clock, Duration>& point) {
  return clock_deadline<Clock>{point};
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_CORE_CLOCK_HPP
