// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_CONTRACT_WAITING_CONTRACT_HPP
#define MAILROOM_TESTS_CONTRACT_WAITING_CONTRACT_HPP

// What every mailbox must do, over any queue and with any way to wait, said once.
// waiting_mpmc.test.cpp and waiting_spsc.test.cpp run all of it on every kind; a new kind is one
// line there.
//
// A call that is to wait runs in the background. That it waits is read from the statistics of the
// mailbox, so a claim that passes has seen the wait and not only hoped for it.

#include <mailroom/core/status.hpp>
#include <mailroom/mailbox/mailbox.hpp>

#include <contract/waiting_flavors.hpp>
#include <doctest/doctest.h>
#include <support/print.hpp>
#include <support/tracked.hpp>
#include <support/waiting.hpp>

#include <atomic>    // atomic
#include <chrono>    // duration, hours, steady_clock, system_clock, sys_days, time_point
#include <cstddef>   // size_t
#include <cstdint>   // int8_t, int64_t, uint64_t
#include <iterator>  // back_inserter, default_sentinel, istream_iterator, make_move_iterator
#include <limits>    // numeric_limits
#include <memory>    // make_unique, unique_ptr
#include <ratio>     // atto, ratio
#include <sstream>   // istringstream
#include <stdexcept> // invalid_argument
#include <string>    // string
#include <thread>    // this_thread
#include <utility>   // move, pair
#include <vector>    // vector

namespace contract {

// ---- Without waiting

TEST_CASE_TEMPLATE_DEFINE("mailbox: what was pushed is popped", Flavor, smoke) {
  box<Flavor, 2> mail;
  const int one = 1;
  CHECK(mail.push(one));
  CHECK(mail.push(2));
  CHECK(mail.pop() == 1);
  CHECK(mail.pop() == 2);
  CHECK(mail.emplace(3));
  CHECK(mail.try_pop().value_or(-1) == 3);
  CHECK_FALSE(mail.is_closed());
}

template <class Flavor, std::size_t Capacity>
void check_capacity() {
  INFO("capacity ", Capacity);
  box<Flavor, Capacity> mail;
  CHECK(mail.capacity() == Capacity);
  put(mail, 0, Capacity);
  CHECK(mail.try_push(-1) == queue_status::full);
  CHECK(mail.size_approx() == Capacity);
  CHECK(take_all(mail) == numbers(0, Capacity));
  CHECK(mail.size_approx() == 0);
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: R-26: the capacity is exactly what was asked for", Flavor,
                          capacity) {
  check_capacity<Flavor, 1>();
  check_capacity<Flavor, 2>();
  check_capacity<Flavor, 3>();
  check_capacity<Flavor, 7>();
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: try_push and try_pop answer at once", Flavor, at_once) {
  box<Flavor, 1> mail;
  int into = 7;
  CHECK(mail.try_pop().error() == queue_status::empty);
  CHECK(mail.try_pop(into) == queue_status::empty);
  CHECK(into == 7);
  CHECK(mail.try_push(1) == queue_status::success);
  CHECK(mail.try_push(2) == queue_status::full);
  CHECK(mail.try_pop(into) == queue_status::success);
  CHECK(into == 1);
  mail.close();
  CHECK(mail.try_push(3) == queue_status::closed);
  CHECK(mail.try_pop().error() == queue_status::closed);
  CHECK(mail.try_pop(into) == queue_status::closed);
  CHECK(into == 1);
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: a message that can only be moved", Flavor, only_moved) {
  box<Flavor, 2, std::unique_ptr<int>> mail;
  auto kept = std::make_unique<int>(3);
  CHECK(mail.push(std::make_unique<int>(1)));
  CHECK(mail.emplace(new int{2}));
  CHECK(mail.try_push(std::move(kept)) == queue_status::full);
  REQUIRE(kept != nullptr);
  CHECK(*mail.pop().value() == 1);
  CHECK(mail.try_push_for(std::move(kept), 1h) == queue_status::success);
  CHECK(kept == nullptr);

  std::vector<std::unique_ptr<int>> out;
  CHECK(mail.pop_n(std::back_inserter(out), 5) == 2);
  CHECK(*out[0] == 2);
  CHECK(*out[1] == 3);
  const auto begin = std::make_move_iterator(out.begin());
  CHECK(mail.push_range(begin, begin + 2) == begin + 2);
  mail.close();
  int sum = 0;
  CHECK(mail.run([&sum](std::unique_ptr<int>&& each) { sum += *each; }) == queue_status::closed);
  CHECK(sum == 5);
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: a message needs no assignment and no default", Flavor, plain) {
  const test::ledger book;
  {
    box<Flavor, 2, test::unassignable> mail;
    CHECK(mail.emplace(1));
    CHECK(mail.push(test::unassignable{2}));
    test::unassignable third{3};
    CHECK(mail.try_push(std::move(third)) == queue_status::full);
    CHECK(third.value() == 3);
    CHECK(mail.pop()->value() == 1);
    CHECK(mail.try_pop()->value() == 2);
  }
  CHECK(book.is_balanced());
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: R-42: what is still inside is destroyed with it", Flavor,
                          destroyed) {
  const test::ledger book;
  {
    box<Flavor, 3, test::tracked> open;
    box<Flavor, 3, test::tracked> closed;
    put(open, 0, 3);
    put(closed, 0, 3);
    CHECK(open.pop()->value() == 0);
    closed.close();
    CHECK(closed.pop()->value() == 0);
    CHECK(book.alive() == 4);
  }
  CHECK(book.is_balanced());
}

// ---- Waiting

TEST_CASE_TEMPLATE_DEFINE("mailbox: R-33: a pop waits for a message", Flavor, pop_waits) {
  box<Flavor, 2> mail;
  background popped{[&] { return mail.pop(); }};
  wait_for_pops(mail, 1);
  CHECK_FALSE(popped.is_back());
  CHECK(mail.push(5));
  CHECK(popped.get() == 5);
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: R-35: a push waits for room", Flavor, push_waits) {
  box<Flavor, 2> mail;
  put(mail, 0, 2);
  background pushed{[&] { return mail.push(2); }};
  wait_for_pushes(mail, 1);
  CHECK_FALSE(pushed.is_back());
  CHECK(mail.pop() == 0);
  CHECK(pushed.get());
  CHECK(take_all(mail) == numbers(1, 2));
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: every message ends one wait", Flavor, one_each) {
  box<Flavor, 7> mail;
  constexpr int count = consumers<decltype(mail)>;
  several popped{count, [&](int) { return mail.pop(); }};
  wait_for_pops(mail, count);
  CHECK_FALSE(popped.any_is_back());
  for (int i = 0; i != count; ++i) CHECK(mail.push(i));
  int sum = 0;
  for (const auto& message : popped.get()) sum += message.value_or(100);
  CHECK(sum == count * (count - 1) / 2);
  CHECK(mail.size_approx() == 0);
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: all room that is made is used", Flavor, all_room) {
  box<Flavor, 3> mail;
  constexpr int count = producers<decltype(mail)>;
  put(mail, 0, 3);
  several pushed{count, [&](int i) { return mail.push(3 + i); }};
  wait_for_pushes(mail, count);
  CHECK_FALSE(pushed.any_is_back());
  for (int i = 0; i != count; ++i) CHECK(mail.pop() == i);
  for (const bool done : pushed.get()) CHECK(done);
  CHECK(mail.size_approx() == 3);
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: R-29: order is kept while both ends wait for each other",
                          Flavor, fifo) {
  box<Flavor, 2> mail;
  const std::size_t count = 400;
  background pushed{[&] {
    bool all = true;
    for (const int value : numbers(0, count)) all = mail.push(value) && all;
    mail.close();
    return all;
  }};
  std::vector<int> seen;
  while (const auto message = mail.pop()) seen.push_back(*message);
  CHECK(pushed.get());
  CHECK(seen == numbers(0, count));
}

// ---- Waiting for a while

TEST_CASE_TEMPLATE_DEFINE("mailbox: R-38: no timed call gives up early", Flavor, never_early) {
  box<Flavor, 1> empty;
  box<Flavor, 1> full;
  put(full, 1, 1);
  for (const auto span : {1ns, 999ns, 50'000ns, 1'000'000ns, 6'000'000ns}) {
    INFO("ns ", span.count());
    queue_status answer = queue_status::success;
    CHECK(test::time_of([&] { answer = empty.try_pop_for(span).error(); }) >= span);
    CHECK(answer == queue_status::timeout);
    CHECK(test::time_of([&] { answer = full.try_push_for(2, span); }) >= span);
    CHECK(answer == queue_status::timeout);

    const auto deadline = std::chrono::steady_clock::now() + span;
    CHECK(empty.try_pop_until(deadline).error() == queue_status::timeout);
    CHECK(std::chrono::steady_clock::now() >= deadline);
    const auto later = std::chrono::steady_clock::now() + span;
    CHECK(full.try_push_until(2, later) == queue_status::timeout);
    CHECK(std::chrono::steady_clock::now() >= later);
  }
  CHECK(take_all(full) == numbers(1, 1));
}

template <class Clock, class Flavor>
void check_clock() {
  box<Flavor, 1> mail;
  const auto deadline = Clock::now() + 3ms;
  CHECK(mail.try_pop_until(deadline).error() == queue_status::timeout);
  CHECK(Clock::now() >= deadline);
  CHECK(mail.try_push_until(1, deadline) == queue_status::success);
  const auto later = Clock::now() + 3ms;
  CHECK(mail.try_push_until(2, later) == queue_status::timeout);
  CHECK(Clock::now() >= later);
  CHECK(mail.try_pop_until(later).value_or(-1) == 1);
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: R-38: a deadline may be on any clock", Flavor, clocks) {
  check_clock<std::chrono::steady_clock, Flavor>();
  check_clock<std::chrono::system_clock, Flavor>();
  check_clock<test::slow_clock, Flavor>();
  check_clock<test::fast_clock, Flavor>();
}

template <class Mailbox, class Pop, class Push>
void check_no_wait(Mailbox& mail, const Pop& pop, const Push& push) {
  CHECK(pop().error() == queue_status::timeout);
  CHECK(push(1) == queue_status::success);
  CHECK(push(2) == queue_status::timeout);
  CHECK(pop().value_or(-1) == 1);
  CHECK(mail.stats().pop_waits == 0);
  CHECK(mail.stats().push_waits == 0);
}

template <class Flavor, class Duration>
void check_passed_duration(Duration span) {
  box<Flavor, 1> mail;
  check_no_wait(
      mail, [&] { return mail.try_pop_for(span); },
      [&](int value) { return mail.try_push_for(int{value}, span); });
}
template <class Flavor, class TimePoint>
void check_passed_point(TimePoint point) {
  box<Flavor, 1> mail;
  check_no_wait(
      mail, [&] { return mail.try_pop_until(point); },
      [&](int value) { return mail.try_push_until(int{value}, point); });
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: R-38: where the time is over there is no wait", Flavor,
                          passed) {
  using namespace std::chrono;
  using limits = std::numeric_limits<double>;
  check_passed_duration<Flavor>(0ns);
  check_passed_duration<Flavor>(-1ns);
  check_passed_duration<Flavor>(nanoseconds::min());
  check_passed_duration<Flavor>(hours::min());
  check_passed_duration<Flavor>(hours::min() + 1h);
  check_passed_duration<Flavor>(duration<double>{-0.5});
  check_passed_duration<Flavor>(duration<double>{-limits::infinity()});
  check_passed_point<Flavor>(steady_clock::now());
  check_passed_point<Flavor>(steady_clock::time_point{});
  check_passed_point<Flavor>(steady_clock::time_point::min());
  check_passed_point<Flavor>(time_point<steady_clock, hours>::min());
  check_passed_point<Flavor>(system_clock::now());
  check_passed_point<Flavor>(system_clock::time_point::min());
  check_passed_point<Flavor>(sys_seconds::min() + 1s);
  check_passed_point<Flavor>(sys_days{days{-2'000'000}});
  check_passed_point<Flavor>(test::slow_clock::now());
  check_passed_point<Flavor>(test::slow_clock::time_point::min());
}

template <class Flavor, class Pop, class Push>
void check_long_wait(const Pop& pop, const Push& push) {
  box<Flavor, 1> mail;
  background popped{[&] { return pop(mail); }};
  wait_for_pops(mail, 1);
  CHECK_FALSE(popped.is_back());
  CHECK(mail.push(1));
  CHECK(popped.get().value_or(-1) == 1);

  put(mail, 2, 1);
  background pushed{[&] { return push(mail, 3); }};
  wait_for_pushes(mail, 1);
  CHECK_FALSE(pushed.is_back());
  CHECK(mail.pop() == 2);
  CHECK(pushed.get() == queue_status::success);
}

template <class Flavor, class Duration>
void check_endless_duration(Duration span) {
  check_long_wait<Flavor>([&](auto& mail) { return mail.try_pop_for(span); },
                          [&](auto& mail, int v) { return mail.try_push_for(int{v}, span); });
}
template <class Flavor, class TimePoint>
void check_endless_point(TimePoint point) {
  check_long_wait<Flavor>([&](auto& mail) { return mail.try_pop_until(point); },
                          [&](auto& mail, int v) { return mail.try_push_until(int{v}, point); });
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: R-38: a wait may last as long as a number can say", Flavor,
                          endless) {
  using namespace std::chrono;
  using limits = std::numeric_limits<double>;
  check_endless_duration<Flavor>(nanoseconds::max());
  check_endless_duration<Flavor>(nanoseconds::max() - 1ns);
  check_endless_duration<Flavor>(hours::max());
  check_endless_duration<Flavor>(hours::max() - 1h);
  check_endless_duration<Flavor>(duration<double>::max());
  check_endless_duration<Flavor>(duration<double>{limits::infinity()});
  check_endless_duration<Flavor>(duration<std::uint64_t>::max());
  check_endless_point<Flavor>(steady_clock::time_point::max());
  check_endless_point<Flavor>(steady_clock::time_point::max() - 1ns);
  check_endless_point<Flavor>(steady_clock::now() + 24h);
  check_endless_point<Flavor>(time_point<steady_clock, hours>::max() - 1h);
  check_endless_point<Flavor>(system_clock::time_point::max());
  check_endless_point<Flavor>(sys_seconds::max() - 1s);
  check_endless_point<Flavor>(sys_days{year{9999} / 12 / 31});
  check_endless_point<Flavor>(test::slow_clock::time_point::max());
  check_endless_point<Flavor>(test::fast_clock::time_point::max() - 1ns);
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: a timed call ends when it can, not when its time is over",
                          Flavor, in_time) {
  box<Flavor, 1> mail;
  background popped{[&] { return mail.try_pop_for(1h); }};
  wait_for_pops(mail, 1);
  CHECK(mail.push(1));
  CHECK(popped.get().value_or(-1) == 1);
  put(mail, 2, 1);
  background pushed{[&] { return mail.try_push_until(3, std::chrono::system_clock::now() + 1h); }};
  wait_for_pushes(mail, 1);
  CHECK(mail.pop() == 2);
  CHECK(pushed.get() == queue_status::success);
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: R-39: a timeout leaves nothing behind", Flavor,
                          nothing_behind) {
  box<Flavor, 1, std::string> mail;
  const std::string text = "a text that is too long to be kept in the string itself";
  for (int i = 0; i != 200; ++i) {
    REQUIRE(mail.try_pop_for(std::chrono::microseconds{i % 40}).error() == queue_status::timeout);
  }
  CHECK(mail.push(text));
  std::string argument = text;
  for (int i = 0; i != 200; ++i) {
    const auto span = std::chrono::microseconds{i % 40};
    REQUIRE(mail.try_push_for(std::move(argument), span) == queue_status::timeout);
    REQUIRE(argument == text);
  }
  CHECK(mail.pop() == text);
  const auto stats = mail.stats();
  CHECK(stats.pushed == 1);
  CHECK(stats.popped == 1);
  CHECK(stats.wakeups == 0); // nobody is taken for a sleeper any more
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: R-38: the ends of every kind of number are times like others",
                          Flavor, number_ends) {
  using namespace std::chrono;
  using real = duration<float>;
  check_passed_duration<Flavor>(minutes::min());
  check_passed_duration<Flavor>(real::min()); // -max
  check_passed_duration<Flavor>(duration<std::int8_t, std::ratio<3600>>::min());
  check_passed_duration<Flavor>(-std::chrono::duration<std::int64_t, std::atto>::max());
  check_passed_point<Flavor>(steady_clock::now() - nanoseconds::max());
  check_passed_point<Flavor>(time_point<steady_clock, real>{real::min()});
  check_passed_point<Flavor>(system_clock::time_point{} - 1ns);
  check_endless_duration<Flavor>(minutes::max());
  check_endless_duration<Flavor>(real::max());
  check_endless_duration<Flavor>(duration<std::int8_t, std::ratio<3600>>::max());
  check_endless_duration<Flavor>(nanoseconds::max() - steady_clock::now().time_since_epoch());
  check_endless_point<Flavor>(time_point<steady_clock, real>{real::max()});
  check_endless_point<Flavor>(time_point<system_clock, duration<double>>::max());
}

/// A clock that stands still until it is set, and counts who asks.
struct held_clock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<held_clock>;
  static constexpr bool is_steady = false;

  static inline std::atomic<rep> at{0};
  static inline std::atomic<int> asked{0};
  static time_point now() noexcept {
    asked.fetch_add(1);
    return time_point{duration{at.load()}};
  }
  static void set(duration time) { at.store(time.count()); }
  static void be_asked_more() {
    const int before = asked.load();
    test::wait_until([before] { return asked.load() >= before + 5; }, "the clock is asked again");
  }
};

TEST_CASE_TEMPLATE_DEFINE("mailbox: R-38: a clock that stands still or steps back ends no wait",
                          Flavor, held) {
  box<Flavor, 1> mail;
  held_clock::set(1000h);
  background popped{[&] { return mail.try_pop_until(held_clock::time_point{1000h + 2ms}); }};
  wait_for_pops(mail, 1);
  held_clock::be_asked_more(); // more than its 2 ms have passed on our clocks
  CHECK_FALSE(popped.is_back());
  held_clock::set(1000h - 3ms);
  held_clock::be_asked_more();
  CHECK_FALSE(popped.is_back());
  held_clock::set(1000h + 2ms);
  CHECK(popped.get().error() == queue_status::timeout);
  CHECK(mail.try_push_until(1, held_clock::time_point{1000h}) == queue_status::success);
  CHECK(mail.try_push_until(2, held_clock::time_point{1000h}) == queue_status::timeout);
}

// ---- Stop

TEST_CASE_TEMPLATE_DEFINE("mailbox: R-37: a stop before the wait ends it at once", Flavor,
                          stop_before) {
  test::with_every_stop_source([](auto& source) {
    box<Flavor, 1, std::unique_ptr<int>> mail;
    source.request_stop();
    const auto token = source.get_token();
    std::vector<std::unique_ptr<int>> out;
    CHECK_FALSE(mail.pop(token).has_value());
    CHECK(mail.try_pop_for(1h, token).error() == queue_status::stopped);
    CHECK(mail.try_pop_until(std::chrono::system_clock::now() + 1h, token).error() ==
          queue_status::stopped);
    CHECK(mail.pop_n(std::back_inserter(out), 3, token) == 0);
    CHECK(mail.run([](std::unique_ptr<int>&&) {}, token) == queue_status::stopped);

    CHECK(mail.push(std::make_unique<int>(1), token)); // there is room
    auto second = std::make_unique<int>(2);
    CHECK_FALSE(mail.push(std::move(second), token));
    CHECK(mail.try_push_for(std::move(second), 1h, token) == queue_status::stopped);
    CHECK(mail.try_push_until(std::move(second), std::chrono::steady_clock::now() + 1h, token) ==
          queue_status::stopped);
    REQUIRE(second != nullptr);
    CHECK(*mail.pop(token).value() == 1); // there is a message
    CHECK(mail.stats().pop_waits == 0);
    CHECK(mail.stats().push_waits == 0);
  });
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: R-37: a stop ends the wait", Flavor, stop_during) {
  test::with_every_stop_source([](auto& source) {
    box<Flavor, 1> empty;
    box<Flavor, 1> timed;
    box<Flavor, 1> drained;
    box<Flavor, 1> full;
    put(full, 1, 1);
    background popped{[&] { return empty.pop(source.get_token()); }};
    background timed_out{[&] { return timed.try_pop_for(1h, source.get_token()).error(); }};
    background ran{[&] { return drained.run([](int) {}, source.get_token()); }};
    const int two = 2;
    background pushed{[&] { return full.push(two, source.get_token()); }};
    wait_for_pops(empty, 1);
    wait_for_pops(timed, 1);
    wait_for_pops(drained, 1);
    wait_for_pushes(full, 1);
    CHECK_FALSE((popped.is_back() || timed_out.is_back() || ran.is_back() || pushed.is_back()));
    source.request_stop();
    CHECK_FALSE(popped.get().has_value());
    CHECK(timed_out.get() == queue_status::stopped);
    CHECK(ran.get() == queue_status::stopped);
    CHECK_FALSE(pushed.get());
    CHECK(take_all(full) == numbers(1, 1));
  });
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: a stop that does not come changes nothing", Flavor,
                          stop_never) {
  const auto claim = [](const auto& token) {
    box<Flavor, 1> mail;
    background popped{[&] { return mail.pop(token); }};
    wait_for_pops(mail, 1);
    CHECK(mail.push(1, token));
    CHECK(popped.get() == 1);
    put(mail, 2, 1);
    CHECK(mail.try_push_for(3, 3ms, token) == queue_status::timeout);
    background pushed{[&] { return mail.push(3, token); }};
    wait_for_pushes(mail, 2);
    CHECK(mail.pop(token) == 2);
    CHECK(pushed.get());
    CHECK(mail.try_pop_for(1h, token).value_or(-1) == 3);
    CHECK(mail.try_pop_for(3ms, token).error() == queue_status::timeout);
  };
  test::with_every_stop_source([&](auto& source) { claim(source.get_token()); });
  claim(never_stop{});
#if defined(__cpp_lib_jthread)
  claim(std::stop_token{}); // has no source: the stop is impossible
#endif
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: a stop ends only the waits with that token", Flavor, stop_one) {
  if constexpr (consumers<box<Flavor, 3>> == 1) return;
  test::with_every_stop_source([](auto& source) {
    box<Flavor, 3> mail;
    background other{[&] { return mail.pop(); }};
    background stopped{[&] { return mail.pop(source.get_token()); }};
    wait_for_pops(mail, 2);
    source.request_stop();
    CHECK_FALSE(stopped.get().has_value());
    CHECK_FALSE(other.is_back());
    CHECK(mail.push(1));
    CHECK(other.get() == 1);
  });
}

// ---- Several outcomes at once

TEST_CASE_TEMPLATE_DEFINE(
    "mailbox: a message that is there comes before closed, stopped and timeout", Flavor,
    message_first) {
  test::with_every_stop_source([](auto& source) {
    source.request_stop();
    const auto token = source.get_token();
    box<Flavor, 7> mail;
    put(mail, 0, 4);
    CHECK(mail.pop(token) == 0);                            // stopped
    CHECK(mail.try_pop_for(-1ns).value_or(-1) == 1);        // timeout
    CHECK(mail.try_pop_for(-1ns, token).value_or(-1) == 2); // both
    mail.close();
    CHECK(mail.pop() == 3); // closed
    box<Flavor, 7> all;
    put(all, 0, 1);
    all.close();
    CHECK(all.try_pop_until(std::chrono::steady_clock::time_point{}, token).value_or(-1) == 0);
  });
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: a pop says closed before stopped and timeout", Flavor,
                          pop_closed_first) {
  test::with_every_stop_source([](auto& source) {
    source.request_stop();
    const auto token = source.get_token();
    box<Flavor, 2> mail;
    mail.close();
    CHECK(mail.try_pop_for(1h, token).error() == queue_status::closed);
    CHECK(mail.try_pop_for(-1ns).error() == queue_status::closed);
    CHECK(mail.try_pop_for(-1ns, token).error() == queue_status::closed);
    CHECK(mail.run([](int) {}, token) == queue_status::closed);
  });
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: stopped comes before timeout", Flavor, stopped_first) {
  test::with_every_stop_source([](auto& source) {
    source.request_stop();
    const auto token = source.get_token();
    box<Flavor, 1> mail;
    CHECK(mail.try_pop_for(-1ns, token).error() == queue_status::stopped);
    CHECK(mail.try_pop_until(std::chrono::system_clock::time_point{}, token).error() ==
          queue_status::stopped);
    put(mail, 1, 1);
    CHECK(mail.try_push_for(2, -1ns, token) == queue_status::stopped);
    CHECK(mail.try_push_until(2, std::chrono::steady_clock::time_point{}, token) ==
          queue_status::stopped);
  });
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: a push says closed before anything else", Flavor,
                          push_closed_first) {
  test::with_every_stop_source([](auto& source) {
    source.request_stop();
    const auto token = source.get_token();
    box<Flavor, 2> mail;
    put(mail, 0, 1);
    mail.close();
    CHECK(mail.try_push(9) == queue_status::closed); // before room
    CHECK(mail.try_push_for(9, 1h, token) == queue_status::closed);
    CHECK(mail.try_push_for(9, -1ns) == queue_status::closed);
    box<Flavor, 1> full;
    put(full, 0, 1);
    full.close();
    CHECK(full.try_push(9) == queue_status::closed); // before full
    CHECK(full.try_push_for(9, 1h, token) == queue_status::closed);
    CHECK(full.try_push_for(9, -1ns) == queue_status::closed);
    CHECK(full.try_push_for(9, -1ns, token) == queue_status::closed);
  });
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: room comes before stopped and timeout", Flavor, room_first) {
  test::with_every_stop_source([](auto& source) {
    source.request_stop();
    const auto token = source.get_token();
    box<Flavor, 7> mail;
    const int three = 3;
    CHECK(mail.push(0, token));
    CHECK(mail.try_push_for(1, -1ns) == queue_status::success);
    CHECK(mail.try_push_for(2, -1ns, token) == queue_status::success);
    CHECK(mail.try_push_until(three, std::chrono::system_clock::time_point{}, token) ==
          queue_status::success);
    CHECK(take_all(mail) == numbers(0, 4));
  });
}

// The same where the better outcome comes about between the look at the mailbox and the look at the
// token or the clock: then too it happened first, and is what the call answers.
TEST_CASE_TEMPLATE_DEFINE("mailbox: what happened before the stop is not hidden by it", Flavor,
                          before_stop) {
  for (const int asked : {1, 2, 3}) {
    INFO("the token is asked ", asked, " times");
    box<Flavor, 1> mail;
    auto push = [&] { (void)mail.try_push(1); };
    CHECK(mail.pop(test::meddling_token{push, asked}) == 1);
    (void)mail.try_push(2);
    auto pop = [&] { (void)mail.try_pop(); };
    CHECK(mail.push(3, test::meddling_token{pop, asked}));
    CHECK(take_all(mail) == numbers(3, 1));
    auto close = [&] { mail.close(); };
    CHECK(mail.try_pop_for(1h, test::meddling_token{close, asked}).error() == queue_status::closed);
    box<Flavor, 1> full;
    put(full, 1, 1);
    auto close_full = [&] { full.close(); };
    CHECK(full.try_push_for(2, 1h, test::meddling_token{close_full, asked}) ==
          queue_status::closed);
  }
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: what happened before the deadline is not hidden by it", Flavor,
                          before_deadline) {
  const meddling_clock::time_point passed{1h};
  box<Flavor, 1> mail;
  meddling_clock::act = [&] { (void)mail.try_push(1); };
  CHECK(mail.try_pop_until(passed).value_or(-1) == 1);
  (void)take_all(mail);
  (void)mail.try_push(2);
  meddling_clock::act = [&] { (void)mail.try_pop(); };
  CHECK(mail.try_push_until(3, passed) == queue_status::success);
  (void)take_all(mail);
  meddling_clock::act = [&] { mail.close(); };
  CHECK(mail.try_pop_until(passed).error() == queue_status::closed);
  meddling_clock::act = nullptr;
}

// ---- Closing

TEST_CASE_TEMPLATE_DEFINE("mailbox: R-27: close wakes every pop", Flavor, close_wakes_pops) {
  box<Flavor, 2> mail;
  constexpr int count = consumers<decltype(mail)>;
  several popped{count, [&](int i) {
                   switch (i) {
                   case 0: return mail.pop() ? queue_status::success : queue_status::closed;
                   case 1: return mail.try_pop_for(1h).error();
                   default: return mail.run([](int) {});
                   }
                 }};
  wait_for_pops(mail, count);
  CHECK_FALSE(popped.any_is_back());
  mail.close();
  for (const auto answer : popped.get()) CHECK(answer == queue_status::closed);
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: R-30: close wakes every push", Flavor, close_wakes_pushes) {
  box<Flavor, 2> mail;
  constexpr int count = producers<decltype(mail)>;
  put(mail, 0, 2);
  several pushed{count, [&](int i) {
                   switch (i) {
                   case 0: return mail.push(9) ? queue_status::success : queue_status::closed;
                   case 1: return mail.try_push_for(9, 1h);
                   default: return mail.emplace(9) ? queue_status::success : queue_status::closed;
                   }
                 }};
  wait_for_pushes(mail, count);
  CHECK_FALSE(pushed.any_is_back());
  mail.close();
  for (const auto answer : pushed.get()) CHECK(answer == queue_status::closed);
  CHECK(take_all(mail) == numbers(0, 2));
}

TEST_CASE_TEMPLATE_DEFINE(
    "mailbox: R-05: what was pushed before close is delivered, then closed for ever", Flavor,
    delivered) {
  box<Flavor, 7> mail;
  put(mail, 0, 6);
  CHECK_FALSE(mail.is_closed());
  mail.close();
  mail.close();
  CHECK(mail.is_closed());
  std::vector<int> seen;
  seen.push_back(mail.pop().value_or(-1));
  seen.push_back(mail.try_pop().value_or(-1));
  seen.push_back(mail.try_pop_for(0ns).value_or(-1));
  CHECK(mail.pop_n(std::back_inserter(seen), 2) == 2);
  CHECK(mail.run([&](int value) { seen.push_back(value); }) == queue_status::closed);
  CHECK(seen == numbers(0, 6));
  for (int i = 0; i != 3; ++i) {
    CHECK_FALSE(mail.pop().has_value());
    CHECK(mail.try_pop().error() == queue_status::closed);
    CHECK(mail.try_pop_for(1h).error() == queue_status::closed);
    CHECK(mail.pop_n(std::back_inserter(seen), 2) == 0);
    CHECK(mail.run([](int) {}) == queue_status::closed);
    CHECK(mail.try_push(1) == queue_status::closed);
    mail.close();
  }
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: R-32: a push after close leaves its argument alone", Flavor,
                          push_after_close) {
  box<Flavor, 2, std::unique_ptr<int>> mail;
  mail.close();
  for (int i = 0; i != 2; ++i) { // before and after a pop has sealed the queue
    auto value = std::make_unique<int>(1);
    CHECK_FALSE(mail.push(std::move(value)));
    CHECK_FALSE(mail.push(std::move(value), never_stop{}));
    CHECK(mail.try_push(std::move(value)) == queue_status::closed);
    CHECK(mail.try_push_for(std::move(value), 1h) == queue_status::closed);
    CHECK(mail.try_push_until(std::move(value), std::chrono::steady_clock::now() + 1h) ==
          queue_status::closed);
    const auto begin = std::make_move_iterator(&value);
    CHECK(mail.push_range(begin, begin + 1) == begin);
    CHECK_FALSE(mail.emplace(std::make_unique<int>(2)));
    REQUIRE(value != nullptr);
    CHECK(*value == 1);
    CHECK(mail.try_pop().error() == queue_status::closed);
  }
  CHECK(mail.stats().pushed == 0);
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: drained is closed and empty, and for ever", Flavor, drained) {
  box<Flavor, 3> mail;
  const auto& asked = mail;
  CHECK_FALSE(asked.is_drained());
  put(mail, 0, 2);
  CHECK_FALSE(asked.is_drained());
  CHECK(take_all(mail).size() == 2);
  CHECK_FALSE(asked.is_drained());
  put(mail, 2, 1);
  mail.close();
  CHECK_FALSE(asked.is_drained());
  CHECK_FALSE(mail.push(3));
  CHECK(mail.pop() == 2);
  for (int i = 0; i != 3; ++i) {
    CHECK(asked.is_drained());
    CHECK_FALSE(mail.push(3));
    CHECK_FALSE(mail.pop().has_value());
  }
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: once somebody knows that it is drained, everybody does", Flavor,
                          drained_while_pushing) {
  for (int round = 0; round != 40; ++round) {
    box<Flavor, 3> mail;
    std::atomic<bool> known{false};
    background pushing{[&] {
      int accepted = 0;
      for (int after = 0; after != 50;) {
        // Where there is no bound this is one, or the end would be far behind all that was pushed.
        while (mail.size_approx() > 100 && !mail.is_closed()) std::this_thread::yield();
        const bool was_known = known.load();
        const auto answer = mail.try_push(1);
        if (answer == queue_status::success) {
          accepted += was_known ? 1'000'000 : 1;
        } else {
          std::this_thread::yield();
        }
        if (was_known) ++after;
      }
      return accepted;
    }};
    int received = 0;
    while (received < round) {
      mail.try_pop() ? void(++received) : std::this_thread::yield();
    }
    mail.close();
    bool stays = true;
    test::wait_until(
        [&] {
          const auto popped = mail.try_pop();
          if (popped) ++received;
          return mail.is_drained();
        },
        "a closed mailbox is drained at some time");
    known.store(true);
    for (int i = 0; i != 20; ++i) {
      stays = mail.is_drained() && mail.try_pop().error() == queue_status::closed && stays;
    }
    CHECK(stays);
    CHECK(pushing.get() == received);
  }
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: close(discard) destroys what is inside, and counts it", Flavor,
                          discarded) {
  const test::ledger book;
  {
    box<Flavor, 3, test::tracked> mail;
    put(mail, 0, 3);
    CHECK(mail.pop()->value() == 0);
    for (int i = 0; i != 2; ++i) {
      mail.close(mailroom::discard);
      CHECK(book.alive() == 0);
      CHECK(mail.is_drained());
      CHECK_FALSE(mail.emplace(4));
      CHECK_FALSE(mail.pop().has_value());
      const auto stats = mail.stats();
      CHECK(stats.pushed == 3);
      CHECK(stats.popped == 1);
      CHECK(stats.discarded == 2);
      CHECK(stats.dropped == 0);
      CHECK(stats.depth == 0);
    }
  }
  CHECK(book.is_balanced());
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: close(discard) among pushes releases them, and counts exactly",
                          Flavor, discarded_while_pushing) {
  for (int round = 0; round != 40; ++round) {
    box<Flavor, 3> mail;
    several pushing{producers<decltype(mail)>, [&](int) {
                      std::uint64_t accepted = 0;
                      while (mail.push(1)) {
                        ++accepted;
                        while (mail.size_approx() > 100 && !mail.is_closed()) {
                          std::this_thread::yield(); // where there is no bound
                        }
                      }
                      return accepted;
                    }};
    std::uint64_t received = 0;
    for (int i = 0; i != round; ++i) received += mail.pop().has_value() ? 1U : 0U;
    mail.close(mailroom::discard);
    CHECK(mail.is_drained());
    std::uint64_t accepted = 0;
    for (const auto each : pushing.get()) accepted += each;
    const auto stats = mail.stats();
    CHECK(accepted == received + stats.discarded);
    CHECK(stats.pushed == accepted);
    CHECK(stats.popped == received);
  }
}

/// Takes a message, and, where pops need not be published, finds out whether there is another.
template <class Mailbox>
std::optional<int> take_the_last(Mailbox& mail) {
  auto last = mail.pop();
  if (!queue_facts<typename Mailbox::queue_type>::bounded) CHECK_FALSE(mail.pop().has_value());
  return last;
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: close_and_wait comes back when the last message is taken",
                          Flavor, end_waited) {
  box<Flavor, 3> mail;
  put(mail, 0, 3);
  several waiting{2, [&](int) {
                    mail.close_and_wait();
                    return mail.is_drained();
                  }};
  wait_for_pushes(mail, 2);
  CHECK(mail.is_closed());
  CHECK(mail.pop() == 0);
  CHECK(mail.pop() == 1);
  test::let_it_sleep();
  CHECK_FALSE(waiting.any_is_back());
  CHECK(take_the_last(mail) == 2);
  for (const bool is_over : waiting.get()) CHECK(is_over);
  mail.close_and_wait();
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: close_and_wait_for says whether it was too late, or stopped",
                          Flavor, end_waited_for) {
  test::with_every_stop_source([](auto& source) {
    box<Flavor, 3> mail;
    put(mail, 0, 1);
    CHECK(mail.close_and_wait_for(0s) == queue_status::timeout);
    CHECK(mail.is_closed());
    CHECK(mail.close_and_wait_for(1ms, source.get_token()) == queue_status::timeout);
    CHECK(mail.close_and_wait_until(std::chrono::system_clock::now()) == queue_status::timeout);
    background waiting{[&] { return mail.close_and_wait_for(1h, source.get_token()); }};
    test::let_it_sleep();
    source.request_stop();
    CHECK(waiting.get() == queue_status::stopped);
    CHECK(mail.pop() == 0);
    CHECK(mail.close_and_wait_for(0s, source.get_token()) == queue_status::closed);
  });
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: whoever takes the last message, who waits for the end is told",
                          Flavor, end_raced) {
  for (int round = 0; round != 100; ++round) {
    box<Flavor, 7> mail;
    put(mail, 0, 7);
    several popping{consumers<decltype(mail)>, [&](int) {
                      std::uint64_t received = 0;
                      while (mail.pop()) ++received;
                      return received;
                    }};
    for (int i = 0; i != round % 7; ++i) std::this_thread::yield();
    mail.close_and_wait();
    CHECK(mail.stats().popped == 7);
    std::uint64_t received = 0;
    for (const auto each : popping.get()) received += each;
    CHECK(received == 7);
  }
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: a handler may close the mailbox", Flavor, close_in_handler) {
  box<Flavor, 3> mail;
  put(mail, 0, 3);
  std::vector<int> seen;
  const auto handler = [&](int value) {
    seen.push_back(value);
    mail.close();
  };
  CHECK(mail.run(handler) == queue_status::closed);
  CHECK(seen == numbers(0, 3));
}

// ---- Runs of messages

TEST_CASE_TEMPLATE_DEFINE("mailbox: push_range waits for room as often as it must", Flavor,
                          range_waits) {
  box<Flavor, 3> mail;
  const auto all = numbers(0, 150);
  background pushed{[&] {
    const bool complete = mail.push_range(all.begin(), all.end()) == all.end();
    mail.close();
    return complete;
  }};
  wait_for_pushes(mail, 1);
  std::vector<int> seen;
  while (const auto message = mail.pop()) seen.push_back(*message);
  CHECK(pushed.get());
  CHECK(seen == all);
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: push_range takes what can be read only once", Flavor,
                          range_input) {
  box<Flavor, 2> mail;
  background pushed{[&] {
    std::istringstream text{"0 1 2 3 4"};
    using reads = std::istream_iterator<int>;
    const bool complete = mail.push_range(reads{text}, reads{}) == reads{};
    const auto rest = mail.push_range(single_pass{5, 10}, std::default_sentinel);
    mail.close();
    return complete && rest == std::default_sentinel;
  }};
  wait_for_pushes(mail, 1);
  std::vector<int> seen;
  while (const auto message = mail.pop()) seen.push_back(*message);
  CHECK(pushed.get());
  CHECK(seen == numbers(0, 10));

  const std::vector<int> nothing;
  CHECK(mail.push_range(nothing.begin(), nothing.end()) == nothing.end());
}

template <class Flavor, class I>
void check_conversion(I first, I last) {
  box<Flavor, 1, letter> mail;
  background pushed{[&] {
    const bool complete = mail.push_range(first, last) == last;
    mail.close();
    return complete;
  }};
  wait_for_pushes(mail, 1); // each but the first is made while there is no room for it
  int number = 0;
  while (const auto message = mail.pop()) {
    CHECK(message->text == text_of(number++));
    if (number < 4) wait_for_pushes(mail, static_cast<std::uint64_t>(number) + 1);
  }
  CHECK(number == 6);
  CHECK(pushed.get());
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: push_range makes messages of what it is given", Flavor,
                          range_converts) {
  std::vector<std::string> texts;
  for (const int number : numbers(0, 6)) texts.push_back(text_of(number));
  check_conversion<Flavor>(texts.begin(), texts.end());
  check_conversion<Flavor>(text_iterator{0}, text_iterator{6});
  CHECK(texts.front() == text_of(0));
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: closed in the middle, push_range says where", Flavor,
                          range_closed) {
  box<Flavor, 3> mail;
  const auto all = numbers(0, 10);
  background pushed{[&] { return mail.push_range(all.begin(), all.end()) - all.begin(); }};
  wait_for_pushes(mail, 1);
  CHECK(mail.pop() == 0);
  wait_for_pushes(mail, 2);
  mail.close();
  CHECK(pushed.get() == 4);
  CHECK(take_all(mail) == numbers(1, 3));
  CHECK(mail.stats().pushed == 4);
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: an iterator that throws costs nothing that was read before",
                          Flavor, range_throws) {
  box<Flavor, 7> mail;
  constexpr int count = consumers<decltype(mail)>;
  several popped{count, [&](int) { return mail.pop(); }};
  wait_for_pops(mail, count);
  CHECK_THROWS_AS((void)mail.push_range(failing_iterator{0, count}, failing_iterator{5}),
                  test::boom);
  int sum = 0;
  for (const auto& message : popped.get()) sum += message.value_or(100); // all are woken
  CHECK(sum == count * (count - 1) / 2);

  CHECK(mail.push(7)); // and the mailbox goes on
  CHECK(mail.pop() == 7);
  CHECK_THROWS_AS((void)mail.push_range(failing_iterator{0, 0}, failing_iterator{5}), test::boom);
  mail.close();
  CHECK_FALSE(mail.pop().has_value());
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: consume_all hands over what is there, in place, and no more",
                          Flavor, consumed) {
  box<Flavor, 5> mail;
  std::vector<int> seen;
  const auto note = [&](int&& value) { seen.push_back(value); };
  CHECK(mail.consume_all(note) == 0);
  put(mail, 1, 3);
  CHECK(mail.consume_all(note) == 3);
  CHECK(seen == numbers(1, 3));
  put(mail, 4, 3);
  const auto fail_at_5 = [&](int&& value) {
    note(std::move(value));
    if (value == 5) throw test::boom{};
  };
  CHECK_THROWS_AS((void)mail.consume_all(fail_at_5), test::boom);
  CHECK(seen == numbers(1, 5)); // 5 is consumed, and 6 is still there
  mail.close();
  CHECK_FALSE(mail.is_drained());
  CHECK(mail.consume_all(note) == 1);
  CHECK(mail.is_drained());
  CHECK(mail.consume_all(note) == 0);
  CHECK(seen == numbers(1, 6));
  CHECK(mail.stats().popped == 6);
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: consume_all tells all producers that wait of the room", Flavor,
                          consumed_for_all) {
  box<Flavor, 3> mail;
  put(mail, 0, 3);
  several pushes{producers<decltype(mail)>, [&](int number) { return mail.push(3 + number); }};
  wait_for_pushes(mail, producers<decltype(mail)>);
  int count = 0;
  CHECK(mail.consume_all([&](int&&) { ++count; }) >= 3);
  for (const bool is_in : pushes.get()) CHECK(is_in);
  count += static_cast<int>(take_all(mail).size());
  CHECK(count == 3 + producers<decltype(mail)>);
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: pop_n waits for one message and takes what is there", Flavor,
                          pop_n) {
  box<Flavor, 7> mail;
  std::vector<int> seen;
  put(mail, 0, 5);
  CHECK(mail.pop_n(std::back_inserter(seen), 0) == 0);
  CHECK(mail.pop_n(std::back_inserter(seen), 2) == 2);
  CHECK(mail.pop_n(std::back_inserter(seen), 100) == 3);
  CHECK(seen == numbers(0, 5));

  background popped{[&] { return mail.pop_n(std::back_inserter(seen), 3); }};
  wait_for_pops(mail, 1);
  CHECK_FALSE(popped.is_back());
  CHECK(mail.push(5));
  CHECK(popped.get() == 1);
  CHECK(seen == numbers(0, 6));

  CHECK(mail.pop_n(std::back_inserter(seen), 0) == 0); // without a wait
  put(mail, 6, 2);
  mail.close();
  CHECK(mail.pop_n(std::back_inserter(seen), 5) == 2);
  CHECK(mail.pop_n(std::back_inserter(seen), 5) == 0);
  CHECK(mail.pop_n(std::back_inserter(seen), 0) == 0);
  CHECK(seen == numbers(0, 8));
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: pop_n wakes everybody whom it made room for", Flavor,
                          pop_n_wakes) {
  box<Flavor, 3> mail;
  constexpr int count = producers<decltype(mail)>;
  put(mail, 0, 3);
  several pushed{count, [&](int i) { return mail.push(3 + i); }};
  wait_for_pushes(mail, count);
  std::vector<int> seen;
  CHECK(mail.pop_n(std::back_inserter(seen), 3) >= 3);
  for (const bool done : pushed.get()) CHECK(done);
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: where pop_n's output throws, the messages behind stay", Flavor,
                          pop_n_throws) {
  for (const int fails_at : {1, 2, 3}) {
    INFO("the output fails at message ", fails_at);
    box<Flavor, 3> mail;
    // A queue that can keep the message at which it happens does, but the first has left it.
    const bool is_kept = consumers<decltype(mail)> == 1 && fails_at != 1;
    const int gone = is_kept ? fails_at - 1 : fails_at;
    put(mail, 0, 3);
    background pushed{[&] {
      bool all = true;
      for (int i = 0; i != gone; ++i) all = mail.push(3 + i) && all;
      return all;
    }};
    wait_for_pushes(mail, 1);
    std::vector<int> seen;
    CHECK_THROWS_AS((void)mail.pop_n(reader{&seen, fails_at}, 3), test::boom);
    CHECK(pushed.get()); // there is room for as many as were taken
    CHECK(seen == numbers(0, static_cast<std::size_t>(fails_at) - 1));
    CHECK(take_all(mail) == numbers(gone, 3));
    CHECK(mail.stats().popped == static_cast<std::uint64_t>(gone) + 3);
  }
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: run hands every message to the handler until closed", Flavor,
                          run_closed) {
  box<Flavor, 2> mail;
  std::vector<int> seen;
  background ran{[&] { return mail.run([&](int&& value) { seen.push_back(value); }); }};
  wait_for_pops(mail, 1);
  for (const int value : numbers(0, 20)) CHECK(mail.push(value));
  mail.close();
  CHECK(ran.get() == queue_status::closed);
  CHECK(seen == numbers(0, 20));
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: a handler that throws costs its own message only", Flavor,
                          run_throws) {
  box<Flavor, 7> mail;
  put(mail, 0, 5);
  std::vector<int> seen;
  const auto handler = [&](int value) {
    if (value % 2 == 1) throw test::boom{};
    seen.push_back(value);
  };
  CHECK_THROWS_AS((void)mail.run(handler), test::boom);
  CHECK_THROWS_AS((void)mail.run(handler), test::boom);
  mail.close();
  CHECK(mail.run(handler) == queue_status::closed);
  CHECK(seen == std::vector<int>{0, 2, 4});
  CHECK(mail.stats().popped == 5);
}

// ---- Overflow

TEST_CASE_TEMPLATE_DEFINE("mailbox: block refuses nothing but a push that does not wait", Flavor,
                          overflow_block) {
  box<Flavor, 2> mail{overflow::block};
  put(mail, 0, 2);
  CHECK(mail.try_push(2) == queue_status::full);
  CHECK(mail.try_push_for(2, 1ms) == queue_status::timeout);
  const auto stats = mail.stats();
  CHECK(stats.rejected == 0);
  CHECK(stats.dropped == 0);
  CHECK(take_all(mail) == numbers(0, 2));
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: reject keeps the first messages and counts the others", Flavor,
                          overflow_reject) {
  box<Flavor, 3, std::unique_ptr<int>> mail{overflow::reject};
  for (const int value : numbers(0, 3)) CHECK(mail.push(std::make_unique<int>(value)));
  auto extra = std::make_unique<int>(9);
  CHECK_FALSE(mail.push(std::move(extra)));
  CHECK_FALSE(mail.push(std::move(extra), never_stop{}));
  CHECK(mail.try_push(std::move(extra)) == queue_status::full);
  CHECK(mail.try_push_for(std::move(extra), 1h) == queue_status::full); // does not wait
  const auto deadline = std::chrono::system_clock::now() + 1h;
  CHECK(mail.try_push_until(std::move(extra), deadline) == queue_status::full);
  const auto begin = std::make_move_iterator(&extra);
  CHECK(mail.push_range(begin, begin + 1) == begin);
  REQUIRE(extra != nullptr);
  CHECK(mail.stats().rejected == 6);
  CHECK(mail.stats().dropped == 0);
  CHECK(mail.stats().pushed == 3);
  for (const int value : numbers(0, 3)) CHECK(*mail.pop().value() == value);
  CHECK(mail.try_push(std::move(extra)) == queue_status::success);
  mail.close();
  CHECK(mail.try_push(std::make_unique<int>(1)) == queue_status::closed);
  CHECK(mail.stats().rejected == 6);
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: drop_newest keeps the first messages and counts the others",
                          Flavor, overflow_drop_newest) {
  box<Flavor, 3> mail{overflow::drop_newest};
  const int four = 4;
  std::size_t dropped = 10;
  for (const int value : numbers(0, 3))
    CHECK(mail.try_push(int{value}, dropped) == queue_status::success);
  CHECK(dropped == 10);
  CHECK(mail.try_push(3, dropped) == queue_status::dropped);
  CHECK(mail.try_push(four, dropped) == queue_status::dropped);
  CHECK(dropped == 12); // added to what was there
  CHECK_FALSE(mail.push(5));
  CHECK(mail.try_push_for(6, 1h) == queue_status::dropped); // does not wait
  const auto more = numbers(7, 3);
  CHECK(mail.push_range(more.begin(), more.end()) == more.end()); // passed over
  CHECK(mail.stats().dropped == 7);
  CHECK(mail.stats().rejected == 0);
  CHECK(take_all(mail) == numbers(0, 3));
  CHECK(mail.push_range(more.begin(), more.end()) == more.end());
  CHECK(mail.stats().dropped == 7);
  mail.close();
  CHECK(mail.try_push(1, dropped) == queue_status::closed);
  CHECK(dropped == 12);
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: drop_oldest keeps the last messages and counts the others",
                          Flavor, overflow_drop_oldest) {
  if constexpr (consumers<box<Flavor, 3>> == 1) {
    using refused = box<Flavor, 3>;
    CHECK_THROWS_AS(refused{overflow::drop_oldest}, std::invalid_argument);
  } else {
    box<Flavor, 3> mail{overflow::drop_oldest};
    const int three = 3;
    std::size_t dropped = 10;
    for (const int value : numbers(0, 3))
      CHECK(mail.try_push(int{value}, dropped) == queue_status::success);
    CHECK(dropped == 10);
    CHECK(mail.try_push(three, dropped) == queue_status::success);
    CHECK(mail.try_push(4, dropped) == queue_status::success);
    CHECK(dropped == 12);
    CHECK(mail.push(5));
    CHECK(mail.try_push_for(6, -1ns) == queue_status::success);
    const auto more = numbers(7, 10);
    CHECK(mail.push_range(more.begin(), more.end()) == more.end());
    CHECK(take_all(mail) == numbers(14, 3));
    const auto stats = mail.stats();
    CHECK(stats.pushed == 17);
    CHECK(stats.popped == 3);
    CHECK(stats.dropped == 14);
    CHECK(stats.rejected == 0);
    CHECK(stats.depth == 0);
    put(mail, 0, 3);
    mail.close();
    CHECK(mail.try_push(9, dropped) == queue_status::closed); // and discards nothing
    CHECK(dropped == 12);
    CHECK(take_all(mail) == numbers(0, 3));

    box<Flavor, 1, fragile> brittle{overflow::drop_oldest};
    const fragile broken{2, true};
    CHECK(brittle.push(fragile{1}));
    CHECK_THROWS_AS((void)brittle.push(broken), test::boom);
    CHECK(brittle.stats().dropped == 0); // a copy that throws costs no other message
    CHECK(take_all(brittle) == numbers(1, 1));
  }
}

// ---- Messages whose copy throws

TEST_CASE_TEMPLATE_DEFINE("mailbox: a copy that throws changes nothing", Flavor, throwing_copy) {
  box<Flavor, 2, fragile> mail;
  const fragile sound{1};
  const fragile broken{2, true};
  CHECK_THROWS_AS((void)mail.push(broken), test::boom);
  CHECK_THROWS_AS((void)mail.try_push(broken), test::boom);
  CHECK_THROWS_AS((void)mail.try_push_for(broken, 1h), test::boom);
  CHECK(mail.push(sound));
  CHECK_THROWS_AS((void)mail.push(broken), test::boom);
  const fragile all[] = {fragile{3}, fragile{4, true}, fragile{5}};
  CHECK_THROWS_AS((void)mail.push_range(all + 1, all + 3), test::boom);
  CHECK(take_all(mail) == numbers(1, 1));
  CHECK_THROWS_AS((void)mail.push_range(all, all + 3), test::boom);
  CHECK(take_all(mail) == numbers(3, 1));
  CHECK(mail.stats().pushed == 2);
  mail.close();
  CHECK_FALSE(mail.pop().has_value());
}

TEST_CASE_TEMPLATE_DEFINE("mailbox: a push that wakes and throws leaves the room to the others",
                          Flavor, throwing_sleeper) {
  if constexpr (producers<box<Flavor, 1>> == 1) return;
  for (int round = 0; round != 5; ++round) {
    box<Flavor, 1, fragile> mail;
    CHECK(mail.push(fragile{0}));
    background throws{[&] {
      const fragile broken{1, true};
      try {
        return mail.push(broken) ? 1 : 2;
      } catch (const test::boom&) {
        return 3;
      }
    }};
    wait_for_pushes(mail, 1);
    background pushed{[&] { return mail.push(fragile{2}); }};
    wait_for_pushes(mail, 2);
    CHECK(mail.pop()->value == 0); // there is room for one, whoever is woken
    CHECK(pushed.get());
    if (!throws.is_back()) CHECK(mail.pop()->value == 2);
    CHECK(throws.get() == 3);
  }
}

// ---- Statistics

TEST_CASE_TEMPLATE_DEFINE("mailbox: R-39: at rest the statistics are exact", Flavor, statistics) {
  box<Flavor, 3> mail;
  put(mail, 0, 3);
  CHECK(mail.try_push(3) == queue_status::full);
  CHECK(mail.try_push_for(3, 0ns) == queue_status::timeout);
  CHECK(mail.try_push_for(3, 1ms) == queue_status::timeout);
  CHECK(mail.pop() == 0);
  auto stats = mail.stats();
  CHECK(stats.pushed == 3);
  CHECK(stats.popped == 1);
  CHECK(stats.depth == 2);
  CHECK(stats.push_waits == 1);
  CHECK(stats.pop_waits == 0);
  CHECK(stats.wakeups == 0);
  CHECK(stats.rejected == 0);
  CHECK(stats.dropped == 0);

  CHECK(take_all(mail).size() == 2);
  background popped{[&] { return mail.pop(); }};
  wait_for_pops(mail, 1);
  CHECK(mail.push(3));
  CHECK(popped.get() == 3);
  stats = mail.stats();
  CHECK(stats.pushed == 4);
  CHECK(stats.popped == 4);
  CHECK(stats.depth == 0);
  CHECK(stats.pop_waits == 1);
  CHECK(stats.wakeups <= 1); // 1 if the pop slept
  CHECK((Flavor::parks || stats.wakeups == 0));

  mail.close();
  CHECK_FALSE(mail.pop().has_value());
  CHECK_FALSE(mail.push(1));
  stats = mail.stats();
  CHECK(stats.pushed == 4);
  CHECK(stats.popped == 4);
  CHECK(stats.depth == 0);
}

} // namespace contract

/// Runs every claim on the flavors that are named.
#define MAILROOM_WAITING_CONTRACT(...)                                                             \
  namespace contract {                                                                             \
  TEST_CASE_TEMPLATE_INVOKE(smoke, __VA_ARGS__);                                                   \
  TEST_CASE_TEMPLATE_INVOKE(capacity, __VA_ARGS__);                                                \
  TEST_CASE_TEMPLATE_INVOKE(at_once, __VA_ARGS__);                                                 \
  TEST_CASE_TEMPLATE_INVOKE(only_moved, __VA_ARGS__);                                              \
  TEST_CASE_TEMPLATE_INVOKE(plain, __VA_ARGS__);                                                   \
  TEST_CASE_TEMPLATE_INVOKE(destroyed, __VA_ARGS__);                                               \
  TEST_CASE_TEMPLATE_INVOKE(pop_waits, __VA_ARGS__);                                               \
  TEST_CASE_TEMPLATE_INVOKE(push_waits, __VA_ARGS__);                                              \
  TEST_CASE_TEMPLATE_INVOKE(one_each, __VA_ARGS__);                                                \
  TEST_CASE_TEMPLATE_INVOKE(all_room, __VA_ARGS__);                                                \
  TEST_CASE_TEMPLATE_INVOKE(fifo, __VA_ARGS__);                                                    \
  TEST_CASE_TEMPLATE_INVOKE(never_early, __VA_ARGS__);                                             \
  TEST_CASE_TEMPLATE_INVOKE(clocks, __VA_ARGS__);                                                  \
  TEST_CASE_TEMPLATE_INVOKE(passed, __VA_ARGS__);                                                  \
  TEST_CASE_TEMPLATE_INVOKE(endless, __VA_ARGS__);                                                 \
  TEST_CASE_TEMPLATE_INVOKE(number_ends, __VA_ARGS__);                                             \
  TEST_CASE_TEMPLATE_INVOKE(held, __VA_ARGS__);                                                    \
  TEST_CASE_TEMPLATE_INVOKE(in_time, __VA_ARGS__);                                                 \
  TEST_CASE_TEMPLATE_INVOKE(nothing_behind, __VA_ARGS__);                                          \
  TEST_CASE_TEMPLATE_INVOKE(stop_before, __VA_ARGS__);                                             \
  TEST_CASE_TEMPLATE_INVOKE(stop_during, __VA_ARGS__);                                             \
  TEST_CASE_TEMPLATE_INVOKE(stop_never, __VA_ARGS__);                                              \
  TEST_CASE_TEMPLATE_INVOKE(stop_one, __VA_ARGS__);                                                \
  TEST_CASE_TEMPLATE_INVOKE(message_first, __VA_ARGS__);                                           \
  TEST_CASE_TEMPLATE_INVOKE(pop_closed_first, __VA_ARGS__);                                        \
  TEST_CASE_TEMPLATE_INVOKE(stopped_first, __VA_ARGS__);                                           \
  TEST_CASE_TEMPLATE_INVOKE(push_closed_first, __VA_ARGS__);                                       \
  TEST_CASE_TEMPLATE_INVOKE(room_first, __VA_ARGS__);                                              \
  TEST_CASE_TEMPLATE_INVOKE(before_stop, __VA_ARGS__);                                             \
  TEST_CASE_TEMPLATE_INVOKE(before_deadline, __VA_ARGS__);                                         \
  TEST_CASE_TEMPLATE_INVOKE(close_wakes_pops, __VA_ARGS__);                                        \
  TEST_CASE_TEMPLATE_INVOKE(close_wakes_pushes, __VA_ARGS__);                                      \
  TEST_CASE_TEMPLATE_INVOKE(delivered, __VA_ARGS__);                                               \
  TEST_CASE_TEMPLATE_INVOKE(push_after_close, __VA_ARGS__);                                        \
  TEST_CASE_TEMPLATE_INVOKE(drained, __VA_ARGS__);                                                 \
  TEST_CASE_TEMPLATE_INVOKE(drained_while_pushing, __VA_ARGS__);                                   \
  TEST_CASE_TEMPLATE_INVOKE(discarded, __VA_ARGS__);                                               \
  TEST_CASE_TEMPLATE_INVOKE(discarded_while_pushing, __VA_ARGS__);                                 \
  TEST_CASE_TEMPLATE_INVOKE(end_waited, __VA_ARGS__);                                              \
  TEST_CASE_TEMPLATE_INVOKE(end_waited_for, __VA_ARGS__);                                          \
  TEST_CASE_TEMPLATE_INVOKE(end_raced, __VA_ARGS__);                                               \
  TEST_CASE_TEMPLATE_INVOKE(close_in_handler, __VA_ARGS__);                                        \
  TEST_CASE_TEMPLATE_INVOKE(range_waits, __VA_ARGS__);                                             \
  TEST_CASE_TEMPLATE_INVOKE(range_input, __VA_ARGS__);                                             \
  TEST_CASE_TEMPLATE_INVOKE(range_converts, __VA_ARGS__);                                          \
  TEST_CASE_TEMPLATE_INVOKE(range_closed, __VA_ARGS__);                                            \
  TEST_CASE_TEMPLATE_INVOKE(range_throws, __VA_ARGS__);                                            \
  TEST_CASE_TEMPLATE_INVOKE(consumed, __VA_ARGS__);                                                \
  TEST_CASE_TEMPLATE_INVOKE(consumed_for_all, __VA_ARGS__);                                        \
  TEST_CASE_TEMPLATE_INVOKE(pop_n, __VA_ARGS__);                                                   \
  TEST_CASE_TEMPLATE_INVOKE(pop_n_wakes, __VA_ARGS__);                                             \
  TEST_CASE_TEMPLATE_INVOKE(pop_n_throws, __VA_ARGS__);                                            \
  TEST_CASE_TEMPLATE_INVOKE(run_closed, __VA_ARGS__);                                              \
  TEST_CASE_TEMPLATE_INVOKE(run_throws, __VA_ARGS__);                                              \
  TEST_CASE_TEMPLATE_INVOKE(overflow_block, __VA_ARGS__);                                          \
  TEST_CASE_TEMPLATE_INVOKE(overflow_reject, __VA_ARGS__);                                         \
  TEST_CASE_TEMPLATE_INVOKE(overflow_drop_newest, __VA_ARGS__);                                    \
  TEST_CASE_TEMPLATE_INVOKE(overflow_drop_oldest, __VA_ARGS__);                                    \
  TEST_CASE_TEMPLATE_INVOKE(throwing_copy, __VA_ARGS__);                                           \
  TEST_CASE_TEMPLATE_INVOKE(throwing_sleeper, __VA_ARGS__);                                        \
  TEST_CASE_TEMPLATE_INVOKE(statistics, __VA_ARGS__);                                              \
  }                                                                                                \
  static_assert(true)

#endif // MAILROOM_TESTS_CONTRACT_WAITING_CONTRACT_HPP
