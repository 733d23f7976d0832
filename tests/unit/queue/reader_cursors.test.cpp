// SPDX-License-Identifier: MIT
// The places of readers by themselves. What a ring makes of them is in gated_ring.test.cpp.

#include <mailroom/queue/reader_cursors.hpp>

#include <doctest/doctest.h>
#include <support/allocators.hpp>
#include <support/positions.hpp>
#include <support/threads.hpp>

#include <atomic>  // atomic
#include <cstddef> // size_t
#include <cstdint> // uint64_t, uintptr_t
#include <memory>  // allocator
#include <new>     // bad_alloc
#include <set>     // set
#include <thread>  // this_thread
#include <vector>  // vector

namespace {

using mailroom::detail::memory_order;
using cursors = mailroom::detail::reader_cursors<std::allocator<int>>;
using ring_end = mailroom::detail::atomic<std::uint64_t>;

constexpr std::uint64_t starts[] = {0, 5, test::last_position - 1, std::uint64_t{1} << 63};
constexpr std::size_t several = 3 * mailroom::detail::cursors_together + 1;

} // namespace

TEST_CASE("reader_cursors: where nobody reads, the end is the least") {
  for (const std::uint64_t first : starts) {
    const cursors all{{}};
    CHECK(all.least(first) == first);
    CHECK(all.least(first + 7) == first + 7);
  }
}

TEST_CASE("reader_cursors: the slowest reader is the least, and no longer once it has left") {
  for (const std::uint64_t first : starts) {
    cursors all{{}};
    ring_end end{first};
    const auto slow = all.join(end);
    CHECK(slow.from == first);
    end.store(first + 4, memory_order::relaxed);
    const auto quick = all.join(end);
    CHECK(quick.from == first + 4);
    CHECK(all.least(first + 4) == first);
    cursors::move(*slow.own, first + 2);
    CHECK(all.least(first + 4) == first + 2);
    cursors::leave(*slow.own, first + 2);
    CHECK(all.least(first + 4) == first + 4);
    CHECK(all.least(first + 9) == first + 4);
    cursors::leave(*quick.own, first + 4);
    CHECK(all.least(first + 9) == first + 9);
  }
}

TEST_CASE("reader_cursors: each reader has its own, on a cache line of its own") {
  cursors all{{}};
  const ring_end end{3};
  std::set<std::uintptr_t> places;
  for (std::size_t i = 0; i != several; ++i) {
    const auto place = reinterpret_cast<std::uintptr_t>(all.join(end).own);
    CHECK(place % mailroom::detail::cache_line == 0);
    CHECK(places.insert(place).second);
  }
}

TEST_CASE(
    "reader_cursors: a cursor is used again, so only more readers than ever before allocate") {
  using logged = mailroom::detail::reader_cursors<test::logging_allocator<int>>;
  test::allocation_log log;
  {
    logged all{test::logging_allocator<int>{log}};
    const ring_end end{9};
    CHECK(log.allocations == 0);
    for (int round = 0; round != 3; ++round) {
      std::vector<logged::cursor*> own;
      for (std::size_t i = 0; i != several; ++i) own.push_back(all.join(end).own);
      CHECK(std::set<logged::cursor*>(own.begin(), own.end()).size() == several);
      for (auto* each : own) logged::leave(*each, 9);
    }
    CHECK(log.allocations == 4);
  }
  CHECK(log.blocks == 0);
}

TEST_CASE("reader_cursors: an allocation that fails changes nothing") {
  using logged = mailroom::detail::reader_cursors<test::logging_allocator<int>>;
  test::allocation_log log;
  {
    logged all{test::logging_allocator<int>{log}};
    const ring_end end{9};
    log.fail_at = 1;
    CHECK_THROWS_AS(all.join(end), std::bad_alloc);
    CHECK(all.least(12) == 12);
    CHECK(all.join(end).from == 9);
    CHECK(all.least(12) == 9);
  }
  CHECK(log.blocks == 0);
}

TEST_CASE("reader_cursors: while readers come and go, the least is never above one of them") {
  const test::watchdog guard{"reader_cursors: readers come and go"};
  cursors all{{}};
  ring_end end{0};
  std::atomic<bool> done{false};
  std::atomic<bool> wrong{false};
  std::atomic<int> joined{0};
  const auto come_and_go = [&] {
    while (!done.load()) {
      const auto one = all.join(end);
      joined.fetch_add(1);
      for (int i = 0; i != 3; ++i) {
        const auto seen = end.load(memory_order::acquire);
        if (all.least(seen) > one.from) wrong.store(true);
      }
      cursors::leave(*one.own, one.from);
    }
  };
  test::run_together({come_and_go, come_and_go, [&] {
                        for (std::uint64_t i = 1; i <= 20000 || joined.load() < 1000; ++i) {
                          end.store(i, memory_order::release);
                          if (i % 100 == 0) std::this_thread::yield();
                        }
                        done.store(true);
                      }});
  CHECK_FALSE(wrong.load());
  CHECK(all.least(77'777) == 77'777);
}
