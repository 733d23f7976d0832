// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_FUZZ_MAILBOX_MODEL_HPP
#define MAILROOM_TESTS_FUZZ_MAILBOX_MODEL_HPP

// What a mailbox should answer to one thread, by a std::deque and some counters. The coroutines
// that wait in it are numbers here, in the order in which they came.

#include <mailroom/core/status.hpp>
#include <mailroom/mailbox/mailbox.hpp>

#include <fuzz/script.hpp>

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <deque>    // deque
#include <map>      // map
#include <optional> // optional
#include <utility>  // exchange, pair
#include <vector>   // vector

namespace fuzz {

using mailroom::overflow;
using mailroom::queue_status;

/// Is somebody told of what is not delivered?
enum class losses { untold, told };

class mailbox_model {
public:
  mailbox_model(std::size_t capacity, overflow on_full, losses lost)
      : capacity_{capacity}, on_full_{on_full}, losses_{lost} {}

  bool is_empty() const noexcept { return inside_.empty(); }
  bool is_closed() const noexcept { return closed_; }
  std::size_t size() const noexcept { return inside_.size(); }
  std::size_t room() const noexcept { return capacity_ - inside_.size(); }
  std::uint64_t dropped() const noexcept { return dropped_; }
  bool tells() const noexcept { return losses_ == losses::told; }

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
      if (room() == 0) drop(take_front());
      put(value);
    }
    if (answer == queue_status::dropped) drop(value);
    if (answer == queue_status::full && on_full_ == overflow::reject) ++rejected_;
    return answer;
  }
  /// A push that wants room, whatever the policy says.
  void put(int value) {
    inside_.push_back(value);
    ++pushed_;
    settle();
  }
  void expect_front(int value) {
    expect(!inside_.empty() && inside_.front() == value, "the order");
    (void)take_front();
    ++popped_;
    settle();
  }
  void lose_front() {
    expect(!inside_.empty(), "a throw with nothing to hand over");
    expect_front(inside_.front());
  }
  void close() {
    closed_ = true;
    for (const int who : std::exchange(poppers_, {})) answers_[who] = {};
    for (const auto& each : std::exchange(pushers_, {})) answers_[each.first] = {};
  }
  void discard() {
    close();
    for (; !inside_.empty(); ++discarded_) tell(take_front());
  }

  /// What on_drop should have been told since the last call.
  std::vector<int> take_told() { return std::exchange(told_, {}); }

  /// What it should be told when the mailbox is destroyed now.
  std::vector<int> told_in_the_end() const {
    if (!tells()) return {};
    return {inside_.begin(), inside_.end()};
  }

  // ---- Coroutines

  /// One begins to pop (to push): it gets its answer at once, or waits behind the others.
  void begin_pop(int who) {
    if (pop_waits()) {
      ++pop_waits_;
      poppers_.push_back(who);
    } else if (inside_.empty()) {
      answers_[who] = {};
    } else {
      const int value = inside_.front();
      expect_front(value);
      answers_[who] = value;
    }
  }
  void begin_push(int who, int value) {
    if (push_waits()) {
      ++push_waits_;
      pushers_.emplace_back(who, value);
    } else {
      const queue_status answer = push(value);
      answers_[who] = answer == queue_status::success ? std::optional{value} : std::nullopt;
    }
  }
  bool is_waiting(int who) const { return !answers_.contains(who); }

  /// What one got that does not wait any more, or has put in.
  std::optional<int> answer_of(int who) const { return answers_.at(who); }

  /// One that waits is stopped, or destroyed.
  void leave(int who) {
    std::erase(poppers_, who);
    std::erase_if(pushers_, [who](const auto& each) { return each.first == who; });
    answers_[who] = {};
  }

  /// In one thread no thread waits, and none is woken.
  bool agrees(const mailroom::mailbox_stats& stats) const noexcept {
    return stats.pushed == pushed_ && stats.popped == popped_ && stats.rejected == rejected_ &&
           stats.dropped == dropped_ && stats.discarded == discarded_ &&
           stats.depth == inside_.size() && stats.push_waits == push_waits_ &&
           stats.pop_waits == pop_waits_ && stats.wakeups == 0 && adds_up(stats);
  }

private:
  /// What came in has gone out, was discarded later, or is inside.
  bool adds_up(const mailroom::mailbox_stats& stats) const noexcept {
    const std::uint64_t evicted = on_full_ == overflow::drop_oldest ? stats.dropped : 0;
    return stats.pushed == stats.popped + evicted + stats.discarded + stats.depth;
  }
  int take_front() {
    const int value = inside_.front();
    inside_.pop_front();
    return value;
  }
  void drop(int value) {
    ++dropped_;
    tell(value);
  }
  void tell(int value) {
    if (tells()) told_.push_back(value);
  }
  /// Who waits gets what there is now.
  void settle() {
    while (!poppers_.empty() && !inside_.empty()) {
      answers_[poppers_.front()] = take_front();
      poppers_.pop_front();
      ++popped_;
    }
    while (!pushers_.empty() && room() != 0) {
      const auto [who, value] = pushers_.front();
      pushers_.pop_front();
      answers_[who] = value;
      inside_.push_back(value);
      ++pushed_;
    }
  }

  const std::size_t capacity_;
  const overflow on_full_;
  const losses losses_;
  std::deque<int> inside_;
  std::deque<int> poppers_;
  std::deque<std::pair<int, int>> pushers_;   // who, and with what
  std::map<int, std::optional<int>> answers_; // of those who do not wait any more
  std::vector<int> told_;
  std::uint64_t pushed_ = 0;
  std::uint64_t popped_ = 0;
  std::uint64_t rejected_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t discarded_ = 0;
  std::uint64_t push_waits_ = 0;
  std::uint64_t pop_waits_ = 0;
  bool closed_ = false;
};

} // namespace fuzz

#endif // MAILROOM_TESTS_FUZZ_MAILBOX_MODEL_HPP
