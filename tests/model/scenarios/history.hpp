// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_MODEL_HISTORY_HPP
#define MAILROOM_TESTS_MODEL_HISTORY_HPP

// What the threads of an execution were told, and whether a queue could have said so: is there an
// order of the calls, in keeping with happens-before, in which each answer is right?
//
// Happens-before takes the place of real time, which a weak memory does not have. The number of
// calls is small, so all orders are tried.
//
// Source: Herlihy, Wing, Linearizability, TOPLAS 1990; Raad, Doko, Rozic, Lahav, Vafeiadis, On
// Library Correctness under Weak Memory Consistency, POPL 2019 (happens-before in its place).

#include "../engine/checker.hpp"

#include <mailroom/core/status.hpp>

#include <array>   // array
#include <cstddef> // size_t

namespace scenario {

using mailroom::queue_status;

class history {
public:
  static constexpr std::size_t most = 16;

  explicit history(std::size_t capacity) noexcept : capacity_{capacity} {}

  static constexpr std::size_t none = most;

  /// A call that began at `begin` and has ended now. A part of a larger one comes `after` another.
  /// Returns its number.
  std::size_t note_push(unsigned value, queue_status answer, const model::moment& begin,
                        std::size_t after = none) {
    return note({true, value, answer, begin, model::this_moment(), after});
  }
  std::size_t note_pop(unsigned value, queue_status answer, const model::moment& begin,
                       std::size_t after = none) {
    return note({false, value, answer, begin, model::this_moment(), after});
  }

  /// After all threads have ended, and the body has taken out what was left.
  void judge() {
    model::require(is_explained(side::both), "no order of the calls explains the answers");
  }

  /// For a queue without a step that both sides agree on: the answers empty make sense without the
  /// answers full, and the other way round. Together they need not: each side may miss what the
  /// other is just doing, as two threads that write one word and read another.
  void judge_each_side() {
    model::require(is_explained(side::push), "no order of the calls explains the answers full");
    model::require(is_explained(side::pop), "no order of the calls explains the answers empty");
  }

private:
  struct call {
    bool is_push;
    unsigned value;
    queue_status answer;
    model::moment begin;
    model::moment end;
    std::size_t after;
  };

  std::size_t note(const call& one) {
    model::require(count_ < most, "the history is too long");
    calls_[count_] = one;
    return count_++;
  }
  /// Whose failures count.
  enum class side : unsigned char { push, pop, both };

  bool is_explained(side counts) {
    taken_ = {};
    inside_count_ = 0;
    std::size_t left_out = 0;
    for (std::size_t i = 0; i != count_; ++i) {
      const call& one = calls_[i];
      const side own = one.is_push ? side::push : side::pop;
      if (one.answer == queue_status::success || counts == side::both || counts == own) continue;
      taken_[i] = true;
      ++left_out;
    }
    return explain(left_out);
  }
  bool explain(std::size_t explained);
  bool is_next(std::size_t index) const;
  bool is_right(const call& one) const;

  std::size_t capacity_;
  std::array<call, most> calls_;
  std::size_t count_ = 0;
  std::array<bool, most> taken_{};
  std::array<unsigned, most> inside_{}; // what the imagined queue holds
  std::size_t inside_count_ = 0;
};

/// Tries every call that may come next.
inline bool history::explain(std::size_t explained) {
  if (explained == count_) return true;
  for (std::size_t i = 0; i != count_; ++i) {
    if (!is_next(i) || !is_right(calls_[i])) continue;
    const call& one = calls_[i];
    const bool changes = one.answer == queue_status::success;
    const auto before = inside_;
    const auto before_count = inside_count_;
    taken_[i] = true;
    if (changes && one.is_push) inside_[inside_count_++] = one.value;
    if (changes && !one.is_push) {
      for (std::size_t k = 1; k < inside_count_; ++k) inside_[k - 1] = inside_[k];
      --inside_count_;
    }
    if (explain(explained + 1)) return true;
    taken_[i] = false;
    inside_ = before;
    inside_count_ = before_count;
  }
  return false;
}

/// Is everything that happened before it in its place already?
inline bool history::is_next(std::size_t index) const {
  if (taken_[index]) return false;
  if (const auto after = calls_[index].after; after != none && !taken_[after]) return false;
  for (std::size_t i = 0; i != count_; ++i) {
    if (i != index && !taken_[i] && calls_[i].end.is_before(calls_[index].begin)) return false;
  }
  return true;
}

inline bool history::is_right(const call& one) const {
  switch (one.answer) {
  case queue_status::success:
    return one.is_push ? inside_count_ < capacity_ : inside_count_ != 0 && inside_[0] == one.value;
  case queue_status::full: return one.is_push && inside_count_ == capacity_;
  case queue_status::empty: return !one.is_push && inside_count_ == 0;
  default: return false;
  }
}

} // namespace scenario

#endif // MAILROOM_TESTS_MODEL_HISTORY_HPP
