// SPDX-License-Identifier: MIT
// What is special about this queue. What it shares with the others is in tests/contract.

#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/queue/mpsc_queue.hpp>

#include <doctest/doctest.h>
#include <support/allocators.hpp>
#include <support/positions.hpp>
#include <support/print.hpp>
#include <support/threads.hpp>
#include <support/tracked.hpp>

#include <atomic>          // atomic
#include <cstddef>         // size_t
#include <cstdint>         // uint64_t
#include <limits>          // numeric_limits
#include <memory>          // unique_ptr
#include <memory_resource> // polymorphic_allocator, synchronized_pool_resource
#include <new>             // bad_alloc
#include <string>          // string, to_string
#include <thread>          // this_thread
#include <type_traits>     // is_copy_constructible, ...
#include <utility>         // move
#include <vector>          // vector

namespace {

using mailroom::mpsc_queue;
using mailroom::queue_status;
using test::test_access;

template <class Queue>
constexpr std::size_t block = test_access::block_slots<Queue>;

} // namespace

TEST_CASE("mpsc_queue: its facts are many producers, one consumer, and a pop that may be hidden") {
  using facts = mailroom::queue_facts<mpsc_queue<int>>;
  static_assert(mailroom::queue<mpsc_queue<int>>);
  static_assert(mailroom::queue<mpsc_queue<test::throwing_move>>);
  static_assert(facts::producers == mailroom::arity::many);
  static_assert(facts::consumers == mailroom::arity::one);
  static_assert(facts::order == mailroom::ordering::fifo);
  static_assert(facts::push_progress == mailroom::progress::lock_free);
  static_assert(facts::pop_progress == mailroom::progress::blocking);
  static_assert(!facts::bounded);
  static_assert(facts::sequentially_consistent);
}

TEST_CASE("mpsc_queue: it stays where it is, and is not made from a number by accident") {
  static_assert(!std::is_copy_constructible_v<mpsc_queue<int>>);
  static_assert(!std::is_move_constructible_v<mpsc_queue<int>>);
  static_assert(!std::is_copy_assignable_v<mpsc_queue<int>>);
  static_assert(std::is_default_constructible_v<mpsc_queue<int>>);
  static_assert(!std::is_constructible_v<mpsc_queue<int>, std::size_t>);
}

TEST_CASE("mpsc_queue: a pop throws only what a message throws") {
  mpsc_queue<int> numbers;
  int number = 0;
  static_assert(noexcept(numbers.try_pop()));
  static_assert(noexcept(numbers.try_pop(number)));
  static_assert(noexcept(numbers.size_approx()));
  static_assert(noexcept(numbers.seal()));
  static_assert(!noexcept(numbers.try_push(1))); // memory may end
  mpsc_queue<test::throwing_move> others;
  static_assert(!noexcept(others.try_pop()));
}

TEST_CASE("mpsc_queue: producers and consumer do not share a cache line") {
  static_assert(alignof(mpsc_queue<char>) >= mailroom::detail::cache_line);
  static_assert(sizeof(mpsc_queue<char>) >= 5 * mailroom::detail::cache_line);
}

TEST_CASE("mpsc_queue: it is never full") {
  mpsc_queue<int> queue;
  CHECK(queue.capacity() == std::numeric_limits<std::size_t>::max());
  constexpr int many = 100'000;
  for (int i = 0; i != many; ++i) REQUIRE(queue.try_push(i) == queue_status::success);
  CHECK(queue.size_approx() == many);
  for (int i = 0; i != many; ++i) REQUIRE(queue.try_pop().value_or(-1) == i);
  CHECK(queue.try_pop().error() == queue_status::empty);
  CHECK(queue.pushed() == many);
  CHECK(queue.popped() == many);
}

TEST_CASE("mpsc_queue: order and empty are exact wherever a block ends") {
  using queue_type = mpsc_queue<std::uint64_t>;
  constexpr std::size_t size = block<queue_type>;
  for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{size - 1},
                                    (std::uint64_t{1} << 32) - 3, (std::uint64_t{1} << 62) - 3}) {
    for (const std::size_t backlog : {std::size_t{1}, size - 1, size, size + 1, 3 * size}) {
      auto queue = test_access::starting_at<queue_type>(0, first);
      std::uint64_t in = 0, out = 0;
      for (int round = 0; round != 4; ++round) {
        while (in - out != backlog) REQUIRE(queue.try_push(in++) == queue_status::success);
        for (std::size_t i = 0; i != 2 * size + 1; ++i) {
          REQUIRE(queue.try_pop().value_or(~std::uint64_t{0}) == out++);
          REQUIRE(queue.try_push(in++) == queue_status::success);
          REQUIRE(queue.size_approx() == backlog);
        }
        while (out != in) REQUIRE(queue.try_pop().value_or(~std::uint64_t{0}) == out++);
        REQUIRE(queue.try_pop().error() == queue_status::empty);
      }
    }
  }
}

TEST_CASE("mpsc_queue: a run that is moved needs no room, and stops at the end") {
  mpsc_queue<std::unique_ptr<int>> queue;
  std::vector<std::unique_ptr<int>> run(500);
  for (auto& each : run) each = std::make_unique<int>(7);
  CHECK(queue.try_move_range(run).empty());
  CHECK(queue.size_approx() == 500);
  CHECK(queue.consume_all([](auto&&) {}) == 500);
  CHECK(queue.seal());
  run[0] = std::make_unique<int>(8);
  run[1] = std::make_unique<int>(9);
  CHECK(queue.try_move_range(run).size() == 500);
  CHECK(*run[0] == 8);
}

TEST_CASE("mpsc_queue: consume_all takes what is there at the call, not what its handler pushes") {
  mpsc_queue<int> queue;
  for (int i = 0; i != 100; ++i) (void)queue.try_push(i);
  int next = 0;
  CHECK(queue.consume_all([&](int&& message) {
    CHECK(message == next++);
    (void)queue.try_push(100 + message);
  }) == 100);
  CHECK(queue.size_approx() == 100);
  CHECK(queue.consume_all([&](int&& message) { CHECK(message == next++); }) == 100);
}

TEST_CASE("mpsc_queue: a message whose move may throw is skipped if it does, and leaves no hole") {
  test::ledger book;
  {
    mpsc_queue<test::throwing_move> queue;
    const std::size_t several = 3 * block<mpsc_queue<test::throwing_move>>;
    int next = 0;
    for (std::size_t i = 0; i != several; ++i) {
      book.fail_at(1);
      CHECK_THROWS_AS((void)queue.try_emplace(-5), test::boom);
      test::throwing_move message{-6};
      book.fail_at(1);
      CHECK_THROWS_AS((void)queue.try_push(std::move(message)), test::boom);
      CHECK(message.value() == -6);
      if (i % 3 != 0) CHECK(queue.try_emplace(next++) == queue_status::success);
      REQUIRE(queue.size_approx() == static_cast<std::size_t>(next));
      REQUIRE(book.alive() == static_cast<std::size_t>(next) + 1);
    }
    CHECK(queue.pushed() == static_cast<std::uint64_t>(next));
    CHECK_FALSE(queue.seal());
    for (int i = 0; i != next; ++i) {
      REQUIRE(queue.popped() == static_cast<std::uint64_t>(i));
      REQUIRE(queue.try_pop()->value() == i);
    }
    CHECK(queue.try_pop().error() == queue_status::empty);
    CHECK(queue.popped() == queue.pushed());
    CHECK(queue.seal());
  }
  CHECK(book.is_balanced());
}

TEST_CASE("mpsc_queue: behind a skipped slot, consume_all leaves what its handler pushes, too") {
  test::ledger book;
  {
    mpsc_queue<test::throwing_move> queue;
    (void)queue.try_emplace(1);
    book.fail_at(1);
    CHECK_THROWS_AS((void)queue.try_emplace(-5), test::boom);
    const auto handle = [&](const test::throwing_move& message) {
      (void)queue.try_emplace(message.value() + 1);
    };
    CHECK(queue.consume_all(handle) == 1);
    CHECK(queue.size_approx() == 1);
    CHECK(queue.consume_all(handle) == 1);
    CHECK(queue.try_pop()->value() == 3);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("mpsc_queue: a skipped slot prevents a seal until a pop has passed over it") {
  test::ledger book;
  mpsc_queue<test::throwing_move> queue;
  book.fail_at(1);
  CHECK_THROWS_AS((void)queue.try_emplace(-5), test::boom);
  CHECK_FALSE(queue.seal());
  CHECK(queue.try_pop().error() == queue_status::empty);
  CHECK(queue.seal());
}

TEST_CASE("mpsc_queue: a move out that throws leaves the message where it was") {
  test::ledger book;
  {
    mpsc_queue<test::throwing_move> queue;
    (void)queue.try_emplace(1);
    (void)queue.try_emplace(2);
    test::throwing_move into{0};
    for (int attempt = 0; attempt != 2; ++attempt) {
      book.fail_at(1);
      CHECK_THROWS_AS((void)queue.try_pop(), test::boom);
      book.fail_at(1);
      CHECK_THROWS_AS((void)queue.try_pop(into), test::boom);
      CHECK(queue.size_approx() == 2);
    }
    book.fail_at(0);
    CHECK(queue.try_pop()->value() == 1);
    CHECK(queue.try_pop(into) == queue_status::success);
    CHECK(into.value() == 2);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("mpsc_queue: a constructor that may throw runs before there is a ticket") {
  test::ledger book;
  {
    mpsc_queue<test::meddler> queue;
    const test::meddler message{1};
    queue_status meanwhile{};
    test::meddler::next = [&] { meanwhile = queue.try_pop().error(); };
    CHECK(queue.try_push(message) == queue_status::success); // is copied, and then moved in
    CHECK(meanwhile == queue_status::empty);                 // not busy
  }
  CHECK(book.is_balanced());
}

TEST_CASE("mpsc_queue: a message that is just being put in makes a pop busy, and hides the next") {
  test::ledger book;
  {
    mpsc_queue<test::meddler> queue;
    std::vector<queue_status> meanwhile;
    test::meddler::next = [&] {
      meanwhile.push_back(queue.try_pop().error());
      meanwhile.push_back(queue.try_emplace(2));
      meanwhile.push_back(queue.try_pop().error());
      meanwhile.push_back(queue.seal() ? queue_status::closed : queue_status::success);
    };
    CHECK(queue.try_push(test::meddler{1}) == queue_status::success);
    CHECK(meanwhile == std::vector{queue_status::busy, queue_status::success, queue_status::busy,
                                   queue_status::success});
    CHECK(queue.try_pop()->value() == 1);
    CHECK(queue.try_pop()->value() == 2);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("mpsc_queue: a queue that is sealed in the middle of a push refuses it") {
  test::ledger book;
  {
    mpsc_queue<test::meddler> queue;
    const test::meddler message{1};
    test::meddler::next = [&] { CHECK(queue.seal()); };
    CHECK(queue.try_push(message) == queue_status::closed);
    CHECK(message.value() == 1);
    CHECK(queue.try_pop().error() == queue_status::closed);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("mpsc_queue: memory that ends changes nothing, and when there is some again it goes on") {
  test::ledger book;
  {
    using queue_type = mpsc_queue<test::tracked, test::logging_allocator<test::tracked>>;
    test::allocation_log log;
    queue_type queue{test::logging_allocator<test::tracked>{log}};
    int next = 0;
    for (int failures = 0; failures != 5;) {
      test::tracked message{next};
      log.fail_at = 1;
      try {
        const auto answer = queue.try_push(std::move(message));
        REQUIRE(answer == queue_status::success);
        ++next;
      } catch (const std::bad_alloc&) {
        ++failures;
        CHECK(message.value() == next);
        CHECK(queue.size_approx() == static_cast<std::size_t>(next));
        log.fail_at = 0;
        CHECK(queue.try_push(std::move(message)) == queue_status::success);
        ++next;
      }
    }
    log.fail_at = 0;
    CHECK(static_cast<std::size_t>(next) == 5 * block<queue_type> + 1);
    for (int i = 0; i != next; ++i) REQUIRE(queue.try_pop()->value() == i);
    CHECK(queue.try_pop().error() == queue_status::empty);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("mpsc_queue: the allocator gives all memory, and gets it back") {
  test::ledger book;
  test::allocation_log log;
  {
    using queue_type = mpsc_queue<test::tracked, test::logging_allocator<test::tracked>>;
    queue_type queue{test::logging_allocator<test::tracked>{log}};
    CHECK(log.allocations == 1);
    for (int round = 0; round != 3; ++round) {
      for (int i = 0; i != 5000; ++i) (void)queue.try_emplace(i);
      for (int i = 0; i != 4000; ++i) (void)queue.try_pop();
    }
    CHECK(log.bytes >= 3000 * sizeof(test::tracked));
  }
  CHECK(log.blocks == 0);
  CHECK(log.bytes == 0);
  CHECK(book.is_balanced());
}

TEST_CASE("mpsc_queue: a memory resource may be shared by many threads") {
  std::pmr::synchronized_pool_resource pool;
  using text = std::pmr::string;
  mpsc_queue<text, std::pmr::polymorphic_allocator<text>> queue{&pool};
  const test::watchdog guard{"mpsc_queue: a pool"};
  constexpr int each = 2000;
  int taken = 0;
  const auto push = [&] {
    for (int i = 0; i != each; ++i)
      (void)queue.try_emplace("a text that needs memory of its own", &pool);
  };
  test::run_together({push, push, [&] {
                        while (taken != 2 * each) {
                          queue.try_pop() ? void(++taken) : std::this_thread::yield();
                        }
                      }});
  CHECK(taken == 2 * each);
}

TEST_CASE("mpsc_queue: every message of many producers arrives once, in its producer's order") {
  mpsc_queue<std::uint64_t> queue;
  const test::watchdog guard{"mpsc_queue: many producers"};
  constexpr std::uint64_t each = 20'000;
  std::uint64_t next[3] = {};
  bool in_order = true;
  const auto push = [&](std::uint64_t who) {
    return [&, who] {
      for (std::uint64_t i = 0; i != each; ++i) (void)queue.try_push(who << 32 | i);
    };
  };
  test::run_together({push(0), push(1), push(2), [&] {
                        for (std::uint64_t count = 0; count != 3 * each;) {
                          const auto message = queue.try_pop();
                          if (!message) {
                            std::this_thread::yield();
                            continue;
                          }
                          ++count;
                          in_order = in_order && (*message & 0xFFFFFFFF) == next[*message >> 32]++;
                        }
                      }});
  CHECK(in_order);
  CHECK(queue.try_pop().error() == queue_status::empty);
}

TEST_CASE("mpsc_queue: R-04: whoever looks sees counts that grow, and never more out than in") {
  mpsc_queue<int> queue;
  const test::watchdog guard{"mpsc_queue: somebody looks"};
  std::atomic<bool> done{false};
  std::atomic<bool> wrong{false};
  const auto look = [&] {
    for (std::uint64_t in = 0, out = 0; !done.load();) {
      const auto out_now = queue.popped();
      const auto in_now = queue.pushed();
      if (out_now > in_now || out_now < out || in_now < in) wrong.store(true);
      if (queue.size_approx() > 20'000) wrong.store(true);
      in = in_now;
      out = out_now;
    }
  };
  test::run_together({look, look,
                      [&] {
                        for (int i = 0; i != 20'000; ++i) (void)queue.try_push(i);
                      },
                      [&] {
                        while (queue.popped() != 20'000) (void)queue.try_pop();
                        done.store(true);
                      }});
  CHECK_FALSE(wrong.load());
}

TEST_CASE("mpsc_queue: a mailbox over it never makes a push wait, and closes without loss") {
  mailroom::mailbox<int, mpsc_queue<int>> box;
  const test::watchdog guard{"mpsc_queue: a mailbox"};
  std::atomic<int> pushed{0};
  int popped = 0;
  const auto push = [&] {
    while (box.push(1)) pushed.fetch_add(1);
  };
  test::run_together({push, push,
                      [&] {
                        while (box.pop()) ++popped;
                      },
                      [&] {
                        while (pushed.load() < 10'000) std::this_thread::yield();
                        box.close();
                      }});
  CHECK(popped == pushed.load());
  CHECK(box.is_drained());
}
