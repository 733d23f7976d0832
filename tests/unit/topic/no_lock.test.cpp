// SPDX-License-Identifier: MIT
// Publishing to a known name takes no lock. Here detail/mutex.hpp is the one from
// support/counting_mutex, which counts; so this file needs a program of its own.

#include <mailroom/topic/dispatcher.hpp>

#include <mailroom/detail/mutex.hpp>

#include <doctest/doctest.h>
#include <support/print.hpp>
#include <support/threads.hpp>
#include <support/topics.hpp>

#include <cstddef>    // size_t
#include <functional> // function
#include <string>     // to_string
#include <thread>     // thread
#include <vector>     // vector

namespace {

using mailroom::detail::mutex;
using test::drain;
using test::fate;
using test::of;

using dispatcher = mailroom::dispatcher<int>;

/// How many locks a call takes.
template <class F>
int locks_of(F&& call) {
  const int before = mutex::taken.load();
  call();
  return mutex::taken.load() - before;
}

} // namespace

TEST_CASE("no_lock: the counter counts, so what changes who gets what does take the lock") {
  dispatcher hub;
  mailroom::subscription<int> sub;
  CHECK(locks_of([&] { sub = hub.subscribe("a"); }) > 0);
  CHECK(locks_of([&] { hub.publish("a", 1); }) == 1); // the first use of the name
  CHECK(locks_of([&] { (void)hub.topic("b"); }) == 1);
  CHECK(locks_of([&] { (void)hub.interested("c"); }) == 1);
  CHECK(locks_of([&] { sub.cancel(); }) > 0);
  CHECK(locks_of([&] { hub.close(); }) > 0);
}

TEST_CASE("no_lock: publishing by handle or to a known name takes none") {
  dispatcher hub;
  auto handle = hub.topic("a");
  auto queued = hub.subscribe("a");
  auto member = hub.subscribe("*", {.group = "g"});
  auto lossy = hub.subscribe(">", {.capacity = 1, .on_full = mailroom::overflow::drop_oldest});
  const auto direct = hub.on("a", [](int) {});
  CHECK(locks_of([&] { CHECK(of(handle.publish(1)) == fate{4, 4, 0}); }) == 0);
  CHECK(locks_of([&] { CHECK(of(hub.publish("a", 2)) == fate{4, 4, 1}); }) == 0);
  CHECK(locks_of([&] { CHECK(hub.interested("a")); }) == 0);
  CHECK(locks_of([&] { CHECK(handle.interested()); }) == 0);
  CHECK(locks_of([&] { CHECK(hub.topic("a").name() == "a"); }) == 0);
  const auto copy = handle;
  CHECK(locks_of([&] { CHECK(drain(queued).size() == 2); }) == 0);
  CHECK(locks_of([&] { CHECK(member.pop()->value == 1); }) == 0);
  CHECK(locks_of([&] { CHECK(lossy.try_pop()->value == 2); }) == 0);
}

TEST_CASE("no_lock: nor does the first publish after a change of subscriptions") {
  dispatcher hub;
  auto handle = hub.topic("a");
  for (std::size_t i = 1; i != 5; ++i) {
    const auto one = hub.on("a", [](int) {});
    CHECK(locks_of([&] { CHECK(of(handle.publish(1)) == fate{1, 1, 0}); }) == 0);
    CHECK(locks_of([&] { CHECK(of(hub.publish("a", 1)) == fate{1, 1, 0}); }) == 0);
  }
  CHECK(locks_of([&] { CHECK(of(handle.publish(1)) == fate{0, 0, 0}); }) == 0);
  hub.close();
  CHECK(locks_of([&] { CHECK(of(handle.publish(1)) == fate{0, 0, 0}); }) == 0);
}

TEST_CASE("no_lock: nor when the table of names has grown since") {
  dispatcher hub;
  auto sub = hub.subscribe("a");
  hub.publish("a", 0);
  for (int i = 0; i != 1000; ++i) (void)hub.topic("n." + std::to_string(i));
  CHECK(locks_of([&] { hub.publish("a", 1); }) == 0);
  CHECK(locks_of([&] { hub.publish("n.999", 1); }) == 0);
  CHECK(drain(sub) == std::vector<int>{0, 1});
}

TEST_CASE("no_lock: publishing goes on while somebody else holds the lock") {
  const test::watchdog dog{"no_lock: a publisher waits for the lock"};
  dispatcher hub;
  auto handle = hub.topic("a");
  auto queued = hub.subscribe("a");
  mailroom::subscription<int> other;
  int held = 0;
  const std::vector<std::function<void()>> holders{
      [&] { other = hub.subscribe(">"); }, [&] { (void)hub.topic("new"); },
      [&] { (void)hub.interested("unknown"); }, [&] { other.cancel(); }, [&] { hub.close(); }};
  for (const auto& hold : holders) {
    mutex::while_held = [&] { // in the middle of the change, which is not finished before we are
      ++held;
      std::thread publisher{[&] {
        const fate before = of(handle.publish(held));
        CHECK(before == of(hub.publish("a", held)));
        CHECK(before[1] == before[0]);
        CHECK(before[0] >= 1);
        CHECK(hub.interested("a"));
        CHECK(handle.interested());
      }};
      publisher.join();
    };
    hold();
  }
  CHECK(held == 5);
  CHECK(drain(queued) == std::vector<int>{1, 1, 2, 2, 3, 3, 4, 4, 5, 5});
}
