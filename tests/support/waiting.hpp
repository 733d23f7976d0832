// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_SUPPORT_WAITING_HPP
#define MAILROOM_TESTS_SUPPORT_WAITING_HPP

// Calls that wait in the background, and what may end their wait: stop sources and clocks.

#include <support/threads.hpp>

#include <doctest/doctest.h>

#include <algorithm>          // min
#include <atomic>             // atomic
#include <chrono>             // duration, steady_clock, time_point
#include <condition_variable> // condition_variable
#include <cstdint>            // int64_t, uint64_t
#include <cstdio>             // fflush, fprintf
#include <cstdlib>            // abort
#include <ctime>              // clock_gettime
#include <deque>              // deque
#include <functional>         // function
#include <mutex>              // lock_guard, mutex, unique_lock
#include <optional>           // optional
#include <ratio>              // ratio
#include <string>             // string
#include <thread>             // thread, this_thread
#include <type_traits>        // invoke_result
#include <utility>            // exchange, move
#include <version>            // __cpp_lib_jthread

#if defined(__cpp_lib_jthread)
#include <stop_token> // stop_source
#endif

namespace test {

using namespace std::chrono_literals;

/// How long something may take that takes no time at all, on a machine that has much else to do.
inline constexpr std::chrono::seconds patience{40};

/// Waits until `condition` holds. The harness names the test if it never does.
template <class Condition>
void wait_until(const Condition& condition, const char* what) {
  const auto end = std::chrono::steady_clock::now() + patience;
  for (int i = 0; !condition(); ++i) {
    if (std::chrono::steady_clock::now() > end) {
      std::fprintf(stderr, "\nwaited %d s in vain: %s\n", static_cast<int>(patience.count()), what);
      std::fflush(nullptr);
      std::abort();
    }
    if (i < 100) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(50us);
    }
  }
}

/// Runs a call in a thread of its own, and knows whether it has come back.
template <class F>
class background {
  using result = std::invoke_result_t<F&>;

public:
  explicit background(F call)
      : call_{std::move(call)}, thread_{[this] {
          result_.emplace(call_());
          is_back_.store(true);
        }} {}
  background(const background&) = delete;
  background& operator=(const background&) = delete;
  ~background() {
    if (thread_.joinable()) (void)get();
  }

  bool is_back() const noexcept { return is_back_.load(); }

  /// What the call answered. Once.
  result get() {
    wait_until([this] { return is_back(); }, "a call did not come back");
    thread_.join();
    return std::move(*result_);
  }

private:
  F call_;
  std::optional<result> result_;
  std::atomic<bool> is_back_{false};
  std::thread thread_; // last: it uses the others
};

/// Long enough that a thread which is about to sleep mostly does.
inline void let_it_sleep() { std::this_thread::sleep_for(10ms); }

/// Returns when that many pops (pushes) have begun to wait in the mailbox, and probably sleep.
template <class Mailbox>
void wait_for_pops(const Mailbox& mail, std::uint64_t count) {
  wait_until([&] { return mail.stats().pop_waits >= count; }, "a pop did not begin to wait");
  let_it_sleep();
}
template <class Mailbox>
void wait_for_pushes(const Mailbox& mail, std::uint64_t count) {
  wait_until([&] { return mail.stats().push_waits >= count; }, "a push did not begin to wait");
  let_it_sleep();
}

/// What the threads of a test are doing, in words. If they never end it says who hangs in what.
class roll_call {
public:
  explicit roll_call(std::string test, std::chrono::seconds limit = patience)
      : test_{std::move(test)}, thread_{[this, limit] { watch(limit); }} {}
  roll_call(const roll_call&) = delete;
  roll_call& operator=(const roll_call&) = delete;
  ~roll_call() {
    {
      const std::lock_guard held{lock_};
      finished_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

  /// A thread that is watched. Each keeps its own, and sets it to what it is about to do.
  class member {
  public:
    explicit member(std::string who) : who_{std::move(who)} {}
    void operator=(const char* doing) noexcept { doing_.store(doing); }

  private:
    friend class roll_call;
    std::string who_;
    std::atomic<const char*> doing_{"has not begun"};
  };
  member& add(std::string who) {
    const std::lock_guard held{lock_};
    return members_.emplace_back(std::move(who));
  }

  /// The members so far have all ended, and the time begins again.
  void next_round() {
    {
      const std::lock_guard held{lock_};
      members_.clear();
      ++round_;
    }
    changed_.notify_one();
  }

private:
  void watch(std::chrono::seconds limit) {
    std::unique_lock held{lock_};
    while (!finished_) {
      const int round = round_;
      if (changed_.wait_for(held, limit, [&] { return finished_ || round_ != round; })) continue;
      std::fprintf(stderr, "\n%s: hangs in round %d, after %d s\n", test_.c_str(), round_,
                   static_cast<int>(limit.count()));
      for (const auto& each : members_) {
        std::fprintf(stderr, "  %s: %s\n", each.who_.c_str(), each.doing_.load());
      }
      std::fflush(nullptr);
      std::abort();
    }
  }

  std::string test_;
  std::mutex lock_;
  std::condition_variable changed_;
  std::deque<member> members_; // they do not move
  int round_ = 1;
  bool finished_ = false;
  std::thread thread_; // last: it uses the others
};

/// How long a call took.
template <class F>
std::chrono::nanoseconds time_of(F&& call) {
  const auto begin = std::chrono::steady_clock::now();
  call();
  return std::chrono::steady_clock::now() - begin;
}

#if defined(CLOCK_THREAD_CPUTIME_ID)

/// How long a call kept the processor busy. The least of up to ten calls, the first that needed
/// less than `enough` being the last: some systems count a whole tick for who was there when it
/// came, a system call that took long, or what an interrupt did. A call that spins spins each time.
template <class F>
std::chrono::nanoseconds cpu_time_of(F&& call, std::chrono::nanoseconds enough) {
  const auto cpu_time = [] {
    std::timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
  };
  auto least = std::chrono::nanoseconds::max();
  for (int i = 0; i != 10 && least >= enough; ++i) {
    const auto begin = cpu_time();
    call();
    least = std::min(least, cpu_time() - begin);
  }
  return least;
}

#endif

// ---- Stop sources. They have the members of std::stop_source that the tests use.

/// Its tokens only answer questions; nobody is called.
class asked_source {
public:
  class token {
  public:
    explicit token(const std::atomic<bool>& stopped) noexcept : stopped_{&stopped} {}
    bool stop_requested() const noexcept { return stopped_->load(); }
    bool stop_possible() const noexcept { return true; }

  private:
    const std::atomic<bool>* stopped_;
  };

  token get_token() const noexcept { return token{stopped_}; }
  void request_stop() noexcept { stopped_.store(true); }
  void reset() noexcept { stopped_.store(false); }

private:
  std::atomic<bool> stopped_{false};
};

/// Its tokens name the type of their callback, as C++26's inplace_stop_token does.
class calling_source {
  struct link {
    link* next = nullptr;
    void (*call)(link&) noexcept = nullptr;
  };
  template <class F>
  class callback;

public:
  class token {
  public:
    template <class F>
    using callback_type = callback<F>;

    explicit token(calling_source& source) noexcept : source_{&source} {}
    bool stop_requested() const noexcept { return source_->stopped_.load(); }
    bool stop_possible() const noexcept { return true; }

  private:
    template <class F>
    friend class callback;
    calling_source* source_;
  };

  token get_token() noexcept { return token{*this}; }
  void request_stop() {
    std::unique_lock held{lock_};
    if (stopped_.exchange(true)) return;
    caller_ = std::this_thread::get_id();
    while (first_ != nullptr) {
      called_ = std::exchange(first_, first_->next);
      held.unlock();
      called_->call(*called_);
      held.lock();
      called_ = nullptr;
      call_ended_.notify_all();
    }
  }

  /// Takes the request back. Nobody waits with a token of this source.
  void reset() {
    const std::lock_guard held{lock_};
    stopped_.store(false);
  }

  /// How many callbacks there are now.
  int callbacks() {
    const std::lock_guard held{lock_};
    int count = 0;
    for (link* each = first_; each != nullptr; each = each->next) ++count;
    return count;
  }

private:
  void add(link& one) {
    {
      const std::lock_guard held{lock_};
      if (!stopped_.load()) {
        one.next = std::exchange(first_, &one);
        return;
      }
    }
    one.call(one);
  }
  /// Waits for a call in progress, except from inside of it.
  void remove(link& one) {
    std::unique_lock held{lock_};
    link** at = &first_;
    while (*at != nullptr && *at != &one) at = &(*at)->next;
    if (*at != nullptr) {
      *at = one.next;
    } else if (caller_ != std::this_thread::get_id()) {
      call_ended_.wait(held, [&] { return called_ != &one; });
    }
  }

  std::mutex lock_;
  std::condition_variable call_ended_;
  link* first_ = nullptr;
  link* called_ = nullptr;
  std::thread::id caller_;
  std::atomic<bool> stopped_{false};
};

template <class F>
class calling_source::callback : link {
public:
  callback(const token& from, F act) : source_{*from.source_}, act_{std::move(act)} {
    link::call = [](link& self) noexcept { static_cast<callback&>(self).act_(); };
    source_.add(*this);
  }
  callback(const callback&) = delete;
  callback& operator=(const callback&) = delete;
  ~callback() { source_.remove(*this); }

private:
  calling_source& source_;
  F act_;
};

/// Runs `claim` with a new source of every kind.
template <class Claim>
void with_every_stop_source(const Claim& claim) {
  {
    INFO("a token that is asked");
    asked_source source;
    claim(source);
  }
  {
    INFO("a token that calls back");
    calling_source source;
    claim(source);
    CHECK(source.callbacks() == 0);
  }
#if defined(__cpp_lib_jthread)
  {
    INFO("std::stop_token");
    std::stop_source source;
    claim(source);
  }
#endif
}

/// A token that does something else when it is asked for the n-th time, then says that the stop was
/// requested: what another thread may do in just that moment.
template <class F>
class meddling_token {
public:
  meddling_token(F& act, int asked) noexcept : act_{&act}, left_{asked} {}
  bool stop_requested() const noexcept {
    if (left_ == 0) return true;
    if (--left_ != 0) return false;
    (*act_)();
    return true;
  }
  bool stop_possible() const noexcept { return true; }

private:
  F* act_;
  mutable int left_;
};

/// What a callback does when it is made, and when it is destroyed: as any other code of the user's.
struct callback_life {
  std::function<void()> when_made = [] {};
  std::function<void()> when_gone = [] {};
};

/// A token with such a callback. The stop is never requested.
class lively_token {
public:
  explicit lively_token(callback_life& life) noexcept : life_{&life} {}
  bool stop_requested() const noexcept { return false; }
  bool stop_possible() const noexcept { return true; }

  template <class F>
  class callback_type {
  public:
    callback_type(const lively_token& token, F) : life_{*token.life_} { life_.when_made(); }
    callback_type(const callback_type&) = delete;
    callback_type& operator=(const callback_type&) = delete;
    ~callback_type() { life_.when_gone(); }

  private:
    callback_life& life_;
  };

private:
  callback_life* life_;
};

// ---- Clocks

/// A clock that runs at Speed times the speed of the steady clock, from when it was first asked.
template <class Speed>
struct skewed_clock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<skewed_clock>;
  static constexpr bool is_steady = true;

  static time_point now() {
    static const auto start = std::chrono::steady_clock::now();
    const auto passed = std::chrono::steady_clock::now() - start;
    return time_point{1h + passed * Speed::num / Speed::den};
  }
};
using slow_clock = skewed_clock<std::ratio<1, 11>>;
using fast_clock = skewed_clock<std::ratio<11>>;

} // namespace test

#endif // MAILROOM_TESTS_SUPPORT_WAITING_HPP
