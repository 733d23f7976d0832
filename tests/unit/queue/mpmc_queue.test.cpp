// SPDX-License-Identifier: MIT
// What is special about this queue. What it shares with the others is in tests/contract.
//
// Much here happens in one thread that elsewhere takes two: a message whose constructor uses the
// queue changes it in the middle of a push, and a handler stays inside consume_all for as long as
// it likes.

#include <mailroom/queue/mpmc_queue.hpp>

#include <doctest/doctest.h>
#include <support/positions.hpp>
#include <support/print.hpp>
#include <support/threads.hpp>
#include <support/tracked.hpp>

#include <atomic>      // atomic
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <functional>  // function
#include <iterator>    // move_iterator, make_move_iterator, back_inserter
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

template <class Queue>
concept pops_by_value = requires(Queue& queue) { queue.try_pop(); };
template <class Queue>
concept pops_into =
    requires(Queue& queue, typename Queue::value_type& into) { queue.try_pop(into); };
template <class Queue>
concept moves_ranges = requires(Queue& queue, std::span<typename Queue::value_type> run) {
  queue.try_move_range(run);
};

template <class Queue, class Iterator>
concept takes_run =
    requires(Queue& queue, Iterator first, Iterator last) { queue.try_push_range(first, last); };

/// Gives up what it has to a message that is made of it.
struct giver {};
struct taker {
  explicit taker(giver&&) {}
};

/// A meddler that can be moved into new objects, and never assigned.
class stubborn : public test::meddler {
public:
  explicit stubborn(int value) : meddler{value} {}
  stubborn(stubborn&&) noexcept = default;
  stubborn& operator=(stubborn&&) = delete;
  ~stubborn() = default;
};

/// Fills the queue up with sevens, and says how many fitted.
template <class Queue>
int fill(Queue& queue) {
  int count = 0;
  while (queue.try_emplace(7) == queue_status::success) ++count;
  return count;
}

template <class Queue>
std::vector<int> drain(Queue& queue) {
  std::vector<int> values;
  queue.consume_all([&values](auto&& message) { values.push_back(message.value()); });
  return values;
}

/// Stays inside `depth` calls of consume_all at a time, then runs `body`. Each level takes one
/// message, of which there must be enough.
template <class Queue>
void nested(Queue& queue, std::size_t depth, const std::function<void()>& body) {
  if (depth == 0) return body();
  bool first = true;
  queue.consume_all([&](auto&&) {
    if (first) nested(queue, depth - 1, body);
    first = false;
  });
}

} // namespace

TEST_CASE("mpmc_queue: its facts are many producers, many consumers, lock-free both ways") {
  using facts = mailroom::queue_facts<mpmc_queue<int>>;
  static_assert(mailroom::queue<mpmc_queue<int>>);
  static_assert(mailroom::queue<mpmc_queue<test::move_only, 3>>);
  static_assert(facts::producers == mailroom::arity::many);
  static_assert(facts::consumers == mailroom::arity::many);
  static_assert(facts::order == mailroom::ordering::fifo);
  static_assert(facts::push_progress == mailroom::progress::lock_free);
  static_assert(facts::pop_progress == mailroom::progress::lock_free);
  static_assert(facts::bounded);
  static_assert(facts::sequentially_consistent);
}

TEST_CASE("mpmc_queue: it stays where it is, and is not made from a number by accident") {
  static_assert(!std::is_copy_constructible_v<mpmc_queue<int>>);
  static_assert(!std::is_move_constructible_v<mpmc_queue<int>>);
  static_assert(!std::is_copy_assignable_v<mpmc_queue<int>>);
  static_assert(!std::is_convertible_v<std::size_t, mpmc_queue<int>>);
  static_assert(!std::is_default_constructible_v<mpmc_queue<int>>);
  static_assert(std::is_default_constructible_v<mpmc_queue<int, 4>>);
  static_assert(!std::is_constructible_v<mpmc_queue<int, 4>, std::size_t>);
}

TEST_CASE("mpmc_queue: what needs a move that cannot fail is not there without one") {
  static_assert(pops_by_value<mpmc_queue<test::unassignable>>);
  static_assert(!pops_into<mpmc_queue<test::unassignable>>);
  static_assert(!pops_by_value<mpmc_queue<test::throwing_move>>);
  static_assert(!pops_into<mpmc_queue<test::throwing_move>>);
  static_assert(!moves_ranges<mpmc_queue<test::throwing_move>>);
  static_assert(!mailroom::queue<mpmc_queue<test::throwing_move>>);
}

TEST_CASE("mpmc_queue: a run is not taken whose rest could not be handed back") {
  using std::move_iterator;
  static_assert(takes_run<mpmc_queue<test::move_only>, move_iterator<test::move_only*>>);
  static_assert(takes_run<mpmc_queue<test::unassignable>, move_iterator<test::unassignable*>>);
  static_assert(takes_run<mpmc_queue<test::throwing_move>, test::throwing_move*>);
  static_assert(takes_run<mpmc_queue<long>, const short*>);
  static_assert(!takes_run<mpmc_queue<test::throwing_move>, move_iterator<test::throwing_move*>>);
  static_assert(!takes_run<mpmc_queue<taker>, move_iterator<giver*>>);
  static_assert(!takes_run<mpmc_queue<test::move_only>, test::move_only*>);
}

TEST_CASE("mpmc_queue: an operation throws only what a message throws") {
  mpmc_queue<int> queue{2};
  int number = 0;
  static_assert(noexcept(queue.try_pop()));
  static_assert(noexcept(queue.try_pop(number)));
  static_assert(noexcept(queue.seal()));
  static_assert(noexcept(queue.size_approx()));
  static_assert(noexcept(queue.pushed()));
  static_assert(noexcept(queue.popped()));
}

TEST_CASE("mpmc_queue: a message whose move may fail is copied in, even from an rvalue") {
  test::ledger book;
  {
    mpmc_queue<test::throwing_move> queue{2};
    test::throwing_move message{4};
    book.fail_at(1);
    CHECK_THROWS_AS((void)queue.try_push(std::move(message)), test::boom);
    CHECK(message.value() == 4);
    CHECK(queue.try_push(std::move(message)) == queue_status::success);
    CHECK(message.value() == 4);
    CHECK(drain(queue) == std::vector<int>{4});
    CHECK(test_access::each_cell_is_in_one_place(queue));
  }
  CHECK(book.is_balanced());
}

// ---- The queue changes during a push

TEST_CASE("mpmc_queue: a push that finds the queue filled on the way hands its message back") {
  test::ledger book;
  for (const std::size_t capacity : {1U, 2U, 3U, 7U}) {
    mpmc_queue<test::meddler> queue{capacity};
    test::meddler message{1};
    test::meddler::next = [&queue] { fill(queue); };
    CHECK(queue.try_push(std::move(message)) == queue_status::full);
    CHECK(message.value() == 1);
    CHECK(drain(queue) == std::vector<int>(capacity, 7));
    CHECK(test_access::each_cell_is_in_one_place(queue));
  }
  CHECK(book.is_balanced());
}

TEST_CASE("mpmc_queue: it hands back a message too that cannot be assigned") {
  test::ledger book;
  {
    mpmc_queue<stubborn> queue{3};
    stubborn message{1};
    test::meddler::next = [&queue] { fill(queue); };
    CHECK(queue.try_push(std::move(message)) == queue_status::full);
    CHECK(message.value() == 1);
    CHECK(queue.size_approx() == 3);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("mpmc_queue: a copy that finds the queue filled on the way is dropped") {
  test::ledger book;
  {
    mpmc_queue<test::meddler> queue{2};
    const test::meddler message{1};
    test::meddler::next = [&queue] { fill(queue); };
    CHECK(queue.try_push(message) == queue_status::full);
    CHECK(message.value() == 1);
    CHECK(book.alive() == 3);
    CHECK(drain(queue) == std::vector<int>{7, 7});
    test::meddler::next = [&queue] { fill(queue); };
    CHECK(queue.try_emplace(message) == queue_status::full);
    CHECK(book.alive() == 3);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("mpmc_queue: a push that finds the queue sealed on the way hands its message back") {
  test::ledger book;
  for (const std::size_t capacity : {1U, 2U, 3U}) {
    mpmc_queue<test::meddler> queue{capacity};
    test::meddler message{1};
    bool sealed = false;
    test::meddler::next = [&] { sealed = queue.seal(); };
    CHECK(queue.try_push(std::move(message)) == queue_status::closed);
    CHECK(sealed);
    CHECK(message.value() == 1);
    CHECK(queue.try_pop().error() == queue_status::closed);
    CHECK(test_access::each_cell_is_in_one_place(queue));
  }
  CHECK(book.is_balanced());
}

TEST_CASE(
    "mpmc_queue: a run that finds the queue filled on the way keeps its rest, every message") {
  test::ledger book;
  for (const std::size_t capacity : {1U, 2U, 3U, 7U}) {
    for (int at = 0; at != static_cast<int>(capacity); ++at) {
      for (const bool by_iterator : {false, true}) {
        auto queue =
            test_access::starting_at<mpmc_queue<test::meddler>>(capacity, test::last_position);
        std::vector<test::meddler> run;
        run.reserve(9);
        for (int i = 0; i != 9; ++i) run.emplace_back(i);
        int moved = 0;
        const std::function<void()> fill_at = [&] {
          if (moved++ == at) {
            fill(queue);
          } else {
            test::meddler::next = fill_at;
          }
        };
        test::meddler::next = fill_at;
        std::size_t taken = 0;
        if (by_iterator) {
          const auto begin = std::make_move_iterator(run.begin());
          const auto rest = queue.try_push_range(begin, std::make_move_iterator(run.end()));
          taken = static_cast<std::size_t>(rest - begin);
        } else {
          taken = run.size() - queue.try_move_range(run).size();
        }
        test::meddler::next = nullptr;
        CHECK(taken == static_cast<std::size_t>(at));
        for (std::size_t i = 0; i != run.size(); ++i) {
          CHECK(run[i].value() == (i < taken ? test::moved_from : static_cast<int>(i)));
        }
        CHECK(drain(queue).size() == capacity);
        CHECK(test_access::each_cell_is_in_one_place(queue));
      }
    }
  }
  CHECK(book.is_balanced());
}

TEST_CASE("mpmc_queue: a run that finds the queue sealed on the way keeps all of it") {
  test::ledger book;
  {
    mpmc_queue<test::meddler> queue{3};
    std::vector<test::meddler> run;
    for (int i = 0; i != 3; ++i) run.emplace_back(i);
    test::meddler::next = [&queue] { (void)queue.seal(); };
    CHECK(queue.try_move_range(run).size() == 3);
    CHECK(run[0].value() == 0);
    CHECK(queue.try_move_range(run).size() == 3);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("mpmc_queue: R-19: a push that was overtaken by many laps still finds its place") {
  test::ledger book;
  for (const std::size_t capacity : {1U, 2U, 3U, 7U}) {
    for (const int laps : {1, 2, 3, 50, 1000}) {
      for (const std::uint64_t before : {0U, 1U, 5U, 100U}) {
        auto queue = test_access::starting_at<mpmc_queue<test::meddler>>(capacity, 0U - before);
        test::meddler message{1};
        test::meddler::next = [&] {
          for (int i = 0; i != laps; ++i) {
            fill(queue);
            drain(queue);
          }
        };
        CHECK(queue.try_push(std::move(message)) == queue_status::success);
        CHECK(queue.size_approx() == 1);
        CHECK(drain(queue) == std::vector<int>{1});
      }
    }
  }
  CHECK(book.is_balanced());
}

TEST_CASE("mpmc_queue: a constructor that throws after the queue has changed leaves it whole") {
  test::ledger book;
  {
    mpmc_queue<test::meddler> queue{3};
    const test::meddler message{1};
    test::meddler::next = [&] {
      fill(queue);
      throw test::boom{};
    };
    CHECK_THROWS_AS((void)queue.try_push(message), test::boom);
    CHECK(drain(queue) == std::vector<int>{7, 7, 7});
    CHECK(test_access::each_cell_is_in_one_place(queue));
  }
  CHECK(book.is_balanced());
}

// ---- A handler uses the queue

TEST_CASE(
    "mpmc_queue: consume_all ends after capacity() messages, though its handler puts in more") {
  for (const std::size_t capacity : {1U, 2U, 3U, 7U, 64U}) {
    mpmc_queue<int> queue{capacity};
    while (queue.try_push(1) == queue_status::success) {
    }
    bool all_fitted = true;
    const auto count = queue.consume_all([&](int&& message) {
      all_fitted = all_fitted && queue.try_push(message + 1) == queue_status::success;
    });
    CHECK(all_fitted); // the slot of a message is free as soon as the handler has it
    CHECK(count == capacity);
    CHECK(queue.size_approx() == capacity);
    CHECK(queue.try_pop().value_or(0) == 2);
  }
}

TEST_CASE("mpmc_queue: a handler may take messages, fill the queue and go round it many times") {
  test::ledger book;
  for (const std::size_t capacity : {1U, 2U, 3U, 7U}) {
    auto queue =
        test_access::starting_at<mpmc_queue<test::tracked>>(capacity, std::uint64_t{0} - 20);
    fill(queue);
    std::size_t calls = 0;
    queue.consume_all([&](test::tracked&& message) {
      CHECK(message.value() == (calls == 0 ? 7 : 9));
      if (calls++ != 0) return;
      for (int lap = 0; lap != 100; ++lap) {
        drain(queue);
        CHECK(fill(queue) == static_cast<int>(capacity));
      }
      drain(queue);
      CHECK(queue.try_emplace(9) == queue_status::success);
    });
    CHECK(calls == (capacity == 1 ? 1 : 2));
    drain(queue);
    CHECK(test_access::each_cell_is_in_one_place(queue));
  }
  CHECK(book.is_balanced());
}

TEST_CASE("mpmc_queue: a message that its handler holds is not in the queue any more") {
  mpmc_queue<std::string> queue{1};
  (void)queue.try_push("first");
  queue.consume_all([&queue](std::string&& first) {
    CHECK(queue.size_approx() == 0);
    CHECK(queue.try_push("second") == queue_status::success);
    CHECK(queue.try_push("third") == queue_status::full);
    CHECK(first == "first");
  });
  CHECK(*queue.try_pop() == "second");
}

TEST_CASE("mpmc_queue: a run out that throws has consumed what it could not hand over") {
  test::ledger book;
  {
    mpmc_queue<test::copy_only> queue{3};
    for (int i = 0; i != 3; ++i) (void)queue.try_emplace(i);
    std::vector<test::copy_only> out;
    out.reserve(3);
    book.fail_at(2);
    CHECK_THROWS_AS(queue.try_pop_n(std::back_inserter(out), 3), test::boom);
    CHECK(out.size() == 1);
    CHECK(drain(queue) == std::vector<int>{2});
    CHECK(test_access::each_cell_is_in_one_place(queue));
  }
  CHECK(book.is_balanced());
}

// ---- Spare cells

TEST_CASE("mpmc_queue: R-46: behind 64 calls in progress the next one answers busy, and changes "
          "nothing") {
  test::ledger book;
  {
    constexpr std::size_t most = mpmc_queue<test::tracked>::spare_cells;
    static_assert(most == 64);
    auto queue = test_access::starting_at<mpmc_queue<test::tracked>>(100, std::uint64_t{0} - 30);
    for (int round = 0; round != 3; ++round) {
      CHECK(fill(queue) == 100);
      bool reached = false;
      nested(queue, most, [&] {
        reached = true;
        CHECK(queue.size_approx() == 100 - most);
        test::tracked message{1};
        std::vector<test::tracked> run(3, message);
        CHECK(queue.try_push(message) == queue_status::busy);
        CHECK(queue.try_push(std::move(message)) == queue_status::busy);
        CHECK(queue.try_emplace(std::move(message)) == queue_status::busy);
        CHECK(queue.try_pop().error() == queue_status::busy);
        CHECK(queue.try_pop(message) == queue_status::busy);
        CHECK(message.value() == 1);
        CHECK(queue.try_move_range(run).size() == 3);
        CHECK(run[0].value() == 1);
        CHECK(queue.try_push_range(run.begin(), run.end()) == run.begin());
        std::vector<test::tracked> out;
        CHECK(queue.try_pop_n(std::back_inserter(out), 5) == 0);
        CHECK(queue.consume_all([](auto&&) { FAIL("there is no cell for this"); }) == 0);
        CHECK(!queue.seal());
        CHECK(queue.size_approx() == 100 - most);
      });
      CHECK(reached);
      CHECK(queue.size_approx() == 0);
      CHECK(test_access::each_cell_is_in_one_place(queue));
    }
  }
  CHECK(book.is_balanced());
}

TEST_CASE("mpmc_queue: one call less, and there is still a cell") {
  mpmc_queue<int> queue{100};
  for (int i = 0; i != 100; ++i) (void)queue.try_push(i);
  nested(queue, 63, [&queue] {
    CHECK(queue.try_push(1) == queue_status::success);
    CHECK(queue.try_pop().value_or(-1) == 63);
    CHECK(queue.try_push(1) == queue_status::success);
    CHECK(queue.try_pop().value_or(-1) == 64);
  });
}

TEST_CASE("mpmc_queue: full, empty and closed are true answers even without a cell") {
  mpmc_queue<int> queue{2};
  {
    std::vector<mpmc_queue<int>::claim> claims;
    while (claims.size() != 64) claims.push_back(std::move(*queue.try_claim(-1)));
    CHECK(queue.try_push(1) == queue_status::busy);
    claims.pop_back();
    CHECK(queue.try_push(1) == queue_status::success);
    CHECK(queue.try_push(2) == queue_status::success);
    claims.push_back(std::move(*queue.try_claim(-1)));
    CHECK(queue.try_push(3) == queue_status::full);
    CHECK(claims.back().commit() == queue_status::full);
    CHECK(queue.try_pop().error() == queue_status::busy);
    CHECK(!queue.seal());
  }
  CHECK(queue.try_pop().value_or(0) == 1);
  mpmc_queue<int> other{64};
  for (int i = 0; i != 64; ++i) (void)other.try_push(i);
  nested(other, 64, [&other] {
    CHECK(other.try_pop().error() == queue_status::empty);
    CHECK(other.try_push(1) == queue_status::busy);
    CHECK(other.seal());
    CHECK(other.try_pop().error() == queue_status::closed);
    CHECK(other.try_push(1) == queue_status::closed);
  });
  CHECK(test_access::each_cell_is_in_one_place(other));
}

TEST_CASE("mpmc_queue: an exception out of 64 calls gives all their cells back") {
  test::ledger book;
  {
    mpmc_queue<test::tracked> queue{100};
    for (int round = 0; round != 3; ++round) {
      fill(queue);
      CHECK_THROWS_AS(nested(queue, 64, [] { throw test::boom{}; }), test::boom);
      CHECK(queue.size_approx() == 36);
      CHECK(book.alive() == 36);
      drain(queue);
      CHECK(test_access::each_cell_is_in_one_place(queue));
    }
  }
  CHECK(book.is_balanced());
}

// ---- Threads

TEST_CASE("mpmc_queue: a queue as large as its users never refuses one push and one pop of each") {
  const test::watchdog guard{"mpmc_queue: a queue as large as its users"};
  for (const std::size_t users : {1U, 2U, 3U, 4U}) {
    auto queue = test_access::starting_at<mpmc_queue<std::size_t>>(users, std::uint64_t{0} - 1000);
    std::vector<std::function<void()>> bodies;
    std::vector<int> refusals(users, 0);
    for (std::size_t user = 0; user != users; ++user) {
      bodies.push_back([&queue, &count = refusals[user], user] {
        for (int i = 0; i != 5000; ++i) {
          if (queue.try_push(user) != queue_status::success) ++count;
          if (!queue.try_pop()) ++count;
        }
      });
    }
    test::run_together(bodies);
    CHECK(refusals == std::vector<int>(users, 0));
    CHECK(queue.size_approx() == 0);
    CHECK(test_access::each_cell_is_in_one_place(queue));
  }
}

TEST_CASE("mpmc_queue: R-12: each of several consumers sees what happened before the push") {
  // The thread sanitizer proves it: the numbers would be races otherwise.
  const test::watchdog guard{"mpmc_queue: one producer and two consumers"};
  mpmc_queue<int*> queue{2};
  std::vector<int> numbers(2000, 0);
  std::atomic<int> taken{0};
  std::atomic<int> sum{0};
  const std::function<void()> consume = [&] {
    while (taken.load() != 2000) {
      const auto message = queue.try_pop();
      if (!message) {
        std::this_thread::yield();
        continue;
      }
      sum.fetch_add(**message);
      taken.fetch_add(1);
    }
  };
  const std::function<void()> produce = [&] {
    for (int& number : numbers) {
      number = 1;
      while (queue.try_push(&number) != queue_status::success) std::this_thread::yield();
    }
  };
  test::run_together({produce, consume, consume});
  CHECK(sum.load() == 2000);
}
