// SPDX-License-Identifier: MIT
// Every bug list of a timed wait begins with a deadline that overflowed. So here are the extreme
// values, for every way to name a point in time.

#include <mailroom/core/clock.hpp>

#include <doctest/doctest.h>

#include <chrono>  // everything
#include <cstdint> // int8_t, int64_t, uint64_t
#include <limits>  // numeric_limits
#include <ratio>   // ratio, nano, pico, atto

namespace {

using namespace std::chrono;
using mailroom::detail::deadline_at;
using mailroom::detail::later;
using mailroom::detail::never;
using mailroom::detail::no_deadline;
using mailroom::detail::now;
using mailroom::detail::steady_deadline;
using mailroom::detail::to_nanoseconds;

using ns = mailroom::detail::nanoseconds; // a number, where std::chrono's is a duration
using real_seconds = duration<double>;
using float_seconds = duration<float>;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr ns second = 1'000'000'000;

/// A clock that a test sets, and that runs at a speed of its own.
template <class Period>
struct set_clock {
  using rep = std::int64_t;
  using period = Period;
  using duration = std::chrono::duration<rep, period>;
  using time_point = std::chrono::time_point<set_clock>;
  static constexpr bool is_steady = false;

  static inline time_point at{};
  static time_point now() noexcept { return at; }
};
using wall = set_clock<std::nano>;
using eleventh = set_clock<std::ratio<1, 11>>; // ticks eleven times a second

/// About that far from now, on the steady clock, however slow the test is.
bool is_from_now(ns wake_at, ns span) {
  const ns least = now() + span - 100 * second;
  return wake_at > least && wake_at <= least + 100 * second + second;
}

} // namespace

// ---- Durations

TEST_CASE("clock: a duration is converted exactly, or up to the next nanosecond") {
  CHECK(to_nanoseconds(nanoseconds{0}) == 0);
  CHECK(to_nanoseconds(nanoseconds{1}) == 1);
  CHECK(to_nanoseconds(nanoseconds{-1}) == -1);
  CHECK(to_nanoseconds(milliseconds{3}) == 3'000'000);
  CHECK(to_nanoseconds(hours{-2}) == -7200 * second);
  CHECK(to_nanoseconds(duration<int, std::pico>{1}) == 1);
  CHECK(to_nanoseconds(duration<int, std::pico>{1000}) == 1);
  CHECK(to_nanoseconds(duration<int, std::pico>{1001}) == 2);
  CHECK(to_nanoseconds(duration<int, std::pico>{-1}) == 0);
  CHECK(to_nanoseconds(duration<int, std::pico>{-1001}) == -1);
  CHECK(to_nanoseconds(duration<int, std::ratio<1, 3>>{1}) == 333'333'334);
  CHECK(to_nanoseconds(duration<std::uint8_t, std::ratio<60>>{255}) == 255 * 60 * second);
  CHECK(to_nanoseconds(duration<std::int8_t, std::ratio<3600>>{-128}) == -128 * 3600 * second);
  static_assert(to_nanoseconds(seconds{1}) == second);
}

TEST_CASE("clock: R-38: what does not fit becomes the nearest that does") {
  CHECK(to_nanoseconds(nanoseconds::max()) == never);
  CHECK(to_nanoseconds(nanoseconds::min()) == -never);
  CHECK(to_nanoseconds(nanoseconds::max() - nanoseconds{1}) == never);
  CHECK(to_nanoseconds(seconds::max()) == never);
  CHECK(to_nanoseconds(seconds::min()) == -never);
  CHECK(to_nanoseconds(hours::max()) == never);
  CHECK(to_nanoseconds(hours::min()) == -never);
  CHECK(to_nanoseconds(hours::max() - hours{1}) == never);
  CHECK(to_nanoseconds(years::max()) == never);
  CHECK(to_nanoseconds(years::min()) == -never);
  CHECK(to_nanoseconds(duration<std::uint64_t>::max()) == never);
  CHECK(to_nanoseconds(duration<std::uint64_t, std::nano>::max()) == never);
}

TEST_CASE("clock: a span of a hundred years still fits, in every unit") {
  constexpr ns century = 100LL * 365 * 86400 * second;
  CHECK(to_nanoseconds(nanoseconds{century}) == century);
  CHECK(to_nanoseconds(duration<std::int64_t, std::ratio<1, 2>>{2 * (century / second)}) ==
        century);
  CHECK(to_nanoseconds(duration<std::int64_t, std::ratio<1, 30>>{30 * (century / second)}) ==
        century);
  CHECK(to_nanoseconds(duration<std::int64_t, std::ratio<1, 11>>{11 * (century / second)}) ==
        century);
  CHECK(to_nanoseconds(duration<std::uint64_t, std::ratio<1, 30>>{30ULL * (century / second)}) ==
        century);
  CHECK(to_nanoseconds(days{36500}) == century);
}

TEST_CASE("clock: a unit that has no factor in common with the nanosecond does not overflow") {
  // Such is the tick of a counter whose frequency was measured.
  constexpr std::int64_t frequency = 2'399'999'999;
  using tick = duration<std::int64_t, std::ratio<1, frequency>>;
  CHECK(to_nanoseconds(tick{frequency}) == second);
  CHECK(to_nanoseconds(tick{frequency * 20}) == 20 * second);
  CHECK(to_nanoseconds(tick{frequency * 86400 * 365}) == 86400 * 365 * second);
  CHECK(to_nanoseconds(tick{-frequency * 20}) == -20 * second);
  CHECK(to_nanoseconds(tick{1}) == 1);
}

TEST_CASE("clock: R-38: floating durations saturate, and what is not a number never comes") {
  CHECK(to_nanoseconds(real_seconds{0.0}) == 0);
  CHECK(to_nanoseconds(real_seconds{-0.0}) == 0);
  CHECK(to_nanoseconds(real_seconds{1.5}) == 1'500'000'000);
  CHECK(to_nanoseconds(real_seconds{1e-12}) == 1);
  CHECK(to_nanoseconds(real_seconds{-1e-12}) == 0);
  CHECK(to_nanoseconds(real_seconds{5e-324}) == 1);
  CHECK(to_nanoseconds(real_seconds{infinity}) == never);
  CHECK(to_nanoseconds(real_seconds{-infinity}) == -never);
  CHECK(to_nanoseconds(real_seconds{not_a_number}) == never);
  CHECK(to_nanoseconds(real_seconds::max()) == never);
  CHECK(to_nanoseconds(real_seconds::min()) == -never);
  CHECK(to_nanoseconds(real_seconds{9.3e9}) == never);
  CHECK(to_nanoseconds(real_seconds{-9.3e9}) == -never);
  CHECK(to_nanoseconds(real_seconds{9.19e9}) < never);
  CHECK(to_nanoseconds(real_seconds{9.19e9}) > 9'000'000'000 * second);
  CHECK(to_nanoseconds(float_seconds{1e9F}) == 1'000'000'000 * second);
  CHECK(to_nanoseconds(float_seconds{9.1999e9F}) < never);
  CHECK(to_nanoseconds(float_seconds::max()) == never);
  CHECK(to_nanoseconds(duration<long double, std::ratio<3600>>::max()) == never);
}

TEST_CASE("clock: a span is added to a start without overflow") {
  CHECK(later(5, 7) == 12);
  CHECK(later(5, -7) == -2);
  CHECK(later(5, 0) == 5);
  CHECK(later(0, never) == never);
  CHECK(later(100, never) == never);
  CHECK(later(100, never - 1) == never);
  CHECK(later(1, never - 1) == never);
  CHECK(later(1, never - 2) == never - 1);
  CHECK(later(100, -never) == 100 - never);
  CHECK(later(never - 1, never - 1) == never);
}

// ---- Deadlines on the steady clock

TEST_CASE("clock: a wait without a deadline never ends by itself") {
  CHECK(no_deadline::wake_at() == never);
  CHECK(!no_deadline::expired());
}

TEST_CASE("clock: a duration that has passed has passed at once") {
  CHECK(steady_deadline{nanoseconds{0}}.expired());
  CHECK(steady_deadline{nanoseconds{-1}}.expired());
  CHECK(steady_deadline{nanoseconds::min()}.expired());
  CHECK(steady_deadline{hours::min()}.expired());
  CHECK(steady_deadline{real_seconds{-infinity}}.expired());
  CHECK(steady_deadline{real_seconds{-1.0}}.expired());
}

TEST_CASE("clock: R-38: a huge duration never passes, and does not overflow") {
  for (const steady_deadline& deadline :
       {steady_deadline{nanoseconds::max()}, steady_deadline{nanoseconds::max() - nanoseconds{1}},
        steady_deadline{seconds::max()}, steady_deadline{hours::max()},
        steady_deadline{hours::max() - hours{1}}, steady_deadline{real_seconds{infinity}},
        steady_deadline{real_seconds{not_a_number}}, steady_deadline{real_seconds::max()}}) {
    CHECK(!deadline.expired());
    CHECK(deadline.wake_at() == never);
  }
}

TEST_CASE("clock: a duration between is counted from now") {
  const steady_deadline soon{milliseconds{2}};
  CHECK(soon.wake_at() > now() - 100 * second);
  while (!soon.expired()) {
  }
  CHECK(now() >= soon.wake_at());
  const steady_deadline far{hours{10}};
  CHECK(!far.expired());
  CHECK(is_from_now(far.wake_at(), 36000 * second));
}

TEST_CASE("clock: points on the steady clock") {
  using point = steady_clock::time_point;
  CHECK(!deadline_at(point::max()).expired());
  CHECK(deadline_at(point::max()).wake_at() == never);
  CHECK(!deadline_at(point::max() - nanoseconds{1}).expired());
  CHECK(deadline_at(point::min()).expired());
  CHECK(deadline_at(point{}).expired());
  CHECK(deadline_at(point{} - nanoseconds{1}).expired());
  CHECK(deadline_at(steady_clock::now()).expired());
  CHECK(deadline_at(steady_clock::now() - nanoseconds::max()).expired());
  CHECK(!deadline_at(steady_clock::now() + hours{10}).expired());
  CHECK(is_from_now(deadline_at(steady_clock::now() + hours{10}).wake_at(), 36000 * second));
}

TEST_CASE("clock: points on the steady clock in other units") {
  CHECK(!deadline_at(time_point<steady_clock, hours>::max()).expired());
  CHECK(!deadline_at(time_point<steady_clock, hours>{hours::max() - hours{1}}).expired());
  CHECK(deadline_at(time_point<steady_clock, hours>::min()).expired());
  CHECK(!deadline_at(time_point<steady_clock, real_seconds>{real_seconds{infinity}}).expired());
  CHECK(!deadline_at(time_point<steady_clock, real_seconds>{real_seconds{not_a_number}}).expired());
  CHECK(deadline_at(time_point<steady_clock, real_seconds>{real_seconds{-infinity}}).expired());
  CHECK(deadline_at(time_point<steady_clock, real_seconds>{real_seconds{0.0}}).expired());
}

// ---- Deadlines on other clocks

TEST_CASE("clock: points on the system clock") {
  using point = system_clock::time_point;
  CHECK(!deadline_at(point::max()).expired());
  CHECK(deadline_at(point::max()).wake_at() == never);
  CHECK(!deadline_at(point::max() - point::duration{1}).expired());
  CHECK(deadline_at(point::min()).expired());
  CHECK(deadline_at(point::min()).wake_at() <= now());
  CHECK(deadline_at(point{}).expired());
  CHECK(deadline_at(system_clock::now()).expired());
  CHECK(deadline_at(system_clock::now() - hours{1}).wake_at() <= now());
  const auto tomorrow = deadline_at(system_clock::now() + hours{24});
  CHECK(!tomorrow.expired());
  CHECK(is_from_now(tomorrow.wake_at(), 86400 * second));
}

TEST_CASE("clock: a date that nanoseconds cannot count is still in the future") {
  for (const int distant : {2261, 2263, 2300, 3000, 4000, 9999, 32767}) {
    INFO("year ", distant);
    const sys_days day{year{distant} / January / 1};
    CHECK(!deadline_at(day).expired());
    CHECK(deadline_at(day).wake_at() > now() + 86400 * second);
    const sys_time<seconds> second_of_day{day};
    CHECK(!deadline_at(second_of_day).expired());
  }
}

TEST_CASE("clock: a date that nanoseconds cannot count is still in the past") {
  for (const int distant : {1969, 1678, 1676, 1000, 1, -4000, -32767}) {
    INFO("year ", distant);
    const sys_days day{year{distant} / January / 1};
    CHECK(deadline_at(day).expired());
    CHECK(deadline_at(day).wake_at() <= now());
  }
}

TEST_CASE("clock: points on the system clock in other units") {
  CHECK(!deadline_at(sys_time<hours>::max()).expired());
  CHECK(!deadline_at(sys_time<hours>{hours::max() - hours{1}}).expired());
  CHECK(deadline_at(sys_time<hours>::min()).expired());
  CHECK(deadline_at(sys_time<hours>{hours::min() + hours{1}}).expired());
  CHECK(!deadline_at(sys_time<seconds>{seconds::max() - seconds{1}}).expired());
  CHECK(deadline_at(sys_time<seconds>{seconds::min() + seconds{1}}).expired());
  CHECK(!deadline_at(sys_time<real_seconds>{real_seconds{infinity}}).expired());
  CHECK(!deadline_at(sys_time<real_seconds>{real_seconds{not_a_number}}).expired());
  CHECK(!deadline_at(sys_time<real_seconds>::max()).expired());
  CHECK(deadline_at(sys_time<real_seconds>{real_seconds{-infinity}}).expired());
  CHECK(deadline_at(sys_time<real_seconds>{real_seconds{infinity}}).wake_at() > now() + second);
}

TEST_CASE("clock: R-38: a clock that was set back gives the rest of the wait again") {
  wall::at = wall::time_point{hours{1000}};
  const auto deadline = deadline_at(wall::at + hours{10});
  CHECK(!deadline.expired());
  CHECK(is_from_now(deadline.wake_at(), 36000 * second));
  wall::at -= hours{20};
  CHECK(!deadline.expired());
  CHECK(is_from_now(deadline.wake_at(), 3 * 36000 * second));
  wall::at += hours{30};
  CHECK(deadline.expired());
  CHECK(deadline.wake_at() <= now());
  wall::at -= nanoseconds{1};
  CHECK(!deadline.expired());
}

TEST_CASE("clock: a clock may stand before its own beginning") {
  wall::at = wall::time_point{hours{-1000}};
  CHECK(!deadline_at(wall::at + hours{10}).expired());
  CHECK(is_from_now(deadline_at(wall::at + hours{10}).wake_at(), 36000 * second));
  CHECK(deadline_at(wall::at - nanoseconds{1}).expired());
  CHECK(!deadline_at(wall::time_point::max() - nanoseconds{1}).expired());
  CHECK(deadline_at(wall::time_point::max() - nanoseconds{1}).wake_at() > now() + second);
  CHECK(deadline_at(wall::time_point::min()).expired());
  wall::at = wall::time_point::min();
  CHECK(!deadline_at(wall::time_point{}).expired());
  CHECK(deadline_at(wall::time_point{}).wake_at() > now() + second);
}

TEST_CASE("clock: R-38: a clock that ticks eleven times a second") {
  eleventh::at = eleventh::time_point{eleventh::duration{1000}};
  const auto deadline = deadline_at(eleventh::at + eleventh::duration{22});
  CHECK(!deadline.expired());
  CHECK(is_from_now(deadline.wake_at(), 2 * second));
  eleventh::at += eleventh::duration{21};
  CHECK(!deadline.expired());
  eleventh::at += eleventh::duration{1};
  CHECK(deadline.expired());

  CHECK(deadline_at(eleventh::time_point::max()).wake_at() == never);
  CHECK(!deadline_at(eleventh::time_point::max()).expired());
  CHECK(!deadline_at(eleventh::time_point::max() - eleventh::duration{1}).expired());
  CHECK(deadline_at(eleventh::time_point::min()).expired());
  const auto far = deadline_at(eleventh::at + hours{24 * 365 * 150});
  CHECK(!far.expired());
  CHECK(far.wake_at() > now() + 86400 * second);
}
