// SPDX-License-Identifier: MIT
// The ring by itself: indices of cells instead of messages. What a queue built on it does is in
// mpmc_queue.test.cpp and in tests/contract.

#include <mailroom/queue/exchange_ring.hpp>

#include <doctest/doctest.h>
#include <support/positions.hpp>
#include <support/print.hpp>

#include <cstddef> // size_t
#include <cstdint> // uint64_t
#include <memory>  // allocator
#include <set>     // set

namespace {

using mailroom::queue_status;
using ring = mailroom::detail::exchange_ring<mailroom::dynamic_capacity, std::allocator<int>>;

constexpr std::size_t spares = 2;

ring make(std::size_t capacity, std::uint64_t first = 0) {
  return ring{capacity, spares, std::allocator<int>{}, first};
}

/// Puts `cell` in; says which cell came out, or why none did.
queue_status fill(ring& cells, std::size_t& cell) {
  auto end = ring::place{cells.end()};
  const auto status = cells.walk_to_room(end);
  if (status != queue_status::success) return status;
  CHECK(cells.try_exchange(end, cell));
  cells.advance_end(end);
  return status;
}

queue_status empty(ring& cells, std::size_t& cell) {
  auto front = cells.near_front();
  const auto status = cells.walk_to_message(front);
  if (status != queue_status::success) return status;
  CHECK(cells.try_exchange(front, cell));
  cells.advance_front(front);
  return status;
}

} // namespace

TEST_CASE("exchange_ring: cells come out full in the order they went in") {
  for (const std::size_t capacity : {1U, 2U, 3U, 5U, 8U}) {
    for (const std::uint64_t before : {0U, 1U, 7U, 30U}) {
      auto cells = make(capacity, 0U - before);
      CHECK(cells.capacity() == capacity);
      std::size_t in = cells.slots(); // the two spare cells: one goes in, one comes out
      std::size_t out = cells.slots() + 1;
      for (int lap = 0; lap != 20; ++lap) {
        std::size_t order[8];
        for (std::size_t i = 0; i != capacity; ++i) {
          order[i] = in;
          REQUIRE(fill(cells, in) == queue_status::success);
        }
        REQUIRE(fill(cells, in) == queue_status::full);
        for (std::size_t i = 0; i != capacity; ++i) {
          REQUIRE(empty(cells, out) == queue_status::success);
          REQUIRE(out == order[i]);
        }
        REQUIRE(empty(cells, out) == queue_status::empty);
        CHECK(cells.end() == cells.front());
      }
    }
  }
}

TEST_CASE("exchange_ring: R-18: who was overtaken is told so, walks on and loses nothing") {
  auto cells = make(4);
  auto slow = ring::place{cells.end()};
  CHECK(cells.walk_to_room(slow) == queue_status::success);
  std::size_t fast = cells.slots();
  CHECK(fill(cells, fast) == queue_status::success);
  std::size_t mine = cells.slots() + 1;
  CHECK(!cells.try_exchange(slow, mine));
  CHECK(mine == cells.slots() + 1);
  CHECK(cells.walk_to_room(slow) == queue_status::success);
  CHECK(slow.at == 1);
  CHECK(cells.try_exchange(slow, mine));
  CHECK(slow.at == 2);
}

TEST_CASE("exchange_ring: R-25: who was overtaken by laps jumps over them") {
  for (const std::size_t capacity : {1U, 2U, 3U, 8U}) {
    for (const std::uint64_t laps : {1U, 2U, 1000U}) {
      auto cells = make(capacity, test::last_position);
      auto slow_end = ring::place{cells.end()};
      auto slow_front = cells.near_front();
      CHECK(cells.walk_to_room(slow_end) == queue_status::success);
      std::size_t cell = cells.slots();
      for (std::uint64_t i = 0; i != laps * capacity + 1; ++i) {
        REQUIRE(fill(cells, cell) == queue_status::success);
        REQUIRE(empty(cells, cell) == queue_status::success);
      }
      std::size_t mine = cells.slots() + 1;
      CHECK(!cells.try_exchange(slow_end, mine));
      CHECK(cells.walk_to_room(slow_end) == queue_status::success);
      CHECK(slow_end.at == cells.end());
      CHECK(cells.walk_to_message(slow_front) == queue_status::empty);
      CHECK(slow_front.at == cells.front());
    }
  }
}

TEST_CASE("exchange_ring: R-17: a stale view of a full slot cannot empty it twice") {
  auto cells = make(2);
  std::size_t in = cells.slots();
  CHECK(fill(cells, in) == queue_status::success);
  auto slow = cells.near_front();
  CHECK(cells.walk_to_message(slow) == queue_status::success);
  CHECK(cells.cell_at(slow) == cells.slots());
  std::size_t fast = cells.slots() + 1;
  CHECK(empty(cells, fast) == queue_status::success);
  std::size_t mine = in;
  CHECK(!cells.try_exchange(slow, mine));
  CHECK(mine == in);
  CHECK(cells.walk_to_message(slow) == queue_status::empty);
}

TEST_CASE("exchange_ring: it is sealed when it is empty, and then for good") {
  for (const std::size_t capacity : {1U, 2U, 3U}) {
    for (const std::uint64_t before : {0U, 1U, 2U, 9U}) {
      auto cells = make(capacity, 0U - before);
      std::size_t cell = cells.slots();
      for (int i = 0; i != 9; ++i) {
        REQUIRE(fill(cells, cell) == queue_status::success);
        REQUIRE(!cells.seal());
        REQUIRE(empty(cells, cell) == queue_status::success);
      }
      auto late_end = ring::place{cells.end()};
      CHECK(cells.walk_to_room(late_end) == queue_status::success);
      CHECK(cells.seal());
      std::size_t late = cell;
      CHECK(!cells.try_exchange(late_end, late));
      CHECK(late == cell);
      CHECK(cells.walk_to_room(late_end) == queue_status::closed);
      CHECK(fill(cells, cell) == queue_status::closed);
      CHECK(empty(cells, cell) == queue_status::closed);
      CHECK(cells.seal());
      CHECK(cells.end() == cells.front());
    }
  }
}

TEST_CASE("exchange_ring: every cell stays in exactly one place") {
  auto cells = make(3, test::last_position - 1);
  std::size_t hand[spares] = {cells.slots(), cells.slots() + 1};
  for (int i = 0; i != 1000; ++i) {
    (void)fill(cells, hand[i % 2]);
    if (i % 3 != 0) (void)empty(cells, hand[(i + 1) % 2]);
  }
  while (empty(cells, hand[0]) == queue_status::success) {
  }
  std::set<std::size_t> seen{hand[0], hand[1]};
  for (std::size_t i = 0; i != cells.slots(); ++i) {
    std::size_t cell = hand[0];
    REQUIRE(fill(cells, cell) == queue_status::success);
    seen.insert(cell);
    REQUIRE(empty(cells, cell) == queue_status::success);
  }
  CHECK(seen.size() == cells.slots() + spares);
  CHECK(*seen.rbegin() == cells.slots() + spares - 1);
}
