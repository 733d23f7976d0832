// SPDX-License-Identifier: MIT
#include <mailroom/detail/slot_word.hpp>

#include <doctest/doctest.h>
#include <support/positions.hpp>

#include <cstddef> // size_t
#include <cstdint> // int64_t, uint64_t

namespace {

using mailroom::detail::slot_word;

/// Calls `claim` with words for rings of many sizes, and with positions around both ends.
template <class Claim>
void each_ring(const Claim& claim) {
  for (const std::uint64_t slots : {1U, 2U, 4U, 64U, 1024U, 1U << 20U}) {
    const auto count = static_cast<std::size_t>(slots);
    const slot_word words{count, count + 64};
    for (const std::uint64_t start : {std::uint64_t{0}, std::uint64_t{1} << 40, //
                                      std::uint64_t{1} << 63, test::last_position - 3 * slots}) {
      for (const std::uint64_t offset :
           {std::uint64_t{0}, std::uint64_t{1}, 2 * slots - 1, 3 * slots}) {
        INFO("slots ", slots, ", position ", start + offset);
        claim(words, start + offset);
      }
    }
  }
}

} // namespace

TEST_CASE("slot_word: a position lives in the slot of its lower bits") {
  const slot_word words{8, 72};
  CHECK(words.slots() == 8);
  CHECK(words.slot_of(0) == 0);
  CHECK(words.slot_of(13) == 5);
  CHECK(words.slot_of(test::last_position) == 7);
}

TEST_CASE("slot_word: R-23: a word keeps the cell that was put in") {
  each_ring([](const slot_word& words, std::uint64_t at) {
    for (const std::size_t cell : {std::size_t{0}, std::size_t{1}, words.slots() + 63}) {
      REQUIRE(words.cell(words.empty(at, cell)) == cell);
      REQUIRE(words.cell(words.full(at, cell)) == cell);
      REQUIRE(!words.is_sealed(words.empty(at, cell)));
      REQUIRE(!words.is_sealed(words.full(at, cell)));
    }
  });
}

TEST_CASE("slot_word: a phase says what became of a position") {
  each_ring([](const slot_word& words, std::uint64_t at) {
    const std::uint64_t lap = words.slots();
    for (const std::size_t cell : {std::size_t{0}, words.slots() + 63}) {
      REQUIRE(words.phase(words.full(at - lap, cell), at) == -1);
      REQUIRE(words.phase(words.empty(at, cell), at) == 0);
      REQUIRE(words.phase(words.full(at, cell), at) == 1);
      REQUIRE(words.phase(words.empty(at + lap, cell), at) == 2);
      REQUIRE(words.phase(words.full(at + lap, cell), at) == 3);
      REQUIRE(words.phase(words.empty(at + 1000 * lap, cell), at) == 2000);
      REQUIRE(words.phase(words.full(at + 1000 * lap, cell), at) == 2001);
    }
  });
}

TEST_CASE("slot_word: a sealed word is empty, keeps its phase and holds no cell") {
  each_ring([](const slot_word& words, std::uint64_t at) {
    const auto last = words.sealed(words.empty(at, 0));
    REQUIRE(words.is_sealed(last));
    REQUIRE(words.phase(last, at) == 0);
    REQUIRE(words.phase(last, at - words.slots()) == 2);
    REQUIRE(words.cell(last) >= words.slots() + 64);
    REQUIRE(words.sealed(last) == last);
  });
}

TEST_CASE(
    "slot_word: R-20: no lap is taken for another before 2^55 messages, 2^60 from 32 slots on") {
  for (const std::uint64_t slots : {1U, 2U, 4U, 8U, 16U, 32U, 64U, 128U, 1024U, 1U << 20U}) {
    const auto count = static_cast<std::size_t>(slots);
    const slot_word words{count, count + 64};
    INFO("slots ", slots);
    const std::uint64_t limit = std::uint64_t{1} << (slots < 32 ? 55U : 60U);
    for (std::uint64_t messages = slots; messages <= limit; messages *= 2) {
      const std::uint64_t last_lap = messages / slots - 1;
      const std::uint64_t at = last_lap * slots;
      REQUIRE(words.phase(words.empty(at, 3), 0) == static_cast<std::int64_t>(2 * last_lap));
      REQUIRE(words.phase(words.full(at, 3), 0) == static_cast<std::int64_t>(2 * last_lap + 1));
    }
  }
}
