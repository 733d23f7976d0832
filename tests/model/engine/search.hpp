// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_MODEL_SEARCH_HPP
#define MAILROOM_TESTS_MODEL_SEARCH_HPP

// Which execution comes next: a walk, depth first, through a tree of decisions that is never kept
// whole. An execution follows the path to its end and goes on as it likes from there; the next one
// changes the last decision that has an alternative left.
//
//      path   [T0] [T1] [2 of 3] [T1] [T0] ...        a thread, or one of several answers
//
// Two ways spare executions that show nothing new; both use sleep sets, and either is checked
// against the full search by random programs (reductions.test.cpp):
//   reversal   a step is tried before another one only where the two depend on each other
//              (source sets)
//   cache      a state that was left by all its threads is not entered again
//
// Sources: Godefroid, Partial-Order Methods for the Verification of Concurrent Systems, LNCS 1032,
// 1996 (sleep sets, and how they go with a cache); Abdulla, Aronis, Jonsson, Sagonas, Optimal
// Dynamic Partial Order Reduction, POPL 2014 (source sets).

#include "defect.hpp"
#include "memory.hpp"
#include "view.hpp"

#include <array>         // array
#include <cstdint>       // uint8_t, uint16_t, uint64_t
#include <string>        // string
#include <unordered_map> // unordered_map

namespace model {

/// One bit for each thread.
using thread_set = std::uint8_t;
static_assert(max_threads <= 8);
constexpr thread_set only(std::size_t thread) noexcept {
  return static_cast<thread_set>(1U << thread);
}
constexpr bool contains(thread_set set, std::size_t thread) noexcept {
  return (set >> thread & 1U) != 0;
}

enum class reduction : unsigned char { none, reversal, cache };

class search {
public:
  static constexpr std::size_t nobody = ~std::size_t{0};

  void begin(reduction how, std::uint64_t random_seed, defect broken);

  /// Follows this schedule once instead of searching.
  void follow(const std::string& schedule);
  std::string schedule() const;

  /// A new execution. Returns false when none is left.
  void begin_execution() noexcept;
  bool next_execution();

  /// One of `count` answers.
  unsigned choose(unsigned count);

  /// One of the threads that can go on; `last` if it is as good as another. `asleep` is who need not
  /// be tried here, and after it who need not be tried behind the step, if that depends on nobody.
  /// Returns nobody if nothing new begins here.
  std::size_t choose_thread(thread_set enabled, thread_set& asleep, std::size_t last,
                            std::uint64_t state);

  /// Tells that the step of `thread` that was chosen last depends on the steps `earlier`.
  using steps = list<int>;
  void record(std::size_t thread, const steps& earlier);
  /// The same for a step that is not taken, because everybody sleeps.
  void look_ahead(std::size_t thread, const steps& earlier);
  /// The last step that was recorded, or -1.
  int last_step() const noexcept { return static_cast<int>(events_.size()) - 1; }
  bool wants_steps() const noexcept { return how_ == reduction::reversal && !is_random_; }
  bool wants_state() const noexcept {
    return how_ == reduction::cache && !is_random_ && at_ == path_.size();
  }

  std::uint64_t states() const noexcept { return visited_.size(); }

private:
  struct decision {
    bool is_answer;
    std::uint8_t count;  // answers
    std::uint8_t chosen; // an answer, or a thread
    thread_set enabled;  // threads:
    thread_set wanted;   //   to be tried
    thread_set done;     //   tried
    thread_set asleep;   //   not worth trying when the decision was first met
  };
  struct event {
    std::size_t thread;
    std::size_t decision;
    std::array<std::uint16_t, max_threads> clock; // what it depends on, directly or not
  };
  using clock = std::array<std::uint16_t, max_threads>;

  thread_set fresh(thread_set candidates, thread_set asleep, std::uint64_t state);
  void reverse(std::size_t thread, int earlier, const clock& now);
  thread_set initials(const event& from, std::size_t first, std::size_t thread, const clock& now);
  bool is_after(const event& later, const event& earlier) const noexcept {
    return later.clock[earlier.thread] >= earlier.clock[earlier.thread];
  }
  clock joined(std::size_t thread, const steps& earlier) const;
  unsigned random(unsigned below) noexcept;

  reduction how_ = reduction::cache;
  defect broken_ = defect::none;
  bool is_random_ = false;
  bool is_replay_ = false;
  std::uint64_t seed_ = 0;
  list<decision> path_;
  std::size_t at_ = 0; // how far the execution has come on the path
  std::size_t current_ = 0;
  list<event> events_;
  std::array<clock, max_threads> clocks_{};
  std::unordered_map<std::uint64_t, thread_set, std::hash<std::uint64_t>, std::equal_to<>,
                     system_allocator<std::pair<const std::uint64_t, thread_set>>>
      visited_; // and who slept there
};

} // namespace model

#endif // MAILROOM_TESTS_MODEL_SEARCH_HPP
