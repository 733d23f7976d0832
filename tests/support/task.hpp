// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_SUPPORT_TASK_HPP
#define MAILROOM_TESTS_SUPPORT_TASK_HPP

// A coroutine for tests: it begins at once, in the thread that calls it, and goes on in whatever
// thread resumes it.

#include <atomic>    // atomic
#include <coroutine> // coroutine_handle, suspend_never
#include <deque>     // deque
#include <exception> // current_exception, exception_ptr, rethrow_exception
#include <utility>   // exchange

namespace test {

/// Destroyed before it is done, it takes the suspended coroutine along.
template <class Promise>
class basic_task {
public:
  using promise_type = Promise;

  explicit basic_task(std::coroutine_handle<Promise> self) noexcept : self_{self} {}
  basic_task(basic_task&& other) noexcept : self_{std::exchange(other.self_, nullptr)} {}
  basic_task& operator=(basic_task&&) = delete;
  ~basic_task() {
    if (self_) self_.destroy();
  }

  /// Asked by any thread; what the coroutine did has then happened before.
  bool is_done() const noexcept { return self_.promise().is_done.load(); }

  /// Throws what the coroutine has thrown. Once it is done.
  void get() const {
    if (self_.promise().thrown) std::rethrow_exception(self_.promise().thrown);
  }

private:
  std::coroutine_handle<Promise> self_;
};

/// What promises have in common.
template <class Promise>
struct basic_promise {
  /// Tells that it is done when it is suspended, so that it may be destroyed by who hears of it.
  struct end {
    bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<Promise> self) noexcept {
      self.promise().is_done.store(true);
    }
    void await_resume() noexcept {}
  };

  basic_task<Promise> get_return_object() noexcept {
    return basic_task<Promise>{
        std::coroutine_handle<Promise>::from_promise(static_cast<Promise&>(*this))};
  }
  std::suspend_never initial_suspend() noexcept { return {}; }
  end final_suspend() noexcept { return {}; }
  void return_void() noexcept {}
  void unhandled_exception() noexcept { thrown = std::current_exception(); }

  std::atomic<bool> is_done{false};
  std::exception_ptr thrown;
};

/// A task that is resumed by who wakes it.
struct promise : basic_promise<promise> {};
using task = basic_task<promise>;

/// Tasks whose first parameter is a run_queue go on when it is their turn.
using run_queue = std::deque<std::coroutine_handle<>>;
struct queued_promise : basic_promise<queued_promise> {
  template <class... Others>
  explicit queued_promise(run_queue& queue, Others&...) noexcept : turns{&queue} {}
  void schedule(std::coroutine_handle<> self) { turns->push_back(self); }
  run_queue* turns;
};
using queued_task = basic_task<queued_promise>;

inline int run_all(run_queue& queue) {
  int count = 0;
  for (; !queue.empty(); ++count) {
    const auto next = queue.front();
    queue.pop_front();
    next.resume();
  }
  return count;
}

} // namespace test

#endif // MAILROOM_TESTS_SUPPORT_TASK_HPP
