// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_SUPPORT_POSITIONS_HPP
#define MAILROOM_TESTS_SUPPORT_POSITIONS_HPP

// The seam between the tests and the inside of the queues: the one friend that the queues name.
//
// A queue counts its messages in 64 bits. Nobody waits until they are used up, so a test begins
// just before the end instead.

#include <mailroom/core/concepts.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/detail/config.hpp>
#include <mailroom/detail/spare_cells.hpp>

#include <cstddef> // size_t
#include <cstdint> // uint64_t
#include <vector>  // vector

namespace mailroom::inline MAILROOM_ABI::detail {

struct test_access {
  /// Makes a queue whose first message gets the position `first`.
  template <class Queue>
  static Queue starting_at(std::size_t capacity, std::uint64_t first,
                           const typename Queue::allocator_type& allocator = {}) {
    if constexpr (queue_facts<Queue>::bounded) {
      return Queue(capacity, allocator, first);
    } else {
      return Queue(allocator, first & (~std::uint64_t{0} >> 2)); // its positions do not wrap
    }
  }

  /// How many messages a block of an unbounded queue holds.
  template <class Queue>
  static constexpr std::size_t block_slots = decltype(Queue::slots_)::block_slots;

  /// Leaves a lossy broadcast_queue without a spare cell; says how many there were.
  template <class Queue>
  static std::size_t takes_all_spares(Queue& queue) {
    std::size_t count = 0;
    while (queue.ring_.spare_.take().cell != no_cell) ++count;
    return count;
  }

  /// Whether every cell of an empty mpmc_queue that nobody uses is in exactly one place: 64 are
  /// spare, and each slot holds one. In a sealed queue only the spare ones can be looked at.
  template <class Queue>
  static bool each_cell_is_in_one_place(Queue& queue) {
    auto& ring = queue.cells_.ring_;
    auto& spares = queue.cells_.spares_;
    std::vector<int> found(ring.slots() + Queue::spare_cells, 0);
    const auto see = [&found](std::size_t cell) {
      if (cell < found.size()) ++found[cell];
    };
    std::vector<decltype(spares.take())> loans;
    for (std::size_t i = 0; i != Queue::spare_cells; ++i) {
      loans.push_back(spares.take());
      see(loans.back().cell);
    }
    std::size_t expected = Queue::spare_cells;
    for (std::size_t i = 0; i != ring.slots(); ++i) {
      auto end = ring.near_front(); // it is empty: the end is there too
      if (ring.walk_to_room(end) != queue_status::success) break;
      // Put a cell in, look at what was there, and put that back.
      std::size_t cell = loans.front().cell;
      if (!ring.try_exchange(end, cell)) return false;
      see(cell);
      ++expected;
      ring.advance_end(end);
      auto front = ring.near_front();
      if (ring.walk_to_message(front) != queue_status::success) return false;
      if (!ring.try_exchange(front, cell)) return false;
      ring.advance_front(front);
      if (cell != loans.front().cell) return false;
    }
    for (const auto& loan : loans) spares.give(loan);
    for (const int times : found) {
      if (times > 1) return false;
      expected -= static_cast<std::size_t>(times);
    }
    return expected == 0;
  }
};

} // namespace mailroom::inline MAILROOM_ABI::detail

namespace test {

using mailroom::detail::test_access;

/// The last position there is, and how far a start should stand before it.
inline constexpr std::uint64_t last_position = ~std::uint64_t{0};

} // namespace test

#endif // MAILROOM_TESTS_SUPPORT_POSITIONS_HPP
