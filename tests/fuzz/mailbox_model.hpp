// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_FUZZ_MAILBOX_MODEL_HPP
#define MAILROOM_TESTS_FUZZ_MAILBOX_MODEL_HPP

// What a mailbox should answer to one thread, by a std::deque and four counters.

#include <mailroom/core/status.hpp>
#include <mailroom/mailbox/mailbox.hpp>

#include <fuzz/script.hpp>

#include <cstddef> // size_t
#include <cstdint> // uint64_t
#include <deque>   // deque

namespace fuzz {

using mailroom::overflow;
using mailroom::queue_status;

class mailbox_model {
public:
  mailbox_model(std::size_t capacity, overflow on_full) : capacity_{capacity}, on_full_{on_full} {}

  bool is_empty() const noexcept { return inside_.empty(); }
  bool is_closed() const noexcept { return closed_; }
  std::size_t size() const noexcept { return inside_.size(); }
  std::size_t room() const noexcept { return capacity_ - inside_.size(); }
  std::uint64_t dropped() const noexcept { return dropped_; }

  /// Would a push (a pop) without a deadline wait for ever?
  bool push_waits() const noexcept {
    return !closed_ && on_full_ == overflow::block && room() == 0;
  }
  bool pop_waits() const noexcept { return !closed_ && inside_.empty(); }
  bool blocks() const noexcept { return !closed_ && on_full_ == overflow::block; }

  /// What a push will answer that does not wait.
  queue_status push_answer() const noexcept {
    if (closed_) return queue_status::closed;
    if (room() != 0 || on_full_ == overflow::drop_oldest) return queue_status::success;
    return on_full_ == overflow::drop_newest ? queue_status::dropped : queue_status::full;
  }
  /// And a pop; timeout or stopped instead of empty if its wait is over before it begins.
  queue_status pop_answer(queue_status instead_of_empty = queue_status::empty) const noexcept {
    if (!inside_.empty()) return queue_status::success;
    return closed_ ? queue_status::closed : instead_of_empty;
  }

  queue_status push(int value) {
    const queue_status answer = push_answer();
    if (answer == queue_status::success) {
      if (room() == 0) discard_oldest();
      inside_.push_back(value);
      ++pushed_;
    }
    if (answer == queue_status::dropped) ++dropped_;
    if (answer == queue_status::full && on_full_ == overflow::reject) ++rejected_;
    return answer;
  }
  void expect_front(int value) {
    expect(!inside_.empty() && inside_.front() == value, "the order");
    inside_.pop_front();
    ++popped_;
  }
  void lose_front() {
    expect(!inside_.empty(), "a throw with nothing to hand over");
    expect_front(inside_.front());
  }
  void close() noexcept { closed_ = true; }

  /// In one thread nobody waits and nobody is woken.
  bool agrees(const mailroom::mailbox_stats& stats) const noexcept {
    return stats.pushed == pushed_ && stats.popped == popped_ && stats.rejected == rejected_ &&
           stats.dropped == dropped_ && stats.depth == inside_.size() && stats.push_waits == 0 &&
           stats.pop_waits == 0 && stats.wakeups == 0 && adds_up(stats);
  }

private:
  /// What came in has gone out, was discarded later, or is inside.
  bool adds_up(const mailroom::mailbox_stats& stats) const noexcept {
    const std::uint64_t evicted = on_full_ == overflow::drop_oldest ? stats.dropped : 0;
    return stats.pushed == stats.popped + evicted + stats.depth;
  }
  void discard_oldest() {
    inside_.pop_front();
    ++dropped_;
  }

  const std::size_t capacity_;
  const overflow on_full_;
  std::deque<int> inside_;
  std::uint64_t pushed_ = 0;
  std::uint64_t popped_ = 0;
  std::uint64_t rejected_ = 0;
  std::uint64_t dropped_ = 0;
  bool closed_ = false;
};

} // namespace fuzz

#endif // MAILROOM_TESTS_FUZZ_MAILBOX_MODEL_HPP
