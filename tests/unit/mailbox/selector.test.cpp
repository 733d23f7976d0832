// SPDX-License-Identifier: MIT

#include <mailroom/core/status.hpp>
#include <mailroom/core/wait.hpp>
#include <mailroom/mailbox/event_count.hpp>
#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/mailbox/select.hpp>
#include <mailroom/mailbox/selector.hpp>
#include <mailroom/queue/mpmc_ticket_queue.hpp>
#include <mailroom/queue/mpsc_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <doctest/doctest.h>
#include <support/print.hpp>
#include <support/seed.hpp>
#include <support/threads.hpp>
#include <support/tracked.hpp>
#include <support/waiting.hpp>

#include <array>        // array
#include <atomic>       // atomic
#include <chrono>       // milliseconds, steady_clock, system_clock
#include <cstddef>      // size_t
#include <functional>   // function
#include <memory>       // make_shared, make_unique, shared_ptr, unique_ptr
#include <optional>     // optional
#include <random>       // mt19937
#include <string>       // string
#include <system_error> // system_error
#include <utility>      // move
#include <vector>       // vector

#if __has_include(<poll.h>)
#include <poll.h> // poll
#endif

namespace {

using mailroom::mailbox;
using mailroom::on_pop;
using mailroom::on_push;
using mailroom::queue_status;
using mailroom::select;
using mailroom::selector;
using test::background;
using registrations = std::vector<selector::registration>;
using namespace std::chrono_literals;

constexpr auto ignore = [](int) {};

/// A handler that keeps what it gets.
auto into(std::vector<int>& all) {
  return [&all](int value) { all.push_back(value); };
}

/// Carries out all that is ready.
///
/// Returns   what the last try_select answered
queue_status serve(selector& all) {
  queue_status status = queue_status::success;
  while (status == queue_status::success) status = all.try_select();
  return status;
}

/// What answers busy until it is told otherwise.
struct busy_box {
  using value_type = int;
  using event = mailroom::detail::event_count<mailroom::wait_policy::park>;

  std::atomic<bool> is_busy{true};
  event not_empty_;
  mailroom::detail::visitors visitors_{mailroom::arity::many, mailroom::arity::many, ""};

  mailroom::expected<int, queue_status> try_pop() {
    if (is_busy.load()) return mailroom::unexpected{queue_status::busy};
    return 1;
  }
};

} // namespace

// ---- What is ready

TEST_CASE("selector: a case that is ready is carried out, and stays in the set") {
  mailbox<int> a{2}, b{2};
  std::vector<int> got;
  selector all;
  CHECK(all.try_select() == queue_status::closed);
  const auto first = all.add(on_pop(a, into(got)));
  const auto second = all.add(on_pop(b, into(got)));
  CHECK(all.size() == 2);
  CHECK(all.try_select() == queue_status::empty);
  for (int i = 0; i != 3; ++i) {
    REQUIRE(b.push(i));
    CHECK(all.try_select() == queue_status::success);
  }
  CHECK(all.try_select() == queue_status::empty);
  REQUIRE(a.push(3));
  CHECK(all.try_select() == queue_status::success);
  CHECK(got == std::vector{0, 1, 2, 3});
  CHECK((first.is_active() && second.is_active()));
}

TEST_CASE("selector: messages of different types, that can only be moved, over different queues") {
  mailbox<std::unique_ptr<int>, mailroom::spsc_queue<std::unique_ptr<int>>> a{2};
  mailbox<std::string, mailroom::mpsc_queue<std::string>> b;
  mailbox<int, mailroom::mpmc_ticket_queue<int>> c{2};
  std::vector<std::string> got;
  selector all;
  const auto first =
      all.add(on_pop(a, [&](std::unique_ptr<int> one) { got.push_back(std::to_string(*one)); }));
  const auto second = all.add(on_pop(b, [&](std::string two) { got.push_back(two); }));
  const auto third = all.add(on_pop(c, [&](int three) { got.push_back(std::to_string(three)); }));
  REQUIRE(a.push(std::make_unique<int>(1)));
  REQUIRE(b.push("two"));
  REQUIRE(c.push(3));
  CHECK(serve(all) == queue_status::empty);
  CHECK(got == std::vector<std::string>{"1", "two", "3"});
}

TEST_CASE("selector: a push is carried out whenever there is room, until its handler cancels it") {
  mailbox<std::string> a{1};
  std::string next = "a message that is too long for a short string: 1";
  int brought = 1;
  selector all;
  selector::registration sending;
  sending = all.add(on_push(a, std::move(next), [&] {
    if (++brought > 3) return sending.cancel();
    next = "another one: " + std::to_string(brought);
  }));
  CHECK(serve(all) == queue_status::empty);
  CHECK(brought == 2);
  CHECK(next == "another one: 2"); // it was not moved from
  CHECK(a.pop() == "a message that is too long for a short string: 1");
  CHECK(serve(all) == queue_status::empty);
  CHECK(a.pop() == "another one: 2");
  CHECK(serve(all) == queue_status::closed);
  CHECK(a.pop() == "another one: 3");
  CHECK_FALSE(sending.is_active());
}

TEST_CASE("selector: one that is ready is carried out as often as another, in turn") {
  std::array<mailbox<int>, 8> boxes{mailbox<int>{1}, mailbox<int>{1}, mailbox<int>{1},
                                    mailbox<int>{1}, mailbox<int>{1}, mailbox<int>{1},
                                    mailbox<int>{1}, mailbox<int>{1}};
  std::array<int, 8> times{};
  selector all;
  registrations cases;
  for (std::size_t i = 0; i != 8; ++i) {
    REQUIRE(boxes[i].push(0));
    cases.push_back(all.add(on_pop(boxes[i], [&, i](int) {
      ++times[i];
      if (!boxes[i].push(0)) FAIL("there is room");
    })));
  }
  const int rounds = 100'000;
  for (int i = 0; i != rounds; ++i) {
    if (all.try_select() != queue_status::success) FAIL("all are ready");
  }
  double chi_square = 0;
  for (const int each : times) {
    const double expected = rounds / 8.0;
    chi_square += (each - expected) * (each - expected) / expected;
  }
  INFO("chi-square: ", chi_square);
  CHECK(chi_square < 40.5); // of 7 degrees of freedom; where they take turns it is next to 0
}

TEST_CASE("selector: whatever else is ready, nobody is carried out twice while another waits") {
  std::mt19937 chance{test::seed()};
  std::array<mailbox<int>, 5> boxes{mailbox<int>{1}, mailbox<int>{1}, mailbox<int>{1},
                                    mailbox<int>{1}, mailbox<int>{1}};
  std::array<int, 5> passed_over{}; // since its message came
  std::size_t carried_out = 0;
  selector all;
  registrations cases;
  for (std::size_t i = 0; i != 5; ++i) {
    cases.push_back(all.add(on_pop(boxes[i], [&carried_out, i](int) { carried_out = i; })));
  }
  for (int round = 0; round != 100'000; ++round) {
    for (auto& each : boxes) {
      if (chance() % 3 == 0) (void)each.try_push(0);
    }
    if (all.try_select() != queue_status::success) continue;
    passed_over[carried_out] = 0;
    for (std::size_t i = 0; i != 5; ++i) {
      if (boxes[i].size_approx() != 0) ++passed_over[i];
      if (passed_over[i] > 4) FAIL("one is passed over");
    }
  }
}

// ---- A set that changes

TEST_CASE(
    "selector: a closed mailbox is drained, then its case leaves; with the last it is closed") {
  auto a = std::make_unique<mailbox<int>>(2U);
  mailbox<int> b{2};
  std::vector<int> got;
  selector all;
  const auto first = all.add(on_pop(*a, into(got)));
  const auto second = all.add(on_pop(b, into(got)));
  REQUIRE(a->push(1));
  a->close();
  CHECK(serve(all) == queue_status::empty);
  CHECK_FALSE(first.is_active());
  CHECK(second.is_active());
  CHECK(all.size() == 1);
  a.reset(); // nobody asks it any more
  REQUIRE(b.push(2));
  b.close();
  CHECK(serve(all) == queue_status::closed);
  CHECK(all.try_select() == queue_status::closed);
  CHECK(got == std::vector{1, 2});
  mailbox<int> c{1};
  const auto third = all.add(on_pop(c, ignore)); // and it begins again
  CHECK(all.try_select() == queue_status::empty);
}

TEST_CASE("selector: a push into a closed mailbox leaves the set, and its message alone") {
  mailbox<std::string> a{1};
  a.close();
  std::string value = "a message that is too long for a short string";
  selector all;
  const auto one = all.add(on_push(a, std::move(value), [] { FAIL("nothing was put in"); }));
  CHECK(all.try_select() == queue_status::closed);
  CHECK_FALSE(one.is_active());
  CHECK(value == "a message that is too long for a short string");
}

TEST_CASE("selector: a registration is moved, and cancels what it had") {
  mailbox<int> a{2};
  std::vector<int> got;
  selector all;
  auto first = all.add(on_pop(a, into(got)));
  auto second = std::move(first);
  CHECK(second.is_active());
  CHECK(all.size() == 1);
  second = all.add(on_pop(a, ignore));
  CHECK(all.size() == 1);
  auto& itself = second;
  second = std::move(itself);
  CHECK(second.is_active());
  second.cancel();
  second.cancel();
  CHECK_FALSE(second.is_active());
  CHECK(all.size() == 0);
  REQUIRE(a.push(1));
  CHECK(all.try_select() == queue_status::closed);
  CHECK(a.pop() == 1); // who has left takes nothing
}

TEST_CASE("selector: either it or a registration may be destroyed first") {
  mailbox<int> a{2};
  selector::registration kept;
  {
    selector all;
    kept = all.add(on_pop(a, ignore));
    {
      const auto gone = all.add(on_pop(a, ignore));
    }
    CHECK(all.size() == 1);
  }
  CHECK_FALSE(kept.is_active());
  selector another;
  kept = another.add(on_pop(a, ignore));
  CHECK(kept.is_active());
}

TEST_CASE("selector: a handler may add, cancel others and itself, and select again") {
  mailbox<int> a{4}, b{4}, c{4};
  std::vector<int> got;
  selector all;
  selector::registration first, second, third;
  first = all.add(on_pop(a, [&, alive = std::make_shared<int>(7)](int value) {
    const std::weak_ptr<int> watch = alive;
    if (value == 1) {
      second.cancel();
      third = all.add(on_pop(c, into(got)));
      first.cancel();
      REQUIRE(watch.use_count() == 1); // its handler lives as long as it runs
      CHECK(all.size() == 1);
      CHECK(all.try_select() == queue_status::success);
    }
    got.push_back(*alive);
  }));
  second = all.add(on_pop(b, into(got)));
  REQUIRE(a.push(1));
  REQUIRE(b.push(2));
  REQUIRE(c.push(3));
  REQUIRE(c.push(4));
  CHECK(all.try_select() == queue_status::success);
  CHECK(got == std::vector{3, 7});
  CHECK(serve(all) == queue_status::empty);
  CHECK(got == std::vector{3, 7, 4});
  CHECK(b.pop() == 2);
}

TEST_CASE("selector: a handler may be called inside of itself, and end its case there") {
  mailbox<int> a{4};
  std::vector<int> got;
  selector all;
  selector::registration one;
  one = all.add(on_pop(a, [&](int value) {
    if (value == 3) one.cancel();
    if (value != 3) CHECK(all.try_select() == queue_status::success);
    got.push_back(value);
  }));
  for (const int value : {1, 2, 3, 4}) REQUIRE(a.push(value));
  CHECK(all.try_select() == queue_status::success);
  CHECK(got == std::vector{3, 2, 1});
  CHECK(all.try_select() == queue_status::closed);
}

TEST_CASE("selector: a handler may destroy it") {
  mailbox<int> a{1};
  auto all = std::make_unique<selector>();
  auto one = all->add(on_pop(a, [&](int) { all.reset(); }));
  (void)all->native_handle();
  REQUIRE(a.push(1));
  CHECK(all->try_select() == queue_status::success);
  CHECK_FALSE(one.is_active());
  all = std::make_unique<selector>();
  one = all->add(on_pop(a, [&](int) {
    one.cancel();
    all.reset();
  }));
  const background pushes{[&] {
    test::wait_for_pops(a, 1);
    return a.push(1);
  }};
  CHECK(all->select() == queue_status::success);
  CHECK(all == nullptr);
}

TEST_CASE("selector: a handler that throws has consumed its message; its case stays") {
  mailbox<int> a{2};
  selector all;
  int calls = 0;
  const auto one = all.add(on_pop(a, [&](int value) {
    ++calls;
    if (value == 1) throw test::boom{};
  }));
  REQUIRE(a.push(1));
  REQUIRE(a.push(2));
  CHECK_THROWS_AS((void)all.try_select(), test::boom);
  CHECK(all.try_select() == queue_status::success);
  CHECK(all.try_select() == queue_status::empty);
  CHECK(calls == 2);
}

TEST_CASE("selector: a message is gone when its handler is through, though it was not moved from") {
  mailbox<std::shared_ptr<int>> a{1};
  const auto message = std::make_shared<int>(1);
  selector all;
  const auto one = all.add(on_pop(a, [](std::shared_ptr<int>&&) {}));
  REQUIRE(a.push(message));
  CHECK(all.try_select() == queue_status::success);
  CHECK(message.use_count() == 1);
}

// ---- A thread that waits

TEST_CASE("selector: a message that comes while it sleeps wakes it, from any of the mailboxes") {
  mailbox<int> a{1};
  mailbox<int, mailroom::spsc_queue<int>> b{1};
  std::vector<int> got;
  selector all;
  const auto first = all.add(on_pop(a, into(got)));
  const auto second = all.add(on_pop(b, into(got)));
  for (int i = 0; i != 20; ++i) {
    const auto waited = a.stats().pop_waits;
    background waits{[&] { return all.select(); }};
    if (i % 4 < 2) test::wait_for_pops(a, waited + 1);
    CHECK((i % 2 == 0 ? a.push(i) : b.push(i)));
    CHECK(waits.get() == queue_status::success);
    CHECK(got.back() == i);
  }
}

TEST_CASE("selector: a time ends the wait, never early, on any clock; a message comes first") {
  mailbox<int> a{1};
  selector all;
  const auto one = all.add(on_pop(a, ignore));
  queue_status found{};
  const auto took = test::time_of([&] { found = all.try_select_for(2ms); });
  CHECK(found == queue_status::timeout);
  CHECK(took >= 2ms);
  const auto end = std::chrono::system_clock::now() + 2ms;
  CHECK(all.try_select_until(end) == queue_status::timeout);
  CHECK(std::chrono::system_clock::now() >= end);
  REQUIRE(a.push(1));
  CHECK(all.try_select_for(-1s) == queue_status::success);
  CHECK(all.try_select_for(-1s) == queue_status::timeout);
}

TEST_CASE("selector: a stop ends the wait, whatever the token can do; a message comes first") {
  test::with_every_stop_source([](auto& source) {
    mailbox<int> a{1};
    selector all;
    const auto one = all.add(on_pop(a, ignore));
    background waits{[&] { return all.select(source.get_token()); }};
    test::let_it_sleep();
    CHECK_FALSE(waits.is_back());
    source.request_stop();
    CHECK(waits.get() == queue_status::stopped);
    REQUIRE(a.push(1));
    CHECK(all.try_select_for(-1s, source.get_token()) == queue_status::success);
    CHECK(all.try_select_for(-1s, source.get_token()) == queue_status::stopped);
  });
}

TEST_CASE("selector: it sleeps on when a mailbox is drained, and ends with the last") {
  mailbox<int> a{1}, b{1};
  selector all;
  const auto first = all.add(on_pop(a, ignore));
  const auto second = all.add(on_pop(b, ignore));
  background waits{[&] { return all.select(); }};
  test::let_it_sleep();
  a.close();
  test::let_it_sleep();
  CHECK_FALSE(waits.is_back());
  b.close();
  CHECK(waits.get() == queue_status::closed);
}

TEST_CASE("selector: nobody sleeps on busy, and a stop ends that too") {
  busy_box a;
  test::calling_source source;
  selector all;
  const auto one = all.add(on_pop(a, ignore));
  CHECK(all.try_select() == queue_status::busy);
  CHECK(all.try_select_for(2ms) == queue_status::timeout);
  background waits{[&] { return all.select(source.get_token()); }};
  test::let_it_sleep();
  source.request_stop();
  CHECK(waits.get() == queue_status::stopped);
  background goes_on{[&] { return all.select(); }};
  test::let_it_sleep();
  a.is_busy.store(false); // and tells nobody
  CHECK(goes_on.get() == queue_status::success);
}

// ---- An event loop

#if __has_include(<poll.h>)

namespace {

bool is_readable(int descriptor, int milliseconds = 0) {
  pollfd asked{descriptor, POLLIN, 0};
  return ::poll(&asked, 1, milliseconds) == 1;
}

} // namespace

TEST_CASE("selector: the descriptor is readable until try_select says empty, and after an event") {
  mailbox<int> a{4};
  mailbox<int, mailroom::spsc_queue<int>> b{4};
  selector all;
  const auto first = all.add(on_pop(a, ignore));
  const auto second = all.add(on_pop(b, ignore));
  const int wire = all.native_handle();
  CHECK(all.native_handle() == wire);
  CHECK(is_readable(wire));
  for (int i = 0; i != 3; ++i) {
    CHECK(serve(all) == queue_status::empty);
    CHECK_FALSE(is_readable(wire));
    CHECK(all.try_select() == queue_status::empty); // asked again, for nothing
    CHECK_FALSE(is_readable(wire));
    REQUIRE(a.push(1));
    CHECK(is_readable(wire));
    REQUIRE(b.push(1));
    CHECK(all.try_select() == queue_status::success);
    CHECK(is_readable(wire)); // there may be more
    CHECK(serve(all) == queue_status::empty);
    CHECK_FALSE(is_readable(wire));
    REQUIRE(b.push(1));
    CHECK(is_readable(wire));
    CHECK(serve(all) == queue_status::empty);
  }
  CHECK_FALSE(is_readable(wire));
  a.close();
  CHECK(is_readable(wire));
  CHECK(serve(all) == queue_status::empty);
  b.close();
  CHECK(is_readable(wire));
  CHECK(serve(all) == queue_status::closed);
  CHECK_FALSE(is_readable(wire));
}

TEST_CASE("selector: room makes the descriptor readable too") {
  mailbox<int> a{1};
  REQUIRE(a.push(1));
  const int value = 2;
  selector all;
  selector::registration one;
  one = all.add(on_push(a, value, [&] { one.cancel(); }));
  const int wire = all.native_handle();
  CHECK(serve(all) == queue_status::empty);
  CHECK_FALSE(is_readable(wire));
  CHECK(a.pop() == 1);
  CHECK(is_readable(wire));
  CHECK(serve(all) == queue_status::closed);
  CHECK(a.pop() == 2);
}

TEST_CASE(
    "selector: a case that is added makes the descriptor readable, one that leaves does not") {
  mailbox<int> a{1}, b{1};
  selector all;
  const int wire = all.native_handle();
  CHECK(serve(all) == queue_status::closed);
  CHECK_FALSE(is_readable(wire));
  REQUIRE(a.push(1));
  auto first = all.add(on_pop(a, ignore));
  CHECK(is_readable(wire));
  CHECK(serve(all) == queue_status::empty);
  auto second = all.add(on_pop(b, ignore));
  CHECK(serve(all) == queue_status::empty);
  second.cancel();
  CHECK_FALSE(is_readable(wire));
  REQUIRE(b.push(1));
  CHECK_FALSE(is_readable(wire));
  REQUIRE(a.push(1));
  CHECK(is_readable(wire));
}

TEST_CASE("selector: busy leaves the descriptor readable") {
  busy_box a;
  selector all;
  const auto one = all.add(on_pop(a, ignore));
  const int wire = all.native_handle();
  CHECK(all.try_select() == queue_status::busy);
  CHECK(is_readable(wire));
  CHECK(all.try_select() == queue_status::busy);
  CHECK(is_readable(wire));
}

TEST_CASE("selector: what a thread waits for and what a loop waits for may alternate") {
  mailbox<int> a{1};
  selector all;
  const auto one = all.add(on_pop(a, ignore));
  const int wire = all.native_handle();
  for (int i = 0; i != 3; ++i) {
    CHECK(serve(all) == queue_status::empty);
    CHECK_FALSE(is_readable(wire));
    background waits{[&] { return all.select(); }};
    test::let_it_sleep();
    REQUIRE(a.push(1));
    CHECK(waits.get() == queue_status::success);
    CHECK(is_readable(wire));
    CHECK(serve(all) == queue_status::empty);
    CHECK(all.try_select_for(1ms) == queue_status::timeout);
    CHECK(is_readable(wire)); // until it is asked
  }
}

TEST_CASE("selector: a push from another thread wakes who polls") {
  mailbox<int> a{1};
  int sum = 0;
  selector all;
  const auto one = all.add(on_pop(a, [&](int value) { sum += value; }));
  const int wire = all.native_handle();
  background pushes{[&] {
    for (int i = 0; i != 2'000; ++i) (void)a.push(1);
    a.close();
    return true;
  }};
  do {
    if (!is_readable(wire, 40'000)) FAIL("nobody raised it");
  } while (serve(all) != queue_status::closed);
  CHECK(pushes.get());
  CHECK(sum == 2'000);
}

TEST_CASE("selector: a descriptor that cannot be had is an error") {
  CHECK_THROWS_AS(mailroom::detail::throw_no_descriptor(24), std::system_error);
}

// ---- Wake-ups that it does not use

TEST_CASE("selector: a wake-up goes to the next when its case is cancelled or the selector ends") {
  for (const bool is_cancelled : {true, false}) {
    mailbox<int> a{2};
    auto all = std::make_unique<selector>();
    auto one = all->add(on_pop(a, ignore));
    const int wire = all->native_handle();
    CHECK(serve(*all) == queue_status::empty);
    background next{[&] { return select(on_pop(a, ignore)).status; }};
    test::wait_for_pops(a, 2); // the doorbell's, and this
    REQUIRE(a.push(1));
    CHECK(is_readable(wire)); // the selector was told
    CHECK_FALSE(next.is_back());
    if (is_cancelled) {
      one.cancel();
    } else {
      all.reset();
    }
    CHECK(next.get() == queue_status::success);
  }
}

TEST_CASE("selector: a wake-up goes to the next when it is another's turn") {
  mailbox<int> a{2}, b{2};
  selector all;
  std::optional<background<std::function<queue_status()>>> sleeper;
  const auto first =
      all.add(on_pop(b, [&](int) { CHECK(sleeper->get() == queue_status::success); }));
  const auto second = all.add(on_pop(a, ignore));
  (void)all.native_handle();
  CHECK(serve(all) == queue_status::empty);
  sleeper.emplace([&] { return select(on_pop(a, ignore)).status; });
  test::wait_for_pops(a, 2);
  REQUIRE(a.push(1)); // wakes the selector
  REQUIRE(b.push(2)); // but it is the turn of b, whose handler takes until the other has come back
  CHECK(all.try_select() == queue_status::success);
  CHECK(all.try_select() == queue_status::empty);
}

TEST_CASE("selector: while a handler runs others are woken") {
  mailbox<int> a{2};
  selector all;
  const auto one = all.add(on_pop(a, [&](int value) {
    if (value != 1) return;
    background other{[&] { return select(on_pop(a, ignore)).status; }};
    test::wait_for_pops(a, 2);
    REQUIRE(a.push(2));
    CHECK(other.get() == queue_status::success);
  }));
  (void)all.native_handle();
  CHECK(serve(all) == queue_status::empty);
  REQUIRE(a.push(1));
  CHECK(all.try_select() == queue_status::success);
}

TEST_CASE("selector: a handler that asks in vain does not keep others from being woken") {
  mailbox<int> a{2};
  selector all;
  const auto one = all.add(on_pop(a, [&](int value) {
    if (value != 1) return;
    CHECK(all.try_select() == queue_status::empty);
    background other{[&] { return select(on_pop(a, ignore)).status; }};
    test::wait_for_pops(a, 2);
    REQUIRE(a.push(2));
    CHECK(other.get() == queue_status::success);
  }));
  (void)all.native_handle();
  CHECK(serve(all) == queue_status::empty);
  REQUIRE(a.push(1));
  CHECK(all.try_select() == queue_status::success);
  CHECK(is_readable(all.native_handle())); // which asks the loop to look again
}

// ---- Crowds

TEST_CASE("selector: in a crowd every message is taken once, and none is left while one sleeps") {
  const test::watchdog dog{"selector: a crowd"};
  mailbox<int> a{2}, b{1};
  mailbox<int, mailroom::mpmc_ticket_queue<int>> c{2};
  constexpr int each = 10'000;
  std::atomic<int> sum{0}, taken{0};
  const auto count = [&](int value) {
    sum.fetch_add(value);
    taken.fetch_add(1);
  };
  const auto produce = [&] {
    for (int i = 0; i != each; ++i) {
      const int value = i % 7;
      if (!(i % 3 == 0 ? a.push(value) : i % 3 == 1 ? b.push(value) : c.push(value))) return false;
    }
    return true;
  };
  const auto fill = [&](selector& all) {
    registrations cases;
    cases.push_back(all.add(on_pop(a, count)));
    cases.push_back(all.add(on_pop(b, count)));
    cases.push_back(all.add(on_pop(c, count)));
    return cases;
  };
  const auto sleeps = [&] {
    selector all;
    const auto cases = fill(all);
    while (all.select() == queue_status::success) {
    }
    return true;
  };
  const auto polls = [&] {
    selector all;
    const auto cases = fill(all);
    do {
      if (!is_readable(all.native_handle(), 40'000)) return false;
    } while (serve(all) != queue_status::closed);
    return true;
  };
  background one{produce};
  background two{produce};
  background first{sleeps};
  background second{polls};
  background third{polls};
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

TEST_CASE("selector: in a storm of pushes, pops, cancels and closings nothing is lost") {
  const test::watchdog dog{"selector: a storm"};
  for (unsigned round = 0; round != 20; ++round) {
    std::array<mailbox<int>, 4> boxes{mailbox<int>{1}, mailbox<int>{2}, mailbox<int>{4},
                                      mailbox<int>{8}};
    std::atomic<long> accepted{0}, received{0};
    const auto count = [&](int value) { received.fetch_add(value); };
    const auto produce = [&](unsigned who) {
      std::mt19937 chance{test::seed() + 10 * round + who};
      for (int i = 0; i != 2'000; ++i) {
        auto& box = boxes[chance() % 4];
        const int value = static_cast<int>(chance() % 100);
        if (chance() % 2 == 0 ? box.push(value) : box.try_push(value) == queue_status::success) {
          accepted.fetch_add(value);
        }
      }
    };
    const auto steady = [&] {
      selector all;
      registrations cases;
      for (auto& each : boxes) cases.push_back(all.add(on_pop(each, count)));
      do {
        if (!is_readable(all.native_handle(), 40'000)) FAIL("nobody raised it");
      } while (serve(all) != queue_status::closed);
    };
    const auto fickle = [&](unsigned who) {
      std::mt19937 chance{test::seed() + 10 * round + who};
      selector all;
      std::array<selector::registration, 4> cases;
      const auto is_over = [&] {
        for (const auto& each : boxes) {
          if (!each.is_drained()) return false;
        }
        return true;
      };
      while (!is_over()) {
        const std::size_t which = chance() % 4;
        switch (chance() % 4) {
        case 0: cases[which].cancel(); break;
        case 1: cases[which] = all.add(on_pop(boxes[which], count)); break;
        case 2: (void)all.try_select_for(100us); break;
        default:
          if (is_readable(all.native_handle(), 1)) (void)all.try_select();
        }
      }
    };
    const auto pops = [&] {
      while (auto value = boxes[0].pop()) count(*value);
    };
    const auto all_produce = [&] {
      test::run_together({[&] { produce(0); }, [&] { produce(1); }});
      for (auto& each : boxes) each.close();
    };
    test::run_together({all_produce, steady, [&] { fickle(2); }, [&] { fickle(3); }, pops});
    REQUIRE(received.load() == accepted.load());
  }
}

#endif
