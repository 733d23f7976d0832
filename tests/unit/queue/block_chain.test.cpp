// SPDX-License-Identifier: MIT
#include <mailroom/queue/block_chain.hpp>

#include <doctest/doctest.h>
#include <support/allocators.hpp>
#include <support/print.hpp>
#include <support/threads.hpp>

#include <array>   // array
#include <cstddef> // byte, size_t
#include <cstdint> // uint64_t
#include <memory>  // allocator
#include <new>     // bad_alloc
#include <set>     // set
#include <vector>  // vector

namespace {

using mailroom::queue_status;

/// Says whether it was filled; a block made anew has empty ones again.
struct small {
  int value = 0;
};
struct large {
  std::array<std::byte, 5000> bytes;
};

using chain = mailroom::detail::block_chain<small, std::allocator<int>>;
using logged = mailroom::detail::block_chain<small, test::logging_allocator<int>>;
constexpr std::size_t block = chain::block_slots;

/// Goes on by one message, and says whether it was `value`.
template <class Chain>
bool takes(Chain& row, int value) {
  auto* const at = row.front();
  if (at == nullptr || at->value != value) return false;
  row.pop_front();
  return true;
}

} // namespace

TEST_CASE(
    "block_chain: a block has about a kilobyte, a power of two of slots, and at least eight") {
  using mailroom::detail::block_chain;
  static_assert(chain::block_slots * sizeof(small) == mailroom::detail::block_bytes);
  static_assert(block_chain<large, std::allocator<int>>::block_slots == 8);
  struct odd {
    std::byte bytes[24];
  };
  static_assert(block_chain<odd, std::allocator<int>>::block_slots == 32);
}

TEST_CASE("block_chain: a new row is empty, wherever it begins") {
  for (const std::uint64_t first :
       {std::uint64_t{0}, std::uint64_t{block - 1}, std::uint64_t{block}, std::uint64_t{1} << 32,
        (std::uint64_t{1} << 62) - 1}) {
    chain row{{}, first};
    CHECK(row.head() == first);
    CHECK(row.end() == first);
    CHECK(row.why_not() == queue_status::empty);
    CHECK_FALSE(row.is_sealed());
  }
}

TEST_CASE("block_chain: slots are claimed in the order in which they come to the front") {
  for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{block - 1}, std::uint64_t{5}}) {
    chain row{{}, first};
    const int count = static_cast<int>(5 * block + 3);
    for (int i = 1; i <= count; ++i) row.claim()->value = i;
    CHECK(row.end() == first + static_cast<std::uint64_t>(count));
    CHECK(row.why_not() == queue_status::busy);
    int right = 0;
    while (takes(row, right + 1)) ++right;
    CHECK(right == count);
    CHECK(row.head() == row.end());
    CHECK(row.why_not() == queue_status::empty);
  }
}

TEST_CASE("block_chain: a slot that comes back is as new") {
  chain row{{}, 0};
  for (std::size_t i = 0; i != 40 * block; ++i) {
    small* const mine = row.claim();
    REQUIRE(mine->value == 0);
    mine->value = 1;
    REQUIRE(takes(row, 1));
  }
}

TEST_CASE("block_chain: blocks go round: nothing is allocated while few are in use") {
  test::allocation_log log;
  {
    logged row{test::logging_allocator<int>{log}, 0};
    CHECK(log.allocations == 1);
    for (std::size_t i = 0; i != 4 * block; ++i) (row.claim()->value = 1, (void)takes(row, 1));
    const std::size_t warm = log.allocations;
    for (const std::size_t backlog : {std::size_t{1}, block / 2, block, 2 * block}) {
      for (int round = 0; round != 20; ++round) {
        for (std::size_t i = 0; i != backlog; ++i) row.claim()->value = 1;
        for (std::size_t i = 0; i != backlog; ++i) REQUIRE(takes(row, 1));
      }
    }
    CHECK(log.allocations <= warm + 2); // the blocks of the largest backlog
  }
  CHECK(log.blocks == 0);
}

TEST_CASE("block_chain: after a large backlog few blocks are kept") {
  test::allocation_log log;
  {
    logged row{test::logging_allocator<int>{log}, 0};
    for (std::size_t i = 0; i != 100 * block; ++i) row.claim()->value = 1;
    CHECK(log.blocks >= 100);
    for (std::size_t i = 0; i != 100 * block; ++i) REQUIRE(takes(row, 1));
    CHECK(log.blocks <= mailroom::detail::spare_blocks + 3);
    CHECK(log.blocks >= mailroom::detail::spare_blocks);
  }
  CHECK(log.blocks == 0);
  CHECK(log.bytes == 0);
}

TEST_CASE("block_chain: memory that ends takes no ticket") {
  test::allocation_log log;
  log.fail_at = 1;
  CHECK_THROWS_AS((logged{test::logging_allocator<int>{log}, 0}), std::bad_alloc);
  logged row{test::logging_allocator<int>{log}, 0};
  for (std::size_t i = 0; i != block; ++i) row.claim()->value = 1;
  for (int attempt = 0; attempt != 3; ++attempt) {
    log.fail_at = 1;
    CHECK_THROWS_AS((void)row.claim(), std::bad_alloc);
    CHECK(row.end() == block);
  }
  row.claim()->value = 2;
  for (std::size_t i = 0; i != block; ++i) REQUIRE(takes(row, 1));
  CHECK(takes(row, 2));
}

TEST_CASE("block_chain: a row is sealed exactly where nothing was claimed") {
  chain row{{}, 3};
  row.claim()->value = 1;
  CHECK_FALSE(row.seal(3));
  CHECK_FALSE(row.seal(5));
  REQUIRE(takes(row, 1));
  CHECK_FALSE(row.seal(3)); // where the consumer was
  CHECK(row.seal(4));
  CHECK(row.seal(4));
  CHECK(row.seal(3)); // it is sealed already
  CHECK(row.is_sealed());
  CHECK(row.claim() == nullptr);
  CHECK(row.why_not() == queue_status::closed);
  CHECK(row.end() == 4);
}

TEST_CASE("block_chain: no slot is claimed twice, however many threads claim") {
  constexpr std::size_t each = 20 * block;
  chain row{{}, 0};
  const test::watchdog guard{"block_chain: threads claim"};
  std::array<std::vector<small*>, 3> mine;
  const auto claim = [&](std::size_t index) {
    return [&, index] {
      for (std::size_t i = 0; i != each; ++i) mine[index].push_back(row.claim());
    };
  };
  test::run_together({claim(0), claim(1), claim(2)});
  std::set<small*> all;
  for (const auto& some : mine) all.insert(some.begin(), some.end());
  CHECK(all.size() == 3 * each);
  std::size_t passed = 0;
  while (row.head() != row.end()) {
    REQUIRE(all.erase(row.front()) == 1);
    row.pop_front();
    ++passed;
  }
  CHECK(passed == 3 * each);
}
