// SPDX-License-Identifier: MIT

#include <mailroom/core/wait.hpp>
#include <mailroom/mailbox/event_count.hpp>
#include <mailroom/mailbox/waiter.hpp>

#include <doctest/doctest.h>
#include <support/threads.hpp>
#include <support/waiting.hpp>

#include <atomic>   // atomic
#include <optional> // optional
#include <vector>   // vector

namespace {

using mailroom::detail::never;
using mailroom::detail::sleeper;
using mailroom::detail::wait_list;
using mailroom::detail::waiter;
using test::background;

/// Notes when it is woken.
class noting final : public waiter {
public:
  explicit noting(std::vector<int>& order, int name, bool is_resumed = false)
      : order_{order}, name_{name}, is_resumed_{is_resumed} {
    begin();
  }

private:
  bool wake() noexcept override {
    if (!is_resumed_) order_.push_back(name_);
    return is_resumed_;
  }
  void resume() noexcept override { order_.push_back(name_); }

  std::vector<int>& order_;
  int name_;
  bool is_resumed_;
};

} // namespace

TEST_CASE("wait_list: the first who came is woken first, each of them once") {
  std::vector<int> woken;
  wait_list list;
  noting a{woken, 1}, b{woken, 2}, c{woken, 3};
  const wait_list::place first{list, a}, second{list, b}, third{list, c};
  list.wake_one();
  list.wake_one();
  CHECK(woken == std::vector{1, 2});
  list.wake_all();
  list.wake_all();
  CHECK(woken == std::vector{1, 2, 3});
}

TEST_CASE("wait_list: who has left, or given its place up, is passed over") {
  std::vector<int> woken;
  wait_list list;
  noting a{woken, 1}, b{woken, 2}, c{woken, 3}, d{woken, 4};
  const wait_list::place first{list, a};
  std::optional<wait_list::place> second{std::in_place, list, b};
  const wait_list::place third{list, c};
  std::optional<wait_list::place> last{std::in_place, list, d};
  CHECK(a.leave());
  CHECK(b.leave());
  second.reset();
  CHECK(d.leave());
  last.reset();
  list.wake_one();
  CHECK(woken == std::vector{3});
  CHECK_FALSE(a.is_fired());
  CHECK(c.is_fired());
  CHECK_FALSE(c.leave()); // it was woken, and must know
  list.wake_all();
  CHECK(woken == std::vector{3});
}

TEST_CASE("wait_list: who waits in several lists is woken by one of them, and told by which") {
  std::vector<int> woken;
  wait_list one, other;
  noting a{woken, 1};
  {
    const wait_list::place first{one, a, 0}, second{other, a, 1};
    other.wake_one();
    one.wake_one();
    one.wake_all();
    CHECK(woken == std::vector{1});
    CHECK(a.is_fired());
    CHECK(a.event() == 1);
  }
  a.begin(); // and waits again
  const wait_list::place again{one, a, 0};
  one.wake_one();
  CHECK(woken == std::vector{1, 1});
  CHECK(a.event() == 0);
}

TEST_CASE("wait_list: who wants to be resumed is resumed when the lock is free, in order") {
  std::vector<int> woken;
  wait_list list;
  noting a{woken, 1, true}, b{woken, 2}, c{woken, 3, true}, d{woken, 4, true};
  const wait_list::place first{list, a}, second{list, b}, third{list, c}, fourth{list, d};
  list.wake_one();
  CHECK(woken == std::vector{1});
  list.wake_all();
  CHECK(woken == std::vector{1, 2, 3, 4});
}

namespace {

/// Waits again as soon as it is resumed.
class insistent final : public waiter {
public:
  explicit insistent(wait_list& list) : list_{list} { wait(); }
  ~insistent() { (void)leave(); }
  int times = 0;

private:
  bool wake() noexcept override { return true; }
  void resume() noexcept override {
    ++times;
    wait();
  }
  void wait() {
    place_.reset();
    begin();
    place_.emplace(list_, *this);
  }

  wait_list& list_;
  std::optional<wait_list::place> place_;
};

} // namespace

TEST_CASE("wait_list: who waits again when it is resumed is woken once by one call for all") {
  std::vector<int> woken;
  wait_list list;
  insistent first{list};
  noting second{woken, 2, true};
  const wait_list::place there{list, second};
  insistent third{list};
  list.wake_all();
  CHECK(first.times == 1);
  CHECK(third.times == 1);
  CHECK(woken == std::vector{2});
  list.wake_all();
  CHECK(first.times == 2);
}

TEST_CASE("wait_list: nobody is touched after having given up the place") {
  wait_list list;
  std::atomic<bool> finished{false};
  background waker{[&] {
    while (!finished.load()) list.wake_one();
    return true;
  }};
  for (int i = 0; i != 20'000; ++i) {
    sleeper self;
    self.begin();
    const wait_list::place here{list, self};
    if (i % 2 == 0) self.park(never);
    (void)self.leave();
  } // sleeper and place are gone: a sanitizer would see them used
  finished.store(true);
  CHECK(waker.get());
}

TEST_CASE("sleeper: an unpark before it sleeps is not lost, and counts until it begins again") {
  sleeper self;
  self.begin();
  self.unpark();
  self.park(never);
  self.park(never);
  self.begin();
  const auto soon = mailroom::detail::now() + 1'000'000;
  while (mailroom::detail::now() < soon) self.park(soon);
  CHECK(self.leave());
}

TEST_CASE("event_count: one notification wakes one of those who sleep, and one of the list") {
  mailroom::detail::event_count<mailroom::wait_policy::park> event;
  std::vector<int> woken;
  noting a{woken, 1}, b{woken, 2};
  const wait_list::place first{event.list(), a}, second{event.list(), b};
  event.notify_one();
  CHECK(woken == std::vector{1});
  event.interrupt();
  CHECK(woken == std::vector{1, 2});
  CHECK(event.wakeups() == 0); // which counts threads that sleep on the event
}
