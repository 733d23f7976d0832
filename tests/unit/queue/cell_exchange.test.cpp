// SPDX-License-Identifier: MIT
// Hands, which carry a cell. What a queue does with them is in mpmc_queue.test.cpp.

#include <mailroom/queue/cell_exchange.hpp>

#include <doctest/doctest.h>
#include <support/print.hpp>
#include <support/tracked.hpp>

#include <cstddef> // size_t
#include <cstdint> // uint64_t
#include <memory>  // allocator
#include <utility> // move
#include <vector>  // vector

namespace {

using mailroom::queue_status;
using exchange = mailroom::detail::cell_exchange<test::tracked, mailroom::dynamic_capacity,
                                                 std::allocator<test::tracked>>;

exchange make(std::size_t capacity) {
  return exchange{capacity, std::allocator<test::tracked>{}, std::uint64_t{0} - 3};
}

queue_status put(exchange::filler& hand, int value) {
  if (const auto status = hand.look(); status != queue_status::success) return status;
  return hand.build_and_put([](test::tracked&) noexcept {}, value);
}

} // namespace

TEST_CASE("cell_exchange: one hand puts in what another takes out, again and again") {
  test::ledger book;
  {
    auto cells = make(3);
    exchange::filler in{cells};
    exchange::emptier out{cells};
    for (int i = 0; i != 100; ++i) {
      REQUIRE(put(in, i) == queue_status::success);
      REQUIRE(out.take() == queue_status::success);
      const exchange::emptier::last_use guard{out};
      CHECK(out.value().value() == i);
    }
    CHECK(book.alive() == 0);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("cell_exchange: a message that is in a hand, or in the ring, is destroyed with it") {
  test::ledger book;
  {
    auto cells = make(2);
    exchange::filler in{cells};
    CHECK(put(in, 1) == queue_status::success);
    CHECK(put(in, 2) == queue_status::success);
    {
      exchange::emptier out{cells};
      CHECK(out.take() == queue_status::success);
      CHECK(book.alive() == 2);
    }
    CHECK(book.alive() == 1);
    CHECK(in.acquire());
    in.construct(3);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("cell_exchange: a hand that is moved from holds nothing") {
  test::ledger book;
  {
    auto cells = make(2);
    exchange::filler in{cells};
    CHECK(in.acquire());
    in.construct(1);
    exchange::filler other{std::move(in)};
    CHECK(other.value().value() == 1);
    CHECK(other.put() == queue_status::success);
    CHECK(put(in, 2) == queue_status::success); // with a cell of its own
    CHECK(put(other, 3) == queue_status::full);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("cell_exchange: a message for which the room has gone is handed back") {
  test::ledger book;
  {
    auto cells = make(1);
    exchange::filler slow{cells};
    exchange::filler fast{cells};
    CHECK(slow.look() == queue_status::success);
    CHECK(put(fast, 1) == queue_status::success);
    int back = 0;
    CHECK(slow.build_and_put([&](test::tracked& built) noexcept { back = built.value(); }, 2) ==
          queue_status::full);
    CHECK(back == 2);
    CHECK(book.alive() == 1);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("cell_exchange: there are as many hands with a cell as there are spare cells") {
  auto cells = make(1);
  std::vector<exchange::filler> hands;
  for (std::size_t i = 0; i != exchange::spares; ++i) {
    hands.emplace_back(cells);
    CHECK(hands.back().acquire());
  }
  exchange::filler one_more{cells};
  CHECK(!one_more.acquire());
  hands.pop_back();
  CHECK(one_more.acquire());
}
