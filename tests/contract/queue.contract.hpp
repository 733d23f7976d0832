// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_CONTRACT_QUEUE_CONTRACT_HPP
#define MAILROOM_TESTS_CONTRACT_QUEUE_CONTRACT_HPP

// What every queue must do, said once. queue.test.cpp runs it on every kind of queue; a new kind is
// one line there. What is said about full queues is for those that have a bound.
//
// A claim gets a flavor and tries each size of it: sizes that are a power of two and sizes that are
// not, and the smallest, where full and empty lie next to each other.

#include <mailroom/core/status.hpp>
#include <mailroom/detail/capacity.hpp>

#include <contract/queue_flavors.hpp>
#include <contract/queue_scripts.hpp>
#include <doctest/doctest.h>
#include <support/allocators.hpp>
#include <support/positions.hpp>
#include <support/print.hpp>
#include <support/seed.hpp>
#include <support/threads.hpp>
#include <support/tracked.hpp>

#include <algorithm>       // max
#include <atomic>          // atomic
#include <chrono>          // milliseconds
#include <cstddef>         // size_t, ptrdiff_t
#include <cstdint>         // uint64_t
#include <iterator>        // istream_iterator, back_inserter, make_move_iterator, default_sentinel
#include <memory>          // unique_ptr
#include <memory_resource> // memory_resource, monotonic_buffer_resource, polymorphic_allocator
#include <new>             // bad_alloc
#include <optional>        // optional
#include <random>          // mt19937
#include <sstream>         // istringstream
#include <stdexcept>       // invalid_argument, length_error
#include <string>          // string, to_string
#include <thread>          // this_thread
#include <type_traits>     // remove_cvref
#include <utility>         // exchange, move
#include <vector>          // vector

namespace contract {

// ---- How many

TEST_CASE_TEMPLATE_DEFINE("queue: R-26: the capacity is exactly what was asked for", Flavor,
                          capacity) {
  Flavor::template each_size<int>([](const auto& size) {
    auto queue = size.make();
    CHECK(queue.capacity() == size.capacity);
    CHECK(fill(queue) == size.capacity);
    CHECK(queue.try_push(1) == queue_status::full);
    CHECK(drain(queue) == numbers(0, size.capacity));
    CHECK(fill(queue) == size.capacity);
  });
}

TEST_CASE_TEMPLATE_DEFINE("queue: R-02: full and empty are exact, lap after lap", Flavor, exact) {
  Flavor::template each_size<int>([](const auto& size) {
    auto queue = size.make();
    CHECK(is_exact(queue, size.capacity, size.capacity < 100 ? 40 : 4));
  });
}

TEST_CASE_TEMPLATE_DEFINE("queue: R-22: the positions may wrap", Flavor, wrap) {
  Flavor::template each_size<int>([](const auto& size) {
    const std::uint64_t starts = 3 * size.capacity;
    const std::uint64_t step = std::max<std::uint64_t>(1, starts / 25);
    for (std::uint64_t before = 0; before <= starts; before += step) {
      INFO("starting ", before, " before the end");
      auto queue = size.starting_at(std::uint64_t{0} - before);
      CHECK(is_exact(queue, size.capacity, 4));
      CHECK(queue.size_approx() == 0);
    }
  });
}

TEST_CASE_TEMPLATE_DEFINE("queue: messages come out in the order they went in", Flavor, fifo) {
  Flavor::template each_size<int>([](const auto& size) {
    auto queue = size.make();
    int in = 0;
    int out = 0;
    for (std::size_t round = 0; round != 200; ++round) {
      for (std::size_t i = 0; i != 1 + round % 5; ++i) {
        if (queue.try_push(in) == queue_status::success) ++in;
      }
      for (std::size_t i = 0; i != 1 + round % 3; ++i) {
        if (const auto message = queue.try_pop()) CHECK(*message == out++);
      }
    }
    CHECK(drain(queue) == numbers(out, static_cast<std::size_t>(in - out)));
  });
}

TEST_CASE_TEMPLATE_DEFINE("queue: R-03: at rest size_approx, pushed and popped are exact", Flavor,
                          sizes) {
  Flavor::template each_size<int>([](const auto& size) {
    auto queue = size.make();
    std::size_t in = 0;
    std::size_t out = 0;
    for (std::size_t round = 0; round != 3; ++round) {
      while (in - out != size.capacity) {
        if (queue.try_push(1) == queue_status::success) ++in;
        REQUIRE(queue.size_approx() == in - out);
      }
      CHECK(takes_no_more(queue));
      CHECK(queue.size_approx() == size.capacity);
      for (std::size_t i = 0; i != size.capacity - round % size.capacity; ++i) {
        if (queue.try_pop()) ++out;
        REQUIRE(queue.size_approx() == in - out);
      }
      CHECK(queue.pushed() == in);
      CHECK(queue.popped() == out);
    }
  });
}

/// Whether one more pop, and one more push, do what the size lets expect.
template <class Queue>
bool size_tells_the_truth(Queue& queue, std::size_t expected) {
  if (queue.size_approx() != expected || queue.pushed() - queue.popped() != expected) return false;
  const bool popped = queue.try_pop().has_value();
  if (popped != (expected != 0)) return false;
  if (popped && queue.try_push(1) != queue_status::success) return false;
  const bool pushed = queue.try_push(1) == queue_status::success;
  if (pushed != (expected != queue.capacity())) return false;
  return !pushed || queue.try_pop().has_value();
}

TEST_CASE_TEMPLATE_DEFINE("queue: R-03: there is something to pop exactly when the size says so",
                          Flavor, size_and_pop) {
  Flavor::template each_small_size<int>([](const auto& size) {
    auto queue = size.make();
    for (std::size_t round = 0; round != 70; ++round) { // beyond any block of 32 or 64
      const std::size_t wanted = round * 5 % (size.capacity + 1);
      while (queue.size_approx() < wanted) REQUIRE(queue.try_push(1) == queue_status::success);
      while (queue.size_approx() > wanted) REQUIRE(queue.try_pop().has_value());
      REQUIRE(size_tells_the_truth(queue, wanted));
    }
  });
}

TEST_CASE_TEMPLATE_DEFINE("queue: R-21: the positions may pass 2^31 and 2^32", Flavor, at_32_bits) {
  Flavor::template each_small_size<int>([](const auto& size) {
    for (const unsigned bits : {31U, 32U, 33U, 63U}) {
      for (const std::uint64_t before : {std::uint64_t{0}, 2 * std::uint64_t{size.capacity} + 1}) {
        INFO("starting ", before, " before 2^", bits);
        auto queue = size.starting_at((std::uint64_t{1} << bits) - before);
        CHECK(is_exact(queue, size.capacity, 6));
        CHECK(queue.size_approx() == 0);
      }
    }
  });
}

TEST_CASE_TEMPLATE_DEFINE("queue: R-24: the size is right while the counts that make it wrap",
                          Flavor, wrapping_size) {
  Flavor::template each_small_size<int>([](const auto& size) {
    for (std::uint64_t before = 0; before != 2 * size.capacity + 2; ++before) {
      INFO("starting ", before, " before the end");
      auto queue = size.starting_at(std::uint64_t{0} - before);
      std::size_t inside = 0;
      for (std::size_t i = 0; i != 4 * size.capacity + 4; ++i) {
        REQUIRE(size_tells_the_truth(queue, inside));
        if (inside != size.capacity) {
          REQUIRE(queue.try_push(1) == queue_status::success);
          ++inside;
        } else {
          while (inside != i % 2) inside -= queue.try_pop().has_value() ? 1U : 0U;
        }
      }
      CHECK(queue.pushed() < 40 * size.capacity + 40); // it did wrap
    }
  });
}

// ---- Two threads

// A look at two counters goes wrong when its thread is interrupted between them, so there are more
// threads than cores, and the ones that look never give way by themselves.
TEST_CASE_TEMPLATE_DEFINE("queue: R-04: whoever looks sees a size from none to capacity()", Flavor,
                          watched) {
  Flavor::template each_small_size<int>([](const auto& size) {
    auto queue = size.starting_at(test::last_position - 300); // wraps on the way
    const test::watchdog guard{"queue: somebody looks at the size"};
    std::atomic<bool> done{false};
    std::atomic<bool> wrong{false};
    const auto look = [&] {
      while (!done.load()) {
        if (queue.size_approx() > size.capacity) wrong.store(true);
      }
    };
    test::run_together({look, look, look,
                        [&] {
                          while (!done.load()) (void)queue.try_push(1);
                        },
                        [&] {
                          while (!done.load()) (void)queue.try_pop();
                        },
                        [&] {
                          std::this_thread::sleep_for(std::chrono::milliseconds{40});
                          done.store(true);
                        }});
    CHECK_FALSE(wrong.load());
    CHECK(drain(queue).size() <= size.capacity);
    CHECK(queue.size_approx() == 0);
  });
}

// The thread sanitizer proves it: a slot that is given back too early is a race for its message.
TEST_CASE_TEMPLATE_DEFINE("queue: R-10: one slot passes texts on, whole, as often as it is used",
                          Flavor, one_slot) {
  Flavor::template each_small_size<std::string>([](const auto& size) {
    auto queue = size.make();
    const test::watchdog guard{"queue: texts through few slots"};
    const auto text = [](int number) { return std::string(50, 'x') + std::to_string(number); };
    int whole = 0;
    constexpr int count = 1000;
    test::run_together({[&] {
                          for (int i = 0; i != count;) {
                            queue.try_push(text(i)) == queue_status::success
                                ? void(++i)
                                : std::this_thread::yield();
                          }
                        },
                        [&] {
                          for (int i = 0; i != count;) {
                            const auto message = queue.try_pop();
                            if (!message) std::this_thread::yield();
                            if (message && *message == text(i++)) ++whole;
                          }
                        }});
    CHECK(whole == count);
  });
}

// ---- What fails changes nothing

TEST_CASE_TEMPLATE_DEFINE("queue: a full queue leaves the arguments alone", Flavor, refusal) {
  test::ledger book;
  Flavor::template each_size<test::tracked>([](const auto& size) {
    auto queue = size.make();
    fill(queue);
    test::tracked message{77};
    CHECK(queue.try_push(message) == queue_status::full);
    CHECK(queue.try_push(std::move(message)) == queue_status::full);
    CHECK(queue.try_emplace(std::move(message)) == queue_status::full);
    CHECK(message.value() == 77);

    auto more = messages<test::tracked>(100, 3);
    CHECK(queue.try_move_range(more).size() == 3);
    const auto first = std::make_move_iterator(more.begin());
    CHECK(queue.try_push_range(first, std::make_move_iterator(more.end())) == first);
    CHECK(queue.try_push_range(more.begin(), more.end()) == more.begin());
    CHECK(values_of(more) == numbers(100, 3));
    CHECK(drain(queue) == numbers(0, size.capacity));
  });
  CHECK(book.is_balanced());
}

TEST_CASE_TEMPLATE_DEFINE("queue: a run that does not fit leaves its rest alone", Flavor, rest) {
  test::ledger book;
  Flavor::template each_size<test::tracked>([](const auto& size) {
    for (const std::size_t room : {std::size_t{0}, std::size_t{1}, size.capacity}) {
      if (room > size.capacity) continue;
      auto queue = size.make();
      for (std::size_t i = room; i != size.capacity; ++i) (void)queue.try_emplace(-2);
      auto run = messages<test::tracked>(0, room + 3);
      const auto rest = queue.try_move_range(run);
      CHECK(rest.size() == 3);
      CHECK(rest.data() == run.data() + room);
      CHECK(values_of(rest) == numbers(static_cast<int>(room), 3));
      for (std::size_t i = 0; i != room; ++i) REQUIRE(run[i].value() == test::moved_from);
    }
  });
  CHECK(book.is_balanced());
}

TEST_CASE_TEMPLATE_DEFINE("queue: an empty queue leaves the target alone", Flavor, target) {
  test::ledger book;
  Flavor::template each_size<test::tracked>([](const auto& size) {
    auto queue = size.make();
    test::tracked into{5};
    CHECK(queue.try_pop(into) == queue_status::empty);
    CHECK(into.value() == 5);
    CHECK(queue.try_emplace(6) == queue_status::success);
    CHECK(queue.try_pop(into) == queue_status::success);
    CHECK(into.value() == 6);
    CHECK(queue.try_pop(into) == queue_status::empty);
    CHECK(into.value() == 6);
    std::vector<int> nothing;
    CHECK(queue.try_pop_n(reader{&nothing}, 9) == 0);
    CHECK(queue.consume_all([](auto&&) { FAIL("there is no message"); }) == 0);
  });
  CHECK(book.is_balanced());
}

// ---- What may travel

TEST_CASE_TEMPLATE_DEFINE("queue: messages that can only be moved", Flavor, only_moved) {
  test::ledger book;
  Flavor::template each_size<test::move_only>([](const auto& size) {
    auto queue = size.make();
    CHECK(queue.try_push(test::move_only{1}) == queue_status::success);
    auto message = queue.try_pop();
    REQUIRE(message.has_value());
    CHECK(message->value() == 1);

    auto run = messages<test::move_only>(10, size.capacity);
    CHECK(queue.try_move_range(run).empty());
    test::move_only into{0};
    CHECK(queue.try_pop(into) == queue_status::success);
    CHECK(into.value() == 10);
    CHECK(queue.try_push(std::move(into)) == queue_status::success);
    std::vector<test::move_only> out;
    CHECK(queue.try_pop_n(std::back_inserter(out), size.capacity) == size.capacity);
    CHECK(out.back().value() == 10);
    CHECK(queue.try_push(std::move(*message)) == queue_status::success); // and left inside
  });
  CHECK(book.is_balanced());
}

TEST_CASE_TEMPLATE_DEFINE("queue: messages that can only be copied", Flavor, only_copied) {
  test::ledger book;
  Flavor::template each_size<test::copy_only>([](const auto& size) {
    auto queue = size.make();
    const test::copy_only message{3};
    CHECK(queue.try_push(message) == queue_status::success);
    CHECK(take(queue) == 3);
    const auto run = messages<test::copy_only>(0, size.capacity + 1);
    CHECK(queue.try_push_range(run.begin(), end_for(queue, run, 1)) == run.end() - 1);
    CHECK(take(queue) == 0);
    CHECK(drain(queue) == numbers(1, size.capacity - 1));
    CHECK(queue.try_push(message) == queue_status::success); // and left inside
    CHECK(message.value() == 3);
  });
  CHECK(book.is_balanced());
}

template <class Flavor, std::size_t Alignment>
void keeps_alignment() {
  if (!test::std_allocator_aligns()) return; // the queues on the heap use it
  test::ledger book;
  Flavor::template each_small_size<test::aligned<Alignment>>([](const auto& size) {
    using queue_type = typename std::remove_cvref_t<decltype(size)>::queue;
    const std::unique_ptr<queue_type> queue{
        new queue_type(test_access::starting_at<queue_type>(size.capacity, 0))};
    for (int round = 0; round != 3; ++round) {
      CHECK(fill(size, *queue) == size.capacity);
      auto first = queue->try_pop();
      CHECK(first->value() == 0);
      CHECK(drain(*queue) == numbers(1, size.capacity - 1));
    }
    CHECK(queue->try_push(test::aligned<Alignment>{1}) == queue_status::success);
  });
  CHECK(book.fault() == "");
  CHECK(book.is_balanced());
}

TEST_CASE_TEMPLATE_DEFINE("queue: messages get the alignment that they want", Flavor, alignment) {
  keeps_alignment<Flavor, 64>();
  keeps_alignment<Flavor, 4096>();
}

TEST_CASE_TEMPLATE_DEFINE("queue: messages that hide their address and their heap", Flavor,
                          hidden) {
  test::ledger book;
  Flavor::template each_size<test::secretive>([](const auto& size) {
    auto queue = size.make();
    CHECK(queue.try_push(test::secretive{1}) == queue_status::success);
    test::secretive message{0};
    CHECK(queue.try_pop(message) == queue_status::success);
    CHECK(message.value() == 1);
    CHECK(queue.try_push(message) == queue_status::success);
    CHECK(queue.try_pop()->value() == 1);
    auto run = messages<test::secretive>(0, size.capacity);
    CHECK(queue.try_move_range(run).empty());
    if constexpr (is_bounded<decltype(queue)>) {
      CHECK(queue.try_push(std::move(message)) == queue_status::full); // which is handed back whole
    }
    CHECK(message.value() == 1);
    CHECK(drain(queue) == numbers(0, size.capacity));
  });
  CHECK(book.is_balanced());
}

// ---- What is thrown

TEST_CASE_TEMPLATE_DEFINE("queue: R-44: a constructor that throws changes nothing", Flavor,
                          constructor) {
  test::ledger book;
  Flavor::template each_small_size<test::tracked>([&book](const auto& size) {
    const test::tracked message{50};
    for (std::size_t before = 0; before != size.capacity; ++before) {
      auto queue = size.make();
      for (std::size_t i = 0; i != before; ++i) (void)queue.try_emplace(static_cast<int>(i));
      const std::size_t alive = book.alive();
      book.fail_at(1);
      CHECK_THROWS_AS((void)queue.try_emplace(40), test::boom);
      book.fail_at(1);
      CHECK_THROWS_AS((void)queue.try_push(message), test::boom);
      CHECK(book.alive() == alive);
      CHECK(queue.size_approx() == before);
      for (std::size_t i = before; i != size.capacity; ++i) {
        CHECK(queue.try_emplace(static_cast<int>(i)) == queue_status::success);
      }
      CHECK(takes_no_more(queue));
      CHECK(drain(queue) == numbers(0, size.capacity));
    }
  });
  CHECK(book.is_balanced());
}

TEST_CASE_TEMPLATE_DEFINE("queue: a run that throws leaves in what came before", Flavor,
                          thrown_run) {
  test::ledger book;
  Flavor::template each_small_size<test::tracked>([&book](const auto& size) {
    const auto run = messages<test::tracked>(0, size.capacity + 2);
    for (std::size_t n = 1; n <= size.capacity; ++n) {
      auto queue = size.starting_at(test::last_position);
      const std::size_t alive = book.alive();
      book.fail_at(static_cast<int>(n));
      CHECK_THROWS_AS(queue.try_push_range(run.begin(), run.end()), test::boom);
      CHECK(book.alive() == alive + n - 1);
      CHECK(queue.size_approx() == n - 1);
      const auto next = queue.try_push_range(run.begin() + static_cast<std::ptrdiff_t>(n) - 1,
                                             end_for(queue, run, 2));
      CHECK(next == run.end() - 2);
      CHECK(drain(queue) == numbers(0, size.capacity));
    }
  });
  CHECK(book.is_balanced());
}

/// Counts up from 0; its n-th `*` or `++` throws.
struct faulty_iterator {
  using difference_type = std::ptrdiff_t;
  using value_type = int;
  int* steps;
  int value = 0;

  int operator*() const {
    step();
    return value;
  }
  faulty_iterator& operator++() {
    step();
    ++value;
    return *this;
  }
  void operator++(int) { ++*this; }
  friend bool operator==(const faulty_iterator&, std::default_sentinel_t) { return false; }

private:
  void step() const {
    if (--*steps == 0) throw test::boom{};
  }
};

TEST_CASE_TEMPLATE_DEFINE("queue: an iterator that throws costs no message", Flavor,
                          thrown_iterator) {
  Flavor::template each_small_size<int>([](const auto& size) {
    // The first step reads 0, the second goes on to 1, the third reads 1, ...
    for (int n = 1; n <= 2 * static_cast<int>(size.capacity); ++n) {
      auto queue = size.make();
      int steps = n;
      CHECK_THROWS_AS(queue.try_push_range(faulty_iterator{&steps}, std::default_sentinel),
                      test::boom);
      CHECK(drain(queue) == numbers(0, static_cast<std::size_t>(n / 2)));
      CHECK(fill(size, queue) == size.capacity);
    }
  });
}

TEST_CASE_TEMPLATE_DEFINE("queue: a handler that throws costs its own message", Flavor,
                          thrown_handler) {
  test::ledger book;
  using message = message_for<Flavor, test::throwing_move, test::move_only>;
  Flavor::template each_small_size<message>([&book](const auto& size) {
    for (std::size_t n = 0; n != size.capacity; ++n) {
      auto queue = size.starting_at(test::last_position);
      fill(size, queue);
      std::size_t calls = 0;
      CHECK_THROWS_AS(queue.consume_all([&](auto&&) {
        if (calls++ == n) throw test::boom{};
      }),
                      test::boom);
      CHECK(calls == n + 1);
      CHECK(queue.size_approx() == size.capacity - n - 1);
      CHECK(book.alive() == size.capacity - n - 1);
      CHECK(queue.try_emplace(static_cast<int>(size.capacity)) == queue_status::success);
      CHECK(drain(queue) == numbers(static_cast<int>(n) + 1, size.capacity - n));
    }
  });
  CHECK(book.is_balanced());
}

TEST_CASE_TEMPLATE_DEFINE("queue: a target that throws costs at most its own message", Flavor,
                          thrown_out) {
  test::ledger book;
  using message = message_for<Flavor, test::copy_only, test::tracked>;
  Flavor::template each_small_size<message>([&book](const auto& size) {
    for (std::size_t n = 0; n != size.capacity; ++n) {
      auto queue = size.starting_at(test::last_position);
      fill(size, queue);
      std::vector<int> out;
      const reader target{&out, static_cast<int>(n) + 1};
      CHECK_THROWS_AS(queue.try_pop_n(target, size.capacity), test::boom);
      CHECK(out == numbers(0, n));
      const std::size_t left = queue.size_approx();
      CHECK((left == size.capacity - n || left == size.capacity - n - 1));
      CHECK(book.alive() == left);
      CHECK(drain(queue) == numbers(static_cast<int>(size.capacity - left), left));
      CHECK(fill(size, queue) == size.capacity);
    }
  });
  CHECK(book.is_balanced());
}

// ---- Runs

TEST_CASE_TEMPLATE_DEFINE("queue: a run is taken as far as it fits", Flavor, runs) {
  Flavor::template each_size<int>([](const auto& size) {
    auto queue = size.starting_at(test::last_position);
    const auto run = numbers(0, size.capacity + 5);
    CHECK(queue.try_push_range(run.begin(), run.begin()) == run.begin());
    CHECK(queue.size_approx() == 0);
    CHECK(queue.try_push_range(run.begin(), run.end()) == run.end() - 5);
    CHECK(queue.size_approx() == size.capacity);

    std::vector<int> out;
    CHECK(queue.try_pop_n(reader{&out}, 0) == 0);
    CHECK(queue.try_pop_n(reader{&out}, 1) == 1);
    CHECK(queue.try_push_range(run.end() - 5, run.end()) == run.end() - 4);
    CHECK(queue.try_pop_n(reader{&out}, size.capacity + 9) == size.capacity);
    CHECK(out == numbers(0, size.capacity + 1));
  });
}

TEST_CASE_TEMPLATE_DEFINE("queue: a run out takes all that is there", Flavor, run_out) {
  Flavor::template each_size<int>([](const auto& size) {
    if (size.capacity < 3) return;
    auto queue = size.make();
    (void)queue.try_push(0);
    (void)queue.try_push(1);
    CHECK(queue.try_pop().value_or(-1) == 0);
    (void)queue.try_push(2);
    (void)queue.try_push(3);
    std::vector<int> out;
    CHECK(queue.try_pop_n(reader{&out}, 9) == 3);
    CHECK(out == numbers(1, 3));
  });
}

TEST_CASE_TEMPLATE_DEFINE("queue: a run may come from an input that is read once", Flavor, input) {
  Flavor::template each_small_size<int>([](const auto& size) {
    auto queue = size.make();
    std::istringstream text{"0 1 2 3 4 5 6 7 8 9 10 11"};
    std::istream_iterator<int> next{text};
    const std::istream_iterator<int> end;
    std::vector<int> out;
    while (next != end) {
      next = queue.try_push_range(next, end);
      queue.try_pop_n(reader{&out}, 2);
    }
    for (const int value : drain(queue)) out.push_back(value);
    CHECK(out == numbers(0, 12));
  });
}

TEST_CASE_TEMPLATE_DEFINE("queue: a run may be of another type than the messages", Flavor,
                          converted) {
  Flavor::template each_small_size<std::optional<long>>([](const auto& size) {
    auto queue = size.make();
    const std::vector<short> run(size.capacity, 4);
    CHECK(queue.try_push_range(run.begin(), run.end()) == run.end());
    std::optional<long> message;
    CHECK(queue.try_pop(message) == queue_status::success);
    CHECK(message == 4L);
  });
}

TEST_CASE_TEMPLATE_DEFINE("queue: consume_all hands the messages over in place", Flavor, in_place) {
  test::ledger book;
  Flavor::template each_size<test::tracked>([&book](const auto& size) {
    auto queue = size.starting_at(test::last_position);
    for (int round = 0; round != 2; ++round) {
      fill(size, queue);
      const long before = book.moves() + book.copies();
      int next = 0;
      const auto count = queue.consume_all([&](test::tracked&& message) {
        if (message.value() == next) ++next;
      });
      CHECK(count == size.capacity);
      CHECK(next == static_cast<int>(size.capacity));
      CHECK(book.moves() + book.copies() == before);
      CHECK(book.alive() == 0);
    }
  });
  CHECK(book.is_balanced());
}

TEST_CASE_TEMPLATE_DEFINE("queue: consume_all takes any handler that can be invoked", Flavor,
                          handlers) {
  test::ledger book;
  Flavor::template each_small_size<test::tracked>([](const auto& size) {
    auto queue = size.make();
    fill(size, queue);
    std::vector<test::tracked> kept;
    const auto by_value = [&kept](test::tracked message) { kept.push_back(std::move(message)); };
    CHECK(queue.consume_all(by_value) == size.capacity);
    CHECK(values_of(kept) == numbers(0, size.capacity));
    fill(size, queue);
    int sum = 0;
    auto counting = [&sum, calls = 0](const test::tracked& message) mutable {
      sum += message.value() - calls++;
    };
    CHECK(queue.consume_all(counting) == size.capacity);
    CHECK(sum == 0);
  });
  CHECK(book.is_balanced());
}

// ---- The end of a queue

/// Writes down when it ends with its message still in it.
struct last_words {
  static inline std::vector<int> heard;
  int value;

  explicit last_words(int with) noexcept : value{with} {}
  last_words(last_words&& other) noexcept : value{std::exchange(other.value, test::moved_from)} {}
  last_words& operator=(last_words&&) = delete;
  ~last_words() {
    if (value != test::moved_from) heard.push_back(value);
  }
};

TEST_CASE_TEMPLATE_DEFINE("queue: R-42: what is left inside ends with it, first in first", Flavor,
                          destructor) {
  Flavor::template each_size<last_words>([](const auto& size) {
    for (const std::size_t taken : {std::size_t{0}, size.capacity / 2, size.capacity}) {
      last_words::heard.clear();
      {
        auto queue = size.starting_at(test::last_position - taken);
        fill(size, queue);
        for (std::size_t i = 0; i != taken; ++i) (void)queue.try_pop();
        last_words::heard.clear();
      }
      CHECK(last_words::heard == numbers(static_cast<int>(taken), size.capacity - taken));
    }
  });
}

// ---- Where the slots come from

TEST_CASE_TEMPLATE_DEFINE("queue: R-43: the allocator gives all memory, and gets it back", Flavor,
                          memory) {
  test::ledger book;
  if constexpr (Flavor::has_allocator) {
    using allocator = test::logging_allocator<test::tracked>;
    using queue_type = typename Flavor::template queue<test::tracked, allocator>;
    for (const std::size_t capacity : {1U, 3U, 1000U}) {
      test::allocation_log log;
      {
        queue_type queue{capacity, allocator{log}};
        const std::size_t allocations = log.allocations;
        CHECK(allocations >= 1);
        CHECK(log.bytes >= capacity * sizeof(test::tracked));
        for (int round = 0; round != 20; ++round) {
          fill(queue);
          drain(queue);
        }
        fill(queue);
        CHECK(log.allocations == allocations);
      }
      CHECK(log.blocks == 0);
      CHECK(log.bytes == 0);
    }
  }
  CHECK(book.is_balanced());
}

TEST_CASE_TEMPLATE_DEFINE("queue: an allocation that fails leaves nothing behind", Flavor,
                          no_memory) {
  if constexpr (Flavor::has_allocator) {
    using allocator = test::logging_allocator<int>;
    using queue_type = typename Flavor::template queue<int, allocator>;
    bool failed = true;
    for (std::size_t n = 1; failed; ++n) {
      test::allocation_log log;
      log.fail_at = n;
      failed = false;
      try {
        queue_type queue{5, allocator{log}};
        CHECK(fill(queue) == 5);
      } catch (const std::bad_alloc&) {
        failed = true;
      }
      CHECK(failed == (log.fail_at == 0));
      CHECK(log.blocks == 0);
      REQUIRE(n < 20);
    }
  }
}

/// A resource that counts what is out.
class counting_resource : public std::pmr::memory_resource {
public:
  std::size_t out = 0;

private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    out += bytes;
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override {
    out -= bytes;
    std::pmr::new_delete_resource()->deallocate(block, bytes, alignment);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

TEST_CASE_TEMPLATE_DEFINE("queue: a memory resource gives all memory", Flavor, resource) {
  test::ledger book;
  if constexpr (Flavor::has_allocator) {
    using message = test::aligned<64>;
    using allocator = std::pmr::polymorphic_allocator<message>;
    counting_resource source;
    {
      auto queue = Flavor::template with<message>(allocator{&source}, 3);
      CHECK(source.out >= 3 * sizeof(message));
      CHECK(fill(size_of<decltype(queue)>{3}, queue) == 3);
    }
    CHECK(source.out == 0);
    std::vector<std::byte> own(1 << 16); // the caller's, and there is no other
    std::pmr::monotonic_buffer_resource room{own.data(), own.size(),
                                             std::pmr::null_memory_resource()};
    auto queue = Flavor::template with<message>(allocator{&room}, 3);
    CHECK(fill(size_of<decltype(queue)>{3}, queue) == 3);
  }
  CHECK(book.is_balanced());
}

TEST_CASE_TEMPLATE_DEFINE("queue: a capacity that cannot be is refused", Flavor, impossible) {
  if constexpr (Flavor::has_allocator) {
    using queue_type = typename Flavor::template queue<int>;
    using mailroom::detail::max_slots;
    CHECK_THROWS_AS(queue_type{0}, std::invalid_argument);
    CHECK_THROWS_AS(queue_type{max_slots + 1}, std::length_error);
    CHECK_THROWS_AS(queue_type{mailroom::dynamic_capacity}, std::length_error);
    CHECK_THROWS_AS(queue_type{max_slots}, std::bad_alloc); // as long as no machine has so much
  }
}

// ---- Seals, where there are any

TEST_CASE_TEMPLATE_DEFINE("queue: a sealed queue answers closed to everybody", Flavor, sealed) {
  test::ledger book;
  Flavor::template each_size<test::tracked>([](const auto& size) {
    for (const std::uint64_t before : {0U, 1U, 2U, 3U}) {
      auto queue = size.starting_at(std::uint64_t{0} - before);
      if constexpr (can_be_sealed<decltype(queue)>) {
        for (std::size_t i = 0; i != before; ++i) {
          (void)queue.try_emplace(1);
          (void)queue.try_pop();
        }
        CHECK(queue.seal());
        test::tracked message{9};
        auto run = messages<test::tracked>(0, 3);
        CHECK(queue.try_push(message) == queue_status::closed);
        CHECK(queue.try_push(std::move(message)) == queue_status::closed);
        CHECK(queue.try_emplace(std::move(message)) == queue_status::closed);
        CHECK(queue.try_move_range(run).size() == 3);
        CHECK(queue.try_push_range(run.begin(), run.end()) == run.begin());
        CHECK(queue.try_pop().error() == queue_status::closed);
        CHECK(queue.try_pop(message) == queue_status::closed);
        CHECK(message.value() == 9);
        CHECK(values_of(run) == numbers(0, 3));
        CHECK(drain(queue).empty());
        CHECK(queue.seal());
        CHECK(queue.size_approx() == 0);
        CHECK(queue.pushed() == queue.popped());
        if constexpr (is_bounded<decltype(queue)>) CHECK(queue.capacity() == size.capacity);
        if constexpr (requires { queue.spare_cells; }) {
          CHECK(test_access::each_cell_is_in_one_place(queue));
        }
      }
    }
  });
  CHECK(book.is_balanced());
}

TEST_CASE_TEMPLATE_DEFINE("queue: a queue with a message in it cannot be sealed", Flavor,
                          unsealed) {
  Flavor::template each_size<int>([](const auto& size) {
    auto queue = size.starting_at(test::last_position);
    if constexpr (can_be_sealed<decltype(queue)>) {
      for (std::size_t lap = 0; lap != 3; ++lap) {
        for (std::size_t i = 0; i != size.capacity; ++i) {
          REQUIRE(queue.try_push(static_cast<int>(i)) == queue_status::success);
          REQUIRE(!queue.seal());
        }
        CHECK(takes_no_more(queue));
        for (std::size_t i = 0; i != size.capacity; ++i) {
          REQUIRE(!queue.seal());
          REQUIRE(queue.try_pop().value_or(-1) == static_cast<int>(i));
        }
      }
      CHECK(queue.seal());
      CHECK(queue.try_pop().error() == queue_status::closed);
    }
  });
}

// ---- Anything at all

TEST_CASE_TEMPLATE_DEFINE("queue: whatever a script does, a deque does the same", Flavor, scripts) {
  std::mt19937 random{test::seed()};
  Flavor::template each_small_size<test::tracked>([&random](const auto& size) {
    for (int round = 0; round != 60; ++round) {
      const auto first = std::uint64_t{0} - random() % (4 * size.capacity);
      const script steps = random_script(random, size.capacity, 120);
      const auto fails = [&](const script& some) { return !play(size, first, some).empty(); };
      if (!fails(steps)) continue;
      const script least = shrunk(steps, fails);
      FAIL("seed=", test::seed(), " wrong: ", play(size, first, least), "\n", to_text(least));
    }
  });
}

} // namespace contract

/// Runs the claims about every queue on the flavors that are named.
#define MAILROOM_QUEUE_CONTRACT(...)                                                               \
  namespace contract {                                                                             \
  TEST_CASE_TEMPLATE_INVOKE(fifo, __VA_ARGS__);                                                    \
  TEST_CASE_TEMPLATE_INVOKE(sizes, __VA_ARGS__);                                                   \
  TEST_CASE_TEMPLATE_INVOKE(size_and_pop, __VA_ARGS__);                                            \
  TEST_CASE_TEMPLATE_INVOKE(one_slot, __VA_ARGS__);                                                \
  TEST_CASE_TEMPLATE_INVOKE(target, __VA_ARGS__);                                                  \
  TEST_CASE_TEMPLATE_INVOKE(only_moved, __VA_ARGS__);                                              \
  TEST_CASE_TEMPLATE_INVOKE(alignment, __VA_ARGS__);                                               \
  TEST_CASE_TEMPLATE_INVOKE(hidden, __VA_ARGS__);                                                  \
  TEST_CASE_TEMPLATE_INVOKE(constructor, __VA_ARGS__);                                             \
  TEST_CASE_TEMPLATE_INVOKE(thrown_run, __VA_ARGS__);                                              \
  TEST_CASE_TEMPLATE_INVOKE(thrown_iterator, __VA_ARGS__);                                         \
  TEST_CASE_TEMPLATE_INVOKE(thrown_handler, __VA_ARGS__);                                          \
  TEST_CASE_TEMPLATE_INVOKE(thrown_out, __VA_ARGS__);                                              \
  TEST_CASE_TEMPLATE_INVOKE(run_out, __VA_ARGS__);                                                 \
  TEST_CASE_TEMPLATE_INVOKE(input, __VA_ARGS__);                                                   \
  TEST_CASE_TEMPLATE_INVOKE(converted, __VA_ARGS__);                                               \
  TEST_CASE_TEMPLATE_INVOKE(handlers, __VA_ARGS__);                                                \
  TEST_CASE_TEMPLATE_INVOKE(destructor, __VA_ARGS__);                                              \
  TEST_CASE_TEMPLATE_INVOKE(resource, __VA_ARGS__);                                                \
  TEST_CASE_TEMPLATE_INVOKE(sealed, __VA_ARGS__);                                                  \
  TEST_CASE_TEMPLATE_INVOKE(unsealed, __VA_ARGS__);                                                \
  TEST_CASE_TEMPLATE_INVOKE(scripts, __VA_ARGS__);                                                 \
  }                                                                                                \
  static_assert(true)

/// Runs those that ask for any message, and for its being handed over in place.
#define MAILROOM_ANY_MESSAGE_CONTRACT(...)                                                         \
  namespace contract {                                                                             \
  TEST_CASE_TEMPLATE_INVOKE(only_copied, __VA_ARGS__);                                             \
  TEST_CASE_TEMPLATE_INVOKE(in_place, __VA_ARGS__);                                                \
  }                                                                                                \
  static_assert(true)

/// Runs those about what is full, and about memory that is there from the beginning.
#define MAILROOM_BOUNDED_QUEUE_CONTRACT(...)                                                       \
  namespace contract {                                                                             \
  TEST_CASE_TEMPLATE_INVOKE(capacity, __VA_ARGS__);                                                \
  TEST_CASE_TEMPLATE_INVOKE(exact, __VA_ARGS__);                                                   \
  TEST_CASE_TEMPLATE_INVOKE(wrap, __VA_ARGS__);                                                    \
  TEST_CASE_TEMPLATE_INVOKE(at_32_bits, __VA_ARGS__);                                              \
  TEST_CASE_TEMPLATE_INVOKE(wrapping_size, __VA_ARGS__);                                           \
  TEST_CASE_TEMPLATE_INVOKE(watched, __VA_ARGS__);                                                 \
  TEST_CASE_TEMPLATE_INVOKE(refusal, __VA_ARGS__);                                                 \
  TEST_CASE_TEMPLATE_INVOKE(rest, __VA_ARGS__);                                                    \
  TEST_CASE_TEMPLATE_INVOKE(runs, __VA_ARGS__);                                                    \
  TEST_CASE_TEMPLATE_INVOKE(memory, __VA_ARGS__);                                                  \
  TEST_CASE_TEMPLATE_INVOKE(no_memory, __VA_ARGS__);                                               \
  TEST_CASE_TEMPLATE_INVOKE(impossible, __VA_ARGS__);                                              \
  }                                                                                                \
  static_assert(true)

#endif // MAILROOM_TESTS_CONTRACT_QUEUE_CONTRACT_HPP
