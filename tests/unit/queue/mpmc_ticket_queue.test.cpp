// SPDX-License-Identifier: MIT
// What is special about this queue. What it shares with the others is in tests/contract.
//
// Much here happens in one thread that elsewhere takes two: a message whose move uses the queue does
// so while its push, or its pop, is in the middle.

#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/queue/mpmc_ticket_queue.hpp>

#include <doctest/doctest.h>
#include <support/positions.hpp>
#include <support/print.hpp>
#include <support/threads.hpp>
#include <support/tracked.hpp>

#include <algorithm>   // min
#include <array>       // array
#include <atomic>      // atomic
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <functional>  // function
#include <iterator>    // back_inserter, make_move_iterator
#include <span>        // span
#include <string>      // string
#include <thread>      // this_thread
#include <type_traits> // is_copy_constructible, ...
#include <utility>     // move
#include <vector>      // vector

namespace {

using mailroom::mpmc_ticket_queue;
using mailroom::queue_status;
using test::test_access;
constexpr std::uint64_t wrap = 0; // less so many: so many positions before the end

template <class Queue>
concept pops_into =
    requires(Queue& queue, typename Queue::value_type& into) { queue.try_pop(into); };

/// Fills the queue up with sevens, and says how many fitted.
template <class Queue>
std::size_t fill(Queue& queue) {
  std::size_t count = 0;
  while (queue.try_emplace(7) == queue_status::success) ++count;
  return count;
}

template <class Queue>
std::vector<int> drain(Queue& queue) {
  std::vector<int> values;
  queue.consume_all([&values](auto&& message) { values.push_back(message.value()); });
  return values;
}

/// A number whose constructor does something else first, and may throw.
struct eager {
  int number;
  explicit eager(const std::function<int()>& make) : number{make()} {}
  int value() const noexcept { return number; }
};

} // namespace

TEST_CASE("mpmc_ticket_queue: its facts are many at both ends, and blocking both ways") {
  using facts = mailroom::queue_facts<mpmc_ticket_queue<int>>;
  static_assert(mailroom::queue<mpmc_ticket_queue<int>>);
  static_assert(mailroom::queue<mpmc_ticket_queue<test::move_only, 3>>);
  static_assert(facts::producers == mailroom::arity::many);
  static_assert(facts::consumers == mailroom::arity::many);
  static_assert(facts::order == mailroom::ordering::fifo);
  static_assert(facts::push_progress == mailroom::progress::blocking);
  static_assert(facts::pop_progress == mailroom::progress::blocking);
  static_assert(facts::bounded);
  static_assert(facts::sequentially_consistent);
}

TEST_CASE("mpmc_ticket_queue: it stays where it is, and is not made from a number by accident") {
  using dynamic = mpmc_ticket_queue<int>;
  using fixed = mpmc_ticket_queue<int, 4>;
  static_assert(!std::is_copy_constructible_v<dynamic>);
  static_assert(!std::is_move_constructible_v<dynamic>);
  static_assert(!std::is_copy_assignable_v<dynamic>);
  static_assert(!std::is_convertible_v<std::size_t, dynamic>);
  static_assert(!std::is_default_constructible_v<dynamic>);
  static_assert(std::is_default_constructible_v<fixed>);
  static_assert(!std::is_constructible_v<fixed, std::size_t>);
}

TEST_CASE("mpmc_ticket_queue: an operation throws only what a message throws") {
  mpmc_ticket_queue<std::string> texts{1};
  std::string text;
  static_assert(noexcept(texts.try_push(std::move(text))));
  static_assert(!noexcept(texts.try_push(text)));
  static_assert(noexcept(texts.try_emplace()));
  static_assert(!noexcept(texts.try_emplace("a text")));
  static_assert(noexcept(texts.try_move_range(std::span<std::string>{})));
  static_assert(noexcept(texts.try_pop()));
  static_assert(noexcept(texts.try_pop(text)));
  static_assert(noexcept(texts.seal()));
  static_assert(noexcept(texts.size_approx()));
  static_assert(noexcept(texts.pushed()));
  static_assert(noexcept(texts.popped()));
  static_assert(!pops_into<mpmc_ticket_queue<test::unassignable>>);
}

TEST_CASE("mpmc_ticket_queue: producers and consumers do not share a cache line") {
  static_assert(alignof(mpmc_ticket_queue<char, 2>) >= mailroom::detail::cache_line);
  static_assert(sizeof(mpmc_ticket_queue<char, 2>) == 3 * mailroom::detail::cache_line);
}

// ---- In the middle of a call

TEST_CASE("mpmc_ticket_queue: R-46: behind a push in the middle a pop is told busy, never empty") {
  test::ledger book;
  {
    mpmc_ticket_queue<test::meddler> queue{2};
    test::meddler message{1};
    bool is_met = false;
    test::meddler::next = [&] {
      is_met = true;
      CHECK(queue.try_pop().error() == queue_status::busy);
      CHECK(queue.try_push(test::meddler{2}) == queue_status::success);
      CHECK(queue.try_pop().error() == queue_status::busy);
      CHECK(queue.try_push(test::meddler{3}) == queue_status::full);
      CHECK(queue.consume_all([](auto&&) {}) == 0);
      CHECK(queue.size_approx() == 2);
      CHECK_FALSE(queue.seal());
    };
    CHECK(queue.try_push(std::move(message)) == queue_status::success);
    CHECK(is_met);
    CHECK(drain(queue) == std::vector<int>{1, 2});
  }
  CHECK(book.is_balanced());
}

TEST_CASE("mpmc_ticket_queue: R-46: behind a pop in the middle a push is told busy, never full") {
  test::ledger book;
  {
    mpmc_ticket_queue<test::meddler> queue{2};
    fill(queue);
    bool is_met = false;
    test::meddler::next = [&] {
      is_met = true;
      test::meddler kept{8};
      CHECK(queue.try_push(std::move(kept)) == queue_status::busy);
      CHECK(kept.value() == 8);
      CHECK(queue.try_emplace(9) == queue_status::busy);
      CHECK(queue.size_approx() == 1);
      CHECK(queue.try_pop().has_value());
      CHECK(queue.try_pop().error() == queue_status::empty);
      CHECK(queue.try_push(test::meddler{8}) == queue_status::busy);
    };
    CHECK(queue.try_pop().has_value());
    CHECK(is_met);
    CHECK(fill(queue) == 2);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("mpmc_ticket_queue: a queue that becomes empty by a pop in the middle can be sealed") {
  test::ledger book;
  {
    mpmc_ticket_queue<test::meddler> queue{2};
    (void)queue.try_emplace(1);
    test::meddler::next = [&] { CHECK(queue.seal()); };
    CHECK(queue.try_pop().has_value());
    CHECK(queue.try_pop().error() == queue_status::closed);
    CHECK(queue.try_emplace(2) == queue_status::closed);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("mpmc_ticket_queue: a constructor that may throw runs before there is a position") {
  mpmc_ticket_queue<eager> queue{1};
  bool is_met = false;
  const auto looks = [&] {
    is_met = true;
    CHECK(queue.size_approx() == 0);
    CHECK(queue.try_pop().error() == queue_status::empty);
    return 5;
  };
  CHECK(queue.try_emplace(looks) == queue_status::success);
  CHECK(is_met);
  is_met = false;
  CHECK(queue.try_emplace(looks) == queue_status::full);
  CHECK_FALSE(is_met); // and not when the queue is full at the beginning
  CHECK(queue.try_pop()->value() == 5);
}

TEST_CASE("mpmc_ticket_queue: a message whose place was taken on the way is dropped") {
  test::ledger book;
  for (const std::size_t capacity : {1U, 2U, 3U, 7U}) {
    mpmc_ticket_queue<test::meddler> queue{capacity};
    test::meddler message{1};
    test::meddler::next = [&queue] { fill(queue); };
    CHECK(queue.try_push(message) == queue_status::full); // its copy ran before the CAS
    CHECK(message.value() == 1);
    CHECK(drain(queue) == std::vector<int>(capacity, 7));
    test::meddler::next = [&queue] { CHECK(queue.seal()); };
    CHECK(queue.try_push(message) == queue_status::closed);
    CHECK(message.value() == 1);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("mpmc_ticket_queue: R-44: a constructor that throws leaves no hole") {
  test::ledger book;
  for (const std::size_t capacity : {1U, 2U, 3U}) {
    auto queue = test_access::starting_at<mpmc_ticket_queue<test::tracked>>(capacity, wrap - 5);
    for (int lap = 0; lap != 10; ++lap) {
      book.fail_at(1);
      CHECK_THROWS_AS((void)queue.try_emplace(1), test::boom);
      CHECK(queue.try_emplace(lap) == queue_status::success);
      CHECK(queue.try_pop()->value() == lap);
    }
    CHECK(queue.pushed() == 5);
    CHECK(fill(queue) == capacity);
  }
  CHECK(book.is_balanced());
}

// ---- Runs

TEST_CASE("mpmc_ticket_queue: a run goes in and out whole, by one CAS and one by one") {
  for (const std::size_t capacity : {1U, 2U, 3U, 7U, 64U}) {
    auto queue = test_access::starting_at<mpmc_ticket_queue<int>>(capacity, wrap - 3);
    std::vector<int> run(100);
    for (int i = 0; i != 100; ++i) run[static_cast<std::size_t>(i)] = i;
    const std::vector<int> in(run.begin(), run.begin() + static_cast<long>(capacity));
    for (int lap = 0; lap != 3; ++lap) {
      CHECK(queue.try_push_range(run.begin(), run.end()) - run.begin() ==
            static_cast<long>(capacity));
      std::vector<int> out(100, -1);
      CHECK(queue.try_pop_n(out.data(), 100) == capacity);
      out.resize(capacity);
      CHECK(out == in);

      const auto begin = std::make_move_iterator(run.begin());
      CHECK(queue.try_push_range(begin, std::make_move_iterator(run.end())) - begin ==
            static_cast<long>(capacity));
      out.clear();
      CHECK(queue.try_pop_n(std::back_inserter(out), 100) == capacity);
      CHECK(out == in);

      CHECK(queue.try_move_range(run).size() == 100 - capacity);
      CHECK(queue.consume_all([](int&&) {}) == capacity);
    }
  }
}

TEST_CASE("mpmc_ticket_queue: a run of texts is moved only as far as it fits") {
  mpmc_ticket_queue<std::string> queue{3};
  std::vector<std::string> run(5, "too long to be kept inside a string");
  CHECK(queue.try_move_range(run).size() == 2);
  CHECK(run[2].empty());
  CHECK(run[3] == "too long to be kept inside a string");
  std::array<std::string, 5> out;
  CHECK(queue.try_pop_n(out.begin(), 5) == 3);
  CHECK(out[2] == run[4]);
  CHECK(out[3].empty());
  CHECK(queue.try_push_range(run.begin() + 3, run.end()) == run.end()); // copies
  CHECK(run[3] == run[4]);
}

TEST_CASE("mpmc_ticket_queue: an element that does not fit is not looked at") {
  struct counter {
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    int* reads;
    int at;
    int operator*() const { return ++*reads, at; }
    counter& operator++() { return ++at, *this; }
    void operator++(int) { ++at; }
    bool operator==(const counter& other) const { return at == other.at; }
  };
  int reads = 0;
  mpmc_ticket_queue<int> queue{3};
  CHECK(queue.try_push_range(counter{&reads, 0}, counter{nullptr, 9}).at == 3);
  CHECK(reads == 3);
  mpmc_ticket_queue<test::tracked> others{3};
  test::ledger book;
  CHECK(others.try_push_range(counter{&reads, 0}, counter{nullptr, 9}).at == 3);
  CHECK(reads == 6);
  drain(others);
}

TEST_CASE("mpmc_ticket_queue: a target that throws costs its message, and holds nobody up") {
  test::ledger book;
  {
    mpmc_ticket_queue<test::move_only> queue{3};
    for (int i = 0; i != 3; ++i) (void)queue.try_emplace(i);
    struct thrower {
      using difference_type = std::ptrdiff_t;
      thrower& operator*() { return *this; }
      thrower& operator++() { return *this; }
      thrower operator++(int) { return *this; }
      thrower& operator=(test::move_only&&) { throw test::boom{}; }
    };
    CHECK_THROWS_AS(queue.try_pop_n(thrower{}, 3), test::boom);
    CHECK(queue.size_approx() == 2);
    CHECK(queue.try_emplace(3) == queue_status::success); // its place was free before
    CHECK(drain(queue) == std::vector<int>{1, 2, 3});
  }
  CHECK(book.is_balanced());
}

// ---- A handler uses the queue

TEST_CASE("mpmc_ticket_queue: the place of a message is free as soon as its handler has it") {
  for (const std::size_t capacity : {1U, 2U, 3U, 7U, 64U}) {
    mpmc_ticket_queue<int> queue{capacity};
    while (queue.try_push(1) == queue_status::success) {
    }
    bool all_fitted = true;
    const auto count = queue.consume_all([&](int&& message) {
      all_fitted = all_fitted && queue.try_push(message + 1) == queue_status::success;
    });
    CHECK(all_fitted);
    CHECK(count == capacity); // and no more, though there are more
    CHECK(queue.size_approx() == capacity);
    CHECK(queue.try_pop().value_or(0) == 2);
  }
}

TEST_CASE("mpmc_ticket_queue: a handler may take messages, fill the queue and go round it") {
  test::ledger book;
  for (const std::size_t capacity : {1U, 2U, 3U, 7U}) {
    auto queue = test_access::starting_at<mpmc_ticket_queue<test::tracked>>(capacity, wrap - 20);
    fill(queue);
    std::size_t calls = 0;
    queue.consume_all([&](test::tracked&& message) {
      CHECK(message.value() == (calls == 0 ? 7 : 9));
      if (calls++ != 0) return;
      for (int lap = 0; lap != 100; ++lap) {
        drain(queue);
        CHECK(fill(queue) == capacity);
      }
      drain(queue);
      CHECK(queue.try_emplace(9) == queue_status::success);
    });
    CHECK(calls == (capacity == 1 ? 1 : 2));
  }
  CHECK(book.is_balanced());
}

// ---- Threads

TEST_CASE("mpmc_ticket_queue: one alone that pushes and pops is never told busy, full or empty") {
  auto queue = test_access::starting_at<mpmc_ticket_queue<int, 1>>(1, wrap - 500);
  for (int i = 0; i != 1000; ++i) {
    REQUIRE(queue.try_push(i) == queue_status::success);
    REQUIRE(queue.try_pop().value_or(-1) == i);
  }
}

TEST_CASE("mpmc_ticket_queue: a queue as large as its users is never full, and never empty behind "
          "the own push") {
  const test::watchdog guard{"mpmc_ticket_queue: a queue as large as its users"};
  for (const std::size_t users : {1U, 2U, 3U, 4U}) {
    auto queue = test_access::starting_at<mpmc_ticket_queue<std::size_t>>(users, wrap - 1000);
    std::vector<std::function<void()>> bodies;
    std::vector<int> refusals(users, 0);
    for (std::size_t user = 0; user != users; ++user) {
      bodies.push_back([&queue, &count = refusals[user], user] {
        for (int i = 0; i != 5000; ++i) {
          queue_status status = queue_status::busy;
          while ((status = queue.try_push(user)) == queue_status::busy) std::this_thread::yield();
          if (status != queue_status::success) ++count;
          std::size_t message = 0;
          while ((status = queue.try_pop(message)) == queue_status::busy) std::this_thread::yield();
          if (status != queue_status::success) ++count;
        }
      });
    }
    test::run_together(bodies);
    CHECK(refusals == std::vector<int>(users, 0));
    CHECK(queue.size_approx() == 0);
  }
}

TEST_CASE("mpmc_ticket_queue: every message arrives once, in its producer's order, by runs too") {
  const test::watchdog guard{"mpmc_ticket_queue: producers and consumers"};
  constexpr int each = 3000;
  for (const std::size_t capacity : {1U, 3U, 8U}) {
    auto queue = test_access::starting_at<mpmc_ticket_queue<int>>(capacity, wrap - 1000);
    std::atomic<int> taken{0};
    std::array<std::vector<int>, 2> got;
    const auto produce = [&queue](int who) {
      return [&queue, who] {
        std::array<int, 4> run{};
        for (int next = 0; next != each;) {
          const int length = std::min(each - next, 1 + next % 4);
          for (int i = 0; i != length; ++i)
            run[static_cast<std::size_t>(i)] = who * each + next + i;
          const int* const end = run.data() + length;
          const int* const rest = queue.try_push_range(run.data(), end);
          if (rest == run.data()) std::this_thread::yield();
          next += static_cast<int>(rest - run.data());
        }
      };
    };
    const auto consume = [&](std::size_t who) {
      return [&, who] {
        std::array<int, 3> out{};
        while (taken.load() != 2 * each) {
          const std::size_t count = queue.try_pop_n(out.data(), out.size());
          if (count == 0) std::this_thread::yield();
          got[who].insert(got[who].end(), out.data(), out.data() + count);
          taken.fetch_add(static_cast<int>(count));
        }
      };
    };
    test::run_together({produce(0), produce(1), consume(0), consume(1)});
    std::vector<int> seen(2 * each, 0);
    bool in_order = true;
    for (const auto& those : got) {
      std::array<int, 2> last{-1, -1};
      for (const int message : those) {
        int& before = last[static_cast<std::size_t>(message / each)];
        in_order = in_order && before < message;
        before = message;
        ++seen[static_cast<std::size_t>(message)];
      }
    }
    CHECK(in_order);
    CHECK(seen == std::vector<int>(2 * each, 1));
  }
}

TEST_CASE("mpmc_ticket_queue: R-12: each of several consumers sees what happened before the push") {
  // The thread sanitizer proves it: the numbers would be races otherwise.
  const test::watchdog guard{"mpmc_ticket_queue: one producer and two consumers"};
  mpmc_ticket_queue<int*> queue{2};
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

TEST_CASE(
    "mpmc_ticket_queue: R-04: whoever looks sees counts that grow, and never more out than in") {
  const test::watchdog guard{"mpmc_ticket_queue: somebody looks"};
  auto queue = test_access::starting_at<mpmc_ticket_queue<int>>(3, 0);
  std::atomic<bool> done{false};
  bool is_right = true;
  const std::function<void()> use = [&] {
    for (int i = 0; i != 5000; ++i) {
      (void)queue.try_push(i);
      (void)queue.try_pop();
    }
    done.store(true);
  };
  const std::function<void()> look = [&] {
    std::uint64_t in_before = 0, out_before = 0;
    while (!done.load()) {
      const auto out = queue.popped();
      const auto in = queue.pushed();
      is_right =
          is_right && out <= in && out >= out_before && in >= in_before && queue.size_approx() <= 3;
      in_before = in;
      out_before = out;
    }
  };
  test::run_together({use, use, look});
  CHECK(is_right);
}

// ---- A mailbox over it

TEST_CASE("mpmc_ticket_queue: a mailbox over it waits, and closes without loss") {
  const test::watchdog guard{"a mailbox over mpmc_ticket_queue"};
  for (const std::size_t capacity : {1U, 3U}) {
    mailroom::mailbox<int, mpmc_ticket_queue<int>> mail{capacity};
    std::atomic<int> sent{0};
    std::atomic<int> received{0};
    const std::function<void()> produce = [&] {
      for (int i = 0; i != 2000 && mail.push(i); ++i) sent.fetch_add(1);
    };
    const std::function<void()> consume = [&] {
      while (mail.pop()) {
        if (received.fetch_add(1) == 1500) mail.close();
      }
    };
    test::run_together({produce, produce, consume, consume});
    CHECK(sent.load() == received.load());
    CHECK(mail.is_drained());
    CHECK(mail.try_push(1) == queue_status::closed);
  }
}
