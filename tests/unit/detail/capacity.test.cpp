// SPDX-License-Identifier: MIT
#include <mailroom/detail/capacity.hpp>

#include <doctest/doctest.h>

#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <stdexcept>   // invalid_argument, length_error
#include <string_view> // string_view

namespace detail = mailroom::detail;

TEST_CASE("capacity: anything from one to the most is taken as it is") {
  CHECK(detail::checked_capacity(1) == 1);
  CHECK(detail::checked_capacity(1000) == 1000);
  CHECK(detail::checked_capacity(detail::max_slots) == detail::max_slots);
  CHECK(detail::checked_capacity(8, 8) == 8);
  static_assert(detail::checked_capacity(3) == 3);
}

TEST_CASE("capacity: zero is refused, with a sentence") {
  CHECK_THROWS_AS((void)detail::checked_capacity(0), std::invalid_argument);
  try {
    (void)detail::checked_capacity(0);
  } catch (const std::invalid_argument& refusal) {
    CHECK(std::string_view{refusal.what()}.find("at least 1") != std::string_view::npos);
  }
}

TEST_CASE("capacity: too much is refused") {
  CHECK_THROWS_AS((void)detail::checked_capacity(9, 8), std::length_error);
  CHECK_THROWS_AS((void)detail::checked_capacity(detail::max_slots + 1), std::length_error);
  CHECK_THROWS_AS((void)detail::checked_capacity(mailroom::dynamic_capacity), std::length_error);
}

TEST_CASE("capacity: the slots are the least power of two that holds the messages") {
  CHECK(detail::slots_for(1) == 1);
  CHECK(detail::slots_for(2) == 2);
  CHECK(detail::slots_for(3) == 4);
  CHECK(detail::slots_for(4) == 4);
  CHECK(detail::slots_for(5) == 8);
  CHECK(detail::slots_for(1000) == 1024);
  CHECK(detail::slots_for(detail::max_slots) == detail::max_slots);
  CHECK(detail::slots_for(detail::max_slots - 1) == detail::max_slots);
}

TEST_CASE("capacity: the most slots leave room for the sign of a difference") {
  CHECK(detail::max_slots - 1 <= static_cast<std::size_t>(-1) / 4);
  CHECK((detail::max_slots & (detail::max_slots - 1)) == 0);
}

TEST_CASE("capacity: of two numbers one is the smaller and one the larger, if they differ") {
  static_assert(detail::smaller_of(2, 3) == 2 && detail::smaller_of(3, 2) == 2);
  static_assert(detail::larger_of(2, 3) == 3 && detail::larger_of(3, 2) == 3);
  static_assert(detail::smaller_of(2, 2) == 2 && detail::larger_of(2, 2) == 2);
}

TEST_CASE("capacity: a size is never below none and never above the capacity") {
  CHECK(detail::size_within(0, 8) == 0);
  CHECK(detail::size_within(7, 8) == 7);
  CHECK(detail::size_within(8, 8) == 8);
  CHECK(detail::size_within(9, 8) == 8);
  CHECK(detail::size_within(std::uint64_t{1} << 32, 8) == 8); // also where size_t has 32 bits
  CHECK(detail::size_within(static_cast<std::uint64_t>(-1), 8) == 0);
}

namespace {

/// A queue in which one more is popped whenever somebody has asked how many were.
struct draining_queue {
  std::uint64_t pushed() const noexcept { return out; }
  std::uint64_t popped() const noexcept { return out++; }
  std::size_t capacity() const noexcept { return 8; }
  mutable std::uint64_t out = 0;
};

} // namespace

TEST_CASE("capacity: what was popped is read before what was pushed") {
  const draining_queue queue;
  CHECK(detail::approx_size(queue) == 1);
}
