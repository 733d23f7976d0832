// SPDX-License-Identifier: MIT
#ifndef MAILROOM_BENCH_HARNESS_MACHINE_HPP
#define MAILROOM_BENCH_HARNESS_MACHINE_HPP

// What a measurement needs from the machine: a clock, cores to stay on, something to do while
// waiting, and a compiler that does not see through what is measured.

#include <mailroom/detail/platform.hpp>

#include <algorithm> // max_element, nth_element
#include <array>     // array
#include <chrono>    // steady_clock, nanoseconds
#include <cstddef>   // size_t
#include <cstdint>   // int64_t, uint64_t
#include <cstdio>    // perror
#include <cstdlib>   // exit
#include <vector>    // vector

#include <pthread.h> // pthread_setaffinity_np
#include <sched.h>   // sched_getaffinity, sched_yield

namespace bench {

/// Nanoseconds on a clock that only grows.
inline std::int64_t now() {
  using namespace std::chrono;
  return duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count();
}

/// Makes the compiler believe that somebody reads and writes all of `value` here.
template <class T>
void keep(T& value) {
  asm volatile("" : "+m"(value) : : "memory");
}

/// Makes the compiler believe that others use `object` here, so that it keeps nothing of it in
/// registers.
template <class T>
void share(T& object) {
  asm volatile("" : : "r"(&object) : "memory");
}

/// The cores that this program may use; taskset chooses others.
inline const std::vector<std::size_t>& cores() {
  static const std::vector<std::size_t> usable = [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    std::vector<std::size_t> found;
    for (std::size_t core = 0; core != CPU_SETSIZE; ++core) {
      if (CPU_ISSET(core, &set)) found.push_back(core);
    }
    return found;
  }();
  return usable;
}

/// Keeps the calling thread on a core. Neighbouring threads get cores of their own as long as there
/// are some; then the next round begins with another core, so that each gets a mixture.
inline void pin(std::size_t thread) {
  const std::size_t count = cores().size();
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cores()[(thread + thread / count) % count], &set);
  if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0) {
    std::perror("mailroom: a thread cannot be pinned");
    std::exit(2);
  }
}

/// What a thread does when a queue is full or empty. `yield` is for more threads than cores.
enum class waiting : unsigned char { spin, pause, yield };

/// Waits between attempts, but not for ever: a queue that has lost a message would hold us up.
class patience {
public:
  /// How long nothing may move, in nanoseconds.
  static inline std::int64_t limit = 2'000'000'000;

  explicit patience(waiting how) noexcept : how_{how} {}

  /// An attempt has failed, after `done` that have not. False: none has, for too long.
  bool lasts(std::uint64_t done) {
    if (how_ == waiting::pause) mailroom::detail::relax();
    if (how_ == waiting::yield) sched_yield();
    return ++failures_ % look_at_clock != 0 || still_moves(done);
  }

private:
  static constexpr std::uint64_t look_at_clock = 256;

  bool still_moves(std::uint64_t done) {
    const std::int64_t time = now();
    if (done != done_ || since_ == 0) {
      done_ = done;
      since_ = time;
    }
    return time - since_ < limit;
  }

  waiting how_;
  std::uint64_t failures_ = 0;
  std::uint64_t done_ = 0;
  std::int64_t since_ = 0;
};

/// The times at which a thread has got through each part of its work. A hypervisor takes a core
/// away for milliseconds at a time, and then one part is far longer than the others.
class parts {
public:
  static constexpr std::uint64_t count = 32;

  void start() { times_[0] = now(); }
  void end_of_part(std::uint64_t part) { times_[part + 1] = now(); }

  std::int64_t first() const { return times_.front(); }
  std::int64_t last() const { return times_.back(); }
  bool one_is_far_longer() const {
    std::array<std::int64_t, count> lengths{};
    for (std::size_t i = 0; i != count; ++i) lengths[i] = times_[i + 1] - times_[i];
    const std::int64_t longest = *std::max_element(lengths.begin(), lengths.end());
    std::nth_element(lengths.begin(), lengths.begin() + count / 2, lengths.end());
    return longest > 2 * lengths[count / 2] + 400'000;
  }

  /// How much of `total` belongs to that part, so that all of it is done in the end.
  static std::uint64_t share(std::uint64_t total, std::uint64_t part) {
    return total * (part + 1) / count - total * part / count;
  }

private:
  std::array<std::int64_t, count + 1> times_{};
};

} // namespace bench

#endif // MAILROOM_BENCH_HARNESS_MACHINE_HPP
