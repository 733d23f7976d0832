// SPDX-License-Identifier: MIT
// The shipped library, and threads that a signal stops anywhere: between two atomic accesses, in a
// constructor of a message, in a system call. While they stand, the others must get on.
//
// A window ends when the others have done enough, however long that takes on a busy machine; if they
// never do, the watchdog says which test it was. No thread here allocates while others stand still:
// they might stand in malloc, with its lock.
#include "signals.hpp"

#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>
#include <mailroom/topic/dispatcher.hpp>

#include <doctest/doctest.h>
#include <support/seed.hpp>
#include <support/threads.hpp>

#include <algorithm>  // min, shuffle
#include <atomic>     // atomic
#include <chrono>     // microseconds, milliseconds, steady_clock
#include <cstdint>    // uint64_t
#include <functional> // function
#include <limits>     // numeric_limits
#include <mutex>      // lock_guard, mutex
#include <numeric>    // iota
#include <random>     // mt19937, uniform_int_distribution
#include <string>     // string, to_string
#include <thread>     // thread, this_thread
#include <vector>     // vector

namespace {

using mailroom::queue_status;

/// A sum over messages that comes out right only if every one was counted as often on both sides.
class tally {
public:
  void add(std::uint64_t message) noexcept {
    std::uint64_t mixed = (message + 1) * 0x9E3779B97F4A7C15U;
    mixed = (mixed ^ (mixed >> 31)) * 0xBF58476D1CE4E5B9U;
    sum_ += mixed ^ (mixed >> 29);
    ++count_;
  }
  void add(const tally& other) noexcept { sum_ += other.sum_, count_ += other.count_; }
  std::uint64_t count() const noexcept { return count_; }
  friend bool operator==(const tally&, const tally&) = default;

private:
  std::uint64_t sum_ = 0;
  std::uint64_t count_ = 0;
};

/// One thread: its messages, and what it got.
struct alignas(128) player {
  test::stoppable thread;
  std::uint64_t next = 0; // its number is in the upper bits, so no two threads send the same
  tally in;
  tally out;
};

/// What a thread does again and again; it answers whether that counts as progress.
using deed = std::function<bool(player&)>;

struct report {
  std::size_t stops = 0;
  std::size_t windows = 0;
  std::size_t stalled = 0; // windows in which the others did not get on
  std::size_t least = std::numeric_limits<std::size_t>::max();
};

/// Threads that play until the time is over, of which up to `most` stand still at a time.
class game {
public:
  game(std::vector<deed> deeds, std::size_t most, std::size_t enough)
      : players_(deeds.size()), most_{most}, enough_{enough}, order_(deeds.size()) {
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    test::stoppable::install();
    for (std::size_t i = 0; i != deeds.size(); ++i) {
      players_[i].next = std::uint64_t{i} << 48;
      threads_.emplace_back([this, i, what = deeds[i]] { play(players_[i], what); });
    }
    for (const player& each : players_) {
      while (!each.thread.is_ready()) std::this_thread::yield();
    }
  }
  game(const game&) = delete;
  game& operator=(const game&) = delete;
  ~game() { end(); }

  /// A window in which the others do nothing for `patience` is the last one.
  report run(double thousandths, std::chrono::milliseconds patience = std::chrono::hours{1}) {
    report result;
    std::mt19937 chance{test::seed()};
    for (const test::time_box box{thousandths}; !box.is_over() && result.stalled == 0;) {
      window(chance, patience, result);
    }
    end();
    return result;
  }

  /// After run(): all that went in, and all that came out.
  tally in() const { return sum(&player::in); }
  tally out() const { return sum(&player::out); }

private:
  void play(player& self, const deed& what) {
    self.thread.enter();
    for (unsigned i = 1; !is_over_.load(std::memory_order::relaxed); ++i) {
      if (what(self)) self.thread.count();
      if (i % 1024 == 0) rest_a_little(); // else the one who stops them hardly gets a core
    }
  }

  void window(std::mt19937& chance, std::chrono::milliseconds patience, report& result) {
    std::shuffle(order_.begin(), order_.end(), chance);
    const std::size_t stopped = std::uniform_int_distribution<std::size_t>{1, most_}(chance);
    const std::chrono::microseconds rest{std::uniform_int_distribution<int>{0, 400}(chance)};
    for (std::size_t i = 0; i != stopped; ++i) at(i).stop();
    for (std::size_t i = 0; i != stopped; ++i) {
      while (!at(i).is_still()) rest_a_little();
    }
    const auto end = std::chrono::steady_clock::now() + rest;
    const std::size_t before = done_by_others(stopped);
    std::size_t done = 0;
    for (auto now = end; done < enough_ || now < end;) {
      rest_a_little();
      done = done_by_others(stopped) - before;
      now = std::chrono::steady_clock::now();
      if (now > end + patience) break;
    }
    for (std::size_t i = 0; i != stopped; ++i) at(i).go_on();
    result.stops += stopped;
    ++result.windows;
    result.stalled += done < enough_ ? 1U : 0U;
    result.least = std::min(result.least, done);
  }

  /// Who has slept gets a core sooner than who has only yielded.
  static void rest_a_little() { std::this_thread::sleep_for(std::chrono::microseconds{20}); }

  test::stoppable& at(std::size_t place) { return players_[order_[place]].thread; }
  std::size_t done_by_others(std::size_t stopped) {
    std::size_t sum = 0;
    for (std::size_t i = stopped; i != order_.size(); ++i) sum += at(i).operations();
    return sum;
  }
  tally sum(tally player::* which) const {
    tally all;
    for (const player& each : players_) all.add(each.*which);
    return all;
  }
  void end() {
    is_over_.store(true);
    for (auto& thread : threads_) thread.join();
    threads_.clear();
  }

  std::vector<player> players_;
  const std::size_t most_;
  const std::size_t enough_; // operations of the others, in every window
  std::vector<std::size_t> order_;
  std::atomic<bool> is_over_{false};
  std::vector<std::thread> threads_;
};

/// Some thousandths of the time; they add up to less than the whole.
void run(const std::string& what, game& all, double thousandths) {
  const report result = all.run(thousandths);
  MESSAGE(what, ": ", result.stops, " stops in ", result.windows,
          " windows; the least that the others did in one: ", result.least, " operations");
  CHECK(result.windows != 0);
}

template <class Queue>
bool push(Queue& queue, player& self) {
  if (queue.try_push(self.next) != queue_status::success) return false;
  self.in.add(self.next++);
  return true;
}

template <class Queue>
bool pop(Queue& queue, player& self) {
  const auto message = queue.try_pop();
  if (message) self.out.add(*message);
  return message.has_value();
}

template <class Queue>
void check_nothing_lost(Queue& queue, const game& all) {
  player rest;
  while (pop(queue, rest)) {
  }
  tally out = all.out();
  out.add(rest.out);
  CHECK(out.count() != 0);
  CHECK(out == all.in());
}

const std::chrono::seconds limit{280};

/// The thread sanitizer delivers a signal where it sees fit, and not while a handler waits.
constexpr bool signals_come_late = MAILROOM_DETAIL_TSAN != 0;

} // namespace

TEST_SUITE_BEGIN("signals" * doctest::skip(signals_come_late));

TEST_CASE("a queue with a lock is found out: who stands still with the lock stops all others") {
  const test::watchdog dog{"locked queue, seed " + std::to_string(test::seed()), limit};
  std::mutex lock;
  std::uint64_t last = 0;
  const deed locked = [&](player& self) {
    const std::lock_guard held{lock};
    last += self.next++;
    return true;
  };
  game all{{locked, locked, locked}, 2, 1};
  CHECK(all.run(1000, std::chrono::milliseconds{200}).stalled == 1);
}

TEST_CASE("mpmc_queue: three of four threads may stand still anywhere") {
  const test::watchdog dog{"mpmc_queue, seed " + std::to_string(test::seed()), limit};
  mailroom::mpmc_queue<std::uint64_t> queue{3};
  const deed both = [&queue](player& self) {
    const bool in = push(queue, self);
    return pop(queue, self) || in;
  };
  game all{{both, both, both, both}, 3, 16};
  run("mpmc_queue", all, 350);
  check_nothing_lost(queue, all);
}

TEST_CASE("spsc_queue: one side may stand still anywhere, and every call of the other returns") {
  const test::watchdog dog{"spsc_queue, seed " + std::to_string(test::seed()), limit};
  mailroom::spsc_queue<std::uint64_t> queue{3};
  const deed producer = [&queue](player& self) { return push(queue, self), true; };
  const deed consumer = [&queue](player& self) { return pop(queue, self), true; };
  game all{{producer, consumer}, 1, 16};
  run("spsc_queue", all, 200);
  check_nothing_lost(queue, all);
}

TEST_CASE("mailbox: threads may stand still anywhere, also asleep, and the others' time runs out") {
  const test::watchdog dog{"mailbox, seed " + std::to_string(test::seed()), limit};
  mailroom::mailbox<std::uint64_t> box{2};
  const std::chrono::microseconds moment{100};
  const deed producer = [&box, moment](player& self) {
    if (box.try_push_for(self.next, moment) == queue_status::success) self.in.add(self.next++);
    return true;
  };
  const deed consumer = [&box, moment](player& self) {
    if (const auto message = box.try_pop_for(moment)) self.out.add(*message);
    return true;
  };
  game all{{producer, consumer, producer, consumer}, 3, 4};
  run("mailbox", all, 200);
  check_nothing_lost(box, all);
}

TEST_CASE("publish: three of four publishers may stand still anywhere, also in a handler") {
  const test::watchdog dog{"publish, seed " + std::to_string(test::seed()), limit};
  mailroom::dispatcher<std::uint64_t> office;
  std::atomic<std::size_t> handled{0};
  std::atomic<std::size_t> delivered{0};
  std::atomic<std::size_t> popped{0};
  auto box = office.subscribe("a.b", {.capacity = 3, .on_full = mailroom::overflow::reject});
  const auto direct = office.on("a.*", [&](const std::uint64_t&) { handled.fetch_add(1); });
  const auto receive = [&] { popped.fetch_add(box.try_pop() ? 1U : 0U); };
  const deed by_name = [&](player& self) {
    delivered.fetch_add(office.publish("a.b", self.next++).delivered);
    return receive(), true;
  };
  const auto by_handle = [&](mailroom::topic<std::uint64_t> handle) {
    return deed{[&, handle](player& self) mutable {
      delivered.fetch_add(handle.publish(self.next++).delivered);
      return receive(), true;
    }};
  };
  const auto handle = office.topic("a.b");
  {
    game all{{by_name, by_handle(handle), by_name, by_handle(handle)}, 3, 16};
    run("publish", all, 200);
  }
  while (box.try_pop()) popped.fetch_add(1);
  CHECK(popped != 0);
  CHECK(delivered == popped + handled);
}

TEST_SUITE_END();
