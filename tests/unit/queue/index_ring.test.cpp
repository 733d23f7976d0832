// SPDX-License-Identifier: MIT
// The ring with two positions by itself. What the queue built on it does is in spsc_queue.test.cpp
// and in tests/contract.

#include <mailroom/queue/index_ring.hpp>

#include <doctest/doctest.h>

#include <cstddef> // size_t
#include <cstdint> // uint64_t
#include <memory>  // allocator

namespace {

using ring = mailroom::detail::index_ring<int, mailroom::dynamic_capacity, std::allocator<int>>;

void put(ring& messages, int value) {
  ring::writer back{messages};
  REQUIRE(back.has_room());
  back.next().construct(value);
  back.built(1);
}

int take(ring& messages) {
  ring::reader front{messages};
  REQUIRE(front.has_message());
  auto& cell = front.next();
  front.taken(1);
  return cell.value();
}

} // namespace

TEST_CASE("index_ring: it is full and empty exactly, wherever its positions are") {
  for (const std::size_t capacity : {1U, 2U, 3U, 5U, 8U}) {
    for (const std::uint64_t before : {0U, 1U, 7U, 30U}) {
      ring messages{capacity, {}, 0 - before};
      CHECK(messages.capacity() == capacity);
      for (int lap = 0; lap != 20; ++lap) {
        CHECK(!ring::reader{messages}.has_message());
        for (std::size_t i = 0; i != capacity; ++i) put(messages, static_cast<int>(i));
        CHECK(!ring::writer{messages}.has_room());
        CHECK(messages.written() - messages.read() == capacity);
        CHECK(take(messages) == 0);
        put(messages, 77);
        CHECK(ring::writer{messages}.room().empty());
        for (std::size_t i = 1; i != capacity; ++i) CHECK(take(messages) == static_cast<int>(i));
        CHECK(take(messages) == 77);
      }
    }
  }
}

TEST_CASE("index_ring: a run stands in one piece up to the end of the ring") {
  ring messages{6, {}, 5}; // eight slots
  CHECK(ring::writer{messages}.room().size() == 3);
  for (int i = 0; i != 6; ++i) put(messages, i);
  CHECK(ring::reader{messages}.ready().size() == 3);
  for (int i = 0; i != 3; ++i) CHECK(take(messages) == i);
  CHECK(ring::reader{messages}.ready().size() == 3);
  CHECK(ring::writer{messages}.room().size() == 3);
}

TEST_CASE("index_ring: what a call has built is published once, when the call ends") {
  ring messages{4, {}, 0};
  {
    ring::writer back{messages};
    for (int i = 0; i != 3; ++i) {
      back.next().construct(i);
      back.built(1);
      CHECK(messages.written() == 0);
      CHECK(!ring::reader{messages}.has_message());
    }
  }
  CHECK(messages.written() == 3);
  {
    ring::reader front{messages};
    front.taken(2);
    CHECK(messages.read() == 0);
  }
  CHECK(messages.read() == 2);
  CHECK(take(messages) == 2);
}

TEST_CASE("index_ring: what the two sides write is apart, and so is what only one of them reads") {
  static_assert(sizeof(ring) >= 5 * mailroom::detail::cache_line);
}
