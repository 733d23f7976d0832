// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_LINEARIZABILITY_EXHAUSTIVE_HPP
#define MAILROOM_TESTS_LINEARIZABILITY_EXHAUSTIVE_HPP

// The definition of linearizability, tried out: is there any order of the operations that respects
// time, and that a plain queue could have answered? It tries them all, so it is for a few operations
// only; the checker is held against it. And random small histories to hold both against.
//
// The queue that closes has two moments (checker.hpp): the flag F, which is the operation close, and
// the seal S, which is the first pop that answers closed. A push that began before F may succeed
// until S. To know that it began before F, its start is an operation of its own here, a mark, which
// is impossible after F.
//
// Sources: Wing, Gong, Testing and Verifying Concurrent Objects, JPDC 1993 (the search); Lowe,
// Testing for Linearizability, CCPE 2017 (what has failed once is not tried again).

#include <linearizability/history.hpp>

#include <algorithm> // max, min
#include <cstddef>   // ptrdiff_t, size_t
#include <cstdint>   // uint32_t, uint64_t
#include <deque>     // deque
#include <limits>    // numeric_limits
#include <random>    // mt19937_64
#include <set>       // set
#include <utility>   // pair
#include <vector>    // vector

namespace linearizability {

/// A capacity that no history reaches.
inline constexpr std::size_t endless = std::numeric_limits<std::size_t>::max();

class exhaustive_search {
public:
  static bool is_linearizable(const history& run) {
    exhaustive_search search{run};
    return search.can_finish(0);
  }

private:
  struct item {
    operation what;
    bool is_mark;
  };
  enum class phase { open, closing, sealed };

  explicit exhaustive_search(const history& run) : capacity_{run.capacity} {
    bool closes = false;
    for (const auto& log : run.logs) {
      for (const auto& one : log) {
        items_.push_back({one, false});
        closes = closes || one.what == answer::close;
      }
    }
    const std::size_t operations = items_.size();
    for (std::size_t i = 0; closes && i != operations; ++i) {
      const operation one = items_[i].what;
      if (one.what != answer::push_success && one.what != answer::push_full) continue;
      items_.push_back({{one.start, one.start, one.value, one.what}, true});
    }
  }

  /// Tries every operation that may be the next one, once `done` are done.
  bool can_finish(std::uint32_t done) {
    if (done + 1 == std::uint32_t{1} << items_.size()) return true;
    if (!seen_.insert({done, queue_}).second) return false; // it failed before
    stamp first_end = never;
    for (std::size_t i = 0; i != items_.size(); ++i) {
      if ((done >> i & 1) == 0) first_end = std::min(first_end, items_[i].what.end);
    }
    for (std::size_t i = 0; i != items_.size(); ++i) {
      const bool is_next = (done >> i & 1) == 0 && items_[i].what.start <= first_end;
      if (is_next && try_next(items_[i], done | std::uint32_t{1} << i)) return true;
    }
    return false;
  }

  bool try_next(const item& next, std::uint32_t done) {
    const auto queue = queue_;
    const auto state = state_;
    if (step(next) && can_finish(done)) return true;
    queue_ = queue;
    state_ = state;
    return false;
  }

  /// What a plain queue says to it; `done` fixes the phase, so that the memory need not.
  bool step(const item& next) {
    if (next.is_mark) return state_ == phase::open;
    switch (next.what.what) {
    case answer::push_success:
      queue_.push_back(next.what.value);
      return state_ != phase::sealed && queue_.size() <= capacity_;
    case answer::push_full: return state_ != phase::sealed && queue_.size() >= capacity_;
    case answer::push_closed: return state_ != phase::open;
    case answer::pop_value: return pop(next.what.value);
    case answer::pop_empty: return state_ == phase::open && queue_.empty();
    case answer::pop_closed: return state_ != phase::open && queue_.empty() && seal();
    case answer::close: state_ = std::max(state_, phase::closing); return true;
    }
    return false;
  }

  bool pop(number value) {
    if (queue_.empty() || queue_.front() != value) return false;
    queue_.pop_front();
    return true;
  }
  bool seal() noexcept {
    state_ = phase::sealed;
    return true;
  }

  std::size_t capacity_;
  std::vector<item> items_;
  std::deque<number> queue_;
  phase state_ = phase::open;
  std::set<std::pair<std::uint32_t, std::deque<number>>> seen_;
};

// ---- Random histories

/// What a random history is made of.
struct mixture {
  std::size_t most_operations = 7;
  std::size_t capacity = endless; ///< without full answers if it is endless
  bool closes = false;
  bool two_threads = false; ///< all pushes in one thread, all pops in another
};

class random_histories {
public:
  explicit random_histories(std::uint64_t seed) : random_{seed} {}

  /// Half of them are what a real queue did, with one thing wrong in some; half are anything.
  history next(const mixture& kind) {
    kind_ = kind;
    operations_.clear();
    const std::size_t count = 2 + below(kind.most_operations - 1);
    below(2) == 0 ? play(count) : invent(count);
    history made{kind.capacity, {}};
    if (kind.two_threads) {
      arrange_in_threads(made);
    } else {
      arrange_freely(made);
    }
    return made;
  }

private:
  std::size_t below(std::size_t limit) { return random_() % limit; }

  /// Answers without a meaning, but for the messages: these are mostly popped after their push.
  void invent(std::size_t count) {
    std::vector<number> pushed;
    for (std::size_t i = 0; i != count; ++i) {
      const auto what = random_answer();
      number value = 0;
      if (what == answer::push_success) {
        value = static_cast<number>(operations_.size());
        pushed.push_back(value);
      } else if (what == answer::pop_value) {
        if (pushed.empty()) continue;
        const std::size_t at = below(2) == 0 ? 0 : below(pushed.size());
        value = below(60) == 0 ? static_cast<number>(count)
                               : pushed[at]; // sometimes one that nobody pushed
        if (below(60) != 0)
          pushed.erase(pushed.begin() + static_cast<std::ptrdiff_t>(at)); // or again
      }
      operations_.push_back({0, 0, value, what});
    }
  }

  answer random_answer() {
    const std::size_t dice = below(20);
    if (dice < 8) return answer::push_success;
    if (dice < 14) return answer::pop_value;
    if (kind_.closes && dice < 15) return answer::push_closed;
    if (kind_.closes && dice < 16) return answer::pop_closed;
    if (kind_.closes && dice < 17) return answer::close;
    return kind_.capacity != endless && dice % 2 == 0 ? answer::push_full : answer::pop_empty;
  }

  /// What a queue answers to random calls, one after the other.
  void play(std::size_t count) {
    std::deque<number> queue;
    bool closed = false;
    for (std::size_t i = 0; i != count; ++i) {
      const std::size_t dice = below(12);
      if (kind_.closes && !closed && dice == 0) {
        closed = true;
        operations_.push_back({0, 0, 0, answer::close});
      } else if (dice < 7) {
        play_push(queue, closed, static_cast<number>(i));
      } else {
        play_pop(queue, closed);
      }
    }
  }
  void play_push(std::deque<number>& queue, bool closed, number value) {
    if (closed) {
      operations_.push_back({0, 0, 0, answer::push_closed});
    } else if (queue.size() < kind_.capacity) {
      queue.push_back(value);
      operations_.push_back({0, 0, value, answer::push_success});
    } else {
      operations_.push_back({0, 0, 0, answer::push_full});
    }
  }
  void play_pop(std::deque<number>& queue, bool closed) {
    if (!queue.empty()) {
      operations_.push_back({0, 0, queue.front(), answer::pop_value});
      queue.pop_front();
    } else {
      operations_.push_back({0, 0, 0, closed ? answer::pop_closed : answer::pop_empty});
    }
  }

  /// Every operation is a thread of its own, and lasts from a little before its place to a little
  /// after it; some are somewhere else, and some stamps are equal.
  void arrange_freely(history& made) {
    const bool coarse = below(4) == 0;
    for (std::size_t i = 0; i != operations_.size(); ++i) {
      auto& one = operations_[i];
      const std::size_t place = 100 + 10 * (below(12) == 0 ? below(operations_.size()) : i);
      one.start = place - below(26);
      one.end = place + below(26);
      if (coarse) {
        one.start /= 10;
        one.end /= 10;
      }
      made.logs.push_back({one});
    }
  }

  /// The operations of a thread follow each other; the stamps are random, and some equal.
  void arrange_in_threads(history& made) {
    made.logs.resize(3);
    for (const auto& one : operations_) made.logs[side_of(one.what)].push_back(one);
    for (auto& log : made.logs) {
      stamp now = 0;
      for (auto& one : log) {
        one.start = now += 1 + below(6);
        one.end = now += below(7);
      }
    }
  }

  static std::size_t side_of(answer what) noexcept {
    if (what == answer::close) return 2;
    return what == answer::pop_value || what == answer::pop_empty || what == answer::pop_closed;
  }

  std::mt19937_64 random_;
  mixture kind_;
  std::vector<operation> operations_;
};

} // namespace linearizability

#endif // MAILROOM_TESTS_LINEARIZABILITY_EXHAUSTIVE_HPP
