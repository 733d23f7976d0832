// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_SUSPENSION_STAGE_HPP
#define MAILROOM_TESTS_SUSPENSION_STAGE_HPP

// Threads whose steps are known: one can be made to stand still before its k-th step, and of every
// other it is known whether it runs, sleeps, or goes round in circles.
//
// The platform beside this file calls suspension_point() before every atomic access, fence, sleep,
// wake-up and lock, and before the life of a message begins or ends. A thread that stands still
// between two such points looks to all others as if it stood before the second, so the points stand
// for every place in an operation.
//
// Nothing is decided by a clock. A thread is stopped when it sleeps and nobody is left who runs, or
// when it has taken more steps in one round than any round needs; a loaded machine changes neither.

#include <algorithm>          // all_of
#include <chrono>             // nanoseconds
#include <condition_variable> // condition_variable
#include <cstddef>            // size_t
#include <cstdint>            // int64_t
#include <deque>              // deque
#include <limits>             // numeric_limits
#include <mutex>              // mutex, unique_lock
#include <string>             // string
#include <vector>             // vector

namespace test {

/// A step that the library is about to take, and the file of the library that takes it.
struct step {
  const char* what = "";
  const char* path = "";

  /// As "snapshot.hpp load".
  std::string text() const {
    const std::string file = path;
    return file.substr(file.find_last_of('/') + 1) + " " + what;
  }
};

/// What a thread of the stage does.
enum class activity : unsigned char { runs, parked, sleeps, circles, done };

/// What all threads of the stage share. There is one stage.
struct floor_state {
  std::mutex lock;
  std::condition_variable changed;
  bool is_over = false; // nobody stands still any longer
};
inline floor_state floor_now;

/// A thread of the stage.
class actor {
public:
  static constexpr long nowhere = -1;

  /// It will stand still before its step `park_before`, or never; and it circles when it needs more
  /// than `patience` steps for a round.
  actor(long park_before, long patience) noexcept : left_{park_before}, patience_{patience} {}

  /// The thread is about to take a step.
  void pass(const step& next) {
    if (left_ != nowhere && left_-- == 0) stand_still(activity::parked, next);
    if (++steps_ == patience_) stand_still(activity::circles, next);
  }
  void end_round() noexcept { steps_ = 0; }
  void end() { become(activity::done); }

  /// Both with floor_now.lock held, as for all that follows.
  activity now = activity::runs;
  step where{};

private:
  void stand_still(activity how, const step& next) {
    std::unique_lock held{floor_now.lock};
    if (floor_now.is_over) return;
    now = how;
    where = next;
    floor_now.changed.notify_all();
    floor_now.changed.wait(held, [] { return floor_now.is_over; });
  }
  void become(activity next) {
    const std::lock_guard held{floor_now.lock};
    now = next;
    floor_now.changed.notify_all();
  }

  long left_;
  long patience_;
  long steps_ = 0;
};

/// The actor that the current thread is; none outside the stage.
inline thread_local actor* this_actor = nullptr;

inline void suspension_point(const char* what, const char* path = __builtin_FILE()) {
  if (this_actor != nullptr) this_actor->pass({what, path});
}

/// Where threads sleep until they are woken, first come first.
class dormitory {
public:
  static constexpr std::int64_t no_end = std::numeric_limits<std::int64_t>::max();

  /// Sleeps if `may` still answers true, until a wake-up, or for so many nanoseconds.
  ///
  /// Returns   false if the time is over
  template <class Question>
  bool sleep(Question may, std::int64_t nanoseconds) {
    std::unique_lock held{floor_now.lock};
    if (!may()) return true;
    bed mine{this_actor};
    beds_.push_back(&mine);
    const auto woken = [&mine] { return mine.woken; };
    if (nanoseconds == no_end) {
      if (mine.who != nullptr) mine.who->now = activity::sleeps;
      floor_now.changed.notify_all();
      floor_now.changed.wait(held, woken);
    } else if (!floor_now.changed.wait_for(held, std::chrono::nanoseconds{nanoseconds}, woken)) {
      std::erase(beds_, &mine);
      return false;
    }
    return true;
  }

  void wake(std::size_t how_many) {
    const std::lock_guard held{floor_now.lock};
    for (; how_many != 0 && !beds_.empty(); --how_many) {
      beds_.front()->woken = true;
      if (beds_.front()->who != nullptr) beds_.front()->who->now = activity::runs;
      beds_.pop_front();
    }
    floor_now.changed.notify_all();
  }

private:
  struct bed {
    actor* who;
    bool woken = false;
  };
  std::deque<bed*> beds_;
};

/// Waits until none of them runs.
inline void wait_for_quiet(const std::vector<actor*>& all) {
  std::unique_lock held{floor_now.lock};
  floor_now.changed.wait(held, [&] {
    return std::all_of(all.begin(), all.end(),
                       [](const actor* each) { return each->now != activity::runs; });
  });
}

} // namespace test

#endif // MAILROOM_TESTS_SUSPENSION_STAGE_HPP
