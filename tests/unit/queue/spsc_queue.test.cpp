// SPDX-License-Identifier: MIT
// What is special about this queue. What it shares with the others is in tests/contract.

#include <mailroom/queue/spsc_queue.hpp>

#include <doctest/doctest.h>
#include <support/positions.hpp>
#include <support/print.hpp>
#include <support/threads.hpp>
#include <support/tracked.hpp>

#include <array>       // array
#include <cstddef>     // size_t, ptrdiff_t
#include <cstdint>     // uint64_t, uintptr_t
#include <iterator>    // default_sentinel
#include <memory>      // construct_at, unique_ptr
#include <string>      // string, to_string
#include <thread>      // this_thread, thread
#include <type_traits> // is_copy_constructible, ...
#include <utility>     // move
#include <vector>      // vector

namespace {

using mailroom::queue_status;
using mailroom::spsc_queue;

/// A number in a message that is too large for a line.
struct padded {
  std::uint64_t value;
  std::uint64_t padding[4] = {};
  operator std::uint64_t() const { return value; }
};

/// Counts up from 0 and tells what the queue says has been pushed whenever it is read.
struct witness {
  using difference_type = std::ptrdiff_t;
  using value_type = int;
  const spsc_queue<int>* queue;
  std::vector<std::uint64_t>* seen;
  int value = 0;

  int operator*() const {
    seen->push_back(queue->pushed());
    return value;
  }
  witness& operator++() {
    ++value;
    return *this;
  }
  void operator++(int) { ++value; }
  friend bool operator==(const witness& one, std::default_sentinel_t) { return one.value == 3; }
};

} // namespace

TEST_CASE("spsc_queue: its facts are one producer, one consumer, wait-free both ways") {
  using facts = mailroom::queue_facts<spsc_queue<int>>;
  static_assert(mailroom::queue<spsc_queue<int>>);
  static_assert(mailroom::queue<spsc_queue<test::throwing_move, 4>>);
  static_assert(facts::producers == mailroom::arity::one);
  static_assert(facts::consumers == mailroom::arity::one);
  static_assert(facts::order == mailroom::ordering::fifo);
  static_assert(facts::push_progress == mailroom::progress::wait_free);
  static_assert(facts::pop_progress == mailroom::progress::wait_free);
  static_assert(facts::bounded);
  static_assert(!facts::sequentially_consistent);
}

TEST_CASE("spsc_queue: it stays where it is, and is not made from a number by accident") {
  static_assert(!std::is_copy_constructible_v<spsc_queue<int>>);
  static_assert(!std::is_move_constructible_v<spsc_queue<int>>);
  static_assert(!std::is_copy_assignable_v<spsc_queue<int>>);
  static_assert(!std::is_convertible_v<std::size_t, spsc_queue<int>>);
  static_assert(!std::is_default_constructible_v<spsc_queue<int>>);
  static_assert(std::is_default_constructible_v<spsc_queue<int, 4>>);
  static_assert(!std::is_constructible_v<spsc_queue<int, 4>, std::size_t>);
}

TEST_CASE("spsc_queue: an operation throws only what a message throws") {
  spsc_queue<int> numbers{2};
  int number = 0;
  static_assert(noexcept(numbers.try_emplace(1)));
  static_assert(noexcept(numbers.try_pop()));
  static_assert(noexcept(numbers.try_pop(number)));
  static_assert(noexcept(numbers.front()));
  static_assert(noexcept(numbers.pop_front()));
  static_assert(noexcept(numbers.size_approx()));
  spsc_queue<test::throwing_move> others{2};
  static_assert(!noexcept(others.try_emplace(1)));
  static_assert(!noexcept(others.try_pop()));
}

TEST_CASE("spsc_queue: producer and consumer do not share a cache line") {
  static_assert(alignof(spsc_queue<char>) >= mailroom::detail::cache_line);
  static_assert(sizeof(spsc_queue<char>) >= 3 * mailroom::detail::cache_line);
}

TEST_CASE("spsc_queue: a full queue refuses and leaves the argument alone") {
  spsc_queue<std::unique_ptr<int>> queue{1};
  CHECK(queue.try_push(std::make_unique<int>(1)) == queue_status::success);
  auto second = std::make_unique<int>(2);
  CHECK(queue.try_push(std::move(second)) == queue_status::full);
  REQUIRE(second != nullptr);
  CHECK(*second == 2);
  CHECK(**queue.try_pop() == 1);
}

TEST_CASE("spsc_queue: front shows the message where it lies, and pop_front ends it") {
  test::ledger book;
  {
    spsc_queue<test::throwing_move> queue{2};
    CHECK(queue.front() == nullptr);
    for (int round = 0; round != 5; ++round) {
      (void)queue.try_emplace(round);
      (void)queue.try_emplace(round + 100);
      test::throwing_move* const first = queue.front();
      REQUIRE(first != nullptr);
      CHECK(first->value() == round);
      CHECK(queue.front() == first);
      CHECK(queue.size_approx() == 2);
      CHECK(queue.try_emplace(0) == queue_status::full);
      queue.pop_front();
      CHECK(queue.try_emplace(round + 200) == queue_status::success);
      CHECK(queue.front()->value() == round + 100);
      queue.pop_front();
      CHECK(queue.front()->value() == round + 200);
      queue.pop_front();
      CHECK(queue.front() == nullptr);
      CHECK(book.alive() == 0);
    }
    CHECK(book.moves() == 0);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("spsc_queue: a move that throws leaves the message in the queue") {
  test::ledger book;
  {
    auto queue =
        test::test_access::starting_at<spsc_queue<test::throwing_move>>(3, test::last_position - 1);
    for (int i = 0; i != 3; ++i) (void)queue.try_emplace(i);
    for (int i = 0; i != 3; ++i) {
      book.fail_at(1);
      CHECK_THROWS_AS((void)queue.try_pop(), test::boom);
      CHECK(queue.size_approx() == static_cast<std::size_t>(3 - i));
      CHECK(queue.front()->value() == i);
      test::throwing_move into{50};
      book.fail_at(1);
      CHECK_THROWS_AS((void)queue.try_pop(into), test::boom);
      CHECK(into.value() == 50);
      CHECK(queue.front()->value() == i);
      if (i % 2 == 0) {
        CHECK(queue.try_pop()->value() == i);
      } else {
        CHECK(queue.try_pop(into) == queue_status::success);
        CHECK(into.value() == i);
      }
    }
    CHECK(queue.try_pop().error() == queue_status::empty);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("spsc_queue: a move in that throws leaves queue and argument as they were") {
  test::ledger book;
  {
    spsc_queue<test::throwing_move> queue{2};
    test::throwing_move message{6};
    book.fail_at(1);
    CHECK_THROWS_AS((void)queue.try_push(std::move(message)), test::boom);
    CHECK(message.value() == 6);
    CHECK(queue.size_approx() == 0);
    CHECK(queue.try_push(std::move(message)) == queue_status::success);
    CHECK(queue.try_pop()->value() == 6);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("spsc_queue: a run out that throws leaves in the queue what it could not hand over") {
  test::ledger book;
  {
    spsc_queue<test::throwing_move> queue{3};
    for (int n = 1; n != 4; ++n) {
      for (int i = 0; i != 3; ++i) (void)queue.try_emplace(i);
      std::vector<test::throwing_move> out(3, test::throwing_move{77});
      book.fail_at(n);
      CHECK_THROWS_AS(queue.try_pop_n(out.begin(), 3), test::boom);
      CHECK(queue.size_approx() == static_cast<std::size_t>(4 - n));
      CHECK(queue.front()->value() == n - 1);
      for (int i = 0; i != 3; ++i)
        CHECK(out[static_cast<std::size_t>(i)].value() == (i < n - 1 ? i : 77));
      queue.consume_all([](auto&&) {});
    }
  }
  CHECK(book.is_balanced());
}

TEST_CASE("spsc_queue: a run in is published together") {
  spsc_queue<int> queue{8};
  std::vector<std::uint64_t> seen;
  queue.try_push_range(witness{&queue, &seen}, std::default_sentinel);
  CHECK(seen == std::vector<std::uint64_t>{0, 0, 0});
  CHECK(queue.pushed() == 3);
}

TEST_CASE("spsc_queue: consume_all gives the slots back together, at most capacity()") {
  spsc_queue<int> queue{3};
  for (int i = 0; i != 2; ++i) (void)queue.try_push(i);
  int refused = 0;
  const auto count = queue.consume_all([&](int&& message) {
    CHECK(queue.popped() == 0);
    if (queue.try_push(message + 10) == queue_status::full) ++refused;
  });
  CHECK(count == 3);
  CHECK(refused == 2);
  CHECK(queue.popped() == 3);
  CHECK(queue.size_approx() == 0);
}

TEST_CASE_TEMPLATE("spsc_queue: messages are built in their slots and read there", T, std::uint64_t,
                   padded) {
  spsc_queue<T> queue{10};
  std::size_t in = 0;
  std::uint64_t out = 0;
  for (int lap = 0; lap != 30; ++lap) {
    while (const std::size_t built = queue.try_write_n(3, [&](T* place, std::size_t count) {
      CHECK(count <= 3);
      for (std::size_t i = 0; i != count; ++i) std::construct_at(place + i, T{in + i});
      return count;
    })) {
      in += built;
    }
    CHECK(queue.size_approx() == 10);
    while (!queue.readable().empty()) {
      const auto run = queue.readable();
      CHECK(queue.readable().data() == run.data());
      for (const T& each : run) CHECK(std::uint64_t{each} == out++);
      queue.release(run.size());
    }
    CHECK(out == in);
  }
  CHECK(in == 300);
}

TEST_CASE("spsc_queue: who builds fewer than there is room for publishes those, and nothing if it "
          "throws") {
  test::ledger book;
  {
    spsc_queue<test::throwing_move> queue{4};
    const auto one = [](test::throwing_move* place, std::size_t count) {
      CHECK(count == 4);
      std::construct_at(place, 5);
      return std::size_t{1};
    };
    CHECK(queue.try_write_n(100, one) == 1);
    CHECK(queue.size_approx() == 1);
    const auto throws = [](test::throwing_move*, std::size_t) -> std::size_t {
      throw test::boom{};
    };
    CHECK_THROWS_AS(queue.try_write_n(2, throws), test::boom);
    CHECK(queue.try_write_n(0, throws) == 0);
    CHECK(queue.size_approx() == 1);
    CHECK(queue.readable().size() == 1);
    queue.release(1);
    CHECK(book.alive() == 0);
    for (int i = 0; i != 4; ++i) (void)queue.try_emplace(i);
    CHECK(queue.try_write_n(2, throws) == 0);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("spsc_queue: a message lives in its slot from the push to the pop") {
  spsc_queue<std::array<char, 100>, 2> queue;
  const auto* const begin = reinterpret_cast<const char*>(&queue);
  (void)queue.try_emplace();
  const auto* const first = reinterpret_cast<const char*>(queue.front());
  CHECK(first >= begin);
  CHECK(first < begin + sizeof(queue));
}

TEST_CASE("spsc_queue: R-11: two threads pass a text on, in order and whole") {
  const test::watchdog guard{"spsc_queue: two threads"};
  spsc_queue<std::string> queue{3};
  constexpr int messages = 5000;
  int received = 0;
  bool right = true;
  test::run_together({[&queue] {
                        for (int i = 0; i != messages;) {
                          if (queue.try_push(std::to_string(i)) == queue_status::success) {
                            ++i;
                          } else {
                            std::this_thread::yield();
                          }
                        }
                      },
                      [&] {
                        while (received != messages) {
                          if (const auto message = queue.try_pop()) {
                            right = right && *message == std::to_string(received++);
                          } else {
                            std::this_thread::yield();
                          }
                        }
                      }});
  CHECK(right);
  CHECK(queue.try_pop().error() == queue_status::empty);
}

TEST_CASE("spsc_queue: R-15: each of the two roles may pass from thread to thread") {
  // The thread sanitizer proves it: what a role remembers would be a race otherwise.
  const test::watchdog guard{"spsc_queue: roles that pass from thread to thread"};
  spsc_queue<std::string> queue{3};
  const auto in_turns = [](const auto& act) {
    for (int turn = 0; turn != 20; ++turn) {
      std::thread one{[&] { act(turn * 20, turn * 20 + 20); }};
      one.join();
    }
  };
  int right = 0;
  const auto produce = [&](int first, int end) {
    while (first != end) {
      const auto answer = queue.try_push(std::to_string(first));
      answer == queue_status::success ? void(++first) : std::this_thread::yield();
    }
  };
  const auto consume = [&](int first, int end) {
    while (first != end) {
      const auto message = queue.try_pop();
      if (!message) std::this_thread::yield();
      if (message && *message == std::to_string(first++)) ++right;
    }
  };
  test::run_together({[&] { in_turns(produce); }, [&] { in_turns(consume); }});
  CHECK(right == 400);
}

TEST_CASE("spsc_queue: R-45: nobody need ask before looking: front() of an empty queue is none") {
  spsc_queue<int> queue{1};
  for (int i = 0; i != 3; ++i) {
    CHECK(queue.front() == nullptr);
    CHECK(queue.try_push(i) == queue_status::success);
    REQUIRE(queue.front() != nullptr);
    CHECK(*queue.front() == i);
    queue.pop_front();
  }
}
