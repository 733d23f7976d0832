// SPDX-License-Identifier: MIT

#include <mailroom/core/status.hpp>
#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/mailbox/mailbox_access.hpp>
#include <mailroom/mailbox/select.hpp>
#include <mailroom/mailbox/waiter.hpp>
#include <mailroom/queue/mpmc_ticket_queue.hpp>
#include <mailroom/queue/mpsc_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <doctest/doctest.h>
#include <support/print.hpp>
#include <support/threads.hpp>
#include <support/tracked.hpp>
#include <support/waiting.hpp>

#include <array>    // array
#include <atomic>   // atomic
#include <chrono>   // milliseconds, steady_clock, system_clock
#include <cstddef>  // size_t
#include <ctime>    // CLOCK_THREAD_CPUTIME_ID
#include <memory>   // make_unique, unique_ptr
#include <optional> // optional
#include <string>   // string
#include <vector>   // vector

namespace {

using mailroom::after;
using mailroom::at;
using mailroom::mailbox;
using mailroom::mailbox_options;
using mailroom::on_pop;
using mailroom::on_push;
using mailroom::on_stop;
using mailroom::overflow;
using mailroom::queue_status;
using mailroom::select;
using mailroom::select_in_order;
using mailroom::select_result;
using mailroom::try_select;
using test::background;
using test::wait_for_pushes;
using namespace std::chrono_literals;

constexpr auto ignore = [](int) {};

/// A handler that keeps what it gets.
auto into(std::vector<int>& all) {
  return [&all](int value) { all.push_back(value); };
}

} // namespace

// ---- What is ready

TEST_CASE("select: the case that is ready is carried out, and no other") {
  mailbox<int> a{2}, b{2};
  std::vector<int> got;
  REQUIRE(b.push(1));
  const select_result found = select(on_pop(a, into(got)), on_pop(b, into(got)));
  CHECK(found);
  CHECK(found.index == 1);
  CHECK(got == std::vector{1});
  REQUIRE(a.push(2));
  REQUIRE(b.push(3));
  CHECK(select_in_order(on_pop(a, into(got)), on_pop(b, into(got))).index == 0);
  CHECK(got == std::vector{1, 2});
  CHECK(b.pop() == 3);
}

TEST_CASE("select: messages of different types, that can only be moved, over different queues") {
  mailbox<std::unique_ptr<int>, mailroom::spsc_queue<std::unique_ptr<int>>> a{2};
  mailbox<std::string, mailroom::mpsc_queue<std::string>> b;
  mailbox<int, mailroom::mpmc_ticket_queue<int>> c{2};
  std::vector<std::string> got;
  REQUIRE(a.push(std::make_unique<int>(1)));
  REQUIRE(b.push("two"));
  REQUIRE(c.push(3));
  for (int i = 0; i != 3; ++i) {
    CHECK(select(on_pop(a, [&](std::unique_ptr<int> one) { got.push_back(std::to_string(*one)); }),
                 on_pop(b, [&](std::string two) { got.push_back(two); }),
                 on_pop(c, [&](int three) { got.push_back(std::to_string(three)); })));
  }
  CHECK(got.size() == 3);
  CHECK(try_select(on_pop(a, [](auto&&) {}), on_pop(b, [](auto&&) {})).status ==
        queue_status::empty);
}

TEST_CASE("select: a push waits for room, and moves its message only when it is carried out") {
  mailbox<std::string> a{1}, b{1};
  REQUIRE(a.push("first"));
  std::string message = "a message that is too long for a short string";
  std::string other = "another one";
  bool is_told = false;
  const auto found =
      select(on_push(a, std::move(message)), on_push(b, std::move(other), [&] { is_told = true; }));
  CHECK(found.index == 1);
  CHECK(is_told);
  CHECK(message == "a message that is too long for a short string");
  CHECK(b.pop() == "another one");
  background waits{[&] { return select(on_push(a, message)).index; }}; // copies
  test::let_it_sleep();
  CHECK_FALSE(waits.is_back());
  CHECK(a.pop() == "first");
  CHECK(waits.get() == 0);
  CHECK(a.pop() == message);
}

TEST_CASE("select: a push waits for room whatever the overflow policy, and drops nothing") {
  for (const auto policy : {overflow::reject, overflow::drop_newest, overflow::drop_oldest}) {
    mailbox<int> a{mailbox_options{.capacity = 1, .on_full = policy}};
    const int value = 2;
    CHECK(select(on_push(a, value)));
    CHECK(select(on_push(a, value), after(1ms)).status == queue_status::timeout);
    CHECK(a.stats().dropped == 0);
    CHECK(a.size_approx() == 1);
  }
}

TEST_CASE("select: one that is ready is chosen as often as another") {
  std::array<mailbox<int>, 8> all{mailbox<int>{1}, mailbox<int>{1}, mailbox<int>{1},
                                  mailbox<int>{1}, mailbox<int>{1}, mailbox<int>{1},
                                  mailbox<int>{1}, mailbox<int>{1}};
  std::array<int, 8> times{};
  const int rounds = 1'000'000;
  for (auto& each : all) REQUIRE(each.push(0));
  for (int i = 0; i != rounds; ++i) {
    const auto found =
        select(on_pop(all[0], ignore), on_pop(all[1], ignore), on_pop(all[2], ignore),
               on_pop(all[3], ignore), on_pop(all[4], ignore), on_pop(all[5], ignore),
               on_pop(all[6], ignore), on_pop(all[7], ignore));
    ++times[found.index];
    if (!all[found.index].push(0)) FAIL("there is room");
  }
  double chi_square = 0;
  for (const int each : times) {
    const double expected = rounds / 8.0;
    chi_square += (each - expected) * (each - expected) / expected;
  }
  INFO("chi-square: ", chi_square);
  CHECK(chi_square < 40.5); // of 7 degrees of freedom: exceeded by chance once in a million runs
}

// ---- Waiting

TEST_CASE("select: a message that comes while it sleeps wakes it, from any of the mailboxes") {
  mailbox<int> a{1};
  mailbox<int, mailroom::spsc_queue<int>> b{1};
  for (int i = 0; i != 20; ++i) {
    std::vector<int> got;
    const auto before = a.stats().pop_waits;
    background waits{[&] { return select(on_pop(a, into(got)), on_pop(b, into(got))).index; }};
    if (i % 4 < 2) test::wait_for_pops(a, before + 1);
    if (i % 2 == 0) {
      CHECK(a.push(i));
    } else {
      CHECK(b.push(i));
    }
    CHECK(waits.get() == static_cast<std::size_t>(i % 2));
    CHECK(got == std::vector{i});
  }
  CHECK(a.stats().pop_waits >= 10); // those that slept, at least
  CHECK(b.stats().pop_waits >= 10);
}

TEST_CASE("select: a time ends it, never early, on any clock") {
  mailbox<int> a{1};
  bool is_told = false;
  select_result found{};
  auto took = test::time_of(
      [&] { found = select(on_pop(a, ignore), after(2ms, [&] { is_told = true; }), after(10h)); });
  CHECK(found.index == 1);
  CHECK(found.status == queue_status::timeout);
  CHECK(is_told);
  CHECK(took >= 2ms);
  took = test::time_of(
      [&] { found = select(at(std::chrono::steady_clock::now() + 2ms), on_pop(a, ignore)); });
  CHECK(found.index == 0);
  CHECK(took >= 2ms);
  const auto end = std::chrono::system_clock::now() + 2ms;
  found = select(at(end), on_pop(a, ignore));
  CHECK(found.status == queue_status::timeout);
  CHECK(std::chrono::system_clock::now() >= end);
  CHECK(select(on_pop(a, ignore), after(-1s)).status == queue_status::timeout);
}

TEST_CASE("select: a stop ends it, whatever the token can do; a message comes first") {
  test::with_every_stop_source([](auto& source) {
    mailbox<int> a{1};
    background waits{[&] { return select(on_pop(a, ignore), on_stop(source.get_token())).status; }};
    test::let_it_sleep();
    CHECK_FALSE(waits.is_back());
    source.request_stop();
    CHECK(waits.get() == queue_status::stopped);
    REQUIRE(a.push(1));
    bool is_told = false;
    const auto told = [&] { is_told = true; };
    CHECK(select(after(-1s), on_stop(source.get_token(), told), on_pop(a, ignore)).index == 2);
    CHECK_FALSE(is_told);
    CHECK(select(after(-1s), on_stop(source.get_token(), told), on_pop(a, ignore)).index == 1);
    CHECK(is_told);
  });
}

TEST_CASE("select: a closed mailbox is drained, then out; when all are out it answers closed") {
  mailbox<int> a{2}, b{2};
  REQUIRE(a.push(1));
  a.close();
  std::vector<int> got;
  CHECK(select(on_pop(a, into(got)), on_pop(b, into(got))).index == 0);
  CHECK(select(on_pop(a, into(got)), on_pop(b, into(got)), after(1ms)).index == 2);
  const int value = 3;
  CHECK(select(on_push(a, value), on_pop(b, into(got)), after(1ms)).index == 2);
  background waits{[&] { return select(on_pop(a, ignore), on_pop(b, ignore), after(10h)); }};
  test::let_it_sleep();
  CHECK_FALSE(waits.is_back());
  b.close();
  const auto found = waits.get();
  CHECK(found.status == queue_status::closed);
  CHECK(found.index == 3);
  CHECK(got == std::vector{1});
}

// ---- What goes wrong

TEST_CASE("select: a handler that throws has consumed its message, and no other") {
  mailbox<int> a{2}, b{2};
  REQUIRE(a.push(1));
  REQUIRE(b.push(2));
  CHECK_THROWS_AS(
      (void)select_in_order(on_pop(a, [](int) { throw test::boom{}; }), on_pop(b, ignore)),
      test::boom);
  CHECK(a.size_approx() == 0);
  CHECK(b.pop() == 2);
}

TEST_CASE("select: a handler may use the mailboxes, and select again") {
  mailbox<int> a{2}, b{2};
  std::vector<int> got;
  REQUIRE(a.push(1));
  const auto again = [&](int value) {
    REQUIRE(b.push(value + 1));
    CHECK(select(on_pop(a, into(got)), on_pop(b, into(got))).index == 1);
  };
  CHECK(select(on_pop(a, again), on_pop(b, into(got))).index == 0);
  CHECK(got == std::vector{2});
}

// ---- Whose code runs while somebody stands in the list: with no lock held

namespace {

/// Somebody who waits for a message in a mailbox, until a push wakes him.
struct bystander {
  mailroom::detail::sleeper who{};
  mailroom::detail::wait_list::place place;

  explicit bystander(mailbox<int>& box)
      : place{mailroom::detail::mailbox_access::not_empty(box), (who.begin(), who)} {}
  bool is_woken() const { return who.is_fired(); }
};

/// A message that pushes another somewhere when it is copied.
struct telling {
  mailbox<int>* to;
  explicit telling(mailbox<int>& box) noexcept : to{&box} {}
  telling(const telling& other) : to{other.to} { CHECK(to->push(1)); }
  telling(telling&&) noexcept = default;
  telling& operator=(const telling&) = delete;
  telling& operator=(telling&&) = delete;
  ~telling() = default;
};

} // namespace

TEST_CASE("select: W5: a stop callback may push when it is made, and when it ends") {
  const test::watchdog dog{"select: W5: a stop callback"};
  mailbox<int> a{2};
  bystander before{a};
  std::optional<bystander> behind;
  test::callback_life life;
  life.when_made = [&] { CHECK(a.push(1)); };
  life.when_gone = [&] {
    behind.emplace(a);
    CHECK(a.push(2));
  };
  std::vector<int> got;
  CHECK(select(on_pop(a, into(got)), on_stop(test::lively_token{life})).index == 0);
  CHECK(got == std::vector{1});
  CHECK(before.is_woken());
  CHECK(behind->is_woken());
}

TEST_CASE("select: W5: a handler, and the copy of a message, may push where others wait") {
  const test::watchdog dog{"select: W5: a handler"};
  mailbox<int> a{2};
  mailbox<telling> b{1};
  const telling message{a};
  std::optional<bystander> others;
  REQUIRE(b.emplace(a));
  background room{[&] {
    wait_for_pushes(b, 1);
    others.emplace(a); // behind the select
    return b.pop().has_value();
  }};
  std::optional<bystander> last;
  const auto push = [&] {
    last.emplace(a);
    CHECK(a.push(2));
  };
  CHECK(select(on_push(b, message, push), on_pop(a, ignore)).index == 0);
  CHECK(room.get());
  CHECK(others->is_woken());
  CHECK(last->is_woken());
}

// ---- Crowds

TEST_CASE("select: in a crowd every message is taken once, and nobody sleeps beside one") {
  mailbox<int> a{2}, b{2}, c{1};
  constexpr int each = 20'000;
  std::atomic<int> sum{0};
  std::atomic<int> taken{0};
  const auto count = [&](int value) {
    sum.fetch_add(value);
    taken.fetch_add(1);
  };
  const auto produce = [&] {
    for (int i = 0; i != each; ++i) {
      const int value = i % 7;
      if (i % 3 == 0) {
        if (!a.push(value)) return false;
      } else if (!select(on_push(a, value), on_push(b, value), on_push(c, value))) {
        return false;
      }
    }
    return true;
  };
  const auto serve = [&] {
    while (const auto found =
               select(on_pop(a, count), on_pop(b, count), on_pop(c, count), after(10h))) {
    }
    return true;
  };
  const auto pop_a = [&] {
    while (auto value = a.pop()) count(*value);
    return true;
  };
  background one{produce};
  background two{produce};
  background first{serve};
  background second{serve};
  background third{pop_a};
  CHECK(one.get());
  CHECK(two.get());
  a.close();
  b.close();
  c.close();
  CHECK((first.get() && second.get() && third.get()));
  int expected = 0;
  for (int i = 0; i != each; ++i) expected += 2 * (i % 7);
  CHECK(taken.load() == 2 * each);
  CHECK(sum.load() == expected);
}

#if defined(CLOCK_THREAD_CPUTIME_ID)

TEST_CASE("select: who waits uses no processor, and with a token that must be asked next to none") {
  mailbox<int> a{1};
  mailbox<int, mailroom::spsc_queue<int>> b{1};
  const test::asked_source source;
  const auto waits = [&] {
    const auto found = select(on_pop(a, ignore), on_pop(b, ignore), after(200ms));
    CHECK(found.status == queue_status::timeout);
  };
  CHECK(test::cpu_time_of(waits, 2ms) < 2ms);
  const auto asks = [&] {
    const auto found = select(on_pop(a, ignore), on_stop(source.get_token()), after(200ms));
    CHECK(found.status == queue_status::timeout);
  };
  CHECK(test::cpu_time_of(asks, 20ms) < 20ms); // it wakes to ask, some 200 times
}

#endif
