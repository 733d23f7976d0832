// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_SUPPORT_THREADS_HPP
#define MAILROOM_TESTS_SUPPORT_THREADS_HPP

// Threads that start together, and somebody who notices when they never end.
//
// The tests run on few cores, so whoever waits here gives the core away.

#include <atomic>             // atomic
#include <chrono>             // duration, seconds, steady_clock
#include <condition_variable> // condition_variable
#include <cstdio>             // fprintf, fflush
#include <cstdlib>            // abort, getenv, strtod
#include <exception>          // exception_ptr, current_exception, rethrow_exception
#include <functional>         // function
#include <mutex>              // mutex, unique_lock
#include <string>             // string
#include <thread>             // thread, this_thread
#include <utility>            // move
#include <vector>             // vector

namespace test {

/// Holds threads back until all of them have come.
class start_barrier {
public:
  explicit start_barrier(std::size_t threads) noexcept : missing_{threads} {}

  void arrive_and_wait() noexcept {
    missing_.fetch_sub(1);
    while (missing_.load() != 0) std::this_thread::yield();
  }

private:
  std::atomic<std::size_t> missing_;
};

/// Ends the program, with a message that names what hung, if it lives longer than it should.
class watchdog {
public:
  explicit watchdog(std::string what, std::chrono::seconds limit = std::chrono::seconds{60})
      : what_{std::move(what)}, thread_{[this, limit] { watch(limit); }} {}
  watchdog(const watchdog&) = delete;
  watchdog& operator=(const watchdog&) = delete;
  ~watchdog() {
    {
      const std::lock_guard held{lock_};
      finished_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

private:
  void watch(std::chrono::seconds limit) {
    std::unique_lock held{lock_};
    if (changed_.wait_for(held, limit, [this] { return finished_; })) return;
    std::fprintf(stderr, "\nwatchdog: this hangs, after %lld s: %s\n",
                 static_cast<long long>(limit.count()), what_.c_str());
    std::fflush(nullptr);
    std::abort();
  }

  std::string what_;
  std::mutex lock_;
  std::condition_variable changed_;
  bool finished_ = false;
  std::thread thread_; // last: it uses the others
};

/// Runs all of `bodies` at once, each in a thread of its own, and waits for them. What the first of
/// them threw is thrown again here.
inline void run_together(std::vector<std::function<void()>> bodies) {
  start_barrier start{bodies.size()};
  std::vector<std::exception_ptr> thrown(bodies.size());
  std::vector<std::thread> threads;
  threads.reserve(bodies.size());
  for (std::size_t i = 0; i != bodies.size(); ++i) {
    threads.emplace_back([&start, &body = bodies[i], &error = thrown[i]] {
      start.arrive_and_wait();
      try {
        body();
      } catch (...) {
        error = std::current_exception();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& error : thrown) {
    if (error) std::rethrow_exception(error);
  }
}

/// How long all stress tests of one program may take together; MAILROOM_STRESS_SECONDS changes it.
inline double stress_seconds() {
  const char* const wanted = std::getenv("MAILROOM_STRESS_SECONDS");
  const double seconds = wanted == nullptr ? 0 : std::strtod(wanted, nullptr);
  return seconds > 0 ? seconds : 10;
}

/// A share of that time, in thousandths, beginning now.
class time_box {
public:
  explicit time_box(double thousandths)
      : end_{std::chrono::steady_clock::now() +
             std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                 std::chrono::duration<double>{stress_seconds() * thousandths / 1000})} {}

  bool is_over() const noexcept { return std::chrono::steady_clock::now() >= end_; }

private:
  std::chrono::steady_clock::time_point end_;
};

} // namespace test

#endif // MAILROOM_TESTS_SUPPORT_THREADS_HPP
