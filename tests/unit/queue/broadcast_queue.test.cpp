// SPDX-License-Identifier: MIT
// Every reader sees every message. The four kinds of queue share most claims.

#include <mailroom/queue/broadcast_queue.hpp>

#include <doctest/doctest.h>
#include <support/allocators.hpp>
#include <support/positions.hpp>
#include <support/print.hpp>
#include <support/threads.hpp>
#include <support/tracked.hpp>

#include <array>           // array
#include <atomic>          // atomic
#include <cstddef>         // size_t, ptrdiff_t
#include <cstdint>         // uint64_t
#include <iterator>        // back_inserter, default_sentinel, istream_iterator, make_move_iterator
#include <memory>          // allocator, shared_ptr, unique_ptr
#include <memory_resource> // polymorphic_allocator, monotonic_buffer_resource, null_memory_resource
#include <new>             // bad_alloc
#include <span>            // span
#include <sstream>         // istringstream
#include <stdexcept>       // invalid_argument, length_error
#include <string>          // string, to_string
#include <thread>          // this_thread
#include <type_traits>     // is_copy_constructible, ...
#include <utility>         // move
#include <vector>          // vector

namespace {

using mailroom::arity;
using mailroom::broadcast_mode;
using mailroom::broadcast_queue;
using mailroom::queue_status;

template <broadcast_mode Mode, arity Producers>
struct kind {
  static constexpr bool is_lossy = Mode == broadcast_mode::lossy;
  static constexpr bool is_shared = Producers == arity::many;
  template <class T, class Allocator = std::allocator<T>>
  using queue = broadcast_queue<T, Mode, Producers, Allocator>;
};
using lossless_one = kind<broadcast_mode::lossless, arity::one>;
using lossless_many = kind<broadcast_mode::lossless, arity::many>;
using lossy_one = kind<broadcast_mode::lossy, arity::one>;
using lossy_many = kind<broadcast_mode::lossy, arity::many>;

std::vector<int> numbers(int first, std::size_t count) {
  std::vector<int> all;
  for (std::size_t i = 0; i != count; ++i) all.push_back(first + static_cast<int>(i));
  return all;
}

int value_of(int number) { return number; }
int value_of(const test::entry& message) { return message.value(); }

/// Everything that the reader has not seen yet.
template <class Reader>
std::vector<int> drain(Reader& reader) {
  std::vector<int> all;
  while (reader.consume_all([&](const auto& each) { all.push_back(value_of(each)); }) != 0) {
  }
  return all;
}

constexpr std::size_t capacities[] = {1, 2, 3, 4, 7};

} // namespace

TEST_CASE("broadcast_queue: its facts say what a thread that stands still does to the others") {
  using mailroom::progress;
  using mailroom::queue_facts;
  const auto promises = []<class Kind>(Kind, progress expected) {
    using facts = queue_facts<typename Kind::template queue<int>>;
    static_assert(facts::producers == (Kind::is_shared ? arity::many : arity::one));
    static_assert(facts::consumers == arity::many);
    static_assert(facts::order == mailroom::ordering::fifo);
    static_assert(facts::bounded && !facts::sequentially_consistent);
    return facts::push_progress == expected && facts::pop_progress == expected;
  };
  CHECK(promises(lossless_one{}, progress::wait_free));
  CHECK(promises(lossless_many{}, progress::blocking));
  CHECK(promises(lossy_one{}, progress::wait_free));
  CHECK(promises(lossy_many{}, progress::lock_free));
}

TEST_CASE("broadcast_queue: it is lossless, and for many producers, unless one says otherwise") {
  static_assert(std::is_same_v<broadcast_queue<int>, lossless_many::queue<int>>);
}

TEST_CASE_TEMPLATE("broadcast_queue: it stays where it is; its readers move, and are not copied",
                   Kind, lossless_one, lossless_many, lossy_one, lossy_many) {
  using queue = typename Kind::template queue<int>;
  static_assert(!std::is_copy_constructible_v<queue> && !std::is_move_constructible_v<queue>);
  static_assert(!std::is_convertible_v<std::size_t, queue>);
  static_assert(!std::is_copy_constructible_v<typename queue::reader>);
  static_assert(std::is_nothrow_move_constructible_v<typename queue::reader>);
  static_assert(std::is_nothrow_move_assignable_v<typename queue::reader>);
  CHECK_THROWS_AS(queue{0}, std::invalid_argument);
  CHECK_THROWS_AS(queue{static_cast<std::size_t>(-1)}, std::length_error);
}

TEST_CASE_TEMPLATE("broadcast_queue: every reader sees every message, in the same order", Kind,
                   lossless_one, lossless_many, lossy_one, lossy_many) {
  for (const std::size_t capacity : capacities) {
    for (std::uint64_t before = 0; before != 3 * capacity; ++before) {
      auto queue = test::test_access::starting_at<typename Kind::template queue<int>>(
          capacity, std::uint64_t{0} - before);
      CHECK(queue.capacity() == capacity);
      auto one = queue.subscribe();
      auto other = queue.subscribe();
      int next = 0;
      for (int round = 0; round != 9; ++round) {
        for (std::size_t i = 0; i != capacity; ++i) {
          REQUIRE(queue.try_push(next + static_cast<int>(i)) == queue_status::success);
        }
        CHECK(one.size_approx() == capacity);
        CHECK(drain(one) == numbers(next, capacity));
        CHECK(drain(other) == numbers(next, capacity));
        CHECK(one.size_approx() == 0);
        next += static_cast<int>(capacity);
      }
      CHECK(one.passed() == 9 * capacity);
      CHECK(one.missed() == 0);
    }
  }
}

TEST_CASE_TEMPLATE("broadcast_queue: a reader sees what is pushed after it has joined", Kind,
                   lossless_one, lossless_many, lossy_one, lossy_many) {
  typename Kind::template queue<int> queue{4};
  CHECK(queue.try_push(1) == queue_status::success);
  auto early = queue.subscribe();
  CHECK(early.try_pop().error() == queue_status::empty);
  CHECK(queue.try_push(2) == queue_status::success);
  auto late = queue.subscribe();
  CHECK(queue.try_push(3) == queue_status::success);
  CHECK(drain(early) == std::vector<int>{2, 3});
  CHECK(drain(late) == std::vector<int>{3});
  CHECK(queue.pushed() == 3);
  CHECK(early.passed() == 2);
  CHECK(late.passed() == 1);
}

TEST_CASE_TEMPLATE("broadcast_queue: where nobody reads there is always room", Kind, lossless_one,
                   lossless_many, lossy_one, lossy_many) {
  typename Kind::template queue<int> queue{3};
  for (int i = 0; i != 100; ++i) REQUIRE(queue.try_push(i) == queue_status::success);
  CHECK(queue.pushed() == 100);
  auto reader = queue.subscribe();
  CHECK(reader.try_pop().error() == queue_status::empty);
}

TEST_CASE_TEMPLATE("broadcast_queue: all ways to push and to pop carry the same", Kind,
                   lossless_one, lossless_many, lossy_one, lossy_many) {
  typename Kind::template queue<int> queue{8};
  auto reader = queue.subscribe();
  const int number = 1;
  CHECK(queue.try_push(number) == queue_status::success);
  CHECK(queue.try_emplace(2) == queue_status::success);
  std::istringstream words{"3 4"};
  CHECK(queue.try_push_range(std::istream_iterator<int>{words}, std::istream_iterator<int>{}) ==
        std::istream_iterator<int>{});
  std::array<int, 4> run{5, 6, 7, 8};
  CHECK(queue.try_move_range(run).empty());
  CHECK(reader.size_approx() == 8);

  CHECK(reader.try_pop().value_or(0) == 1);
  int into = 0;
  CHECK(reader.try_pop(into) == queue_status::success);
  CHECK(into == 2);
  std::vector<int> several;
  CHECK(reader.try_pop_n(std::back_inserter(several), 3) == 3);
  CHECK(several == std::vector<int>{3, 4, 5});
  CHECK(reader.try_pop_n(std::back_inserter(several), 0) == 0);
  CHECK(drain(reader) == std::vector<int>{6, 7, 8});
  into = 77;
  CHECK(reader.try_pop(into) == queue_status::empty);
  CHECK(into == 77);
  CHECK(reader.try_pop_n(std::back_inserter(several), 3) == 0);
  CHECK(reader.consume_all([](int) { FAIL("there is none"); }) == 0);
}

// ---- Lossless

TEST_CASE_TEMPLATE("broadcast_queue: the slowest reader decides when it is full", Kind,
                   lossless_one, lossless_many) {
  for (const std::size_t capacity : capacities) {
    typename Kind::template queue<int> queue{capacity};
    auto slow = queue.subscribe();
    auto quick = queue.subscribe();
    int next = 0;
    for (std::size_t i = 0; i != capacity; ++i) {
      REQUIRE(queue.try_push(next++) == queue_status::success);
    }
    CHECK(queue.try_push(99) == queue_status::full);
    CHECK(drain(quick).size() == capacity);
    CHECK(queue.try_push(99) == queue_status::full);
    for (int lap = 0; lap != 9; ++lap) {
      CHECK(slow.try_pop().value_or(-1) == next - static_cast<int>(capacity));
      CHECK(queue.try_push(next++) == queue_status::success);
      CHECK(queue.try_push(99) == queue_status::full);
      CHECK(drain(quick) == std::vector<int>{next - 1});
    }
    CHECK(drain(slow) == numbers(next - static_cast<int>(capacity), capacity));
    CHECK(slow.missed() == 0);
  }
}

TEST_CASE_TEMPLATE("broadcast_queue: a reader that leaves holds nobody back", Kind, lossless_one,
                   lossless_many) {
  typename Kind::template queue<int> queue{2};
  auto stays = queue.subscribe();
  {
    const auto leaves = queue.subscribe();
    for (int i = 0; i != 2; ++i) CHECK(queue.try_push(i) == queue_status::success);
    CHECK(drain(stays).size() == 2);
    CHECK(queue.try_push(2) == queue_status::full);
  }
  CHECK(queue.try_push(2) == queue_status::success);
  CHECK(drain(stays) == std::vector<int>{2});
}

TEST_CASE_TEMPLATE("broadcast_queue: a full queue leaves the arguments alone", Kind, lossless_one,
                   lossless_many) {
  test::ledger book;
  {
    typename Kind::template queue<test::tracked> queue{2};
    auto reader = queue.subscribe();
    std::vector<test::tracked> run;
    for (int i = 0; i != 4; ++i) run.emplace_back(i);
    const auto rest = queue.try_move_range(run);
    CHECK(rest.size() == 2);
    CHECK(rest.data() == run.data() + 2);
    CHECK(rest[0].value() == 2);
    CHECK(run[1].value() == test::moved_from);
    test::tracked message{9};
    CHECK(queue.try_push(message) == queue_status::full);
    CHECK(queue.try_push(std::move(message)) == queue_status::full);
    CHECK(queue.try_emplace(std::move(message)) == queue_status::full);
    CHECK(message.value() == 9);
    CHECK(queue.try_push_range(run.begin() + 2, run.end()) == run.begin() + 2);
    CHECK(drain(reader) == std::vector<int>{0, 1});
    CHECK(queue.try_push(std::move(message)) == queue_status::success);
    CHECK(message.value() == test::moved_from);
    CHECK(drain(reader) == std::vector<int>{9});
  }
  CHECK(book.is_balanced());
}

TEST_CASE_TEMPLATE("broadcast_queue: R-44: a push that throws changes nothing for readers", Kind,
                   lossless_one, lossless_many) {
  test::ledger book;
  {
    typename Kind::template queue<test::tracked> queue{2};
    auto reader = queue.subscribe();
    const test::tracked message{5};
    for (int lap = 0; lap != 7; ++lap) {
      book.fail_at(1);
      CHECK_THROWS_AS((void)queue.try_push(message), test::boom);
      book.fail_at(1);
      CHECK_THROWS_AS((void)queue.try_emplace(1), test::boom);
      CHECK(reader.try_pop().error() == queue_status::empty);
      CHECK(queue.try_emplace(lap) == queue_status::success);
      CHECK(drain(reader) == std::vector<int>{lap});
    }
    // In a run, what came before stays.
    const std::vector<test::tracked> run(3, message);
    book.fail_at(2);
    CHECK_THROWS_AS(queue.try_push_range(run.begin(), run.end()), test::boom);
    CHECK(drain(reader) == std::vector<int>{5});
  }
  CHECK(book.is_balanced());
}

TEST_CASE_TEMPLATE("broadcast_queue: a copy that throws leaves the message the next one", Kind,
                   lossless_one, lossless_many) {
  test::ledger book;
  {
    typename Kind::template queue<test::tracked> queue{3};
    auto reader = queue.subscribe();
    for (int i = 0; i != 3; ++i) CHECK(queue.try_emplace(i) == queue_status::success);
    book.fail_at(1);
    CHECK_THROWS_AS((void)reader.try_pop(), test::boom);
    test::tracked into{50};
    book.fail_at(1);
    CHECK_THROWS_AS((void)reader.try_pop(into), test::boom);
    CHECK(into.value() == 50);
    std::vector<test::tracked> out(3, into);
    book.fail_at(2);
    CHECK_THROWS_AS(reader.try_pop_n(out.begin(), 3), test::boom);
    CHECK(out[0].value() == 0);
    CHECK(reader.passed() == 1);
    CHECK(queue.try_emplace(3) == queue_status::success); // the room of the first is given back
    CHECK(reader.try_pop()->value() == 1);
    CHECK(drain(reader) == std::vector<int>{2, 3});
  }
  CHECK(book.is_balanced());
}

TEST_CASE_TEMPLATE("broadcast_queue: a handler that throws has passed its message, and no other",
                   Kind, lossless_one, lossless_many, lossy_one, lossy_many) {
  typename Kind::template queue<int> queue{3};
  auto reader = queue.subscribe();
  for (int i = 0; i != 3; ++i) CHECK(queue.try_push(i) == queue_status::success);
  CHECK_THROWS_AS(reader.consume_all([](int each) {
    if (each == 1) throw test::boom{};
  }),
                  test::boom);
  CHECK(reader.passed() == 2);
  CHECK(queue.try_push(3) == queue_status::success);
  CHECK(queue.try_push(4) == queue_status::success);
  CHECK(drain(reader) == std::vector<int>{2, 3, 4});
}

TEST_CASE_TEMPLATE(
    "broadcast_queue: a handler sees the message in its slot, and gives room back later", Kind,
    lossless_one, lossless_many) {
  test::ledger book;
  {
    typename Kind::template queue<test::move_only> queue{2};
    auto one = queue.subscribe();
    auto other = queue.subscribe();
    for (int i = 0; i != 2; ++i) CHECK(queue.try_emplace(i) == queue_status::success);
    const auto moves = book.moves();
    std::vector<const test::move_only*> places;
    CHECK(one.consume_all([&](const test::move_only& each) { places.push_back(&each); }) == 2);
    CHECK(other.consume_all([&](const test::move_only& each) {
      CHECK(places[static_cast<std::size_t>(each.value())] == &each);
      CHECK(queue.try_emplace(9) == queue_status::full);
    }) == 2);
    CHECK(book.moves() == moves);
    CHECK(queue.try_emplace(2) == queue_status::success);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("broadcast_queue: one producer publishes a run together, and may send what moves badly") {
  struct watching {
    using difference_type = std::ptrdiff_t;
    using value_type = int;
    const lossless_one::queue<test::throwing_move>* queue;
    std::vector<std::uint64_t>* seen;
    int value = 0;
    int operator*() const {
      seen->push_back(queue->pushed());
      return value;
    }
    watching& operator++() {
      ++value;
      return *this;
    }
    void operator++(int) { ++value; }
    bool operator==(std::default_sentinel_t) const { return value == 3; }
  };
  test::ledger book;
  {
    lossless_one::queue<test::throwing_move> queue{8};
    auto reader = queue.subscribe();
    std::vector<std::uint64_t> seen;
    queue.try_push_range(watching{&queue, &seen}, std::default_sentinel);
    CHECK(seen == std::vector<std::uint64_t>{0, 0, 0});
    CHECK(queue.pushed() == 3);
    CHECK(drain(reader) == std::vector<int>{0, 1, 2});
    test::throwing_move message{6};
    book.fail_at(1);
    CHECK_THROWS_AS((void)queue.try_push(std::move(message)), test::boom);
    CHECK(message.value() == 6);
    CHECK(queue.try_push(std::move(message)) == queue_status::success);
    CHECK(reader.try_pop()->value() == 6);
  }
  CHECK(book.is_balanced());
}

TEST_CASE_TEMPLATE("broadcast_queue: R-42: what is left inside ends with it, read or not", Kind,
                   lossless_one, lossless_many) {
  for (std::size_t pushes = 0; pushes != 12; ++pushes) {
    const auto shared = std::make_shared<int>(0);
    {
      typename Kind::template queue<std::shared_ptr<int>> queue{3};
      auto reader = queue.subscribe();
      for (std::size_t i = 0; i != pushes; ++i) {
        CHECK(queue.try_push(shared) == queue_status::success);
        if (i % 4 != 3 || pushes > 3) (void)reader.try_pop();
      }
    }
    CHECK(shared.use_count() == 1);
  }
}

TEST_CASE_TEMPLATE("broadcast_queue: messages that want their place aligned, or hide it", Kind,
                   lossless_one, lossless_many) {
  if (!test::std_allocator_aligns()) return;
  test::ledger book;
  {
    typename Kind::template queue<test::aligned<256>> wide{3};
    typename Kind::template queue<test::secretive> hidden{3};
    auto one = wide.subscribe();
    auto other = hidden.subscribe();
    for (int i = 0; i != 9; ++i) {
      CHECK(wide.try_emplace(i) == queue_status::success);
      CHECK(hidden.try_emplace(i) == queue_status::success);
      CHECK(drain(one) == std::vector<int>{i});
      CHECK(other.try_pop()->value() == i);
    }
  }
  CHECK(book.is_balanced());
}

// ---- Lossy

TEST_CASE_TEMPLATE("broadcast_queue: R-24: who was overtaken is told once, and how many it missed",
                   Kind, lossy_one, lossy_many) {
  for (std::uint64_t before = 0; before < 40; before += 3) {
    for (int count = 0; count != 40; ++count) {
      auto queue = test::test_access::starting_at<typename Kind::template queue<int>>(
          4, std::uint64_t{0} - before);
      auto reader = queue.subscribe();
      for (int i = 0; i != count; ++i) REQUIRE(queue.try_push(i) == queue_status::success);
      const int gone = count > 4 ? count - 4 : 0;
      if (gone != 0) CHECK(reader.try_pop().error() == queue_status::lagged);
      CHECK(reader.missed() == static_cast<std::uint64_t>(gone));
      CHECK(drain(reader) == numbers(gone, static_cast<std::size_t>(count - gone)));
      CHECK(reader.passed() == static_cast<std::uint64_t>(count));
      CHECK(reader.missed() == static_cast<std::uint64_t>(gone));
    }
  }
}

TEST_CASE_TEMPLATE(
    "broadcast_queue: a reader that is no more than capacity() behind misses nothing", Kind,
    lossy_one, lossy_many) {
  for (const std::size_t capacity : capacities) {
    typename Kind::template queue<int> queue{capacity};
    auto reader = queue.subscribe();
    int next = 0;
    for (std::size_t i = 0; i != capacity; ++i) (void)queue.try_push(next++);
    for (int i = 0; i != 50; ++i) {
      CHECK(reader.try_pop().value_or(-1) == i);
      (void)queue.try_push(next++);
    }
    CHECK(reader.missed() == 0);
  }
}

TEST_CASE_TEMPLATE("broadcast_queue: a gap ends a run, and lies behind it", Kind, lossy_one,
                   lossy_many) {
  typename Kind::template queue<int> queue{2};
  auto reader = queue.subscribe();
  for (int i = 0; i != 2; ++i) (void)queue.try_push(i);
  // While the first is handled, the second is overwritten.
  std::vector<int> seen;
  const auto handle = [&](int each) {
    seen.push_back(each);
    for (int i = 0; each == 0 && i != 4; ++i) (void)queue.try_push(2 + i);
  };
  CHECK(reader.consume_all(handle) == 1);
  CHECK(reader.missed() == 3);
  CHECK(reader.consume_all(handle) == 2);
  CHECK(seen == std::vector<int>{0, 4, 5});
  for (int i = 0; i != 9; ++i) (void)queue.try_push(10 + i);
  seen.clear();
  CHECK(reader.try_pop_n(std::back_inserter(seen), 5) == 0);
  CHECK(reader.missed() == 10);
  CHECK(reader.try_pop_n(std::back_inserter(seen), 5) == 2);
  CHECK(seen == std::vector<int>{17, 18});
  CHECK(reader.passed() == 15);
}

TEST_CASE_TEMPLATE("broadcast_queue: a run that is handed over is not longer than the queue", Kind,
                   lossy_one, lossy_many) {
  typename Kind::template queue<int> queue{4};
  auto reader = queue.subscribe();
  (void)queue.try_push(0);
  int next = 1;
  CHECK(reader.consume_all([&](int) { (void)queue.try_push(next++); }) == 4);
}

TEST_CASE("broadcast_queue: R-46: behind 64 pushes in progress a lossy one answers busy") {
  // A constructor that pushes is not in progress yet: the message is made before a cell is taken.
  struct pushing {
    explicit pushing(lossy_many::queue<int>& queue) { (void)queue.try_push(1); }
    operator int() const { return 2; }
  };
  lossy_many::queue<int> queue{2};
  auto reader = queue.subscribe();
  CHECK(queue.try_push(pushing{queue}) == queue_status::success);
  CHECK(drain(reader) == std::vector<int>{1, 2});
  CHECK(test::test_access::takes_all_spares(queue) == 64);
  CHECK(queue.try_push(3) == queue_status::busy);
  CHECK(reader.try_pop().error() == queue_status::empty);
}

// ---- Memory

TEST_CASE_TEMPLATE("broadcast_queue: R-43: the allocator gives all memory, and gets it back", Kind,
                   lossless_one, lossless_many, lossy_one, lossy_many) {
  using allocator = test::logging_allocator<int>;
  using queue_type = typename Kind::template queue<int, allocator>;
  test::allocation_log log;
  {
    queue_type queue{5, allocator{log}};
    const auto built = log.allocations;
    CHECK(built >= 1);
    {
      std::vector<typename queue_type::reader> readers;
      for (int i = 0; i != 40; ++i) readers.push_back(queue.subscribe());
      CHECK(log.allocations - built == (Kind::is_lossy ? 0 : 3)); // sixteen at a time
      for (int i = 0; i != 5; ++i) CHECK(queue.try_push(i) == queue_status::success);
      for (auto& each : readers) CHECK(drain(each) == numbers(0, 5));
    }
    const auto before = log.allocations;
    auto again = queue.subscribe();
    CHECK(queue.try_push(1) == queue_status::success);
    CHECK(again.try_pop().value_or(0) == 1);
    CHECK(log.allocations == before);
  }
  CHECK(log.blocks == 0);
  CHECK(log.bytes == 0);
}

TEST_CASE_TEMPLATE("broadcast_queue: an allocation that fails leaves nothing behind", Kind,
                   lossless_one, lossless_many, lossy_one, lossy_many) {
  using allocator = test::logging_allocator<int>;
  bool failed = true;
  for (std::size_t n = 1; failed; ++n) {
    test::allocation_log log;
    log.fail_at = n;
    failed = false;
    try {
      typename Kind::template queue<int, allocator> queue{5, allocator{log}};
      auto reader = queue.subscribe();
      CHECK(queue.try_push(1) == queue_status::success);
      CHECK(reader.try_pop().value_or(0) == 1);
    } catch (const std::bad_alloc&) {
      failed = true;
    }
    CHECK(failed == (log.fail_at == 0));
    CHECK(log.blocks == 0);
    REQUIRE(n < 10);
  }
}

TEST_CASE_TEMPLATE("broadcast_queue: it lives on any memory resource", Kind, lossless_one,
                   lossless_many, lossy_one, lossy_many) {
  std::vector<std::byte> room(1 << 16);
  std::pmr::monotonic_buffer_resource resource{room.data(), room.size(),
                                               std::pmr::null_memory_resource()};
  typename Kind::template queue<int, std::pmr::polymorphic_allocator<int>> queue{9, &resource};
  auto reader = queue.subscribe();
  CHECK(queue.try_push(3) == queue_status::success);
  CHECK(reader.try_pop().value_or(0) == 3);
}

// ---- Threads

TEST_CASE_TEMPLATE("broadcast_queue: readers in other threads see texts whole and in order", Kind,
                   lossless_one, lossless_many) {
  const test::watchdog guard{"broadcast_queue: texts"};
  typename Kind::template queue<std::string> queue{3};
  constexpr int messages = 3000;
  const auto text = [](int number) { return std::string(40, 'x') + std::to_string(number); };
  auto one = queue.subscribe();
  auto other = queue.subscribe();
  std::atomic<int> right{0};
  const auto read = [&](auto& reader) {
    for (int next = 0; next != messages;) {
      const auto message = reader.try_pop();
      if (!message) std::this_thread::yield();
      if (message && *message == text(next++)) right.fetch_add(1);
    }
  };
  test::run_together({[&] {
                        for (int i = 0; i != messages;) {
                          queue.try_push(text(i)) == queue_status::success
                              ? void(++i)
                              : std::this_thread::yield();
                        }
                      },
                      [&] { read(one); }, [&] { read(other); }});
  CHECK(right.load() == 2 * messages);
}

TEST_CASE_TEMPLATE("broadcast_queue: a reader may pass from thread to thread", Kind, lossless_one,
                   lossless_many, lossy_one, lossy_many) {
  typename Kind::template queue<int> queue{2};
  auto reader = queue.subscribe();
  for (int i = 0; i != 10; ++i) {
    (void)queue.try_push(i);
    std::thread other{[&, mine = std::move(reader)]() mutable {
      CHECK(mine.try_pop().value_or(-1) == i);
      reader = std::move(mine);
    }};
    other.join();
  }
}
