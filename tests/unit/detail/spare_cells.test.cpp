// SPDX-License-Identifier: MIT
#include <mailroom/detail/spare_cells.hpp>

#include <doctest/doctest.h>
#include <support/threads.hpp>

#include <atomic>     // atomic
#include <cstddef>    // size_t
#include <functional> // function
#include <set>        // set
#include <thread>     // this_thread
#include <vector>     // vector

namespace {

using mailroom::detail::no_cell;
using mailroom::detail::spare_cells;

/// Takes all cells, and gives them back.
template <std::size_t Count>
std::set<std::size_t> cells_in(spare_cells<Count>& spares) {
  std::set<std::size_t> cells;
  std::vector<typename spare_cells<Count>::loan> loans;
  for (auto loan = spares.take(); loan.cell != no_cell; loan = spares.take()) {
    cells.insert(loan.cell);
    loans.push_back(loan);
  }
  for (const auto& loan : loans) spares.give(loan);
  return cells;
}

} // namespace

TEST_CASE("spare_cells: it gives each of its cells once, then none") {
  spare_cells<4> spares{10};
  for (int round = 0; round != 3; ++round) {
    CHECK(cells_in(spares) == std::set<std::size_t>{10, 11, 12, 13});
  }
}

TEST_CASE("spare_cells: a place is refilled with whatever cell its borrower brings") {
  spare_cells<2> spares{0};
  auto first = spares.take();
  auto second = spares.take();
  CHECK(spares.take().cell == no_cell);
  CHECK(first.place != second.place);
  first.cell = 77;
  spares.give(first);
  CHECK(spares.take().cell == 77);
  CHECK(spares.take().cell == no_cell);
  spares.give({77, first.place});
  spares.give({78, second.place});
  CHECK(cells_in(spares) == std::set<std::size_t>{77, 78});
}

TEST_CASE("spare_cells: a call that comes back finds the place that it used") {
  spare_cells<64> spares{0};
  const auto first = spares.take();
  spares.give(first);
  const auto again = spares.take();
  CHECK(again.place == first.place);
  CHECK(again.cell == first.cell);
}

namespace {

/// Threads that borrow and give back as fast as they can. Says whether two ever had the same cell.
template <std::size_t Count>
bool lends_twice(std::size_t threads) {
  spare_cells<Count> spares{0};
  std::atomic<int> holders[Count] = {};
  std::atomic<bool> shared{false};
  const std::function<void()> borrow = [&] {
    for (int i = 0; i != 200000; ++i) {
      const auto loan = spares.take();
      if (loan.cell == no_cell) continue;
      if (holders[loan.cell].fetch_add(1, std::memory_order_relaxed) != 0) shared = true;
      if (i % 128 == 0) std::this_thread::yield();
      holders[loan.cell].fetch_sub(1, std::memory_order_relaxed);
      spares.give(loan);
    }
  };
  test::run_together(std::vector<std::function<void()>>(threads, borrow));
  return shared || cells_in(spares).size() != Count;
}

} // namespace

TEST_CASE("spare_cells: R-13: no cell is lent to two threads, and none is lost") {
  const test::watchdog guard{"spare_cells: threads"};
  CHECK(!lends_twice<1>(2));
  CHECK(!lends_twice<1>(4));
  CHECK(!lends_twice<3>(4));
}
