// SPDX-License-Identifier: MIT
// A queue allocates when it is constructed, and never again; one without a bound not either, once
// it has been as full as it gets. The global operator new of this program counts, while it is told
// to.

#include <mailroom/mailbox/async.hpp>
#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/queue/broadcast_queue.hpp>
#include <mailroom/queue/intrusive_mpsc_queue.hpp>
#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/queue/mpmc_ticket_queue.hpp>
#include <mailroom/queue/mpsc_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <doctest/doctest.h>
#include <support/print.hpp>

#include <version> // __cpp_lib_coroutine

#if defined(__cpp_lib_coroutine)
#include <support/task.hpp>
#endif

#include <array>   // array
#include <atomic>  // atomic
#include <cstddef> // size_t
#include <cstdlib> // malloc, aligned_alloc, free
#include <memory>  // unique_ptr, make_unique
#include <new>     // align_val_t, bad_alloc, nothrow_t
#include <span>    // span
#include <utility> // move

namespace {

std::atomic<bool> counting{false};
std::atomic<int> counted{0};

void* count_and_allocate(std::size_t size) noexcept {
  if (counting.load()) counted.fetch_add(1);
  return std::malloc(size == 0 ? 1 : size);
}
void* count_and_allocate(std::size_t size, std::align_val_t alignment) noexcept {
  if (counting.load()) counted.fetch_add(1);
  const auto unit = static_cast<std::size_t>(alignment);
  return std::aligned_alloc(unit, (size + unit) / unit * unit);
}
void* or_throw(void* block) {
  if (block == nullptr) throw std::bad_alloc{};
  return block;
}

/// Not inlined, for a compiler that sees free() behind operator new suspects a mistake.
[[gnu::noinline]] void give_back(void* block) noexcept { std::free(block); }

/// Counts allocations as long as it lives.
class count {
public:
  count() noexcept {
    counted.store(0);
    counting.store(true);
  }
  count(const count&) = delete;
  count& operator=(const count&) = delete;
  ~count() { counting.store(false); }

  /// How many there were, with which the counting ends.
  int end() noexcept {
    counting.store(false);
    return counted.load();
  }
};

/// Uses every operation that all queues have, for some laps.
template <class Queue>
int use(Queue& queue) {
  using message = typename Queue::value_type;
  std::array<message, 5> run{};
  message one{};
  int answers = 0;
  for (int round = 0; round != 100; ++round) {
    answers += queue.try_push(one) == mailroom::queue_status::success;
    answers += queue.try_push(message{}) == mailroom::queue_status::success;
    answers += queue.try_emplace() == mailroom::queue_status::success;
    answers += queue.try_push_range(run.begin(), run.end()) != run.begin();
    answers += queue.try_move_range(std::span<message>{run}).size() != run.size();
    answers += queue.try_pop().has_value();
    answers += queue.try_pop(one) == mailroom::queue_status::success;
    answers += queue.try_pop_n(run.begin(), 2) != 0;
    answers += queue.size_approx() != 0;
    queue.consume_all([&one](message&& last) { one = std::move(last); });
  }
  return answers;
}

template <class Queue>
void check_use(Queue& queue) {
  count allocations;
  const int answers = use(queue);
  const int allocated = allocations.end();
  CHECK(allocated == 0);
  CHECK(answers > 300);
}

} // namespace

void* operator new(std::size_t size) { return or_throw(count_and_allocate(size)); }
void* operator new[](std::size_t size) { return or_throw(count_and_allocate(size)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return or_throw(count_and_allocate(size, alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return or_throw(count_and_allocate(size, alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return count_and_allocate(size);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return count_and_allocate(size);
}
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return count_and_allocate(size, alignment);
}
void* operator new[](std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return count_and_allocate(size, alignment);
}
void operator delete(void* block) noexcept { give_back(block); }
void operator delete[](void* block) noexcept { give_back(block); }
void operator delete(void* block, std::size_t) noexcept { give_back(block); }
void operator delete[](void* block, std::size_t) noexcept { give_back(block); }
void operator delete(void* block, std::align_val_t) noexcept { give_back(block); }
void operator delete[](void* block, std::align_val_t) noexcept { give_back(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { give_back(block); }
void operator delete[](void* block, std::size_t, std::align_val_t) noexcept { give_back(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { give_back(block); }
void operator delete[](void* block, const std::nothrow_t&) noexcept { give_back(block); }

TEST_CASE("no_allocation: the counter counts") {
  count allocations;
  const auto number = std::make_unique<int>(1);
  CHECK(allocations.end() == 1);
}

TEST_CASE("no_allocation: a queue with its slots inside allocates nothing at all") {
  count allocations;
  mailroom::spsc_queue<int, 7> spsc;
  mailroom::mpmc_queue<int, 7> mpmc;
  mailroom::mpmc_ticket_queue<int, 7> tickets;
  int answers = use(spsc);
  answers += use(mpmc);
  answers += use(tickets);
  CHECK(allocations.end() == 0);
  CHECK(answers > 900);
}

TEST_CASE("no_allocation: a queue on the heap allocates once, when it is constructed") {
  count allocations;
  mailroom::spsc_queue<int> queue{7};
  CHECK(allocations.end() == 1);
  check_use(queue);
}

TEST_CASE("no_allocation: a ring of tickets allocates once, when it is constructed") {
  count allocations;
  mailroom::mpmc_ticket_queue<int> queue{7};
  CHECK(allocations.end() == 1);
  check_use(queue);
  CHECK(queue.seal());
}

TEST_CASE("no_allocation: a ring of many threads allocates twice, when it is constructed") {
  count allocations;
  mailroom::mpmc_queue<int> queue{7};
  CHECK(allocations.end() == 2); // the slots and the cells
  check_use(queue);
  CHECK(queue.seal());
}

TEST_CASE("no_allocation: handles, messages in place and pushes by force allocate nothing") {
  mailroom::mpmc_queue<int> queue{3};
  count allocations;
  int taken = 0;
  {
    mailroom::mpmc_queue<int>::producer in{queue};
    mailroom::mpmc_queue<int>::consumer out{queue};
    for (int i = 0; i != 100; ++i) {
      if (in.try_push(i) != mailroom::queue_status::success) break;
      if (queue.try_claim(i)->commit() != mailroom::queue_status::success) break;
      for (int k = 0; k != 3; ++k) {
        (void)queue.force_push(int{k}, [&taken](int&&) { ++taken; });
      }
      taken += out.try_pop() ? 1 : 0;
      taken += queue.try_receive() ? 1 : 0;
      taken += static_cast<int>(out.consume_all([](int&&) {}));
    }
  }
  CHECK(allocations.end() == 0);
  CHECK(taken == 500); // of five that were put in each time
}

TEST_CASE("no_allocation: a queue without a bound allocates until it has been as full as it gets") {
  count allocations;
  mailroom::mpsc_queue<int> queue;
  CHECK(allocations.end() == 1); // the first block
  const auto fill_and_drain = [&queue](int rounds) {
    for (int round = 0; round != rounds; ++round) {
      for (int i = 0; i != 300; ++i) (void)queue.try_push(i);
      while (queue.try_pop()) {
      }
    }
  };
  fill_and_drain(10);
  check_use(queue);
  count more;
  fill_and_drain(100);
  CHECK(more.end() == 0);
  CHECK(queue.seal());
}

TEST_CASE("no_allocation: a queue of the caller's nodes allocates nothing at all") {
  struct node : mailroom::intrusive_node {};
  std::array<node, 9> nodes;
  count allocations;
  mailroom::intrusive_mpsc_queue<node> queue;
  std::size_t taken = 0;
  for (int round = 0; round != 100; ++round) {
    for (auto& each : nodes) queue.push(each);
    taken += queue.try_pop() != nullptr;
    taken += queue.consume_all([](node&) {});
  }
  CHECK(allocations.end() == 0);
  CHECK(taken == 900);
}

namespace {

/// Uses every operation of a broadcast_queue and of two of its readers, for some laps.
template <class Queue>
int use_broadcast(Queue& queue) {
  auto reader = queue.subscribe();
  auto other = queue.subscribe();
  std::array<int, 3> run{};
  int answers = 0;
  for (int round = 0; round != 100; ++round) {
    answers += queue.try_push(round) == mailroom::queue_status::success;
    answers += queue.try_emplace() == mailroom::queue_status::success;
    answers += queue.try_push_range(run.begin(), run.end()) != run.begin();
    answers += reader.try_pop().has_value();
    answers += reader.try_pop(run[0]) == mailroom::queue_status::success;
    answers += reader.try_pop_n(run.begin(), 2) != 0;
    answers += reader.size_approx() != 0;
    for (auto* each : {&reader, &other}) each->consume_all([](int) {});
  }
  return answers;
}

} // namespace

TEST_CASE("no_allocation: a lossless broadcast allocates when it is constructed, and for readers") {
  count allocations;
  mailroom::broadcast_queue<int> queue{7};
  CHECK(allocations.end() == 1);
  count readers;
  CHECK(use_broadcast(queue) > 600);
  CHECK(readers.end() == 1); // room for sixteen
  count again;
  CHECK(use_broadcast(queue) > 600);
  CHECK(again.end() == 0);
}

TEST_CASE("no_allocation: a lossy broadcast allocates twice, when it is constructed") {
  count allocations;
  mailroom::broadcast_queue<int, mailroom::broadcast_mode::lossy> queue{7};
  CHECK(allocations.end() == 2); // the slots and the cells
  count later;
  CHECK(use_broadcast(queue) > 600);
  CHECK(later.end() == 0);
}

#if defined(__cpp_lib_coroutine)

namespace {

/// Pops, and pushes what it has popped, until the end.
test::task move_on(mailroom::mailbox<int>& from, mailroom::mailbox<int>& to) {
  while (auto message = co_await from.async_pop()) {
    (void)co_await to.async_push(std::move(*message));
  }
}

} // namespace

TEST_CASE("no_allocation: a coroutine allocates itself, and nothing when it waits") {
  mailroom::mailbox<int> from{1};
  mailroom::mailbox<int> to{1};
  count allocations;
  const test::task moving = move_on(from, to);
  const int frames = allocations.end();
  CHECK(frames <= 1);
  count later;
  int sum = 0;
  for (int i = 0; i != 100; ++i) {
    sum += from.push(1); // wakes the coroutine
    sum += from.push(1); // which waits for room now
    sum += to.pop().value_or(0);
    sum += to.pop().value_or(0);
  }
  CHECK(later.end() == 0);
  CHECK(sum == 400);
  CHECK(from.stats().pop_waits >= 100);
  CHECK(to.stats().push_waits >= 100);
  from.close();
  CHECK(moving.is_done());
}

#endif
