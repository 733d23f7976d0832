// SPDX-License-Identifier: MIT
// The ring of lines by itself. What the queue built on it does is in spsc_queue.test.cpp and in
// tests/contract.

#include <mailroom/queue/line_ring.hpp>

#include <doctest/doctest.h>

#include <algorithm> // min
#include <cstddef>   // size_t
#include <cstdint>   // uint64_t
#include <memory>    // allocator

namespace {

template <class T>
using ring_of = mailroom::detail::line_ring<T, mailroom::dynamic_capacity, std::allocator<T>>;
using ring = ring_of<std::uint64_t>;

void put(ring& messages, std::uint64_t value) {
  ring::writer back{messages};
  REQUIRE(back.has_room());
  back.next().construct(value);
  back.built(1);
}

std::uint64_t take(ring& messages) {
  ring::reader front{messages};
  REQUIRE(front.has_message());
  auto& cell = front.next();
  front.taken(1);
  return cell.value();
}

} // namespace

TEST_CASE("line_ring: a line has room for its end and as many messages as fit beside it") {
  static_assert(ring_of<char>::cells_in_line == 56);
  static_assert(ring_of<std::uint32_t>::cells_in_line == 14);
  static_assert(ring_of<std::uint64_t>::cells_in_line == 7);
  struct pair {
    std::uint64_t one, two;
  };
  static_assert(ring_of<pair>::cells_in_line == 3);
}

TEST_CASE("line_ring: it is full and empty exactly, wherever its positions are") {
  for (const std::size_t capacity : {1U, 2U, 6U, 7U, 8U, 13U, 14U, 15U, 40U}) {
    for (const std::uint64_t before : {0U, 1U, 7U, 30U}) {
      ring messages{capacity, {}, 0 - before};
      CHECK(messages.capacity() == capacity);
      for (int lap = 0; lap != 20; ++lap) {
        CHECK(!ring::reader{messages}.has_message());
        for (std::size_t i = 0; i != capacity; ++i) put(messages, i);
        CHECK(!ring::writer{messages}.has_room());
        CHECK(messages.written() - messages.read() == capacity);
        CHECK(take(messages) == 0);
        put(messages, 77);
        CHECK(ring::writer{messages}.room().empty());
        for (std::size_t i = 1; i != capacity; ++i) CHECK(take(messages) == i);
        CHECK(take(messages) == 77);
      }
    }
  }
}

TEST_CASE("line_ring: one message at a time, at every distance between the two sides") {
  for (const std::size_t capacity : {7U, 10U, 14U}) {
    for (std::size_t distance = 1; distance <= capacity; ++distance) {
      ring messages{capacity, {}, 0 - std::uint64_t{20}};
      std::uint64_t in = 0;
      std::uint64_t out = 0;
      while (in != distance) put(messages, in++);
      for (int i = 0; i != 100; ++i) {
        CHECK(take(messages) == out++);
        put(messages, in++);
      }
      CHECK(ring::writer{messages}.has_room() == (distance != capacity));
      while (out != in) CHECK(take(messages) == out++);
      CHECK(!ring::reader{messages}.has_message());
    }
  }
}

TEST_CASE("line_ring: a run stands in one piece up to the end of a line") {
  ring messages{20, {}, 0};
  CHECK(ring::writer{messages}.room().size() == 7);
  for (std::uint64_t i = 0; i != 10; ++i) put(messages, i);
  CHECK(ring::writer{messages}.room().size() == 4);
  CHECK(ring::reader{messages}.ready().size() == 7);
  for (std::uint64_t i = 0; i != 8; ++i) CHECK(take(messages) == i);
  CHECK(ring::reader{messages}.ready().size() == 2);
}

TEST_CASE("line_ring: a full line is published at once, the rest when the call ends") {
  ring messages{20, {}, 0};
  {
    ring::writer back{messages};
    for (std::uint64_t i = 0; i != 10; ++i) {
      back.next().construct(i);
      back.built(1);
      CHECK(messages.written() == (i < 6 ? 0 : 7));
    }
  }
  CHECK(messages.written() == 10);
  {
    ring::reader front{messages};
    front.taken(front.ready().size());
    front.taken(front.ready().size());
    CHECK(messages.read() == 0);
  }
  CHECK(messages.read() == 10);
}

TEST_CASE("line_ring: a line is a line of the machine, and what the two sides write is apart") {
  static_assert(sizeof(ring) >= 4 * mailroom::detail::cache_line);
  ring messages{20, {}, 0};
  const auto begin = reinterpret_cast<std::uintptr_t>(&ring::writer{messages}.next());
  CHECK(begin % mailroom::detail::line_bytes == 0);
}
