// SPDX-License-Identifier: MIT
#include <mailroom/topic/snapshot.hpp>

#include <doctest/doctest.h>
#include <support/threads.hpp>

#include <atomic>     // atomic
#include <chrono>     // milliseconds
#include <functional> // function
#include <memory>     // make_unique, unique_ptr
#include <optional>   // optional
#include <thread>     // thread, this_thread
#include <utility>    // move
#include <vector>     // vector

namespace {

using mailroom::detail::counted;
using mailroom::detail::grace_period;
using mailroom::detail::make_counted;
using mailroom::detail::ref;
using mailroom::detail::snapshot;

/// Knows how many of its kind live, and whether it does.
struct version : counted {
  static inline std::atomic<int> alive{0};
  static constexpr int canary = 0x5eed;

  explicit version(int which) : number{which} { alive.fetch_add(1); }
  ~version() override {
    life = 0;
    alive.fetch_sub(1);
  }
  int number;
  int life = canary;
};

using place = snapshot<const version>;

ref<const version> make(int number) { return make_counted<version>(number); }

} // namespace

TEST_CASE("snapshot: a reader gets the object that stands there now") {
  {
    grace_period period;
    place at{make(1)};
    CHECK(at.load(period)->number == 1);
    CHECK(at.owner()->number == 1);
    const auto old = at.replace(make(2));
    CHECK(old->number == 1);
    CHECK(at.load(period)->number == 2);
    CHECK(at.owner()->number == 2);
  }
  CHECK(version::alive == 0);
}

TEST_CASE("snapshot: the replaced object lives as long as the writer or a reader holds it") {
  grace_period period;
  place at{make(1)};
  auto held = at.load(period);
  {
    const auto old = at.replace(make(2));
    period.wait_for_readers();
    CHECK(version::alive == 2);
  }
  CHECK(held->life == version::canary);
  CHECK(version::alive == 2);
  held = ref<const version>{};
  CHECK(version::alive == 1);
}

TEST_CASE("snapshot: a reader can ask whether what it holds is still current") {
  grace_period period;
  place at{make(1)};
  const auto first = at.load(period);
  CHECK(at.is_current(first));
  const auto old = at.replace(make(2));
  CHECK_FALSE(at.is_current(first));
  CHECK_FALSE(at.is_current(ref<const version>{}));
  CHECK(at.is_current(at.load(period)));
}

TEST_CASE("snapshot: putting the same object back is no change") {
  {
    grace_period period;
    place at{make(1)};
    const auto first = at.load(period);
    const auto old = at.replace(at.owner());
    CHECK(old.get() == first.get());
    CHECK(at.is_current(first));
  }
  CHECK(version::alive == 0);
}

TEST_CASE("grace_period: nobody inside, nothing to wait for") {
  const test::watchdog dog{"grace_period: nobody inside"};
  grace_period period;
  for (int i = 0; i != 1000; ++i) period.wait_for_readers();
  CHECK(true);
}

TEST_CASE("grace_period: the writer waits for a reader that is inside, in whichever phase") {
  const test::watchdog dog{"grace_period: waits for a reader"};
  grace_period period;
  for (int phase = 0; phase != 4; ++phase) {
    CAPTURE(phase);
    std::atomic<bool> has_left{false};
    std::atomic<bool> saw_it_leave{false};
    std::thread writer;
    {
      const grace_period::reader inside{period};
      writer = std::thread{[&] {
        period.wait_for_readers();
        saw_it_leave = has_left.load();
      }};
      std::this_thread::sleep_for(std::chrono::milliseconds{5});
      has_left = true;
    }
    writer.join();
    CHECK(saw_it_leave);
  }
}

TEST_CASE("grace_period: the writer waits for every one of many readers") {
  const test::watchdog dog{"grace_period: waits for many readers"};
  constexpr int readers = 8;
  grace_period period;
  std::atomic<int> inside{0};
  std::atomic<int> leaving{0};
  std::vector<std::function<void()>> bodies;
  for (int i = 0; i != readers; ++i) {
    bodies.emplace_back([&, i] {
      const grace_period::reader me{period};
      inside.fetch_add(1);
      while (inside.load() != readers) std::this_thread::yield();
      std::this_thread::sleep_for(std::chrono::milliseconds{i});
      leaving.fetch_add(1);
    });
  }
  int seen = 0;
  bodies.emplace_back([&] {
    while (inside.load() != readers) std::this_thread::yield();
    period.wait_for_readers();
    seen = leaving.load();
  });
  test::run_together(std::move(bodies));
  CHECK(seen == readers);
}

TEST_CASE("grace_period: the writer's wait ends though there is always a reader inside") {
  // Each thread enters again before it leaves, so that no counter of readers is empty by chance.
  const test::watchdog dog{"grace_period: readers without a gap"};
  grace_period period;
  std::atomic<bool> done{false};
  std::atomic<int> turns{0};
  const auto stay = [&] {
    std::optional<grace_period::reader> one{period};
    std::optional<grace_period::reader> other;
    while (!done) {
      other.emplace(period);
      one.reset();
      one.emplace(period);
      other.reset();
      turns.fetch_add(1);
    }
  };
  int periods = 0;
  test::run_together({stay, stay, [&] {
                        while (turns.load() < 4) std::this_thread::yield();
                        for (; periods != 200; ++periods) period.wait_for_readers();
                        done = true;
                      }});
  CHECK(periods == 200);
}

TEST_CASE("snapshot: readers never see an object that is gone while a writer replaces it") {
  const test::watchdog dog{"snapshot: replacement in a storm"};
  constexpr int at_least = 2000;
  {
    grace_period period;
    place at{make(0)};
    std::atomic<bool> done{false};
    std::atomic<int> faults{0};
    std::atomic<int> reads{0};
    int versions = 0;
    const auto read = [&] {
      ref<const version> kept;
      int last = 0;
      while (!done) {
        reads.fetch_add(1);
        auto now = at.load(period);
        if (now->life != version::canary || now->number < last) faults.fetch_add(1);
        last = now->number;
        if (now->number % 7 == 0) kept = std::move(now); // some live longer than others
        if (kept && kept->life != version::canary) faults.fetch_add(1);
      }
    };
    const auto write = [&] {
      while (versions < at_least || reads.load() < 10 * at_least) {
        const auto old = at.replace(make(++versions));
        period.wait_for_readers();
      }
      done = true;
    };
    test::run_together({read, read, read, write});
    CHECK(faults == 0);
    CHECK(at.owner()->number == versions);
  }
  CHECK(version::alive == 0);
}

TEST_CASE("snapshot: one grace period is enough for many replaced objects") {
  const test::watchdog dog{"snapshot: many places"};
  {
    grace_period period;
    std::vector<std::unique_ptr<place>> places;
    for (int i = 0; i != 8; ++i) places.push_back(std::make_unique<place>(make(0)));
    std::atomic<bool> done{false};
    std::atomic<int> faults{0};
    std::atomic<int> reads{0};
    const auto read = [&] {
      while (!done) {
        reads.fetch_add(1);
        for (const auto& each : places) {
          if (each->load(period)->life != version::canary) faults.fetch_add(1);
        }
      }
    };
    const auto write = [&] {
      for (int i = 1; i <= 300 || reads.load() < 3000; ++i) {
        std::vector<ref<const version>> old;
        for (const auto& each : places) old.push_back(each->replace(make(i)));
        period.wait_for_readers();
      }
      done = true;
    };
    test::run_together({read, read, write});
    CHECK(faults == 0);
  }
  CHECK(version::alive == 0);
}
