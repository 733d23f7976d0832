// SPDX-License-Identifier: MIT
#include <mailroom/detail/platform.hpp>

#include <doctest/doctest.h>
#include <support/threads.hpp>
#include <support/tracked.hpp>

#include <atomic>      // atomic
#include <chrono>      // milliseconds
#include <concepts>    // convertible_to
#include <cstddef>     // size_t
#include <cstdint>     // uint32_t, uint64_t
#include <functional>  // function
#include <set>         // set
#include <string>      // string
#include <thread>      // thread
#include <type_traits> // is_copy_constructible
#include <vector>      // vector

#if __has_include(<poll.h>)
#include <cerrno>         // EMFILE
#include <poll.h>         // poll
#include <sys/resource.h> // getrlimit, setrlimit
#endif

namespace {

namespace detail = mailroom::detail;
using detail::memory_order;

constexpr detail::nanoseconds millisecond = 1'000'000;

template <class Atomic>
concept loads_without_order = requires(const Atomic& number) { number.load(); };
template <class Atomic>
concept stores_without_order = requires(Atomic& number) { number.store(1); };
template <class Atomic>
concept has_operators = requires(Atomic& number) { ++number; } || requires(Atomic& number) {
  number = 1;
} || std::convertible_to<Atomic, int>;

} // namespace

TEST_CASE("platform: an atomic begins with zero, or with what it is given") {
  const detail::atomic<std::uint64_t> zero;
  const detail::atomic<std::uint64_t> seven{7};
  CHECK(zero.load(memory_order::relaxed) == 0);
  CHECK(seven.load(memory_order::acquire) == 7);
  static_assert(!std::is_copy_constructible_v<detail::atomic<int>>);
}

TEST_CASE("platform: an atomic is changed, and answers what was there") {
  detail::atomic<std::uint64_t> number{1};
  number.store(2, memory_order::release);
  CHECK(number.exchange(5, memory_order::acq_rel) == 2);
  CHECK(number.fetch_add(3, memory_order::relaxed) == 5);
  CHECK(number.fetch_sub(1, memory_order::seq_cst) == 8);
  CHECK(number.load(memory_order::seq_cst) == 7);
}

TEST_CASE("platform: compare_exchange swaps, or says what was there") {
  detail::atomic<int> number{1};
  int expected = 2;
  CHECK(!number.compare_exchange(expected, 3, memory_order::seq_cst, memory_order::relaxed));
  CHECK(expected == 1);
  CHECK(number.compare_exchange(expected, 3, memory_order::release, memory_order::relaxed));
  CHECK(number.load(memory_order::relaxed) == 3);
}

TEST_CASE("platform: an access that does not name its order does not compile") {
  static_assert(!loads_without_order<detail::atomic<int>>);
  static_assert(!stores_without_order<detail::atomic<int>>);
  static_assert(!has_operators<detail::atomic<int>>);
}

TEST_CASE("platform: fences, pauses and yields may be called") {
  for (const auto order : {memory_order::acquire, memory_order::release, memory_order::acq_rel,
                           memory_order::seq_cst}) {
    detail::fence(order);
  }
  detail::relax();
  detail::hesitate(detail::pauses_after_loss);
  detail::yield();
}

TEST_CASE("platform: R-48: the widest atomic has eight bytes, and needs no lock") {
  static_assert(sizeof(detail::atomic<std::uint64_t>) == 8);
  static_assert(sizeof(detail::atomic<std::uint32_t>) == 4); // no lock beside the value
  static_assert(sizeof(detail::atomic<void*>) == sizeof(void*));
  static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
  static_assert(std::atomic<void*>::is_always_lock_free);
}

TEST_CASE("platform: R-49: what stands before one fence is seen behind the other") {
  // The thread sanitizer must see that too: with a fence that it ignores, `number` is a race.
  struct letter {
    int number = 0;
    detail::atomic<int> is_written;
  };
  const test::watchdog guard{"platform: fences between two threads"};
  std::vector<letter> letters(1000);
  int right = 0;
  test::run_together({[&] {
                        for (letter& each : letters) {
                          each.number = 7;
                          detail::fence(memory_order::release);
                          each.is_written.store(1, memory_order::relaxed);
                        }
                      },
                      [&] {
                        for (letter& each : letters) {
                          while (each.is_written.load(memory_order::relaxed) == 0) detail::yield();
                          detail::fence(memory_order::acquire);
                          right += each.number == 7 ? 1 : 0;
                        }
                      }});
  CHECK(right == 1000);
}

TEST_CASE("platform: a cell is room, and its owner decides what lives in it") {
  test::ledger book;
  {
    detail::cell<test::tracked> room;
    CHECK(book.alive() == 0);
    room.construct(4);
    CHECK(room.value().value() == 4);
    room.destroy();
    CHECK(book.alive() == 0);
    book.fail_at(1);
    CHECK_THROWS_AS(room.construct(5), test::boom);
    CHECK(book.alive() == 0);
    room.construct(6);
    room.value() = test::tracked{7};
    CHECK(room.value().value() == 7);
    room.destroy();
  }
  CHECK(book.is_balanced());
}

TEST_CASE("platform: a cell is as large and as aligned as what lives in it") {
  static_assert(sizeof(detail::cell<std::string>) == sizeof(std::string));
  static_assert(alignof(detail::cell<test::aligned<4096>>) == 4096);
  static_assert(!std::is_copy_constructible_v<detail::cell<int>>);
}

TEST_CASE("platform: a cell finds a message that hides its address") {
  test::ledger book;
  {
    detail::cell<test::secretive> room;
    room.construct(3);
    CHECK(room.value().value() == 3);
    room.destroy();
  }
  CHECK(book.is_balanced());
}

TEST_CASE("platform: the clock does not go back") {
  detail::nanoseconds last = detail::now();
  for (int i = 0; i != 1000; ++i) {
    const detail::nanoseconds next = detail::now();
    REQUIRE(next >= last);
    last = next;
  }
  CHECK(last > 0);
  CHECK(last < detail::never);
}

TEST_CASE("platform: whoever expects another word does not sleep") {
  const test::watchdog guard{"futex_wait with another word"};
  detail::futex place;
  CHECK(detail::futex_wait(place, 1, detail::never));
}

TEST_CASE("platform: a deadline that has passed ends the wait at once") {
  const test::watchdog guard{"futex_wait with a deadline in the past"};
  detail::futex place;
  for (const detail::nanoseconds deadline :
       {-detail::never, detail::nanoseconds{-1}, detail::nanoseconds{0}, detail::nanoseconds{1},
        detail::now()}) {
    while (detail::futex_wait(place, 0, deadline)) {
      // It may also come back early; the deadline then still stands.
    }
  }
}

TEST_CASE("platform: a wait does not time out before its deadline") {
  const test::watchdog guard{"futex_wait with a deadline"};
  detail::futex place;
  for (const detail::nanoseconds length : {millisecond / 10, millisecond, 20 * millisecond}) {
    const detail::nanoseconds deadline = detail::now() + length;
    while (detail::futex_wait(place, 0, deadline)) {
    }
    CHECK(detail::now() >= deadline);
  }
}

TEST_CASE("platform: a wake reaches who sleeps, with any deadline that is far") {
  for (const detail::nanoseconds deadline :
       {detail::never, detail::never - 1, detail::now() + 3'600'000 * millisecond}) {
    const test::watchdog guard{"a sleeper that is woken"};
    detail::futex place;
    std::thread sleeper{[&] {
      while (place.word.load(memory_order::acquire) == 0) {
        if (!detail::futex_wait(place, 0, deadline)) return;
      }
    }};
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
    place.word.store(1, memory_order::release);
    detail::futex_wake_one(place);
    sleeper.join();
  }
}

TEST_CASE("platform: a wake for all reaches all") {
  const test::watchdog guard{"four sleepers that are all woken"};
  detail::futex place;
  const auto sleep = [&place] {
    while (place.word.load(memory_order::acquire) == 0) {
      (void)detail::futex_wait(place, 0, detail::never);
    }
  };
  const auto wake = [&place] {
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
    place.word.store(1, memory_order::release);
    detail::futex_wake_all(place);
  };
  test::run_together({sleep, sleep, sleep, sleep, wake});
}

TEST_CASE("platform: the hint is the same for the calls of one function in one thread") {
  std::set<std::size_t> seen;
  for (int i = 0; i != 100; ++i) seen.insert(detail::stack_hint(64));
  CHECK(seen.size() == 1);
}

TEST_CASE("platform: the hint is below the number of places") {
  for (const std::uint32_t places : {1U, 2U, 3U, 64U, 1U << 31U}) {
    CHECK(detail::stack_hint(places) < places);
  }
}

TEST_CASE("platform: threads that live at the same time mostly have different hints") {
  std::size_t hints[8];
  test::start_barrier all{8};
  std::vector<std::function<void()>> bodies;
  for (std::size_t& hint : hints) {
    bodies.push_back([&hint, &all] {
      hint = detail::stack_hint(64);
      all.arrive_and_wait();
    });
  }
  test::run_together(bodies);
  std::set<std::size_t> places;
  for (const std::size_t hint : hints) places.insert(hint);
  CHECK(places.size() >= 6);
}

#if __has_include(<poll.h>)

TEST_CASE("platform: a descriptor is readable from its opening, and from each raise, to a lower") {
  detail::descriptor wire;
  CHECK(!wire.is_open());
  REQUIRE(wire.open() == 0);
  REQUIRE(wire.is_open());
  const auto is_readable = [&wire] {
    pollfd asked{wire.native(), POLLIN, 0};
    return ::poll(&asked, 1, 0) == 1;
  };
  CHECK(is_readable());
  wire.lower();
  CHECK(!is_readable());
  for (int i = 0; i != 3; ++i) wire.raise();
  CHECK(is_readable());
  wire.lower();
  CHECK(!is_readable());
  wire.lower(); // does not wait
}

TEST_CASE("platform: a raise wakes who polls, and a descriptor that cannot be had says why") {
  detail::descriptor wire;
  REQUIRE(wire.open() == 0);
  wire.lower();
  std::thread other{[&wire] { wire.raise(); }};
  pollfd asked{wire.native(), POLLIN, 0};
  CHECK(::poll(&asked, 1, 40'000) == 1);
  other.join();

  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none{0, before.rlim_max};
  const int is_set = ::setrlimit(RLIMIT_NOFILE, &none); // sanitizers want descriptors for a check
  detail::descriptor refused;
  const int error = refused.open();
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE(is_set == 0);
  CHECK(error == EMFILE);
  CHECK(!refused.is_open());
}

#endif

TEST_CASE("platform: a thread begins outside of every handler") {
  char here = 0;
  auto* const frame = static_cast<detail::handler_frame*>(static_cast<void*>(&here));
  const detail::handler_frame* inner = frame;
  detail::innermost_handler = frame;
  std::thread{[&inner] { inner = detail::innermost_handler; }}.join();
  CHECK(inner == nullptr);
  CHECK(detail::innermost_handler == frame);
  detail::innermost_handler = nullptr;
  CHECK(detail::innermost_handler == nullptr);
}
