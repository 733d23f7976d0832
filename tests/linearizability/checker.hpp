// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_LINEARIZABILITY_CHECKER_HPP
#define MAILROOM_TESTS_LINEARIZABILITY_CHECKER_HPP

// Is a history one that a bounded FIFO queue can have? Answered in O(n log n), for millions of
// operations, because every message is pushed only once: then a history that no queue can have
// shows one of a few patterns of two or three operations, and it is enough to look for those.
//
// A before B means that A ended before B began. A message is certainly inside from the end of its
// push to the start of its pop, and possibly inside from the start of its push to the end of its
// pop. A moment of an operation is one between its start and its end, both included.
//
//   VFresh     a message is popped that was never pushed, or before its push
//   VRepet     a message is popped twice
//   VOrd       push(a) before push(b), but pop(b) before pop(a), or a is never popped
//   VWit       pop->empty, though at each of its moments some message was certainly inside
//   overfull   push->success, though at each of its moments the capacity was certainly used up; or at
//              some moment more messages than the capacity were certainly inside
//   full       push->full, though at none of its moments the capacity was possibly used up
//   closed     (F) close takes effect no later than close() returns, and than anybody is told closed;
//              no push and no empty pop that begins later may answer otherwise than closed.
//              (S) the queue is sealed no later than the first pop returns that answers closed; by
//              then every message has been popped. Nobody is told closed before close() begins.
//
// A push in progress while the mailbox is closed may still succeed; that is why F and S are two
// moments. What ends later than F or S allows is treated as if it had ended there.
//
// What is exact and what is not. Without full answers and with endless room the patterns are all
// there are (Henzinger, Sezgin, Vafeiadis), and checker.test.cpp finds no exception. overfull and
// full are necessary conditions: a history that breaks one has no explanation, so nobody is accused
// falsely; but several operations together may be impossible though each has its moment. What is
// missed is of this one kind: impossible with this capacity, possible with endless room. With one
// producer and one consumer nothing is missed: the orders of the pushes and of the pops are given,
// every answer only says that some pop (push) came before or after it, and of such claims a
// contradictory set contains a contradictory pair. All of this is compared in checker.test.cpp.
//
// How: one pass over all starts and ends in the order of time. It counts the messages certainly and
// possibly inside, and remembers the last moment at which there was room, nothing, or no room.
// Equal stamps overlap: starts are visited first.
//
// Sources: Henzinger, Sezgin, Vafeiadis, Aspect-Oriented Linearizability Proofs, CONCUR 2013 (the
// patterns); Bouajjani, Emmi, Enea, Hamza, On Reducing Linearizability to State Reachability, ICALP
// 2015 (that they are complete).

#include <linearizability/history.hpp>

#include <algorithm> // inplace_merge, is_sorted_until, max, min
#include <cstddef>   // size_t, ptrdiff_t
#include <string>    // string, to_string
#include <utility>   // move
#include <vector>    // vector

namespace linearizability {

enum class pattern {
  none,
  fresh,
  repeated,
  order,
  false_empty,
  overfull,
  false_full,
  closed,
};

struct verdict {
  pattern what = pattern::none;
  std::string why; ///< the operations that cannot be, in words
};

/// Checks histories, one after the other; it keeps its memory.
class checker {
public:
  verdict check(const history& run) {
    found_ = {};
    capacity_ = run.capacity;
    if (find_bounds(run) && read(run)) sweep();
    return found_;
  }

private:
  /// The operations on one message.
  struct life {
    stamp push_start = never;
    stamp push_end = never;
    stamp pop_start = never;
    stamp pop_end = never;
    bool is_ever_certain() const noexcept { return push_end < pop_start; }
  };
  struct event {
    stamp at;
    const operation* of;
    friend bool operator<(const event& a, const event& b) noexcept { return a.at < b.at; }
  };

  // ---- The story that a violation tells

  bool blame(pattern what, std::string why) {
    if (found_.what == pattern::none) found_ = {what, std::move(why)};
    return false;
  }
  std::string push_of(number value) const {
    const life& its = lives_[value];
    return describe(operation{its.push_start, its.push_end, value, answer::push_success});
  }
  std::string pop_of(number value) const {
    const life& its = lives_[value];
    if (its.pop_start == never) return "no pop of " + std::to_string(value);
    return describe(operation{its.pop_start, its.pop_end, value, answer::pop_value});
  }

  // ---- Closing

  /// Finds the latest moments of F and S, and what answers otherwise after them.
  bool find_bounds(const history& run) {
    closing_began_ = closed_by_ = sealed_by_ = never;
    values_ = 0;
    for (const auto& log : run.logs) {
      for (const auto& one : log) {
        if (one.what == answer::push_success || one.what == answer::pop_value) {
          values_ = std::max<std::size_t>(values_, std::size_t{one.value} + 1);
        } else if (one.what == answer::close) {
          closing_began_ = std::min(closing_began_, one.start);
          closed_by_ = std::min(closed_by_, one.end);
        } else if (one.what == answer::push_closed) {
          closed_by_ = std::min(closed_by_, one.end);
        } else if (one.what == answer::pop_closed) {
          sealed_by_ = std::min(sealed_by_, one.end);
        }
      }
    }
    closed_by_ = std::min(closed_by_, sealed_by_);
    return closed_by_ == never || obeys_closing(run);
  }

  bool obeys_closing(const history& run) {
    if (closed_by_ < closing_began_) {
      return blame(pattern::closed, "somebody was told closed by " + describe(closed_by_) +
                                        ", close began: " + describe(closing_began_));
    }
    for (const auto& log : run.logs) {
      for (const auto& one : log) {
        if (one.start <= latest_moment(one.what)) continue;
        return blame(pattern::closed, describe(one) + " began too late: closed by " +
                                          describe(closed_by_) + ", a pop was told so by " +
                                          describe(sealed_by_));
      }
    }
    return true;
  }

  /// An operation that answered this began no later.
  stamp latest_moment(answer what) const noexcept {
    switch (what) {
    case answer::push_success:
    case answer::push_full:
    case answer::pop_empty: return closed_by_;
    case answer::pop_value: return sealed_by_;
    default: return never;
    }
  }

  /// When it took effect at the latest: its end, unless a message cannot have gone in so late.
  stamp effective_end(const operation& one) const noexcept {
    if (closed_by_ == never) return one.end;
    switch (one.what) {
    case answer::pop_empty: return std::min(one.end, closed_by_);
    case answer::push_success:
    case answer::push_full:
    case answer::pop_value: return std::min(one.end, sealed_by_);
    default: return one.end;
    }
  }

  // ---- Reading: who pushed and popped what, and all starts and ends in the order of time

  bool read(const history& run) {
    lives_.assign(values_, life{});
    starts_.clear();
    ends_.clear();
    for (const auto& log : run.logs) {
      for (const auto& one : log) {
        const stamp end = effective_end(one);
        if (one.what == answer::push_success && !read_push(one, end)) return false;
        if (one.what == answer::pop_value && !read_pop(one, end)) return false;
        starts_.push_back({one.start, &one});
        ends_.push_back({end, &one});
      }
    }
    sort(starts_);
    sort(ends_);
    return has_only_sane_lives();
  }

  bool read_push(const operation& one, stamp end) {
    life& its = lives_[one.value];
    if (its.push_start != never) {
      return blame(pattern::repeated, "the test is wrong, it pushed twice: " + push_of(one.value) +
                                          " and " + describe(one));
    }
    its.push_start = one.start;
    its.push_end = end;
    return true;
  }

  bool read_pop(const operation& one, stamp end) {
    life& its = lives_[one.value];
    if (its.pop_start != never) {
      return blame(pattern::repeated,
                   "popped twice: " + pop_of(one.value) + " and " + describe(one));
    }
    its.pop_start = one.start;
    its.pop_end = end;
    return true;
  }

  bool has_only_sane_lives() {
    for (std::size_t i = 0; i != lives_.size(); ++i) {
      const life& its = lives_[i];
      const auto value = static_cast<number>(i);
      if (its.push_start == never && its.pop_start != never) {
        return blame(pattern::fresh, "popped but never pushed: " + pop_of(value));
      }
      if (its.push_start != never && its.pop_end < its.push_start) {
        return blame(pattern::fresh, "popped before " + push_of(value) + ": " + pop_of(value));
      }
      if (its.push_start != never && its.pop_start > sealed_by_) {
        return blame(pattern::closed, "a pop was told closed by " + describe(sealed_by_) +
                                          ", but inside was what came with " + push_of(value));
      }
    }
    return true;
  }

  /// A log is in order already, so there are few runs to merge.
  static void sort(std::vector<event>& events) {
    std::vector<std::ptrdiff_t> cuts{0};
    for (auto at = events.begin(); at != events.end();) {
      at = std::is_sorted_until(at, events.end());
      cuts.push_back(at - events.begin());
    }
    while (cuts.size() > 2) {
      std::vector<std::ptrdiff_t> fewer{0};
      for (std::size_t i = 2; i < cuts.size(); i += 2) {
        const auto begin = events.begin();
        std::inplace_merge(begin + cuts[i - 2], begin + cuts[i - 1], begin + cuts[i]);
        fewer.push_back(cuts[i]);
      }
      if (cuts.size() % 2 == 0) fewer.push_back(cuts.back());
      cuts.swap(fewer);
    }
  }

  // ---- The pass

  void sweep() {
    certain_ = possible_ = 0;
    had_room_ = was_empty_ = was_full_ = 0;
    latest_pop_ = 0;
    auto start = starts_.begin();
    for (const auto& end : ends_) {
      for (; start != starts_.end() && start->at <= end.at; ++start) {
        look(start->at);
        if (!begin(*start->of)) return;
      }
      look(end.at);
      if (!finish(*end.of)) return;
    }
  }

  /// Nothing has changed since the last event, up to this moment and including it.
  void look(stamp at) noexcept {
    if (certain_ < capacity_) had_room_ = at;
    if (certain_ == 0) was_empty_ = at;
    if (possible_ >= capacity_) was_full_ = at;
  }

  bool begin(const operation& one) {
    if (one.what == answer::push_success) {
      ++possible_;
      if (lives_[one.value].pop_end < latest_pop_) return blame_order(one.value);
    } else if (one.what == answer::pop_value) {
      if (lives_[one.value].is_ever_certain()) --certain_;
    }
    return true;
  }

  bool finish(const operation& one) {
    switch (one.what) {
    case answer::push_success: return finish_push(one);
    case answer::pop_value: --possible_; return true;
    case answer::pop_empty: return was_empty_ >= one.start || blame_empty(one);
    case answer::push_full:
      return was_full_ >= one.start ||
             blame(pattern::false_full, describe(one) + ", though there was room all the time");
    default: return true;
    }
  }

  bool finish_push(const operation& one) {
    const life& its = lives_[one.value];
    if (had_room_ < one.start) {
      return blame(pattern::overfull, describe(one) + ", though there was no room all the time");
    }
    if (its.is_ever_certain() && ++certain_ > capacity_) {
      return blame(pattern::overfull, describe(one) + " was one message too many");
    }
    if (its.pop_start > latest_pop_) {
      latest_pop_ = its.pop_start;
      latest_popped_ = one.value;
    }
    return true;
  }

  bool blame_order(number second) {
    return blame(pattern::order, push_of(latest_popped_) + " before " + push_of(second) + ", but " +
                                     pop_of(second) + " before " + pop_of(latest_popped_));
  }

  /// Names the message that was inside the longest.
  bool blame_empty(const operation& one) {
    std::string inside;
    stamp since = never;
    for (std::size_t i = 0; i != lives_.size(); ++i) {
      const life& its = lives_[i];
      if (its.push_end >= since || its.pop_start <= one.start) continue;
      since = its.push_end;
      inside = push_of(static_cast<number>(i)) + ", " + pop_of(static_cast<number>(i));
    }
    return blame(pattern::false_empty,
                 describe(one) + ", though there was always a message, such as " + inside);
  }

  verdict found_;
  std::size_t capacity_ = 0;
  std::size_t values_ = 0;

  stamp closing_began_ = never;
  stamp closed_by_ = never; // F
  stamp sealed_by_ = never; // S

  std::vector<life> lives_;
  std::vector<event> starts_;
  std::vector<event> ends_;

  std::size_t certain_ = 0;
  std::size_t possible_ = 0;
  stamp had_room_ = 0;  // certainly inside were fewer than fit, last at this moment
  stamp was_empty_ = 0; // certainly inside was nothing, last at this moment
  stamp was_full_ = 0;  // possibly inside were as many as fit, last at this moment
  stamp latest_pop_ = 0;
  number latest_popped_ = 0;
};

} // namespace linearizability

#endif // MAILROOM_TESTS_LINEARIZABILITY_CHECKER_HPP
