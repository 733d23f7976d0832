// SPDX-License-Identifier: MIT
#ifndef MAILROOM_BENCH_HARNESS_THREADS_HPP
#define MAILROOM_BENCH_HARNESS_THREADS_HPP

// Pinned threads that start together, and the bare ping-pong that tells how far apart cores are.

#include <bench/harness/machine.hpp>

#include <atomic>     // atomic, memory_order
#include <cstddef>    // size_t
#include <cstdint>    // int64_t, uint64_t
#include <functional> // function
#include <thread>     // thread
#include <vector>     // vector

namespace bench {

/// Holds threads back until all of them have come.
class start_line {
public:
  explicit start_line(std::size_t threads) : missing_{threads} {}
  void arrive() {
    missing_.fetch_sub(1);
    while (missing_.load() != 0) sched_yield();
  }

private:
  std::atomic<std::size_t> missing_;
};

/// Runs each body in a thread of its own on a core of its own, as far as there are some.
inline void run_pinned(const std::vector<std::function<void()>>& bodies) {
  start_line start{bodies.size()};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i != bodies.size(); ++i) {
    threads.emplace_back([&start, &body = bodies[i], i] {
      pin(i);
      start.arrive();
      body();
    });
  }
  for (auto& thread : threads) thread.join();
}

/// A flag on a line of its own, which one thread sets and another one awaits.
struct alignas(128) flag {
  std::atomic<std::uint64_t> value{0};

  void set(std::uint64_t to) { value.store(to, std::memory_order_release); }
  bool await(std::uint64_t wanted, patience& waits) {
    while (value.load(std::memory_order_acquire) != wanted) {
      if (!waits.lasts(wanted)) return false;
    }
    return true;
  }
};

/// Two threads and nothing between them but two flags: the least that a question and its answer can
/// take. `after_each` is called after each round trip.
template <class AfterEach>
void bare_ping_pong(std::uint64_t round_trips, waiting how, AfterEach after_each) {
  flag there;
  flag back;
  run_pinned({[&] {
                patience waits{how};
                for (std::uint64_t i = 1; i <= round_trips; ++i) {
                  there.set(i);
                  if (!back.await(i, waits)) return;
                  after_each();
                }
              },
              [&] {
                patience waits{how};
                for (std::uint64_t i = 1; i <= round_trips; ++i) {
                  if (!there.await(i, waits)) return;
                  back.set(i);
                }
              }});
}

/// How far apart the first two cores are now, as the time of a bare round trip in nanoseconds.
inline double distance() {
  constexpr std::uint64_t warm_up = 500;
  constexpr std::uint64_t measured = 2000;
  std::uint64_t done = 0;
  std::int64_t begin = 0;
  std::int64_t end = 0;
  bare_ping_pong(warm_up + measured, waiting::spin, [&] {
    ++done;
    if (done == warm_up) begin = now();
    if (done == warm_up + measured) end = now();
  });
  return static_cast<double>(end - begin) / measured;
}

} // namespace bench

#endif // MAILROOM_BENCH_HARNESS_THREADS_HPP
