// SPDX-License-Identifier: MIT
// The rules of waiting, each with threads that try to break it:
//   a sleeper and a publication notice each other (1), what may change without a wake-up is not slept
//   on (2), and a wake-up is used or handed on, never carried away (3).

#include <mailroom/core/clock.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/wait.hpp>
#include <mailroom/mailbox/event_count.hpp>

#include <doctest/doctest.h>
#include <support/print.hpp>
#include <support/threads.hpp>
#include <support/tracked.hpp>
#include <support/waiting.hpp>

#include <atomic>   // atomic
#include <chrono>   // microseconds, milliseconds, steady_clock
#include <cstdint>  // uint64_t
#include <ctime>    // CLOCK_THREAD_CPUTIME_ID
#include <optional> // optional
#include <random>   // minstd_rand
#include <thread>   // this_thread

namespace {

using mailroom::never_stop;
using mailroom::queue_status;
using mailroom::detail::event_count;
using mailroom::detail::is_unfinished;
using mailroom::detail::no_deadline;
using mailroom::detail::steady_deadline;
using mailroom::wait_policy::park;
using mailroom::wait_policy::spin;
using mailroom::wait_policy::yield;
using test::background;
using namespace std::chrono_literals;

static_assert(is_unfinished(queue_status::empty));
static_assert(is_unfinished(queue_status::full));
static_assert(is_unfinished(queue_status::busy));
static_assert(!is_unfinished(queue_status::success));
static_assert(!is_unfinished(queue_status::closed));
static_assert(!is_unfinished(queue_status::dropped));
static_assert(event_count<park>::parks);
static_assert(!event_count<yield>::parks);
static_assert(!event_count<spin>::parks);

/// Something to wait for: a number of items, published as the header asks for it.
template <class Wait = park>
struct items {
  event_count<Wait> event;
  std::atomic<int> count{0};

  queue_status take() {
    int seen = count.load();
    while (seen != 0) {
      if (count.compare_exchange_weak(seen, seen - 1)) return queue_status::success;
    }
    return queue_status::empty;
  }
  void put() {
    count.fetch_add(1);
    event.notify_one();
  }

  template <class Deadline, class Token>
  queue_status await(const Deadline& deadline, const Token& token) {
    return event.await(deadline, token, [this] { return take(); });
  }
  queue_status await() { return await(no_deadline{}, never_stop{}); }

  void wait_for_waits(std::uint64_t waits) {
    test::wait_until([&] { return event.waits() >= waits; }, "somebody begins to wait");
  }
};

/// Does nothing for about that long, without giving the core away.
void linger(std::chrono::nanoseconds span) {
  const auto end = std::chrono::steady_clock::now() + span;
  while (std::chrono::steady_clock::now() < end) {
  }
}

} // namespace

// ---- What is answered

TEST_CASE_TEMPLATE("event_count: an attempt that ends the wait is not repeated", Wait, park, yield,
                   spin) {
  for (const auto answer : {queue_status::success, queue_status::closed, queue_status::dropped,
                            queue_status::lagged, queue_status::busy_async}) {
    event_count<Wait> event;
    int attempts = 0;
    test::asked_source source;
    source.request_stop();
    const steady_deadline passed{-1s};
    CHECK(event.await(passed, source.get_token(), [&] {
      ++attempts;
      return answer;
    }) == answer);
    CHECK(attempts == 1);
    CHECK(event.waits() == 0);
  }
}

TEST_CASE_TEMPLATE("event_count: a stop comes before a timeout, and neither waits", Wait, park,
                   yield, spin) {
  for (const auto answer : {queue_status::empty, queue_status::full, queue_status::busy}) {
    event_count<Wait> event;
    int attempts = 0;
    const auto attempt = [&] {
      ++attempts;
      return answer;
    };
    test::asked_source source;
    const steady_deadline passed{-1s};
    CHECK(event.await(passed, source.get_token(), attempt) == queue_status::timeout);
    source.request_stop();
    CHECK(event.await(passed, source.get_token(), attempt) == queue_status::stopped);
    CHECK(event.await(no_deadline{}, source.get_token(), attempt) == queue_status::stopped);
    CHECK(attempts >= 3);
    CHECK(event.waits() == 0);
  }
}

TEST_CASE_TEMPLATE("event_count: an item that comes while somebody waits ends the wait", Wait, park,
                   yield, spin) {
  items<Wait> box;
  background waited{[&] { return box.await(); }};
  box.wait_for_waits(1);
  test::let_it_sleep();
  CHECK_FALSE(waited.is_back());
  box.put();
  CHECK(waited.get() == queue_status::success);
  CHECK(box.event.waits() == 1);
}

TEST_CASE_TEMPLATE("event_count: a wait ends at its deadline, not before", Wait, park, yield,
                   spin) {
  items<Wait> box;
  for (const std::chrono::microseconds span : {1us, 50us, 700us, 5000us}) {
    queue_status answer = queue_status::success;
    const auto took =
        test::time_of([&] { answer = box.await(steady_deadline{span}, never_stop{}); });
    CHECK(answer == queue_status::timeout);
    CHECK(took >= span);
  }
}

TEST_CASE_TEMPLATE("event_count: a stop ends the wait, whatever the token can do", Wait, park,
                   yield, spin) {
  test::with_every_stop_source([](auto& source) {
    items<Wait> box;
    background waited{[&] { return box.await(no_deadline{}, source.get_token()); }};
    box.wait_for_waits(1);
    test::let_it_sleep();
    CHECK_FALSE(waited.is_back());
    source.request_stop();
    CHECK(waited.get() == queue_status::stopped);
  });
}

TEST_CASE_TEMPLATE("event_count: what an attempt throws reaches the caller", Wait, park, yield,
                   spin) {
  // At once, while it looks repeatedly, and, where threads park, when it has a place in the list.
  for (const int fails_at : {1, 2, 3, 10, -1, -2, -3}) {
    if (fails_at < 0 && !event_count<Wait>::parks) continue;
    event_count<Wait> event;
    int attempts = 0;
    int places = 0;
    CHECK_THROWS_AS((void)event.await(no_deadline{}, never_stop{},
                                      [&] {
                                        const auto before = event.wakeups();
                                        event.interrupt(); // does not let it sleep
                                        places += event.wakeups() != before ? 1 : 0;
                                        ++attempts;
                                        if (attempts == fails_at || places == -fails_at) {
                                          throw test::boom{};
                                        }
                                        return queue_status::empty;
                                      }),
                    test::boom);
    CHECK((fails_at < 0 ? places == -fails_at : attempts == fails_at));
    const auto before = event.wakeups();
    event.notify_one();
    CHECK(event.wakeups() == before); // nobody is taken for a sleeper any more
  }
}

// ---- (1) a sleeper and a publication notice each other

namespace {

/// A thread that is woken each time between its look and its sleep, by `notify`.
void check_woken_before_sleep(void (*notify)(event_count<park>&)) {
  event_count<park> event;
  bool done = false;
  int places = 0;
  background waited{[&] {
    return event.await(no_deadline{}, never_stop{}, [&] {
      if (done) return queue_status::success;
      const auto before = event.wakeups();
      notify(event);
      places += event.wakeups() != before ? 1 : 0;
      done = places == 40;
      return queue_status::empty;
    });
  }};
  CHECK(waited.get() == queue_status::success);
  CHECK(event.wakeups() == 40);
}

} // namespace

TEST_CASE("event_count: R-27: an interrupt reaches who is about to sleep") {
  check_woken_before_sleep([](event_count<park>& event) { event.interrupt(); });
}

TEST_CASE("event_count: R-36: a notification reaches who is about to sleep") {
  check_woken_before_sleep([](event_count<park>& event) { event.notify_one(); });
  check_woken_before_sleep([](event_count<park>& event) { event.notify_all(); });
}

TEST_CASE("event_count: R-34: no item is put beside a sleeper that does not notice it") {
  items<> box;
  std::atomic<int> taken{0};
  const int rounds = 100'000;
  background waiter{[&] {
    for (int i = 0; i != rounds; ++i) {
      if (box.await() != queue_status::success) return false;
      taken.fetch_add(1);
    }
    return true;
  }};
  const auto end = std::chrono::steady_clock::now() + 1000ms;
  std::minstd_rand random;
  int put = 0;
  for (; put != rounds && std::chrono::steady_clock::now() < end; ++put) {
    // Sometimes while it spins, sometimes while it falls asleep, sometimes while it sleeps.
    linger(std::chrono::nanoseconds{random() % 8000});
    box.put();
    test::wait_until([&] { return taken.load() > put; }, "an item lies beside a sleeper");
  }
  MESSAGE("rounds: ", put);
  for (; put != rounds; ++put) box.put();
  CHECK(waiter.get());
}

// ---- (2) what may change without a wake-up is not slept on

TEST_CASE_TEMPLATE("event_count: busy is never slept on", Wait, park, yield, spin) {
  event_count<Wait> event;
  const auto end = std::chrono::steady_clock::now() + 20ms;
  const auto busy_until_then = [&] {
    return std::chrono::steady_clock::now() < end ? queue_status::busy : queue_status::success;
  };
  CHECK(event.await(no_deadline{}, never_stop{}, busy_until_then) == queue_status::success);
  CHECK(event.wakeups() == 0);
}

TEST_CASE_TEMPLATE("event_count: busy ends in a timeout or a stop too", Wait, park, yield, spin) {
  event_count<Wait> event;
  const auto busy = [] { return queue_status::busy; };
  CHECK(event.await(steady_deadline{2ms}, never_stop{}, busy) == queue_status::timeout);
  test::with_every_stop_source([&](auto& source) {
    background waited{[&] { return event.await(no_deadline{}, source.get_token(), busy); }};
    test::let_it_sleep();
    source.request_stop();
    CHECK(waited.get() == queue_status::stopped);
  });
}

// ---- (3) a wake-up is used or handed on

namespace {

/// Two wait: one until there is an item, and one that may give up in each round. Whatever the second
/// does, a sleeper must not be left beside an item.
template <class Impatient>
void check_handed_on(Impatient impatient) {
  items<> box;
  std::atomic<bool> finished{false};
  std::atomic<int> round{0};
  std::atomic<int> round_done{0};
  background patient{[&] {
    while (!finished.load()) (void)box.await();
    return 0;
  }};
  background other{[&] {
    for (int seen = 0;; ++seen) {
      while (round.load() == seen) {
        if (finished.load()) return 0;
        std::this_thread::yield();
      }
      impatient.wait(box);
      round_done.store(seen + 1);
    }
  }};
  const auto end = std::chrono::steady_clock::now() + 700ms;
  std::minstd_rand random;
  int rounds = 0;
  while (rounds != 100'000 && std::chrono::steady_clock::now() < end) {
    impatient.prepare(random());
    const auto waits = box.event.waits();
    round.store(++rounds);
    test::wait_until([&] { return box.event.waits() != waits || round_done.load() == rounds; },
                     "the other one waits");
    linger(std::chrono::nanoseconds{random() % 60'000});
    box.put();
    impatient.disturb();
    test::wait_until([&] { return box.count.load() == 0; }, "an item lies beside a sleeper");
    test::wait_until([&] { return round_done.load() == rounds; }, "the other one gives up");
  }
  MESSAGE("rounds: ", rounds);
  finished.store(true);
  box.put();
  CHECK(patient.get() == 0);
  CHECK(other.get() == 0);
}

struct gives_up_in_time {
  std::atomic<int> span{0};
  gives_up_in_time() = default;
  gives_up_in_time(const gives_up_in_time& other) : span{other.span.load()} {}
  void prepare(unsigned long random) { span.store(static_cast<int>(random % 80)); }
  void wait(items<>& box) {
    (void)box.await(steady_deadline{std::chrono::microseconds{span.load()}}, never_stop{});
  }
  void disturb() {}
};

struct is_stopped {
  std::atomic<bool> stopped{false};
  is_stopped() = default;
  is_stopped(const is_stopped&) {}
  void prepare(unsigned long) { stopped.store(false); }
  void wait(items<>& box) { (void)box.await(no_deadline{}, test::asked_source::token{stopped}); }
  void disturb() { stopped.store(true); }
};

/// Is woken, and cannot use what it finds.
struct throws {
  void prepare(unsigned long) {}
  void wait(items<>& box) {
    try {
      (void)box.event.await(steady_deadline{400us}, never_stop{}, [&] {
        if (box.count.load() != 0) throw test::boom{};
        return queue_status::empty;
      });
    } catch (const test::boom&) { // and goes
    }
  }
  void disturb() {}
};

} // namespace

TEST_CASE("event_count: a wake-up is not carried away by a timeout") {
  check_handed_on(gives_up_in_time{});
}

TEST_CASE("event_count: a wake-up is not carried away by a stop") { check_handed_on(is_stopped{}); }

TEST_CASE("event_count: a wake-up is not carried away by an exception") {
  check_handed_on(throws{});
}

// ---- Who is woken, and what it costs

TEST_CASE("event_count: W5: a stop callback may notify when it is made, and when it ends") {
  const test::watchdog dog{"event_count: W5: a stop callback"};
  event_count<park> event;
  mailroom::detail::sleeper before;
  mailroom::detail::sleeper behind;
  before.begin();
  behind.begin();
  const mailroom::detail::wait_list::place first{event.list(), before};
  std::optional<mailroom::detail::wait_list::place> last;
  bool is_there = false;
  test::callback_life life;
  life.when_made = [&] {
    is_there = true;
    event.notify_one();
  };
  life.when_gone = [&] {
    last.emplace(event.list(), behind);
    event.notify_one();
  };
  const auto look = [&] { return is_there ? queue_status::success : queue_status::empty; };
  CHECK(event.await(no_deadline{}, test::lively_token{life}, look) == queue_status::success);
  CHECK(before.is_fired());
  CHECK(behind.is_fired());
}

TEST_CASE("event_count: notify_all wakes everybody") {
  event_count<park> event;
  std::atomic<bool> open{false};
  const auto wait = [&] {
    return event.await(no_deadline{}, never_stop{},
                       [&] { return open.load() ? queue_status::success : queue_status::empty; });
  };
  background a{wait};
  background b{wait};
  background c{wait};
  test::wait_until([&] { return event.waits() == 3; }, "three wait");
  test::let_it_sleep();
  open.store(true);
  event.notify_all();
  CHECK(a.get() == queue_status::success);
  CHECK(b.get() == queue_status::success);
  CHECK(c.get() == queue_status::success);
}

TEST_CASE("event_count: notify_one wakes one") {
  event_count<park> event;
  std::atomic<int> looks{0};
  std::atomic<bool> open{false};
  const auto wait = [&] {
    return event.await(no_deadline{}, never_stop{}, [&] {
      looks.fetch_add(1);
      return open.load() ? queue_status::success : queue_status::empty;
    });
  };
  background a{wait};
  background b{wait};
  background c{wait};
  test::wait_until([&] { return event.waits() == 3; }, "three wait");
  int before = 0;
  while (before != looks.load()) { // until all three sleep
    before = looks.load();
    std::this_thread::sleep_for(30ms);
  }
  event.notify_one();
  test::wait_until([&] { return looks.load() != before; }, "one looks");
  std::this_thread::sleep_for(10ms);
  CHECK(looks.load() - before == 1);
  CHECK(event.wakeups() == 1);
  open.store(true);
  event.notify_all();
  CHECK((a.get() == b.get() && c.get() == queue_status::success));
}

TEST_CASE_TEMPLATE("event_count: where nobody sleeps there is nobody to wake", Wait, park, yield,
                   spin) {
  event_count<Wait> event;
  event.notify_one();
  event.notify_all();
  event.interrupt();
  CHECK(event.wakeups() == 0);
  items<Wait> box;
  CHECK(box.await(steady_deadline{20ms}, never_stop{}) == queue_status::timeout);
  box.put();
  CHECK(box.event.wakeups() == 0);
  CHECK(box.event.waits() == 1);
  CHECK(box.await() == queue_status::success);
  CHECK(box.event.waits() == 1);
}

#if defined(CLOCK_THREAD_CPUTIME_ID)

TEST_CASE("event_count: who is parked uses no processor") {
  items<> box;
  const auto waits = [&] {
    CHECK(box.await(steady_deadline{200ms}, never_stop{}) == queue_status::timeout);
  };
  CHECK(test::cpu_time_of(waits, 2ms) < 2ms);
}

TEST_CASE("event_count: who is parked with a token that must be asked uses next to none") {
  items<> box;
  const test::asked_source source;
  const auto waits = [&] {
    CHECK(box.await(steady_deadline{200ms}, source.get_token()) == queue_status::timeout);
  };
  CHECK(test::cpu_time_of(waits, 20ms) < 20ms); // it wakes to ask, some 200 times
}

#endif
