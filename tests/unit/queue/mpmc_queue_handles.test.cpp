// SPDX-License-Identifier: MIT
// The other ways into an mpmc_queue and out of it: handles, claims, received messages, and pushes
// by force.

#include <mailroom/queue/mpmc_queue.hpp>

#include <doctest/doctest.h>
#include <support/positions.hpp>
#include <support/print.hpp>
#include <support/threads.hpp>
#include <support/tracked.hpp>

#include <array>       // array
#include <atomic>      // atomic
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <iterator>    // back_inserter
#include <memory>      // addressof, make_unique, unique_ptr
#include <optional>    // optional
#include <span>        // span
#include <string>      // string
#include <thread>      // this_thread
#include <type_traits> // is_copy_constructible, ...
#include <utility>     // move
#include <vector>      // vector

namespace {

using mailroom::mpmc_queue;
using mailroom::queue_status;
using test::test_access;
using numbers = std::vector<int>;

template <class Queue>
numbers drain(Queue& queue) {
  numbers values;
  queue.consume_all([&values](auto&& message) {
    if constexpr (requires { message.value(); }) {
      values.push_back(message.value());
    } else {
      values.push_back(message);
    }
  });
  return values;
}

template <class Queue>
concept forces = requires(Queue& queue, typename Queue::value_type&& message) {
  queue.force_push(std::move(message), [](auto&&) {});
};

} // namespace

// ---- Handles

TEST_CASE("mpmc_queue: what goes in through handles comes out in order, whoever takes it out") {
  for (const std::size_t capacity : {1U, 2U, 3U, 5U, 64U, 100U}) {
    auto queue = test_access::starting_at<mpmc_queue<int>>(capacity, std::uint64_t{0} - 50);
    mpmc_queue<int>::producer one{queue};
    mpmc_queue<int>::producer two{queue};
    mpmc_queue<int>::consumer first{queue};
    mpmc_queue<int>::consumer second{queue};
    int in = 0;
    int out = 0;
    const auto push = [&](int who) {
      return who == 0 ? one.try_push(in) : who == 1 ? two.try_push(in) : queue.try_push(in);
    };
    const auto pop = [&](int who) {
      return who == 0 ? first.try_pop() : who == 1 ? second.try_pop() : queue.try_pop();
    };
    for (int lap = 0; lap != 200; ++lap) {
      while (push(in % 3) == queue_status::success) ++in;
      CHECK(in - out == static_cast<int>(capacity));
      for (int who = 0; who != 3; ++who) REQUIRE(push(who) == queue_status::full);
      const int stop = lap % 2 == 0 ? in : out + 1;
      while (out != stop) {
        REQUIRE(pop(lap % 3).value_or(-1) == out);
        ++out;
      }
      if (stop == in) {
        for (int who = 0; who != 3; ++who) REQUIRE(pop(who).error() == queue_status::empty);
      }
    }
  }
}

TEST_CASE("mpmc_queue: a handle that has long been away finds the front and the end") {
  for (const std::size_t capacity : {1U, 3U, 4U, 100U}) {
    for (const int laps : {1, 7, 1000}) {
      mpmc_queue<int> queue{capacity};
      mpmc_queue<int>::producer in{queue};
      mpmc_queue<int>::consumer out{queue};
      CHECK(in.try_push(1) == queue_status::success);
      CHECK(out.try_pop().value_or(-9) == 1);
      for (int i = 0; i != laps * static_cast<int>(capacity) + 1; ++i) {
        REQUIRE(queue.try_push(i) == queue_status::success);
        REQUIRE(queue.try_pop().value_or(-9) == i);
      }
      CHECK(out.try_pop().error() == queue_status::empty);
      CHECK(in.try_push(2) == queue_status::success);
      CHECK(queue.try_pop().value_or(-9) == 2);
      CHECK(queue.try_push(3) == queue_status::success);
      CHECK(out.try_pop().value_or(-9) == 3);
    }
  }
}

TEST_CASE("mpmc_queue: handles take runs, and answer full, empty and closed as the queue does") {
  test::ledger book;
  {
    mpmc_queue<test::tracked> queue{3};
    mpmc_queue<test::tracked>::producer in{queue};
    mpmc_queue<test::tracked>::consumer out{queue};
    std::vector<test::tracked> run;
    for (int i = 0; i != 5; ++i) run.emplace_back(i);
    CHECK(in.try_push_range(run.begin(), run.end()) == run.begin() + 3);
    CHECK(in.try_push(run[4]) == queue_status::full);
    CHECK(in.try_emplace(9) == queue_status::full);
    std::vector<test::tracked> got;
    CHECK(out.try_pop_n(std::back_inserter(got), 2) == 2);
    CHECK(in.try_move_range(std::span{run}.subspan(3)).empty());
    test::tracked kept{7};
    CHECK(in.try_push(std::move(kept)) == queue_status::full);
    CHECK(kept.value() == 7);
    numbers rest;
    CHECK(out.consume_all([&](test::tracked&& each) { rest.push_back(each.value()); }) == 3);
    CHECK(rest == numbers{2, 3, 4});
    CHECK(out.try_pop(kept) == queue_status::empty);
    CHECK(kept.value() == 7);
    CHECK(queue.seal());
    CHECK(in.try_push(std::move(kept)) == queue_status::closed);
    CHECK(out.try_pop().error() == queue_status::closed);
  }
  CHECK(book.is_balanced());
}

TEST_CASE(
    "mpmc_queue: a handle keeps one spare cell from its first message on, and gives it back") {
  mpmc_queue<int> queue{200};
  {
    std::vector<std::unique_ptr<mpmc_queue<int>::producer>> in;
    for (int i = 0; i != 100; ++i) {
      in.push_back(std::make_unique<mpmc_queue<int>::producer>(queue)); // holds no cell yet
    }
    for (int i = 0; i != 64; ++i) {
      CHECK(in[static_cast<std::size_t>(i)]->try_push(i) == queue_status::success);
    }
    CHECK(in[64]->try_push(64) == queue_status::busy);
    CHECK(queue.try_pop().error() == queue_status::busy);
    CHECK(in[0]->try_push(64) == queue_status::success);
    in[1].reset();
    CHECK(in[64]->try_push(65) == queue_status::success);
    CHECK(queue.try_pop().error() == queue_status::busy);
  }
  for (int i = 0; i != 66; ++i) CHECK(queue.try_pop().value_or(-9) == i);
  CHECK(test_access::each_cell_is_in_one_place(queue));
}

TEST_CASE("mpmc_queue: a handle can be moved, with its cell, and not copied") {
  using producer = mpmc_queue<int>::producer;
  using consumer = mpmc_queue<int>::consumer;
  static_assert(!std::is_copy_constructible_v<producer> && !std::is_copy_assignable_v<consumer>);
  static_assert(std::is_nothrow_move_constructible_v<producer>);
  static_assert(std::is_nothrow_move_constructible_v<consumer>);
  mpmc_queue<int> queue{2};
  {
    producer in{queue};
    consumer out{queue};
    CHECK(in.try_push(1) == queue_status::success);
    CHECK(out.try_pop().value_or(-9) == 1);
    producer in_again{std::move(in)};
    consumer out_again{std::move(out)};
    CHECK(in_again.try_push(2) == queue_status::success);
    CHECK(out_again.try_pop().value_or(-9) == 2);
  }
  CHECK(test_access::each_cell_is_in_one_place(queue));
}

TEST_CASE("mpmc_queue: a handler or an output that throws costs the handle its message only") {
  test::ledger book;
  {
    mpmc_queue<test::copy_only> queue{4};
    mpmc_queue<test::copy_only>::consumer out{queue};
    for (int i = 0; i != 4; ++i) (void)queue.try_emplace(i);
    CHECK_THROWS_AS(out.consume_all([](auto&&) { throw test::boom{}; }), test::boom);
    std::vector<test::copy_only> got;
    got.reserve(4);
    book.fail_at(1);
    CHECK_THROWS_AS(out.try_pop_n(std::back_inserter(got), 3), test::boom);
    CHECK(drain(queue) == numbers{2, 3});
  }
  CHECK(book.is_balanced());
}

// ---- Claims and received messages

TEST_CASE("mpmc_queue: a message stays where it was built until it is dropped") {
  mpmc_queue<std::array<int, 100>> queue{2};
  auto made = queue.try_claim();
  const auto* const where = std::addressof(**made);
  (*made)->fill(7);
  CHECK(queue.size_approx() == 0);
  CHECK(made->commit() == queue_status::success);
  auto taken = queue.try_receive();
  CHECK(queue.size_approx() == 0);
  CHECK(std::addressof(**taken) == where);
  CHECK((**taken)[99] == 7);
}

TEST_CASE("mpmc_queue: claims and received messages need no move that cannot fail") {
  test::ledger book;
  {
    mpmc_queue<test::throwing_move> queue{2};
    auto made = queue.try_claim(1);
    CHECK((*made)->value() == 1);
    CHECK(made->commit() == queue_status::success);
    CHECK(queue.try_emplace(2) == queue_status::success);
    CHECK((*queue.try_receive())->value() == 1);
    auto second = queue.try_receive();
    CHECK((*second)->value() == 2);
    CHECK(queue.try_receive().error() == queue_status::empty);
    CHECK(book.moves() == 0);
    CHECK(book.copies() == 0);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("mpmc_queue: what a claim builds stays in it until it is put in") {
  test::ledger book;
  {
    mpmc_queue<test::tracked> queue{1};
    auto made = queue.try_claim(1);
    CHECK(queue.try_emplace(0) == queue_status::success);
    CHECK(made->commit() == queue_status::full);
    CHECK(made->commit() == queue_status::full);
    CHECK((*made)->value() == 1);
    CHECK(drain(queue) == numbers{0});
    CHECK(made->commit() == queue_status::success);
    {
      const auto dropped = queue.try_claim(2);
    }
    book.fail_at(1);
    CHECK_THROWS_AS((void)queue.try_claim(3), test::boom);
    CHECK(drain(queue) == numbers{1});
    auto late = queue.try_claim(4);
    CHECK(queue.seal());
    CHECK(late->commit() == queue_status::closed);
    CHECK((*late)->value() == 4);
    CHECK(queue.try_receive().error() == queue_status::closed);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("mpmc_queue: who holds a message, or a claim to one, is in nobody's way") {
  mpmc_queue<int> queue{2};
  auto made = queue.try_claim(-1);
  (void)queue.try_push(-2);
  auto held = queue.try_receive();
  for (int i = 0; i != 1000; ++i) {
    REQUIRE(queue.try_push(i) == queue_status::success);
    REQUIRE(queue.try_push(i) == queue_status::success);
    REQUIRE(queue.try_push(i) == queue_status::full);
    REQUIRE(drain(queue) == numbers{i, i});
  }
  CHECK(**held == -2);
  CHECK(**made == -1);
  CHECK(made->commit() == queue_status::success);
  CHECK(queue.try_pop().value_or(-9) == -1);
}

TEST_CASE("mpmc_queue: with 64 claims or messages in hand the next one answers busy") {
  test::ledger book;
  {
    using queue_type = mpmc_queue<test::tracked>;
    queue_type queue{100};
    for (int i = 0; i != 100; ++i) (void)queue.try_emplace(i);
    std::vector<queue_type::claim> claims;
    std::vector<queue_type::received> messages;
    for (int i = 0; i != 32; ++i) {
      claims.push_back(std::move(*queue.try_claim(i)));
      messages.push_back(std::move(*queue.try_receive()));
    }
    CHECK(queue.try_claim(1).error() == queue_status::busy);
    CHECK(queue.try_receive().error() == queue_status::busy);
    CHECK(queue.try_pop().error() == queue_status::busy);
    for (int i = 0; i != 32; ++i) CHECK(messages[static_cast<std::size_t>(i)]->value() == i);
    claims.pop_back();
    CHECK((*queue.try_receive())->value() == 32);
  }
  CHECK(book.is_balanced());
}

// ---- By force

TEST_CASE("mpmc_queue: a push by force hands the oldest messages over, in order, and none else") {
  static_assert(forces<mpmc_queue<test::move_only>>);
  static_assert(!forces<mpmc_queue<test::throwing_move>>);
  for (const std::size_t capacity : {1U, 2U, 3U, 8U}) {
    auto queue = test_access::starting_at<mpmc_queue<int>>(capacity, std::uint64_t{0} - 5);
    numbers out;
    for (int i = 0; i != 50; ++i) {
      int message = i;
      CHECK(queue.force_push(std::move(message), [&](int&& old) { out.push_back(old); }) ==
            queue_status::success);
    }
    const numbers inside = drain(queue);
    CHECK(inside.size() == capacity);
    out.insert(out.end(), inside.begin(), inside.end());
    CHECK(out.size() == 50);
    for (int i = 0; i != 50; ++i) CHECK(out[static_cast<std::size_t>(i)] == i);
    CHECK(test_access::each_cell_is_in_one_place(queue));
  }
}

TEST_CASE("mpmc_queue: a push by force that cannot be keeps its message and hands over none") {
  mpmc_queue<std::string> sealed{1};
  CHECK(sealed.seal());
  const auto none = [](std::string&&) { FAIL("nothing was in the way"); };
  std::string message = "stays";
  CHECK(sealed.force_push(std::move(message), none) == queue_status::closed);
  CHECK(message == "stays");
  mpmc_queue<std::string> queue{1};
  (void)queue.try_push("old");
  std::vector<mpmc_queue<std::string>::claim> all;
  while (auto made = queue.try_claim()) all.push_back(std::move(*made));
  CHECK(queue.force_push(std::move(message), none) == queue_status::busy);
  CHECK(message == "stays");
  all.clear();
  CHECK(*queue.try_pop() == "old");
}

TEST_CASE("mpmc_queue: a push by force needs one spare cell at a time") {
  mpmc_queue<int> queue{3};
  for (int i = 0; i != 3; ++i) CHECK(queue.try_push(i) == queue_status::success);
  std::vector<mpmc_queue<int>::claim> claims;
  while (claims.size() != 63) claims.push_back(std::move(*queue.try_claim(-1)));
  numbers out;
  CHECK(queue.force_push(3, [&](int&& old) { out.push_back(old); }) == queue_status::success);
  CHECK(out == numbers{0});
  claims.clear();
  CHECK(drain(queue) == numbers{1, 2, 3});
}

TEST_CASE("mpmc_queue: what a sink throws costs the message that it was given, and no other") {
  test::ledger book;
  {
    mpmc_queue<test::tracked> queue{2};
    (void)queue.try_emplace(1);
    (void)queue.try_emplace(2);
    test::tracked message{3};
    const auto refuse = [](test::tracked&&) { throw test::boom{}; };
    CHECK_THROWS_AS((void)queue.force_push(std::move(message), refuse), test::boom);
    CHECK(message.value() == 3);
    CHECK(drain(queue) == numbers{2});
    CHECK(test_access::each_cell_is_in_one_place(queue));
  }
  CHECK(book.is_balanced());
}

TEST_CASE("mpmc_queue: threads with handles, claims and force lose and double nothing") {
  const test::watchdog guard{"mpmc_queue: all ways at once"};
  constexpr std::size_t each = 5000;
  constexpr std::size_t senders = 3;
  mpmc_queue<std::size_t> queue{3};
  std::vector<std::atomic<int>> seen(senders * each);
  std::atomic<std::size_t> left{senders};
  std::atomic<std::size_t> taken{0};
  const auto take = [&](std::size_t message) {
    seen[message].fetch_add(1);
    taken.fetch_add(1);
  };
  const auto by_handle = [&](std::size_t first) {
    mpmc_queue<std::size_t>::producer in{queue};
    for (std::size_t i = 0; i != each; ++i) {
      while (in.try_push(first + i) != queue_status::success) std::this_thread::yield();
    }
    left.fetch_sub(1);
  };
  const auto by_claim = [&](std::size_t first) {
    for (std::size_t i = 0; i != each; ++i) {
      auto made = queue.try_claim(first + i);
      while (made->commit() != queue_status::success) std::this_thread::yield();
    }
    left.fetch_sub(1);
  };
  const auto by_force = [&](std::size_t first) {
    for (std::size_t i = 0; i != each; ++i) {
      (void)queue.force_push(first + i, take);
    }
    left.fetch_sub(1);
  };
  const auto receive = [&] {
    for (;;) {
      const bool is_over = left.load() == 0;
      auto message = queue.try_receive();
      if (message) take(**message);
      if (!message && is_over) return;
    }
  };
  const auto pop = [&] {
    mpmc_queue<std::size_t>::consumer out{queue};
    for (;;) {
      const bool is_over = left.load() == 0;
      const auto message = out.try_pop();
      if (message) take(*message);
      if (!message && is_over) return;
    }
  };
  test::run_together(
      {[&] { by_handle(0); }, [&] { by_claim(each); }, [&] { by_force(2 * each); }, receive, pop});
  CHECK(taken == senders * each);
  bool once = true;
  for (const auto& count : seen) once = once && count == 1;
  CHECK(once);
  CHECK(test_access::each_cell_is_in_one_place(queue));
}
