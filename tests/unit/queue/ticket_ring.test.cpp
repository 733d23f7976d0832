// SPDX-License-Identifier: MIT
// The ring by itself: who takes which positions, and what the others are told meanwhile. What a
// queue built on it does is in mpmc_ticket_queue.test.cpp and in tests/contract.

#include <mailroom/queue/ticket_ring.hpp>

#include <doctest/doctest.h>
#include <support/positions.hpp>
#include <support/print.hpp>

#include <cstddef> // size_t
#include <cstdint> // uint64_t
#include <memory>  // allocator

namespace {

using mailroom::queue_status;
using ring = mailroom::detail::ticket_ring<int, mailroom::dynamic_capacity, std::allocator<int>>;
using word = ring::word;

ring make(std::size_t capacity, std::uint64_t first = 0) {
  return ring{capacity, std::allocator<int>{}, first};
}

/// Positions that a call has taken, or why it has not.
struct taken {
  queue_status status = queue_status::busy;
  ring::place first{};
  std::size_t count = 0;
};

taken take_back(ring& of) {
  taken it;
  it.status = of.take_back(it.first);
  it.count = it.status == queue_status::success ? 1 : 0;
  return it;
}
taken take_front(ring& of) {
  taken it;
  it.status = of.take_front(it.first);
  it.count = it.status == queue_status::success ? 1 : 0;
  return it;
}
taken take_back(ring& of, std::size_t most) {
  taken it{.count = most};
  it.status = of.take_back(it.first, it.count);
  return it;
}
taken take_front(ring& of, std::size_t most) {
  taken it{.count = most};
  it.status = of.take_front(it.first, it.count);
  return it;
}

void fill(ring& of, taken it) {
  for (; it.count != 0; --it.count, it.first = of.next(it.first)) of.filled(it.first);
}
void empty(ring& of, taken it) {
  for (; it.count != 0; --it.count, it.first = of.next(it.first)) of.emptied(it.first);
}

queue_status push(ring& of) {
  const taken it = take_back(of);
  if (it.status == queue_status::success) fill(of, it);
  return it.status;
}
queue_status pop(ring& of) {
  const taken it = take_front(of);
  if (it.status == queue_status::success) empty(of, it);
  return it.status;
}

} // namespace

TEST_CASE("ticket_ring: positions are taken in order, at both ends") {
  for (const std::size_t capacity : {1U, 2U, 3U, 4U, 7U}) {
    for (const std::uint64_t first : {std::uint64_t{0}, 0U - std::uint64_t{5}}) {
      auto slots = make(capacity, first);
      word in = 2 * first, out = 2 * first;
      for (int lap = 0; lap != 5; ++lap) {
        for (std::size_t i = 0; i != capacity; ++i, in += 2) {
          const taken it = take_back(slots);
          REQUIRE(it.status == queue_status::success);
          CHECK(it.first.at == in);
          fill(slots, it);
        }
        CHECK(push(slots) == queue_status::full);
        for (std::size_t i = 0; i != capacity; ++i, out += 2) {
          const taken it = take_front(slots);
          REQUIRE(it.status == queue_status::success);
          CHECK(it.first.at == out);
          empty(slots, it);
        }
        CHECK(pop(slots) == queue_status::empty);
      }
    }
  }
}

TEST_CASE("ticket_ring: an unfinished push hides what is behind it, and nothing else") {
  auto slots = make(4);
  CHECK(push(slots) == queue_status::success);
  const taken unfinished = take_back(slots);
  CHECK(push(slots) == queue_status::success);
  CHECK(pop(slots) == queue_status::success);
  CHECK(pop(slots) == queue_status::busy);
  CHECK(push(slots) == queue_status::success);
  CHECK(push(slots) == queue_status::success);
  CHECK(push(slots) == queue_status::full); // the unfinished one counts
  CHECK(pop(slots) == queue_status::busy);
  fill(slots, unfinished);
  for (int i = 0; i != 4; ++i) CHECK(pop(slots) == queue_status::success);
  CHECK(pop(slots) == queue_status::empty);
}

TEST_CASE("ticket_ring: an unfinished pop keeps its slot, and no other") {
  auto slots = make(2);
  CHECK(push(slots) == queue_status::success);
  CHECK(push(slots) == queue_status::success);
  const taken unfinished = take_front(slots);
  CHECK(push(slots) == queue_status::busy); // there is room, but not yet
  CHECK(slots.look_for_room() == queue_status::busy);
  CHECK(pop(slots) == queue_status::success);
  CHECK(push(slots) == queue_status::busy);
  CHECK(pop(slots) == queue_status::empty);
  empty(slots, unfinished);
  CHECK(slots.look_for_room() == queue_status::success);
  CHECK(push(slots) == queue_status::success);
  CHECK(push(slots) == queue_status::success);
  CHECK(push(slots) == queue_status::full);
}

TEST_CASE("ticket_ring: with more slots than messages an unfinished pop is only met a lap later") {
  auto slots = make(3);
  for (int i = 0; i != 3; ++i) CHECK(push(slots) == queue_status::success);
  const taken unfinished = take_front(slots);
  CHECK(push(slots) == queue_status::success);
  CHECK(push(slots) == queue_status::full);
  CHECK(pop(slots) == queue_status::success);
  CHECK(push(slots) == queue_status::busy);
  empty(slots, unfinished);
  CHECK(push(slots) == queue_status::success);
  CHECK(push(slots) == queue_status::full);
}

TEST_CASE("ticket_ring: a run takes what is there and no more, across the end of the ring") {
  for (const std::size_t capacity : {1U, 2U, 3U, 4U, 7U}) {
    for (const std::uint64_t before : {0U, 1U, 3U}) {
      auto slots = make(capacity, std::uint64_t{0} - before);
      for (int lap = 0; lap != 3; ++lap) {
        taken in = take_back(slots, 100);
        CHECK(in.count == capacity);
        CHECK(take_back(slots, 100).status == queue_status::full);
        CHECK(take_front(slots, 100).status == queue_status::busy);
        fill(slots, in);
        const taken one = take_front(slots, 1);
        CHECK(one.count == 1);
        taken rest;
        if (capacity != 1) rest = take_front(slots, 100);
        CHECK(rest.count == capacity - 1);
        CHECK(take_front(slots, 100).status == queue_status::empty);
        empty(slots, one);
        empty(slots, rest);
      }
    }
  }
}

TEST_CASE("ticket_ring: a run stops before an unfinished call") {
  auto slots = make(4);
  CHECK(push(slots) == queue_status::success);
  CHECK(push(slots) == queue_status::success);
  const taken push_in_progress = take_back(slots);
  CHECK(push(slots) == queue_status::success);
  const taken out = take_front(slots, 4);
  CHECK(out.count == 2);
  empty(slots, {out.status, out.first, 1}); // the second one stays unfinished
  const taken in = take_back(slots, 4);
  CHECK(in.count == 1);
  fill(slots, in);
  CHECK(take_back(slots, 4).status == queue_status::busy);
  CHECK(take_front(slots, 4).status == queue_status::busy);
  fill(slots, push_in_progress);
  empty(slots, {out.status, slots.next(out.first), 1});
  CHECK(take_front(slots, 4).count == 3);
}

TEST_CASE("ticket_ring: it is sealed when it is empty, also while a pop is unfinished") {
  auto slots = make(2);
  CHECK(push(slots) == queue_status::success);
  CHECK_FALSE(slots.seal());
  const taken out = take_front(slots);
  CHECK(slots.seal());
  CHECK(slots.seal());
  CHECK(push(slots) == queue_status::closed);
  CHECK(slots.look_for_room() == queue_status::closed);
  CHECK(pop(slots) == queue_status::closed);
  empty(slots, out);
  CHECK(push(slots) == queue_status::closed);
  CHECK(pop(slots) == queue_status::closed);
  CHECK(slots.end() == 1);
  CHECK(slots.front() == 1);
}

TEST_CASE("ticket_ring: it is not sealed while a push is unfinished") {
  auto slots = make(1);
  const taken in = take_back(slots);
  CHECK_FALSE(slots.seal());
  CHECK(pop(slots) == queue_status::busy);
  fill(slots, in);
  CHECK_FALSE(slots.seal());
  CHECK(pop(slots) == queue_status::success);
  CHECK(slots.seal());
}

TEST_CASE("ticket_ring: its positions are numbers of 64 bits") {
  for (const std::uint64_t first : {std::uint64_t{0}, (std::uint64_t{1} << 32) - 2,
                                    (std::uint64_t{1} << 61), 0U - std::uint64_t{2}}) {
    auto slots = make(2, first);
    CHECK(slots.end() == first);
    CHECK(slots.front() == first);
    for (std::uint64_t i = 1; i != 6; ++i) {
      CHECK(push(slots) == queue_status::success);
      CHECK(slots.end() == first + i);
      CHECK(pop(slots) == queue_status::success);
      CHECK(slots.front() == first + i);
    }
  }
}

TEST_CASE("ticket_ring: producers and consumers do not share a cache line") {
  static_assert(alignof(ring) >= mailroom::detail::cache_line);
  static_assert(sizeof(ring) == 3 * mailroom::detail::cache_line);
}
