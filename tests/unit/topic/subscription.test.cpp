// SPDX-License-Identifier: MIT
#include <mailroom/topic/subscription.hpp>

#include <doctest/doctest.h>
#include <support/print.hpp>
#include <support/threads.hpp>
#include <support/topics.hpp>
#include <support/tracked.hpp>
#include <support/waiting.hpp>

#include <algorithm>  // max
#include <atomic>     // atomic
#include <chrono>     // chrono_literals
#include <cstdint>    // uint64_t
#include <functional> // function
#include <memory>     // make_shared, make_unique, shared_ptr, unique_ptr
#include <optional>   // optional
#include <stdexcept>  // runtime_error
#include <string>     // string
#include <thread>     // this_thread
#include <utility>    // move
#include <vector>     // vector

namespace {

using mailroom::delivery;
using mailroom::overflow;
using mailroom::queue_status;
using test::drain;
using test::fate;
using test::of;

using dispatcher = mailroom::dispatcher<int>;
using subscription = mailroom::subscription<int>;
using numbers = std::vector<int>;
using namespace std::chrono_literals;

/// A handler that stays inside until it is let go.
struct gate {
  std::atomic<int> inside{0};
  std::atomic<bool> is_open{false};

  void pass() {
    inside.fetch_add(1);
    test::wait_until([this] { return is_open.load(); }, "nobody opens the gate");
  }
  void wait_for(int visitors) {
    test::wait_until([this, visitors] { return inside.load() == visitors; }, "nobody came");
  }
};

/// A call that does not answer anything, in the background.
template <class F>
auto in_background(F call) {
  return test::background{[call = std::move(call)]() mutable {
    call();
    return true;
  }};
}

} // namespace

// ---- Subscribed or not

TEST_CASE("subscription: a default-constructed one is subscribed to nothing, and says so") {
  subscription none;
  CHECK_FALSE(none.is_active());
  CHECK_FALSE(none.pop());
  CHECK(none.try_pop().error() == queue_status::closed);
  CHECK(none.run([](int) {}) == queue_status::closed);
  CHECK(none.missed() == 0);
  CHECK(std::string{none.name()}.empty());
  none.cancel();
  CHECK_FALSE(none.is_active());
}

TEST_CASE("subscription: it is active until it is cancelled or the dispatcher is closed") {
  dispatcher hub;
  auto queued = hub.subscribe("a");
  auto direct = hub.on("a", [](int) {});
  CHECK(queued.is_active());
  CHECK(direct.is_active());
  queued.cancel();
  direct.cancel();
  CHECK_FALSE(queued.is_active());
  CHECK_FALSE(direct.is_active());
  queued = hub.subscribe("a");
  direct = hub.on("a", [](int) {});
  hub.publish("a", 1);
  hub.close();
  CHECK_FALSE(queued.is_active()); // though a message waits
  CHECK_FALSE(direct.is_active());
  CHECK(drain(queued) == numbers{1});
}

TEST_CASE("subscription: its name is the one from the options") {
  dispatcher hub;
  const auto named = hub.subscribe("a", {.name = "printer"});
  const auto plain = hub.subscribe("a");
  const auto direct = hub.on("a", [](int) {});
  CHECK(std::string{named.name()} == "printer");
  CHECK(std::string{plain.name()}.empty());
  CHECK(std::string{direct.name()}.empty());
}

TEST_CASE("subscription: a moved one is the same one, and what it was moved from is none") {
  dispatcher hub;
  auto first = hub.subscribe("a", {.capacity = 1, .on_full = overflow::drop_newest});
  hub.publish("a", 1);
  hub.publish("a", 2);
  auto second = std::move(first);
  CHECK_FALSE(first.is_active());
  CHECK_FALSE(first.pop());
  CHECK(first.missed() == 0);
  CHECK(second.is_active());
  CHECK(second.missed() == 1);
  CHECK(drain(second) == numbers{1});
  CHECK(of(hub.publish("a", 3)) == fate{1, 1, 0});
  auto& same = second;
  second = std::move(same);
  CHECK(second.is_active());
  CHECK(drain(second) == numbers{3});
}

TEST_CASE("subscription: assigning cancels the old one, and what waited in it is gone") {
  dispatcher hub;
  auto at = hub.subscribe("old");
  hub.publish("old", 1);
  at = hub.subscribe("new");
  CHECK_FALSE(hub.interested("old"));
  CHECK(of(hub.publish("old", 2)) == fate{0, 0, 0});
  CHECK(of(hub.publish("new", 3)) == fate{1, 1, 0});
  CHECK(drain(at) == numbers{3});
  at = subscription{};
  CHECK_FALSE(hub.interested("new"));
}

TEST_CASE("subscription: destroying it cancels it") {
  dispatcher hub;
  auto handle = hub.topic("a");
  int calls = 0;
  {
    const auto queued = hub.subscribe("a");
    const auto direct = hub.on("a", [&](int) { ++calls; });
    CHECK(of(handle.publish(1)) == fate{2, 2, 0});
  }
  CHECK(of(handle.publish(2)) == fate{0, 0, 0});
  CHECK(of(hub.publish("a", 3)) == fate{0, 0, 0});
  CHECK(calls == 1);
}

TEST_CASE("subscription: one with a handler has nothing to pop") {
  dispatcher hub;
  auto direct = hub.on("a", [](int) {});
  hub.publish("a", 1);
  CHECK_FALSE(direct.pop());
  CHECK(direct.try_pop().error() == queue_status::closed);
  CHECK(direct.run([](int) {}) == queue_status::closed);
  CHECK(direct.missed() == 0);
  CHECK(direct.is_active());
}

// ---- Receiving

TEST_CASE(
    "subscription: try_pop answers empty while there is no message, closed when none will be") {
  dispatcher hub;
  auto sub = hub.subscribe("a");
  CHECK(sub.try_pop().error() == queue_status::empty);
  hub.publish("a", 1);
  CHECK(sub.try_pop()->value == 1);
  CHECK(sub.try_pop().error() == queue_status::empty);
  hub.close();
  CHECK(sub.try_pop().error() == queue_status::closed);
}

TEST_CASE("subscription: pop waits for a message") {
  const test::watchdog dog{"subscription: pop waits"};
  dispatcher hub;
  auto sub = hub.subscribe("a");
  test::background pops{[&] { return sub.pop(); }};
  test::let_it_sleep();
  CHECK_FALSE(pops.is_back());
  hub.publish("b", 0);
  CHECK_FALSE(pops.is_back());
  hub.publish("a", 7);
  const auto got = pops.get();
  CHECK(got->value == 7);
  CHECK(got->topic() == "a");
}

TEST_CASE("subscription: a stop ends the wait of pop and run, but not before what is there") {
  const test::watchdog dog{"subscription: stop"};
  test::with_every_stop_source([](auto& source) {
    dispatcher hub;
    auto sub = hub.subscribe("a");
    auto token = source.get_token();
    {
      test::background pops{[&] { return sub.pop(token); }};
      test::let_it_sleep();
      hub.publish("a", 1);
      CHECK(pops.get()->value == 1);
    }
    hub.publish("a", 2);
    std::atomic<int> last{0};
    test::background runs{[&] { return sub.run([&](int value) { last = value; }, token); }};
    test::wait_until([&] { return last.load() == 2; }, "run did not begin");
    test::let_it_sleep();
    source.request_stop();
    CHECK(runs.get() == queue_status::stopped);
    hub.publish("a", 3);
    hub.publish("a", 4);
    CHECK(sub.pop(token)->value == 3);
    CHECK(sub.run([&](int value) { last = value; }, token) == queue_status::stopped);
    CHECK(last == 4);
    CHECK_FALSE(sub.pop(token));
  });
}

TEST_CASE("subscription: threads that pop from one subscription share its messages") {
  const test::watchdog dog{"subscription: shared"};
  constexpr int count = 3000;
  dispatcher hub;
  auto sub = hub.subscribe("a", {.capacity = 16});
  std::vector<std::atomic<int>> seen(count);
  const auto note = [&](int value) { seen[static_cast<std::size_t>(value)].fetch_add(1); };
  test::run_together({[&] {
                        while (auto got = sub.pop()) note(got->value);
                      },
                      [&] { (void)sub.run(note); },
                      [&] {
                        for (int i = 0; i != count; ++i) hub.publish("a", i);
                        hub.close();
                      }});
  int wrong = 0;
  for (const auto& each : seen) wrong += each.load() == 1 ? 0 : 1;
  CHECK(wrong == 0);
}

TEST_CASE("subscription: run hands over every message, in any form of handler") {
  dispatcher hub;
  auto sub = hub.subscribe(">");
  const auto publish = [&] { hub.publish("a", 3); };
  int sum = 0;
  const auto run_once = [&](auto&& handler) {
    publish();
    test::asked_source source;
    source.request_stop();
    CHECK(sub.run(std::forward<decltype(handler)>(handler), source.get_token()) ==
          queue_status::stopped);
  };
  run_once([&](int value) { sum += value; });
  run_once([&](const int& value) { sum += value; });
  run_once([&](const delivery<int>& one) { sum += one.topic() == "a" ? one.value : 0; });
  run_once([&](delivery<int>&& one) { sum += static_cast<int>(one.sequence); });
  run_once([&](delivery<int> one) { sum += static_cast<int>(one.sequence); });
  run_once([&](const auto& one) { sum += one.value; });
  auto lasting = [&sum, own = 0](int value) mutable { sum += ++own * value; };
  run_once(lasting);
  run_once(lasting); // by reference: it goes on where it was
  CHECK(sum == 3 + 3 + 3 + 3 + 4 + 3 + 3 + 6);
}

TEST_CASE("subscription: a handler of run that throws costs its message, and run may go on") {
  dispatcher hub;
  auto sub = hub.subscribe("a");
  for (int i = 0; i != 10; ++i) hub.publish("a", i);
  hub.close();
  numbers seen;
  int thrown = 0;
  const auto handler = [&](int value) {
    if (value % 3 == 0) throw std::runtime_error{"three"};
    seen.push_back(value);
  };
  auto status = queue_status::success;
  while (status != queue_status::closed) {
    try {
      status = sub.run(handler);
    } catch (const std::runtime_error&) {
      ++thrown;
    }
  }
  CHECK(thrown == 4);
  CHECK(seen == numbers{1, 2, 4, 5, 7, 8});
}

TEST_CASE(
    "subscription: a handler of run that threw may cancel, and be waited for, like any other") {
  const test::watchdog dog{"subscription: throw, then cancel"};
  dispatcher hub;
  auto sub = hub.subscribe("a");
  hub.publish("a", 1);
  CHECK_THROWS_AS((void)sub.run([](int) { throw std::runtime_error{"no"}; }), std::runtime_error);
  sub.cancel(); // would wait for ever if the throw had left the handler counted
  CHECK_FALSE(sub.is_active());
  auto direct = hub.on("a", [](int) { throw std::runtime_error{"no"}; });
  CHECK_THROWS_AS(hub.publish("a", 1), std::runtime_error);
  direct.cancel();
  CHECK_FALSE(direct.is_active());
}

// ---- What happens when there is no room

TEST_CASE("subscription: reject keeps what is there, and the publisher is told") {
  dispatcher hub;
  auto sub = hub.subscribe("a", {.capacity = 3, .on_full = overflow::reject});
  for (int i = 0; i != 3; ++i) CHECK(of(hub.publish("a", i)) == fate{1, 1, 0});
  for (int i = 3; i != 6; ++i) CHECK(of(hub.publish("a", i)) == fate{1, 0, 0});
  CHECK(sub.pop()->value == 0);
  CHECK(of(hub.publish("a", 6)) == fate{1, 1, 0});
  CHECK(drain(sub) == numbers{1, 2, 6});
  CHECK(sub.missed() == 0);
}

TEST_CASE("subscription: drop_newest keeps what is there, and tells the subscriber too") {
  dispatcher hub;
  auto sub = hub.subscribe("a", {.capacity = 3, .on_full = overflow::drop_newest});
  for (int i = 0; i != 3; ++i) CHECK(of(hub.publish("a", i)) == fate{1, 1, 0});
  for (int i = 3; i != 6; ++i) CHECK(of(hub.publish("a", i)) == fate{1, 0, 1});
  CHECK(sub.missed() == 3);
  for (int i = 0; i != 3; ++i) { // these were sent before anything was lost
    const auto got = sub.pop();
    CHECK(got->value == i);
    CHECK(got->missed == 0);
  }
  CHECK(of(hub.publish("a", 6)) == fate{1, 1, 0});
  CHECK(of(hub.publish("a", 7)) == fate{1, 1, 0});
  auto got = sub.pop();
  CHECK(got->value == 6);
  CHECK(got->missed == 3); // told once
  got = sub.pop();
  CHECK(got->value == 7);
  CHECK(got->missed == 0);
  CHECK(sub.missed() == 3);
}

TEST_CASE("subscription: drop_oldest keeps the newest, and tells the subscriber") {
  dispatcher hub;
  auto sub = hub.subscribe("a", {.capacity = 3, .on_full = overflow::drop_oldest});
  for (int i = 0; i != 3; ++i) CHECK(of(hub.publish("a", i)) == fate{1, 1, 0});
  for (int i = 3; i != 8; ++i) CHECK(of(hub.publish("a", i)) == fate{1, 1, 1});
  CHECK(sub.missed() == 5);
  auto got = sub.pop();
  CHECK(got->value == 5);
  CHECK(got->missed == 5);
  got = sub.pop();
  CHECK(got->value == 6);
  CHECK(got->missed == 0);
  CHECK(of(hub.publish("a", 8)) == fate{1, 1, 0});
  CHECK(of(hub.publish("a", 9)) == fate{1, 1, 0});
  CHECK(of(hub.publish("a", 10)) == fate{1, 1, 1});
  got = sub.pop();
  CHECK(got->value == 8);
  CHECK(got->missed == 1);
  CHECK(drain(sub) == numbers{9, 10});
  CHECK(sub.missed() == 6);
}

TEST_CASE("subscription: run tells what was missed, as pop does") {
  for (const overflow policy : {overflow::drop_newest, overflow::drop_oldest}) {
    dispatcher hub;
    auto sub = hub.subscribe("a", {.capacity = 1, .on_full = policy});
    std::uint64_t missed = 0;
    numbers seen;
    const auto note = [&](const delivery<int>& one) {
      missed += one.missed;
      seen.push_back(one.value);
      if (one.value == 9) hub.close();
    };
    for (int i = 0; i != 5; ++i) hub.publish("a", i);
    CHECK(sub.missed() == 4);
    const auto first = sub.pop();
    missed += first->missed;
    hub.publish("a", 9);
    CHECK(sub.run(note) == queue_status::closed);
    CHECK(seen == numbers{9});
    CHECK(missed == 4);
  }
}

TEST_CASE("subscription: what a policy drops is destroyed, and nothing else") {
  for (const overflow policy : {overflow::reject, overflow::drop_newest, overflow::drop_oldest}) {
    test::ledger book;
    {
      mailroom::dispatcher<test::tracked> hub;
      auto sub = hub.subscribe("a", {.capacity = 2, .on_full = policy});
      auto other = hub.subscribe("a");
      for (int i = 0; i != 20; ++i) hub.publish("a", test::tracked{i});
      CHECK(book.alive() == 2 + 20);
      for (int i = 0; i != 20; ++i) CHECK(other.pop()->value.value() == i);
      CHECK(book.alive() == 2);
    }
    CHECK(book.is_balanced());
  }
}

TEST_CASE("subscription: block makes the publisher wait until a pop makes room") {
  const test::watchdog dog{"subscription: block"};
  dispatcher hub;
  auto sub = hub.subscribe("a", {.capacity = 2});
  hub.publish("a", 0);
  hub.publish("a", 1);
  test::background waits{[&] { return of(hub.publish("a", 2)); }};
  test::let_it_sleep();
  CHECK_FALSE(waits.is_back());
  CHECK(sub.pop()->value == 0);
  CHECK(waits.get() == fate{1, 1, 0});
  CHECK(drain(sub) == numbers{1, 2});
  CHECK(sub.missed() == 0);
}

TEST_CASE("subscription: many publishers wait for one mailbox, and all get in") {
  const test::watchdog dog{"subscription: many wait"};
  dispatcher hub;
  auto sub = hub.subscribe("a", {.capacity = 1});
  std::vector<std::function<void()>> bodies;
  for (int p = 0; p != 4; ++p) {
    bodies.emplace_back([&hub, p] {
      for (int i = 0; i != 200; ++i) CHECK(of(hub.publish("a", p)) == fate{1, 1, 0});
    });
  }
  std::vector<int> got(4, 0);
  bodies.emplace_back([&] {
    for (int i = 0; i != 800; ++i) ++got[static_cast<std::size_t>(sub.pop()->value)];
  });
  test::run_together(std::move(bodies));
  CHECK(got == numbers{200, 200, 200, 200});
}

TEST_CASE("subscription: a publisher that waits is released by whatever ends the subscription") {
  const test::watchdog dog{"subscription: release"};
  for (int how = 0; how != 4; ++how) {
    CAPTURE(how);
    dispatcher hub;
    std::optional<subscription> sub = hub.subscribe("a", {.capacity = 1});
    auto handle = hub.topic("a");
    handle.publish(1);
    test::background by_handle{[&] { return of(handle.publish(2)); }};
    test::background by_name{[&] { return of(hub.publish("a", 3)); }};
    test::let_it_sleep();
    CHECK_FALSE(by_handle.is_back());
    CHECK_FALSE(by_name.is_back());
    if (how == 0) sub->cancel();
    if (how == 1) sub.reset();
    if (how == 2) hub.close();
    if (how == 3) *sub = hub.subscribe("b");
    CHECK(by_handle.get() == fate{0, 0, 0});
    CHECK(by_name.get() == fate{0, 0, 0});
  }
}

TEST_CASE("subscription: the messages that the subscriber lost are counted for it alone") {
  dispatcher hub;
  auto lossy = hub.subscribe("a", {.capacity = 1, .on_full = overflow::drop_newest});
  auto keeps = hub.subscribe("a");
  auto other = hub.subscribe("a", {.capacity = 2, .on_full = overflow::drop_oldest});
  fate sum{};
  for (int i = 0; i != 10; ++i) {
    const fate one = of(hub.publish("a", i));
    for (std::size_t k = 0; k != one.size(); ++k) sum[k] += one[k];
  }
  CHECK(sum == fate{30, 1 + 10 + 10, 9 + 8});
  CHECK(lossy.missed() == 9);
  CHECK(keeps.missed() == 0);
  CHECK(other.missed() == 8);
  CHECK(drain(keeps).size() == 10);
}

// ---- Cancelling

TEST_CASE("subscription: cancel ends pop, try_pop and run, and what was queued is gone") {
  const test::watchdog dog{"subscription: cancel ends everything"};
  test::ledger book;
  {
    mailroom::dispatcher<test::tracked> hub;
    auto sub = hub.subscribe("a");
    for (int i = 0; i != 5; ++i) hub.publish("a", test::tracked{i});
    CHECK(book.alive() == 5);
    sub.cancel();
    CHECK(book.alive() == 0);
    CHECK_FALSE(sub.pop());
    CHECK(sub.try_pop().error() == queue_status::closed);
    CHECK(sub.run([](const test::tracked&) { FAIL("a handler ran"); }) == queue_status::closed);
    sub.cancel();
    CHECK(of(hub.publish("a", test::tracked{9})) == fate{0, 0, 0});
  }
  CHECK(book.is_balanced());
}

TEST_CASE("subscription: drain ends the intake, and what is queued can still be popped") {
  const test::watchdog dog{"subscription: drain"};
  dispatcher hub;
  auto sub = hub.subscribe("a");
  hub.publish("a", 1);
  hub.publish("a", 2);
  sub.drain();
  CHECK_FALSE(sub.is_active());
  CHECK(of(hub.publish("a", 3)) == fate{0, 0, 0});
  CHECK(drain(sub) == numbers{1, 2});
  CHECK_FALSE(sub.pop().has_value());
  sub.drain(); // again, and nothing happens
  subscription none;
  none.drain();
}

TEST_CASE("subscription: drain waits until those who run it have handed everything out") {
  const test::watchdog dog{"subscription: drain waits"};
  for (const int threads : {1, 3}) {
    CAPTURE(threads);
    dispatcher hub;
    auto sub = hub.subscribe("a");
    std::atomic<int> handled{0};
    std::vector<std::unique_ptr<test::background<std::function<queue_status()>>>> runs;
    for (int i = 0; i != threads; ++i) {
      runs.push_back(std::make_unique<test::background<std::function<queue_status()>>>([&] {
        return sub.run([&](int) {
          std::this_thread::sleep_for(100us);
          ++handled;
        });
      }));
    }
    test::let_it_sleep();
    for (int i = 0; i != 200; ++i) hub.publish("a", i);
    sub.drain();
    CHECK(handled.load() == 200);
    for (const auto& each : runs) CHECK(each->get() == queue_status::closed);
  }
}

TEST_CASE("subscription: a handler may drain its own, and gets what is queued before the end") {
  const test::watchdog dog{"subscription: drain inside"};
  dispatcher hub;
  auto sub = hub.subscribe("a");
  for (int i = 0; i != 3; ++i) hub.publish("a", i);
  numbers seen;
  CHECK(sub.run([&](int value) {
    seen.push_back(value);
    sub.drain();
    CHECK(of(hub.publish("a", 9)) == fate{0, 0, 0});
  }) == queue_status::closed);
  CHECK(seen == numbers{0, 1, 2});
  {
    int calls = 0;
    subscription direct;
    direct = hub.on("b", [&](int) {
      ++calls;
      direct.drain();
    });
    CHECK(of(hub.publish("b", 1)) == fate{1, 1, 0});
    CHECK(of(hub.publish("b", 2)) == fate{0, 0, 0});
    CHECK(calls == 1);
  }
}

TEST_CASE("subscription: two handlers of one subscription may drain it at the same time") {
  const test::watchdog dog{"subscription: drain inside, twice"};
  dispatcher hub;
  auto sub = hub.subscribe("a");
  std::atomic<int> inside{0};
  const auto body = [&] {
    return sub.run([&](int) {
      ++inside;
      test::wait_until([&] { return inside.load() >= 2; }, "both are inside");
      sub.drain();
    });
  };
  test::background first{body};
  test::background second{body};
  hub.publish("a", 1);
  hub.publish("a", 2);
  CHECK(first.get() == queue_status::closed);
  CHECK(second.get() == queue_status::closed);
}

TEST_CASE("subscription: drain releases publishers that wait for room") {
  const test::watchdog dog{"subscription: drain releases"};
  dispatcher hub;
  auto sub = hub.subscribe("a", {.capacity = 1});
  hub.publish("a", 1);
  test::background waits{[&] { return of(hub.publish("a", 2)); }};
  test::let_it_sleep();
  sub.drain();
  CHECK(waits.get() == fate{0, 0, 0});
  CHECK(drain(sub) == numbers{1});
}

TEST_CASE("subscription: cancel after the dispatcher's close throws away what is still queued") {
  test::ledger book;
  {
    std::optional<mailroom::subscription<test::tracked>> sub;
    {
      mailroom::dispatcher<test::tracked> hub;
      sub = hub.subscribe("a");
      for (int i = 0; i != 5; ++i) hub.publish("a", test::tracked{i});
    }
    CHECK(sub->pop()->value.value() == 0);
    sub->cancel();
    CHECK(book.alive() == 0);
    CHECK_FALSE(sub->pop());
  }
  CHECK(book.is_balanced());
}

TEST_CASE("subscription: cancel wakes those who wait for a message") {
  const test::watchdog dog{"subscription: cancel wakes"};
  dispatcher hub;
  auto sub = hub.subscribe("a");
  test::background pops{[&] { return sub.pop().has_value(); }};
  test::background runs{[&] { return sub.run([](int) {}); }};
  test::let_it_sleep();
  sub.cancel();
  CHECK_FALSE(pops.get());
  CHECK(runs.get() == queue_status::closed);
}

TEST_CASE("subscription: cancel waits for the handler that runs in another thread") {
  const test::watchdog dog{"subscription: cancel waits"};
  for (const bool direct : {true, false}) {
    CAPTURE(direct);
    dispatcher hub;
    gate at;
    auto state = std::make_unique<int>(0); // plain: only cancel orders its last use and its end
    const auto handler = [&](int) {
      at.pass();
      ++*state;
    };
    auto sub = direct ? hub.on("a", handler) : hub.subscribe("a");
    if (!direct) hub.publish("a", 1);
    auto works = in_background([&] {
      if (direct) {
        hub.publish("a", 1);
      } else {
        CHECK(sub.run(handler) == queue_status::closed);
      }
    });
    at.wait_for(1);
    auto cancels = in_background([&] { sub.cancel(); });
    auto cancels_too = in_background([&] { sub.cancel(); });
    while (sub.is_active()) std::this_thread::yield(); // one of them has begun
    test::let_it_sleep();
    CHECK_FALSE(cancels.is_back());
    CHECK_FALSE(cancels_too.is_back());
    at.is_open = true;
    CHECK(cancels.get());
    CHECK(*state == 1);
    CHECK(cancels_too.get());
    state.reset();
    CHECK(works.get());
  }
}

TEST_CASE("subscription: R-40: state may be destroyed as soon as cancel has returned") {
  const test::watchdog dog{"subscription: state ends after cancel"};
  for (int round = 0; round != 200; ++round) {
    dispatcher hub;
    auto state = std::make_unique<std::vector<int>>(); // not synchronised by anybody else
    std::atomic<bool> started{false};
    auto direct = hub.on("a", [&started, at = state.get()](int value) {
      at->assign(1, value);
      started = true;
    });
    auto queued = hub.subscribe("b", {.capacity = 4});
    auto other_state = std::make_unique<std::vector<int>>();
    test::run_together({[&] {
                          for (int i = 0; hub.publish("a", i).matched != 0; ++i) {
                          }
                        },
                        [&] {
                          for (int i = 0; hub.publish("b", i).matched != 0; ++i) {
                          }
                        },
                        [&, at = other_state.get()] {
                          (void)queued.run([at](int value) { at->assign(1, value); });
                        },
                        [&] {
                          test::wait_until([&] { return started.load(); }, "no handler ran");
                          direct.cancel();
                          state.reset();
                          queued.cancel();
                          other_state.reset();
                        }});
  }
}

TEST_CASE("subscription: what was queued is gone when cancel returns, though others are in run") {
  const test::watchdog dog{"subscription: gone after cancel"};
  long worst = 0;
  for (int round = 0; round != 300; ++round) {
    const auto token = std::make_shared<int>(0); // each message holds it
    mailroom::dispatcher<std::shared_ptr<int>> hub;
    auto sub = hub.subscribe("a", {.capacity = 500});
    for (int i = 0; i != 500; ++i) hub.publish("a", token);
    std::atomic<bool> started{false};
    auto runs =
        in_background([&] { (void)sub.run([&](const std::shared_ptr<int>&) { started = true; }); });
    while (!started) std::this_thread::yield();
    sub.cancel();
    const long others = token.use_count() - 1; // one may be in the hands of the other thread
    worst = std::max(worst, others);
    CHECK(runs.get());
    CHECK(token.use_count() == 1);
  }
  CHECK(worst <= 1);
}

TEST_CASE("subscription: a cancelled handler is gone when its publishers are, though they go on "
          "publishing") {
  const test::watchdog dog{"subscription: handler gone after cancel"};
  for (int round = 0; round != 300; ++round) {
    const auto state = std::make_shared<int>(0);
    dispatcher hub;
    std::atomic<bool> started{false};
    auto sub = hub.on("a", [state, &started](int) { started = true; });
    auto publishes = in_background([&, handle = hub.topic("a")]() mutable {
      while (handle.publish(1).matched != 0) {
      }
    });
    while (!started) std::this_thread::yield();
    sub.cancel();
    CHECK(publishes.get());
    CHECK(state.use_count() == 1);
  }
}

TEST_CASE("subscription: the handler is destroyed by cancel, or by whom it waited for") {
  const test::watchdog dog{"subscription: the end of a handler"};
  dispatcher hub;
  const auto state = std::make_shared<int>(0);
  auto sub = hub.on("a", [state](int) {});
  auto handle = hub.topic("a");
  handle.publish(1); // the handle still holds the list in which the subscription stands
  CHECK(state.use_count() == 2);
  sub.cancel();
  CHECK(state.use_count() == 1);
  std::optional<subscription> again;
  again = hub.on("a", [&again, state](int) {
    again.reset();
    CHECK(state.use_count() == 2); // a handler does not lose what it stands on
  });
  handle.publish(1);
  CHECK(state.use_count() == 1);
  const auto third = hub.on("a", [state](int) {});
  hub.close();
  CHECK(state.use_count() == 1);
}

TEST_CASE("subscription: a handler may cancel its own subscription, and finishes") {
  const test::watchdog dog{"subscription: cancel from inside"};
  dispatcher hub;
  subscription direct;
  int calls = 0;
  direct = hub.on("a", [&](int) {
    ++calls;
    direct.cancel();
    CHECK_FALSE(direct.is_active());
    direct.cancel();
    ++calls;
  });
  CHECK(of(hub.publish("a", 1)) == fate{1, 1, 0});
  CHECK(of(hub.publish("a", 2)) == fate{0, 0, 0});
  CHECK(calls == 2);

  auto queued = hub.subscribe("a");
  for (int i = 0; i != 5; ++i) hub.publish("a", i);
  numbers seen;
  CHECK(queued.run([&](int value) {
    seen.push_back(value);
    if (value != 2) return;
    queued.cancel();
    CHECK_FALSE(queued.try_pop());
  }) == queue_status::closed);
  CHECK(seen == numbers{0, 1, 2});
}

TEST_CASE("subscription: a handler may cancel its own from any depth") {
  const test::watchdog dog{"subscription: cancel from deep inside"};
  dispatcher hub;
  subscription direct;
  int calls = 0;
  direct = hub.on("a", [&](int depth) {
    ++calls;
    if (depth == 0) {
      direct.cancel();
    } else {
      hub.publish("a", depth - 1);
    }
    CHECK_FALSE(direct.is_active());
  });
  hub.publish("a", 5);
  CHECK(calls == 6);
  auto queued = hub.subscribe("a");
  hub.publish("a", 1);
  hub.publish("a", 2);
  calls = 0;
  CHECK(queued.run([&](int) {
    ++calls;
    CHECK(queued.run([&](int) { // run inside run
      ++calls;
      queued.cancel();
    }) == queue_status::closed);
  }) == queue_status::closed);
  CHECK(calls == 2);
}

TEST_CASE("subscription: a handler may destroy its own subscription") {
  const test::watchdog dog{"subscription: destroyed from inside"};
  dispatcher hub;
  auto direct = std::make_unique<subscription>();
  int calls = 0;
  *direct = hub.on("a", [&, own = std::make_shared<int>(7)](int) {
    direct.reset();
    calls += *own == 7 ? 1 : 0; // its own captures are still there
  });
  CHECK(of(hub.publish("a", 1)) == fate{1, 1, 0});
  CHECK(calls == 1);
  CHECK(of(hub.publish("a", 1)) == fate{0, 0, 0});

  auto queued = std::make_unique<subscription>(hub.subscribe("a"));
  for (int i = 0; i != 5; ++i) hub.publish("a", i);
  CHECK(queued->run([&](const delivery<int>& one) {
    ++calls;
    queued.reset();
    CHECK(one.topic() == "a");
  }) == queue_status::closed);
  CHECK(calls == 2);
  CHECK_FALSE(hub.interested("a"));
}

TEST_CASE("subscription: a handler may move or replace its own subscription") {
  const test::watchdog dog{"subscription: replaced from inside"};
  dispatcher hub;
  subscription at;
  subscription elsewhere;
  int first = 0;
  int second = 0;
  at = hub.on("a", [&](int value) {
    ++first;
    if (value == 1) elsewhere = std::move(at);
    if (value == 2) elsewhere = hub.on("a", [&](int) { ++second; });
  });
  CHECK(of(hub.publish("a", 1)) == fate{1, 1, 0});
  CHECK(of(hub.publish("a", 2)) == fate{1, 1, 0});
  CHECK(of(hub.publish("a", 3)) == fate{1, 1, 0});
  CHECK(first == 2);
  CHECK(second == 1);
}

TEST_CASE("subscription: a handler that runs in several threads may cancel in all of them") {
  const test::watchdog dog{"subscription: cancel in several handlers"};
  for (int round = 0; round != 50; ++round) {
    dispatcher hub;
    subscription sub;
    test::start_barrier both{2};
    std::atomic<int> calls{0};
    sub = hub.on("a", [&](int) {
      calls.fetch_add(1);
      both.arrive_and_wait();
      sub.cancel();
    });
    test::run_together({[&] { hub.publish("a", 1); }, [&] { hub.publish("a", 1); }});
    CHECK(calls == 2);
    CHECK(of(hub.publish("a", 1)) == fate{0, 0, 0});
  }
}

TEST_CASE("subscription: cancel from a handler waits for the same handler in another thread") {
  const test::watchdog dog{"subscription: cancel waits for the twin"};
  dispatcher hub;
  subscription sub;
  gate at;
  std::atomic<bool> cancelled{false};
  sub = hub.on("a", [&](int value) {
    if (value == 0) return at.pass();
    sub.cancel();
    cancelled = true;
  });
  auto stays = in_background([&] { hub.publish("a", 0); });
  at.wait_for(1);
  auto cancels = in_background([&] { hub.publish("a", 1); });
  test::let_it_sleep();
  CHECK_FALSE(cancelled);
  at.is_open = true;
  CHECK(stays.get());
  CHECK(cancels.get());
  CHECK(cancelled);
}

TEST_CASE("subscription: a handler may cancel while another thread waits for that very handler") {
  const test::watchdog dog{"subscription: cancel inside and outside"};
  for (const bool direct : {true, false}) {
    CAPTURE(direct);
    dispatcher hub;
    subscription sub;
    gate at;
    const auto handler = [&](int) {
      at.pass();
      sub.cancel();
    };
    sub = direct ? hub.on("a", handler) : hub.subscribe("a");
    if (!direct) hub.publish("a", 1);
    auto works = in_background([&] {
      if (direct) {
        hub.publish("a", 1);
      } else {
        (void)sub.run(handler);
      }
    });
    at.wait_for(1);
    auto cancels = in_background([&] { sub.cancel(); });
    test::let_it_sleep();
    CHECK_FALSE(cancels.is_back());
    at.is_open = true;
    CHECK(cancels.get());
    CHECK(works.get());
  }
}

TEST_CASE("subscription: cancel does not wait for the handlers of others") {
  const test::watchdog dog{"subscription: others are not waited for"};
  dispatcher hub;
  gate at;
  const auto busy = hub.on("a", [&](int) { at.pass(); });
  auto mine = hub.on("a", [](int) {});
  auto queued = hub.subscribe("a");
  auto works = in_background([&] { hub.publish("a", 1); });
  at.wait_for(1);
  mine.cancel();
  queued.cancel();
  CHECK_FALSE(mine.is_active());
  CHECK_FALSE(works.is_back());
  at.is_open = true;
  CHECK(works.get());
}

TEST_CASE(
    "subscription: cancelling when all have gone, or again, or in other threads, is harmless") {
  const test::watchdog dog{"subscription: cancel at the same time"};
  for (int round = 0; round != 50; ++round) {
    auto hub = std::make_unique<dispatcher>();
    auto queued = hub->subscribe("a");
    auto direct = hub->on("a", [](int) {});
    hub->publish("a", 1);
    const auto cancel = [&] {
      queued.cancel();
      direct.cancel();
    };
    test::run_together({cancel, cancel, [&] { hub.reset(); }});
    CHECK_FALSE(queued.pop());
    CHECK_FALSE(direct.is_active());
    cancel();
  }
}

TEST_CASE("subscription: a message may own the subscription in whose mailbox it waits") {
  const test::watchdog dog{"subscription: owned by its message"};
  struct session {
    mailroom::subscription<std::shared_ptr<session>> sub;
  };
  std::weak_ptr<session> watched;
  mailroom::dispatcher<std::shared_ptr<session>> hub;
  {
    auto owner = std::make_shared<session>();
    watched = owner;
    owner->sub = hub.subscribe("a");
    hub.publish("a", owner);
    hub.publish("a", owner);
  }
  session* const raw = watched.lock().get(); // lives only in its own mailbox now
  REQUIRE(raw != nullptr);
  raw->sub.cancel(); // destroys the messages, and with them the session
  CHECK(watched.expired());
  CHECK(of(hub.publish("a", nullptr)) == fate{0, 0, 0});
}

TEST_CASE("subscription: a handler may own its subscription, which is cancelled from outside") {
  const test::watchdog dog{"subscription: owned by its handler"};
  struct session {
    subscription sub;
  };
  std::weak_ptr<session> watched;
  dispatcher hub;
  session* raw = nullptr;
  {
    auto owner = std::make_shared<session>();
    watched = owner;
    raw = owner.get();
    owner->sub = hub.on("a", [owner](int) {});
  }
  CHECK(of(hub.publish("a", 1)) == fate{1, 1, 0});
  raw->sub.cancel();
  CHECK(watched.expired());
  {
    auto owner = std::make_shared<session>();
    watched = owner;
    owner->sub = hub.on("a", [owner](int) { owner->sub.cancel(); });
  }
  CHECK(of(hub.publish("a", 1)) == fate{1, 1, 0}); // cancelled from inside
  CHECK(watched.expired());
  {
    auto owner = std::make_shared<session>();
    watched = owner;
    owner->sub = hub.on("a", [owner](int) {});
  }
  hub.close();
  CHECK(watched.expired());
}

TEST_CASE("subscription: behind 64 unfinished calls a publish waits until one of them has ended") {
  struct nested {
    std::function<void()>* act = nullptr;
    explicit nested(std::function<void()>* doing) noexcept : act{doing} {}
    nested(nested&&) noexcept = default;
    nested(const nested& other) {
      if (other.act != nullptr) (*other.act)();
    }
    nested& operator=(nested&&) noexcept = default;
    nested& operator=(const nested&) = default;
    ~nested() = default;
  };
  mailroom::dispatcher<nested> hub;
  const auto copied_to = hub.subscribe("a", {.capacity = 200});
  const auto moved_to = hub.subscribe("a", {.capacity = 200});
  std::atomic<bool> has_begun{false};
  std::optional<test::background<std::function<bool()>>> late;
  bool did_not_wait = true;
  int depth = 0;
  std::function<void()> again = [&] {
    if (++depth != 64) {
      hub.publish("a", nested{&again});
      return;
    }
    late.emplace([&] { // 64 copies are being made in the first mailbox
      has_begun.store(true);
      return hub.publish("a", nested{nullptr}).delivered == 2;
    });
    test::wait_until([&] { return has_begun.load(); }, "the last publish did not begin");
    test::let_it_sleep();
    did_not_wait = late->is_back();
  };
  hub.publish("a", nested{&again});
  CHECK_FALSE(did_not_wait);
  CHECK(late->get());
}
