// SPDX-License-Identifier: MIT
// The ring by itself. What the lossless queue built on it does is in broadcast_queue.test.cpp.

#include <mailroom/queue/gated_ring.hpp>

#include <doctest/doctest.h>
#include <support/positions.hpp>
#include <support/print.hpp>
#include <support/tracked.hpp>

#include <cstddef> // size_t
#include <cstdint> // uint64_t
#include <memory>  // allocator
#include <utility> // move
#include <vector>  // vector

namespace {

using mailroom::arity;
using mailroom::queue_status;

template <class T, arity Producers>
using ring_of = mailroom::detail::gated_ring<T, Producers, std::allocator<T>>;
template <class T, arity Producers>
using reader_of = mailroom::detail::gated_reader<T, Producers, std::allocator<T>>;

struct one {
  template <class T>
  using ring = ring_of<T, arity::one>;
  template <class T>
  using reader = reader_of<T, arity::one>;
};
struct many {
  template <class T>
  using ring = ring_of<T, arity::many>;
  template <class T>
  using reader = reader_of<T, arity::many>;
};

} // namespace

TEST_CASE_TEMPLATE("gated_ring: a message stays in its slot until the slot is used again", Kind,
                   one, many) {
  test::ledger book;
  {
    typename Kind::template ring<test::tracked> ring{3, {}, test::last_position - 1};
    typename Kind::template reader<test::tracked> reader{ring};
    for (int i = 0; i != 20; ++i) {
      CHECK(ring.try_put(i) == queue_status::success);
      CHECK(reader.find() == queue_status::success);
      CHECK(reader.message().value() == i);
      reader.step();
      reader.release();
      CHECK(book.alive() == static_cast<std::size_t>(i < 4 ? i + 1 : 4)); // three places of four
    }
  }
  CHECK(book.is_balanced());
}

TEST_CASE_TEMPLATE("gated_ring: room is what all readers have given back, and not what they read",
                   Kind, one, many) {
  typename Kind::template ring<int> ring{2, {}, test::last_position};
  typename Kind::template reader<int> reader{ring}, other{ring};
  CHECK(ring.try_put(1) == queue_status::success);
  CHECK(ring.try_put(2) == queue_status::success);
  CHECK(ring.try_put(3) == queue_status::full);
  (void)reader.find();
  reader.step();
  reader.release();
  CHECK(ring.try_put(3) == queue_status::full);
  (void)other.find();
  other.step();
  CHECK(ring.try_put(3) == queue_status::full);
  other.release();
  CHECK(ring.try_put(3) == queue_status::success);
  CHECK(ring.try_put(4) == queue_status::full);
}

TEST_CASE_TEMPLATE("gated_ring: what is left is destroyed with the ring, before its first lap too",
                   Kind, one, many) {
  for (const std::size_t pushes : {0U, 1U, 3U, 4U, 5U, 9U}) {
    test::ledger book;
    {
      typename Kind::template ring<test::tracked> ring{3, {}, 0};
      for (std::size_t i = 0; i != pushes; ++i) CHECK(ring.try_put(7) == queue_status::success);
      CHECK(book.alive() == (pushes < 4 ? pushes : 4));
    }
    CHECK(book.is_balanced());
  }
}

TEST_CASE("gated_ring: with one producer a constructor that throws may leave a slot empty") {
  test::ledger book;
  {
    ring_of<test::throwing_move, arity::one> ring{1, {}, 0};
    CHECK(ring.try_put(1) == queue_status::success);
    book.fail_at(1);
    CHECK_THROWS_AS((void)ring.try_put(2), test::boom);
    CHECK(book.alive() == 0);
    CHECK(ring.end() == 1);
    book.fail_at(1);
    CHECK_THROWS_AS((void)ring.try_put(2), test::boom);
    CHECK(ring.try_put(3) == queue_status::success);
    CHECK(book.alive() == 1);
  }
  CHECK(book.is_balanced());
}

TEST_CASE_TEMPLATE("gated_ring: R-41: a push that throws leaves no reader waiting behind it", Kind,
                   one, many) {
  test::ledger book;
  {
    typename Kind::template ring<test::tracked> ring{1, {}, 0};
    typename Kind::template reader<test::tracked> reader{ring};
    for (int i = 0; i != 5; ++i) {
      book.fail_at(1);
      CHECK_THROWS_AS((void)ring.try_put(9), test::boom);
      CHECK(reader.find() == queue_status::empty);
      CHECK(ring.try_put(i) == queue_status::success);
      CHECK(reader.find() == queue_status::success);
      CHECK(reader.message().value() == i);
      reader.step();
      reader.release();
    }
  }
  CHECK(book.is_balanced());
}

TEST_CASE("gated_ring: with many producers what may throw is made before a position is claimed") {
  test::ledger book;
  {
    ring_of<test::meddler, arity::many> ring{2, {}, 0};
    reader_of<test::meddler, arity::many> reader{ring};
    const test::meddler message{5};
    // Another push gets in between, and takes the last place.
    CHECK(ring.try_put(1) == queue_status::success);
    test::meddler::next = [&] { CHECK(ring.try_put(2) == queue_status::success); };
    CHECK(ring.try_put(message) == queue_status::full);
    CHECK(message.value() == 5);
    CHECK(ring.end() == 2);
  }
  CHECK(book.is_balanced());
}

TEST_CASE(
    "gated_ring: a push that is not finished hides what is behind it, and stops its own slot") {
  test::ledger book;
  {
    ring_of<test::meddler, arity::many> slow{2, {}, 0};
    reader_of<test::meddler, arity::many> reader{slow};
    test::meddler message{1};
    // While the message is moved into its slot, another push is done and a reader looks.
    test::meddler::next = [&] {
      CHECK(reader.find() == queue_status::busy);
      CHECK(slow.try_put(2) == queue_status::success);
      CHECK(reader.find() == queue_status::busy);
      CHECK(slow.try_put(3) == queue_status::full);
    };
    CHECK(slow.try_put(std::move(message)) == queue_status::success);
    for (const int expected : {1, 2}) {
      CHECK(reader.find() == queue_status::success);
      CHECK(reader.message().value() == expected);
      reader.step();
    }
    CHECK(reader.find() == queue_status::empty);
  }
  {
    // Nobody reads, so nothing is ever full; but nobody builds in a slot that is being built in.
    ring_of<test::meddler, arity::many> unread{2, {}, test::last_position};
    test::meddler message{1};
    test::meddler::next = [&] {
      CHECK(unread.try_put(2) == queue_status::success);
      CHECK(unread.try_put(3) == queue_status::busy);
    };
    CHECK(unread.try_put(std::move(message)) == queue_status::success);
    CHECK(unread.try_put(3) == queue_status::success);
  }
  CHECK(book.is_balanced());
}

TEST_CASE_TEMPLATE("gated_ring: a reader that is moved takes its place along", Kind, one, many) {
  typename Kind::template ring<int> ring{1, {}, 0};
  typename Kind::template reader<int> first{ring};
  CHECK(ring.try_put(1) == queue_status::success);
  typename Kind::template reader<int> second{std::move(first)};
  CHECK(second.find() == queue_status::success);
  typename Kind::template reader<int> third{ring}; // joins behind it
  third = std::move(second);                       // leaves, for the other one's place
  CHECK(third.find() == queue_status::success);
  CHECK(third.message() == 1);
  CHECK(ring.try_put(2) == queue_status::full);
  third = std::move(third);
  third.step();
  third.release();
  CHECK(ring.try_put(2) == queue_status::success);
  CHECK(third.passed() == 1);
}
