// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_CONTRACT_QUEUE_FLAVORS_HPP
#define MAILROOM_TESTS_CONTRACT_QUEUE_FLAVORS_HPP

// The kinds and sizes of queues that the contract is run on, and the words that it is written in.

#include <mailroom/core/concepts.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/detail/capacity.hpp>

#include <doctest/doctest.h>
#include <support/positions.hpp>
#include <support/tracked.hpp>

#include <cstddef>     // size_t, ptrdiff_t
#include <cstdint>     // uint64_t
#include <memory>      // allocator
#include <numeric>     // iota
#include <optional>    // optional, nullopt
#include <type_traits> // conditional, is_same, remove_cvref
#include <vector>      // vector

namespace contract {

using mailroom::queue_status;
using test::test_access;

// ---- Flavors and sizes

/// A queue type with the capacity that its queues are to have.
template <class Queue>
struct size_of {
  using queue = Queue;
  std::size_t capacity;

  Queue starting_at(std::uint64_t first) const {
    return test_access::starting_at<Queue>(capacity, first);
  }
  Queue make() const { return starting_at(0); }
};

/// Queues whose capacity is chosen when they are made.
template <template <class, std::size_t, class> class Queue>
struct on_heap {
  static constexpr bool takes_any_message = true;
  static constexpr bool has_allocator = true;
  template <class T, class Allocator = std::allocator<T>>
  using queue = Queue<T, mailroom::dynamic_capacity, Allocator>;

  template <class T, class Claim>
  static void each_size(const Claim& claim) {
    for (const std::size_t capacity : {1U, 2U, 3U, 7U, 1000U})
      at(size_of<queue<T>>{capacity}, claim);
  }
  template <class T, class Claim>
  static void each_small_size(const Claim& claim) {
    for (const std::size_t capacity : {1U, 2U, 3U, 7U}) at(size_of<queue<T>>{capacity}, claim);
  }

  /// A queue with an allocator of its own.
  template <class Message, class Allocator>
  static auto with(const Allocator& allocator, std::size_t capacity) {
    return queue<Message, Allocator>(capacity, allocator);
  }

private:
  template <class Size, class Claim>
  static void at(const Size& size, const Claim& claim) {
    INFO("capacity ", size.capacity);
    claim(size);
  }
};

/// Queues without a bound. What is called their capacity here is how many messages the claim plays
/// with; the sizes lie on both sides of those of a block.
template <template <class, class> class Queue>
struct unbounded {
  static constexpr bool takes_any_message = true;
  static constexpr bool has_allocator = true;
  template <class T, class Allocator = std::allocator<T>>
  using queue = Queue<T, Allocator>;

  template <class T, class Claim>
  static void each_size(const Claim& claim) {
    for (const std::size_t messages : {1U, 2U, 7U, 64U, 65U, 1000U}) at<T>(messages, claim);
  }
  template <class T, class Claim>
  static void each_small_size(const Claim& claim) {
    for (const std::size_t messages : {1U, 2U, 7U, 8U, 9U, 65U}) at<T>(messages, claim);
  }
  template <class Message, class Allocator>
  static auto with(const Allocator& allocator, std::size_t) {
    return queue<Message, Allocator>(allocator);
  }

private:
  template <class T, class Claim>
  static void at(std::size_t messages, const Claim& claim) {
    INFO(messages, " messages");
    claim(size_of<queue<T>>{messages});
  }
};

/// Queues that have their slots inside.
template <template <class, std::size_t, class> class Queue>
struct inside {
  static constexpr bool takes_any_message = true;
  static constexpr bool has_allocator = false;
  template <class T, std::size_t Capacity>
  using queue = Queue<T, Capacity, std::allocator<T>>;

  template <class T, class Claim>
  static void each_size(const Claim& claim) {
    each_small_size<T>(claim);
    if constexpr (!is_sanitized) at<T, 1000>(claim);
  }
  template <class T, class Claim>
  static void each_small_size(const Claim& claim) {
    at<T, 1>(claim);
    if constexpr (!is_sanitized) at<T, 2>(claim);
    if constexpr (!is_sanitized) at<T, 3>(claim);
    at<T, 7>(claim);
  }

private:
  // Each size is another type, and takes long to compile.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  static constexpr bool is_sanitized = true;
#else
  static constexpr bool is_sanitized = false;
#endif

  template <class T, std::size_t Capacity, class Claim>
  static void at(const Claim& claim) {
    INFO("capacity ", Capacity, ", inside");
    claim(size_of<queue<T, Capacity>>{Capacity});
  }
};

/// The message that a claim is made with: another one where that one's move may throw, and the kind
/// of queue refuses it.
template <class Flavor, class Message, class Other>
using message_for = std::conditional_t<Flavor::takes_any_message, Message, Other>;

// ---- Small words

inline int value_of(int message) { return message; }
inline int value_of(const test::entry& message) { return message.value(); }

/// An output iterator that reads the messages assigned to it, and neither copies nor moves them.
struct reader {
  using difference_type = std::ptrdiff_t;
  std::vector<int>* into;
  int fail_at = 0; // the n-th assignment throws

  reader& operator*() noexcept { return *this; }
  reader& operator++() noexcept { return *this; }
  reader operator++(int) noexcept { return *this; }
  template <class Message>
    requires(!std::is_same_v<std::remove_cvref_t<Message>, reader>)
  reader& operator=(Message&& message) {
    if (fail_at != 0 && --fail_at == 0) throw test::boom{};
    into->push_back(value_of(message));
    return *this;
  }
};

/// Takes everything out, in place, so that it works for every message.
template <class Queue>
std::vector<int> drain(Queue& queue) {
  std::vector<int> values;
  queue.consume_all([&values](auto&& message) { values.push_back(value_of(message)); });
  return values;
}

/// Takes one message, or none.
template <class Queue>
std::optional<int> take(Queue& queue) {
  std::vector<int> values;
  if (queue.try_pop_n(reader{&values}, 1) == 0) return std::nullopt;
  return values.front();
}

/// The numbers from `first`, `count` of them.
inline std::vector<int> numbers(int first, std::size_t count) {
  std::vector<int> all(count);
  std::iota(all.begin(), all.end(), first);
  return all;
}

template <class Message>
std::vector<Message> messages(int first, std::size_t count) {
  std::vector<Message> all;
  all.reserve(count);
  for (const int value : numbers(first, count)) all.emplace_back(value);
  return all;
}

template <class Range>
std::vector<int> values_of(const Range& range) {
  std::vector<int> values;
  for (const auto& message : range) values.push_back(value_of(message));
  return values;
}

template <class Queue>
inline constexpr bool is_bounded = mailroom::queue_facts<Queue>::bounded;

/// Puts the numbers from 0 in, until the queue is full. Says how many went in.
template <class Queue>
  requires is_bounded<Queue>
std::size_t fill(Queue& queue) {
  std::size_t count = 0;
  while (queue.try_emplace(static_cast<int>(count)) == queue_status::success) ++count;
  return count;
}

/// The same for every queue: one without a bound is full enough with as many as the size says.
template <class Queue>
std::size_t fill(const size_of<Queue>& size, Queue& queue) {
  if constexpr (is_bounded<Queue>) {
    return fill(queue);
  } else {
    std::size_t count = 0;
    while (count != size.capacity &&
           queue.try_emplace(static_cast<int>(count)) == queue_status::success) {
      ++count;
    }
    return count;
  }
}

/// Whether a queue that is as full as its size says takes no more. Without a bound it would.
template <class Queue>
bool takes_no_more(Queue& queue) {
  if constexpr (is_bounded<Queue>) {
    return queue.try_emplace(-1) == queue_status::full;
  } else {
    return queue.capacity() > queue.size_approx();
  }
}

/// The end of a run of which the last `too_many` do not fit: one without a bound gets the others.
template <class Queue, class Run>
auto end_for(const Queue&, const Run& run, std::ptrdiff_t too_many) {
  return is_bounded<Queue> ? run.end() : run.end() - too_many;
}

template <class Queue>
concept can_be_sealed = requires(Queue& queue) { queue.seal(); };

/// Full, exactly, then empty, exactly, then almost full and almost empty for `laps` laps.
template <class Queue>
bool is_exact(Queue& queue, std::size_t capacity, std::size_t laps) {
  bool right = fill(queue) == capacity && queue.try_push(-1) == queue_status::full;
  int next = static_cast<int>(capacity);
  int oldest = 0;
  for (std::size_t i = 0; right && i != laps * capacity; ++i) {
    right = queue.try_pop().value_or(-1) == oldest++ &&
            queue.try_push(next++) == queue_status::success && //
            queue.try_push(-1) == queue_status::full;
  }
  while (right && oldest != next) right = queue.try_pop().value_or(-1) == oldest++;
  for (std::size_t i = 0; right && i != laps * capacity; ++i) {
    right = queue.try_pop().error() == queue_status::empty &&
            queue.try_push(7) == queue_status::success && queue.try_pop().value_or(-1) == 7;
  }
  return right && queue.try_pop().error() == queue_status::empty;
}

} // namespace contract

#endif // MAILROOM_TESTS_CONTRACT_QUEUE_FLAVORS_HPP
