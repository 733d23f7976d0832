// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_MODEL_CLIENT_HPP
#define MAILROOM_TESTS_MODEL_CLIENT_HPP

// Clients of a queue that do anything: each call is any of those that the thread may make, so one
// scenario stands for all sequences of so many calls.

#include "history.hpp"

#include <mailroom/core/concepts.hpp>
#include <mailroom/core/status.hpp>
#include <support/positions.hpp>

#include <array>   // array
#include <cstddef> // size_t
#include <cstdint> // uint64_t

namespace scenario {

/// Takes the place of an output iterator.
struct collector {
  using difference_type = std::ptrdiff_t;
  std::array<unsigned, 8>* into;
  std::size_t* count;
  collector& operator*() noexcept { return *this; }
  collector& operator++() noexcept { return *this; }
  collector operator++(int) noexcept { return *this; }
  collector& operator=(unsigned value) noexcept {
    (*into)[(*count)++] = value;
    return *this;
  }
};

/// A queue, and what it has answered. Its messages are numbers, or can be taken for some.
template <class Queue>
class client {
  using value_type = typename Queue::value_type;

public:
  /// `first` is the position that the queue begins at. Before the threads begin, `passed` messages
  /// go through, and `inside` are left inside.
  client(std::size_t capacity, std::uint64_t first, unsigned passed = 0, unsigned inside = 0)
      : queue{test::test_access::starting_at<Queue>(capacity, first)}, past{capacity} {
    for (unsigned i = 0; i != passed; ++i) {
      model::require(queue.try_push(value_type{1000U + i}) == queue_status::success,
                     "there is room");
      model::require(queue.try_pop().has_value(), "there is a message");
    }
    for (unsigned i = 0; i != inside; ++i) push(100 + i);
  }

  void push(unsigned value) { push_by(queue, value); }
  bool pop() { return pop_by(queue); }

  /// The same through a handle.
  template <class Producer>
  void push_by(Producer& in, unsigned value) {
    const auto begin = model::this_moment();
    const auto answer = in.try_push(value_type{value});
    if (answer != queue_status::busy) past.note_push(value, answer, begin); // which says nothing
  }
  template <class Consumer>
  bool pop_by(Consumer& out) {
    const auto begin = model::this_moment();
    value_type value{0};
    const auto answer = out.try_pop(value);
    if (answer != queue_status::busy) past.note_pop(value, answer, begin);
    return answer == queue_status::success;
  }

  /// Two at once. They take effect one after the other, somewhere in the call. `sees_end`: if one
  /// is left over there was no room for it.
  void push_two(unsigned value, bool sees_end = true) {
    const auto begin = model::this_moment();
    const std::array<unsigned, 2> both{value, value + 1};
    const auto* const rest = queue.try_push_range(both.data(), both.data() + 2);
    auto last = history::none;
    for (const auto* each = both.data(); each != rest; ++each) {
      last = past.note_push(*each, queue_status::success, begin, last);
    }
    if (sees_end && rest != both.data() + 2) past.note_push(*rest, queue_status::full, begin, last);
  }

  /// As many as there are, up to two. `sees_end`: with fewer it has seen that there are no more.
  void pop_two(bool sees_end) {
    const auto begin = model::this_moment();
    std::array<unsigned, 8> got{};
    std::size_t count = 0;
    (void)queue.try_pop_n(collector{&got, &count}, 2);
    note_popped(got, count, begin, sees_end ? 2 : 1);
  }

  /// The same into a place where `most` fit, up to two, so that nothing can fail on the way.
  void pop_in_place(std::size_t most) {
    const auto begin = model::this_moment();
    std::array<value_type, 2> both{0, 0};
    const auto count = queue.try_pop_n(both.data(), most);
    const std::array<unsigned, 8> got{both[0], both[1]};
    note_popped(got, count, begin, 1);
  }

  /// What is there.
  void consume(bool sees_end) {
    const auto begin = model::this_moment();
    std::array<unsigned, 8> got{};
    std::size_t count = 0;
    (void)queue.consume_all([&](value_type&& each) { got[count++] = each; });
    note_popped(got, count, begin, sees_end ? queue.capacity() : 1);
  }

  /// Takes out what is left, and asks whether the answers make sense.
  void judge() {
    while (pop()) {
    }
    if constexpr (mailroom::queue_facts<Queue>::sequentially_consistent) {
      past.judge();
    } else {
      past.judge_each_side();
    }
    model::require(queue.pushed() == queue.popped(), "the counts agree at the end");
  }

  Queue queue;
  history past;

private:
  /// Fewer than `end` messages: then there were no more.
  void note_popped(const std::array<unsigned, 8>& got, std::size_t count,
                   const model::moment& begin, std::size_t end) {
    auto last = history::none;
    for (std::size_t i = 0; i != count; ++i) {
      last = past.note_pop(got[i], queue_status::success, begin, last);
    }
    if (count < end) past.note_pop(0, queue_status::empty, begin, last);
  }
};

} // namespace scenario

#endif // MAILROOM_TESTS_MODEL_CLIENT_HPP
