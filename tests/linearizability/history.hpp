// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_LINEARIZABILITY_HISTORY_HPP
#define MAILROOM_TESTS_LINEARIZABILITY_HISTORY_HPP

// What the threads of a real run did to one queue, and when.
//
// Every thread writes into a log of its own, which has its memory before the run begins. An
// operation carries two stamps: one taken before its call and one after it. If the end of A is
// smaller than the start of B then A was over before B began, in every thread's eyes; all that a
// checker concludes, it concludes from that. A stamp may therefore be too wide, never too narrow:
//
//   start   rdtsc; lfence           the call begins after the counter was read
//   end     mfence; lfence; rdtsc   the counter is read after the last load of the call has its
//                                   value, and after its last store has left the store buffer
//
// Without the mfence the release store of a push may still wait in the store buffer when the end is
// stamped: others would rightly not see a message that the history says is there. The counter runs
// at one speed on all cores of every x86-64 of the last fifteen years, and a test in
// checker.test.cpp looks whether it does. On other machines the stamps are nanoseconds of
// std::chrono::steady_clock behind the same kind of fences: the intervals are wider and ends often
// equal, so that less can be concluded, but nothing false.

#include <atomic>  // atomic_thread_fence
#include <chrono>  // nanoseconds, steady_clock
#include <cstddef> // size_t
#include <cstdint> // uint8_t, uint32_t, uint64_t
#include <string>  // string, to_string
#include <vector>  // vector

#if defined(_M_X64)
#include <intrin.h> // __rdtsc, _mm_lfence, _mm_mfence
#elif defined(__x86_64__)
#include <x86intrin.h> // __rdtsc, _mm_lfence, _mm_mfence
#endif

namespace linearizability {

// ---- Stamps

using stamp = std::uint64_t;
inline constexpr stamp never = ~stamp{0};

#if defined(_M_X64) || defined(__x86_64__)

inline stamp start_stamp() noexcept {
  const stamp now = __rdtsc();
  _mm_lfence();
  return now;
}
inline stamp end_stamp() noexcept {
  _mm_mfence();
  _mm_lfence();
  return __rdtsc();
}

#else

inline stamp steady_stamp() noexcept {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<stamp>(std::chrono::nanoseconds{now}.count());
}
inline stamp start_stamp() noexcept {
  const stamp now = steady_stamp();
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return now;
}
inline stamp end_stamp() noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return steady_stamp();
}

#endif

// ---- Operations

/// What was called, and what it answered.
enum class answer : std::uint8_t {
  push_success,
  push_full,
  push_closed,
  pop_value,
  pop_empty,
  pop_closed,
  close, ///< the call that closes; it has no answer
};

constexpr const char* name_of(answer what) noexcept {
  switch (what) {
  case answer::push_success: return "push->success";
  case answer::push_full: return "push->full";
  case answer::push_closed: return "push->closed";
  case answer::pop_value: return "pop->value";
  case answer::pop_empty: return "pop->empty";
  case answer::pop_closed: return "pop->closed";
  case answer::close: return "close";
  }
  return "unknown";
}

/// Messages are small numbers, each pushed at most once in a history.
using number = std::uint32_t;

struct operation {
  stamp start;
  stamp end;
  number value; ///< of push_success and pop_value
  answer what;
};

inline std::string describe(stamp at) { return at == never ? "never" : std::to_string(at); }

inline std::string describe(const operation& one) {
  std::string text = name_of(one.what);
  if (one.what == answer::push_success || one.what == answer::pop_value) {
    text += " of " + std::to_string(one.value);
  }
  return text + " [" + describe(one.start) + ", " + describe(one.end) + "]";
}

/// What one thread did, in its order.
using thread_log = std::vector<operation>;

/// All that was done to a queue that was empty before.
struct history {
  std::size_t capacity;
  std::vector<thread_log> logs;

  std::size_t size() const noexcept {
    std::size_t count = 0;
    for (const auto& each : logs) count += each.size();
    return count;
  }
};

inline std::string describe(const history& run) {
  std::string text = "capacity " + std::to_string(run.capacity) + "\n";
  for (std::size_t i = 0; i != run.logs.size(); ++i) {
    text += "  thread " + std::to_string(i) + ":";
    for (const auto& one : run.logs[i]) text += "  " + describe(one);
    text += "\n";
  }
  return text;
}

} // namespace linearizability

#endif // MAILROOM_TESTS_LINEARIZABILITY_HISTORY_HPP
