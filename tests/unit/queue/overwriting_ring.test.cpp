// SPDX-License-Identifier: MIT
// The ring by itself. What the lossy queue built on it does is in broadcast_queue.test.cpp.

#include <mailroom/queue/overwriting_ring.hpp>

#include <doctest/doctest.h>
#include <support/positions.hpp>
#include <support/print.hpp>
#include <support/threads.hpp>

#include <array>   // array
#include <atomic>  // atomic
#include <cstddef> // size_t
#include <cstdint> // uint16_t, uint64_t
#include <memory>  // allocator

namespace {

using mailroom::arity;
using mailroom::queue_status;

template <class T, arity Producers>
using ring_of = mailroom::detail::overwriting_ring<T, Producers, std::allocator<T>>;
template <class T, arity Producers>
using reader_of = mailroom::detail::overtaken_reader<T, Producers, std::allocator<T>>;

template <arity Producers>
struct kind {
  template <class T>
  using ring = ring_of<T, Producers>;
  template <class T>
  using reader = reader_of<T, Producers>;
};
using one = kind<arity::one>;
using many = kind<arity::many>;

/// No default constructor, and not a whole number of words.
struct odd {
  explicit odd(int value) : values{} {
    for (auto& each : values) each = static_cast<std::uint16_t>(value++);
  }
  std::array<std::uint16_t, 11> values;
  friend bool operator==(const odd&, const odd&) = default;
};

} // namespace

TEST_CASE_TEMPLATE("overwriting_ring: the last messages are there, and no others", Kind, one,
                   many) {
  for (const std::size_t capacity : {1U, 2U, 3U, 8U}) {
    for (const std::uint64_t first : {std::uint64_t{0}, test::last_position - 20}) {
      typename Kind::template ring<std::size_t> ring{capacity, {}, first};
      typename Kind::template ring<std::size_t>::image into{};
      CHECK(ring.slots() >= capacity);
      for (std::size_t i = 0; i != 60; ++i) {
        REQUIRE(ring.read(first + i, into) == queue_status::empty);
        REQUIRE(ring.put(i) == queue_status::success);
        REQUIRE(ring.end() == first + i + 1);
        for (std::size_t at = 0; at <= i; ++at) {
          const bool gone = at + ring.slots() <= i;
          REQUIRE(ring.read(first + at, into) ==
                  (gone ? queue_status::lagged : queue_status::success));
          if (!gone) REQUIRE(into[0] == at);
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("overwriting_ring: R-24: who was overtaken misses exactly what is gone", Kind,
                   one, many) {
  for (const std::uint64_t before : {0U, 1U, 2U, 5U, 9U, 17U}) {
    for (std::uint64_t ahead = 0; ahead != 30; ++ahead) {
      typename Kind::template ring<int> ring{4, {}, std::uint64_t{0} - before};
      typename Kind::template reader<int> reader{ring};
      for (std::uint64_t i = 0; i != ahead; ++i) (void)ring.put(static_cast<int>(i));
      const std::uint64_t gone = ahead > 4 ? ahead - 4 : 0;
      if (gone != 0) REQUIRE(reader.find() == queue_status::lagged);
      CHECK(reader.missed() == gone);
      for (std::uint64_t i = gone; i != ahead; ++i) {
        REQUIRE(reader.find() == queue_status::success);
        REQUIRE(reader.message() == static_cast<int>(i));
        reader.step();
      }
      CHECK(reader.find() == queue_status::empty);
      CHECK(reader.passed() == ahead);
    }
  }
}

TEST_CASE_TEMPLATE("overwriting_ring: a message comes out as it went in, whatever its size", Kind,
                   one, many) {
  typename Kind::template ring<odd> ring{2, {}, 0};
  typename Kind::template reader<odd> reader{ring};
  for (int i = 0; i != 9; ++i) {
    (void)ring.put(odd{i});
    REQUIRE(reader.find() == queue_status::success);
    CHECK(reader.message() == odd{i});
    reader.step();
  }
  typename Kind::template ring<char> small{1, {}, 0};
  typename Kind::template reader<char> other{small};
  (void)small.put('x');
  REQUIRE(other.find() == queue_status::success);
  CHECK(other.message() == 'x');
}

TEST_CASE("overwriting_ring: R-14: producers in many threads never tear a message, and miss no "
          "position") {
  const test::watchdog guard{"overwriting_ring: many producers"};
  struct wide {
    std::array<std::uint64_t, 9> words;
  };
  ring_of<wide, arity::many> ring{3, {}, test::last_position - 1000};
  constexpr std::uint64_t each = 5000;
  std::atomic<std::uint64_t> done{0};
  const auto produce = [&](std::uint64_t producer) {
    for (std::uint64_t i = 1; i <= each; ++i) {
      wide message{};
      message.words.fill(producer << 32 | i);
      if (ring.put(message) != queue_status::success) return;
    }
    done.fetch_add(1);
  };
  std::atomic<bool> wrong{false};
  const auto read = [&] {
    reader_of<wide, arity::many> reader{ring};
    std::array<std::uint64_t, 3> last{};
    std::uint64_t got = 0;
    for (bool over = false; !over;) {
      over = done.load() == 3;
      for (auto status = reader.find(); status != queue_status::empty; status = reader.find()) {
        if (status == queue_status::lagged) continue;
        const wide message = reader.message();
        reader.step();
        ++got;
        for (const std::uint64_t word : message.words) {
          if (word != message.words[0]) wrong.store(true);
        }
        std::uint64_t& before = last[static_cast<std::size_t>(message.words[0] >> 32)];
        const std::uint64_t number = message.words[0] & 0xFFFF'FFFF;
        if (number <= before) wrong.store(true);
        before = number;
      }
    }
    if (got + reader.missed() != reader.passed()) wrong.store(true);
  };
  test::run_together({[&] { produce(0); }, [&] { produce(1); }, [&] { produce(2); }, read, read});
  CHECK(done.load() == 3);
  CHECK_FALSE(wrong.load());
  CHECK(ring.end() - (test::last_position - 1000) == 3 * each);
}
