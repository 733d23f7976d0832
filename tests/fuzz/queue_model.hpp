// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_FUZZ_QUEUE_MODEL_HPP
#define MAILROOM_TESTS_FUZZ_QUEUE_MODEL_HPP

// What a queue should answer, by a std::deque; and what a script may do with which queue.

#include <mailroom/core/concepts.hpp>
#include <mailroom/core/status.hpp>

#include <fuzz/script.hpp>

#include <cstddef> // size_t
#include <cstdint> // uint64_t
#include <deque>   // deque
#include <utility> // move

namespace fuzz {

using mailroom::queue_status;

template <class Queue>
concept has_claims = requires(Queue& queue) { queue.try_claim(1); };
template <class Queue>
concept has_force = requires(Queue& queue, typename Queue::value_type&& message) {
  queue.force_push(std::move(message), [](typename Queue::value_type&&) {});
};
template <class Queue>
concept has_seal = requires(Queue& queue) { queue.seal(); };
template <class Queue>
concept has_front = requires(Queue& queue) { queue.front(); };
template <class Queue>
concept has_pieces = requires(Queue& queue) { queue.readable(); };
template <class Queue>
concept has_pop = requires(Queue& queue) { queue.try_pop(); };
template <class Queue>
concept has_pop_into =
    requires(Queue& queue, typename Queue::value_type& into) { queue.try_pop(into); };
/// When consume_all gives the slot of a message back: before its handler is called, after that, or
/// at the end, all together.
enum class slot_ends { before, after, together };

template <class Queue, class Facts = mailroom::queue_facts<Queue>>
constexpr slot_ends slot_ends_of = Facts::consumers == mailroom::arity::many ? slot_ends::before
                                   : Facts::bounded                          ? slot_ends::together
                                                                             : slot_ends::after;

class queue_model {
public:
  queue_model(std::size_t capacity, slot_ends ends) : capacity_{capacity}, ends_{ends} {}

  std::size_t size() const noexcept { return inside_.size(); }
  bool is_empty() const noexcept { return inside_.empty(); }
  bool is_sealed() const noexcept { return sealed_; }
  std::uint64_t pushed() const noexcept { return pushed_; }
  std::uint64_t popped() const noexcept { return popped_; }
  int front(std::size_t behind = 0) const { return inside_[behind]; }

  /// Slots whose messages are handed over, and which consume_all has not given back yet.
  std::size_t held() const noexcept { return held_; }
  void hold_slot() noexcept {
    if (ends_ == slot_ends::after) held_ = 0; // that of the message before
    held_ += ends_ == slot_ends::before ? 0 : 1;
  }
  void free_slots() noexcept { held_ = 0; }

  std::size_t room() const { return sealed_ ? 0 : capacity_ - inside_.size() - held_; }
  queue_status push_answer() const {
    if (sealed_) return queue_status::closed;
    return room() == 0 ? queue_status::full : queue_status::success;
  }
  queue_status pop_answer() const {
    if (sealed_) return queue_status::closed;
    return inside_.empty() ? queue_status::empty : queue_status::success;
  }

  void put(int value) {
    inside_.push_back(value);
    ++pushed_;
  }
  void expect_front(int value) {
    expect(!inside_.empty() && inside_.front() == value, "the order");
    inside_.pop_front();
    ++popped_;
  }
  /// A message could not be handed over.
  void lose_front() {
    expect(!inside_.empty(), "a throw with nothing to hand over");
    if (ends_ == slot_ends::before) expect_front(inside_.front());
  }
  bool seal() noexcept { return sealed_ = sealed_ || inside_.size() + held_ == 0; }

private:
  const std::size_t capacity_;
  const slot_ends ends_;
  std::deque<int> inside_;
  std::uint64_t pushed_ = 0;
  std::uint64_t popped_ = 0;
  std::size_t held_ = 0;
  bool sealed_ = false;
};

} // namespace fuzz

#endif // MAILROOM_TESTS_FUZZ_QUEUE_MODEL_HPP
