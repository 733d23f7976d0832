// SPDX-License-Identifier: MIT
#include <mailroom/core/concepts.hpp>
#include <mailroom/core/status.hpp>

#include <doctest/doctest.h>
#include <support/tracked.hpp>

#include <atomic>   // atomic
#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <memory>   // shared_ptr, unique_ptr
#include <mutex>    // mutex
#include <optional> // optional
#include <string>   // string
#include <version>  // __cpp_lib_jthread

#if defined(__cpp_lib_jthread)
#include <stop_token> // stop_token
#endif

namespace {

using namespace mailroom;

struct abstract {
  virtual ~abstract() = default;
  virtual void speak() = 0;
};

class immortal {
  ~immortal() = default;
};

/// Has what a stop token has, in types of its own.
struct token_of_another_library {
  struct yes_or_no {
    operator bool() const noexcept { return false; }
  };
  yes_or_no stop_requested() const noexcept { return {}; }
  yes_or_no stop_possible() const noexcept { return {}; }
};

struct throwing_token {
  bool stop_requested() const { return false; }
  bool stop_possible() const { return false; }
};

struct unique_token {
  unique_token(unique_token&&) = default;
  unique_token& operator=(unique_token&&) = default;
  bool stop_requested() const noexcept { return false; }
  bool stop_possible() const noexcept { return false; }
};

/// The least that is a queue.
struct least_queue {
  using value_type = int;
  queue_status try_push(int&&) { return queue_status::full; }
  expected<int, queue_status> try_pop() { return unexpected{queue_status::empty}; }
  std::size_t size_approx() const noexcept { return 0; }
  std::size_t capacity() const noexcept { return 0; }
  std::uint64_t pushed() const noexcept { return 0; }
  std::uint64_t popped() const noexcept { return 0; }
};

struct queue_without_facts : least_queue {};

struct queue_that_may_fail_to_count : least_queue {
  std::size_t size_approx() const { return 0; }
};

struct queue_of_another_answer : least_queue {
  std::optional<int> try_pop() { return std::nullopt; }
};

/// The least that P0260 asks for.
struct least_basic {
  using value_type = int;
  bool is_closed() const noexcept { return true; }
  void close() noexcept {}
  queue_status try_push(int&&) { return queue_status::closed; }
  expected<int, queue_status> try_pop() { return unexpected{queue_status::closed}; }
};

struct least_concurrent : least_basic {
  bool push(int&&) { return false; }
  std::optional<int> pop() { return std::nullopt; }
};

/// Awaited as it is, or by way of something else.
struct awaited {
  bool await_ready() { return true; }
  int await_resume() { return 0; }
};
struct turns_into_awaited {
  awaited operator co_await() && noexcept { return {}; }
};

struct least_async : least_basic {
  awaited async_push(int&&) noexcept { return {}; }
  turns_into_awaited async_pop() noexcept { return {}; }
};

struct async_that_may_fail : least_async {
  awaited async_pop() { return {}; }
};

struct async_of_nothing : least_async {
  int async_pop() noexcept { return 0; }
};

} // namespace

template <>
struct mailroom::queue_facts<least_queue> {
  static constexpr arity producers = arity::one;
  static constexpr arity consumers = arity::many;
};
template <>
struct mailroom::queue_facts<queue_that_may_fail_to_count> : queue_facts<least_queue> {};
template <>
struct mailroom::queue_facts<queue_of_another_answer> : queue_facts<least_queue> {};

TEST_CASE("concepts: a message is an object that can be moved and destroyed") {
  static_assert(message<int>);
  static_assert(message<std::string>);
  static_assert(message<std::unique_ptr<int>>);
  static_assert(message<test::tracked>); // no default constructor
  static_assert(message<test::copy_only>);
  static_assert(message<test::throwing_move>);
  static_assert(message<test::secretive>);
  static_assert(message<test::aligned<4096>>);
  static_assert(message<int*>);
  static_assert(message<void (*)()>);
}

TEST_CASE("concepts: nothing else is a message") {
  static_assert(!message<void>);
  static_assert(!message<int&>);
  static_assert(!message<int&&>);
  static_assert(!message<const int>);
  static_assert(!message<volatile int>);
  static_assert(!message<int[3]>);
  static_assert(!message<int()>);
  static_assert(!message<std::mutex>);
  static_assert(!message<std::atomic<int>>);
  static_assert(!message<abstract>);
  static_assert(!message<immortal>);
}

TEST_CASE("concepts: a move that may fail is told apart") {
  static_assert(nothrow_message<int>);
  static_assert(nothrow_message<test::move_only>);
  static_assert(nothrow_message<test::unassignable>);
  static_assert(!nothrow_message<test::throwing_move>);
  static_assert(!nothrow_message<test::copy_only>);
}

TEST_CASE("concepts: an element of a run stays, or can be handed back") {
  static_assert(range_element<int, int>);
  static_assert(range_element<const int&, int>);
  static_assert(range_element<short&, long>);
  static_assert(range_element<test::move_only&&, test::move_only>);
  static_assert(range_element<test::move_only, test::move_only>);
  static_assert(range_element<test::throwing_move&, test::throwing_move>);
  static_assert(!range_element<test::throwing_move&&, test::throwing_move>);
  static_assert(!range_element<test::move_only&, test::move_only>);
  static_assert(!range_element<std::unique_ptr<int>&&, std::shared_ptr<int>>);
  static_assert(!range_element<std::string, int>);
}

TEST_CASE("concepts: a handler takes a message, in whatever way") {
  static_assert(message_handler<void (*)(int), int>);
  static_assert(message_handler<void (*)(int&&), int>);
  static_assert(message_handler<int (&)(const int&), int>);
  static_assert(!message_handler<void (*)(int&), int>);
  static_assert(!message_handler<void (*)(), int>);
  static_assert(!message_handler<void (test::entry::*)(), test::tracked>);
}

TEST_CASE("concepts: a stop token is known by what it can do") {
  static_assert(stoppable_token<never_stop>);
  static_assert(stoppable_token<token_of_another_library>);
  static_assert(!stoppable_token<throwing_token>);
  static_assert(!stoppable_token<unique_token>);
  static_assert(!stoppable_token<int>);
  static_assert(!stoppable_token<bool>);
#if defined(__cpp_lib_jthread)
  static_assert(stoppable_token<std::stop_token>);
#endif
}

TEST_CASE("concepts: a coroutine can wait for what is awaited, and for what turns into it") {
  static_assert(awaitable<awaited>);
  static_assert(awaitable<awaited&>);
  static_assert(awaitable<turns_into_awaited>);
  static_assert(!awaitable<turns_into_awaited&>);
  static_assert(!awaitable<int>);
}

TEST_CASE("concepts: never_stop never stops") {
  CHECK(!never_stop{}.stop_requested());
  CHECK(!never_stop{}.stop_possible());
  static_assert(!never_stop::stop_requested());
}

TEST_CASE("concepts: a queue has the operations, their answers and its facts") {
  static_assert(queue<least_queue>);
  static_assert(!queue<queue_without_facts>);
  static_assert(!queue<queue_that_may_fail_to_count>);
  static_assert(!queue<queue_of_another_answer>);
  static_assert(!queue<std::string>);
  static_assert(!queue<int>);
}

TEST_CASE("concepts: P0260's three concepts ask for closing, for waiting, and for awaiting") {
  static_assert(basic_concurrent_queue<least_basic>);
  static_assert(!concurrent_queue<least_basic>);
  static_assert(basic_concurrent_queue<least_concurrent>);
  static_assert(concurrent_queue<least_concurrent>);
  static_assert(!basic_concurrent_queue<least_queue>);
  static_assert(async_concurrent_queue<least_async>);
  static_assert(!async_concurrent_queue<least_concurrent>);
  static_assert(!async_concurrent_queue<async_that_may_fail>);
  static_assert(!async_concurrent_queue<async_of_nothing>);
}
