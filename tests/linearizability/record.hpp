// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_LINEARIZABILITY_RECORD_HPP
#define MAILROOM_TESTS_LINEARIZABILITY_RECORD_HPP

// Runs threads against a queue or a mailbox and writes down what they did.
//
// What is written is sound, not complete:
//   - An answer full or empty changes nothing, so it may be left out. Of several in a row a thread
//     notes two, and then gives its core away, or a thread that waits would fill its log.
//   - busy is no claim about the queue. It is counted, not noted.
//   - A timed call that came too late has looked once more, and was told full or empty. That is what
//     is noted of it; so it must be no queue that may be busy.
//   - What close(discard) throws away it has popped, each at some moment of the call.
//   - A run of messages (try_push_range, try_pop_n) is noted as one operation for each message that
//     went through, each with the interval of the whole call. Each took effect at some moment of the
//     call, so the interval is true; that they kept their order within the call is not said by it,
//     and is checked elsewhere (contract, stress). Why a run was short is not noted.

#include <mailroom/core/status.hpp>
#include <mailroom/mailbox/loss.hpp>

#include <linearizability/history.hpp>
#include <support/threads.hpp>

#include <algorithm>  // min
#include <array>      // array
#include <atomic>     // atomic, memory_order_acquire, memory_order_relaxed
#include <chrono>     // microseconds
#include <cstddef>    // size_t, ptrdiff_t
#include <cstdint>    // uint64_t
#include <functional> // function
#include <stdexcept>  // logic_error
#include <string>     // string
#include <thread>     // this_thread
#include <utility>    // move
#include <vector>     // vector

namespace linearizability {

using mailroom::queue_status;

/// How the threads call: one message at a time without waiting, several messages at a time mixed
/// with single ones, both through handles, waiting for room and messages (and then the end is
/// always a close), or waiting for them for a moment.
enum class style { singles, runs, handles, waiting, timed };
inline constexpr std::chrono::microseconds moment{5};

/// Where the thread that discards writes down what it is given.
inline thread_local std::vector<number>* discarded_here = nullptr;
inline void note_discarded(number message) noexcept {
  if (discarded_here != nullptr) discarded_here->push_back(message);
}

struct shape {
  std::size_t producers = 1;
  std::size_t consumers = 1;
  std::size_t capacity = 1;
  number messages = 1000; ///< that each producer tries to send
  bool closes = false;    ///< while they are at it
  bool discards = false;  ///< what is inside then
};

/// A message that is a number, and gives its thread's core away in some of its copies and moves: in
/// the middle of a push or pop, where it hurts most.
class stalling_number {
public:
  stalling_number(number value = 0) noexcept : value_{value} {}
  stalling_number(const stalling_number& other) noexcept : value_{other.value_} { stall(); }
  stalling_number(stalling_number&& other) noexcept : value_{other.value_} { stall(); }
  stalling_number& operator=(const stalling_number&) noexcept = default;
  stalling_number& operator=(stalling_number&&) noexcept = default;
  ~stalling_number() = default;
  operator number() const noexcept { return value_; }

private:
  static void stall() noexcept {
    static thread_local unsigned moves = 0;
    if (++moves % 509 == 0) std::this_thread::yield();
  }

  number value_;
};

/// What the threads of a round share besides the queue.
struct round_state {
  std::atomic<std::size_t> producing;
  std::atomic<bool> may_close{false};
  std::atomic<std::uint64_t> busy{0};
};

/// One thread's log.
class scribe {
public:
  scribe(thread_log& own, round_state& state) : own_{own}, state_{state} { own.clear(); }

  void note(stamp start, stamp end, answer what, number value) {
    refusals_ = 0;
    own_.push_back({start, end, value, what});
  }
  void note_refusal(stamp start, stamp end, answer what) {
    if (refusals_++ < 2) {
      own_.push_back({start, end, 0, what});
    } else {
      std::this_thread::yield();
    }
  }
  void note_busy() {
    state_.busy.fetch_add(1);
    std::this_thread::yield();
  }
  [[noreturn]] static void refuse(queue_status status) {
    throw std::logic_error("an operation answered " + std::string{mailroom::to_string(status)});
  }

private:
  thread_log& own_;
  round_state& state_;
  int refusals_ = 0;
};

/// What a thread pushes and pops through: the queue, or handles of its own.
template <style Style, class Queue>
struct way {
  using in = Queue&;
  using out = Queue&;
};
template <class Queue>
struct way<style::handles, Queue> {
  using in = typename Queue::producer;
  using out = typename Queue::consumer;
};

/// A producer sends the numbers of [first, last), and gives up after twice as many attempts.
template <style Style, class Queue>
class producer {
public:
  producer(Queue& queue, round_state& state, thread_log& own, number first, number count)
      : queue_{queue}, state_{state}, notes_{own, state}, next_{first}, last_{first + count} {}

  void run(bool closes) {
    const number close_at = last_ - (last_ - next_) / 4;
    number attempts = 2 * (last_ - next_);
    while (next_ != last_ && attempts-- != 0 && closed_ < 2) {
      step(attempts);
      if (closes && next_ >= close_at) state_.may_close.store(true, std::memory_order_relaxed);
    }
    state_.may_close.store(true);
    state_.producing.fetch_sub(1);
  }

private:
  void step(number left) {
    if constexpr (Style == style::singles) {
      push_one();
    } else if constexpr (Style == style::runs) {
      left % 4 == 0 ? push_one() : push_run();
    } else if constexpr (Style == style::handles) {
      left % 4 == 0 ? push_run() : push_one();
    } else if constexpr (Style == style::timed) {
      push_one();
    } else {
      left % 8 == 0 ? push_run() : push_and_wait();
    }
  }

  void push_one() {
    const stamp start = start_stamp();
    const queue_status status = push_now();
    const stamp end = end_stamp();
    switch (status) {
    case queue_status::success: notes_.note(start, end, answer::push_success, next_++); break;
    case queue_status::full: notes_.note_refusal(start, end, answer::push_full); break;
    case queue_status::closed: note_closed(start, end); break;
    case queue_status::busy: notes_.note_busy(); break;
    default: scribe::refuse(status);
    }
  }

  queue_status push_now() {
    if constexpr (Style == style::timed) {
      const queue_status status = queue_.try_push_for(next_, moment);
      return status == queue_status::timeout ? queue_status::full : status;
    } else {
      return queue_.try_push(next_);
    }
  }

  void push_and_wait() {
    const stamp start = start_stamp();
    const bool success = queue_.push(next_);
    const stamp end = end_stamp();
    if (!success) return note_closed(start, end);
    notes_.note(start, end, answer::push_success, next_++);
  }

  void push_run() {
    std::array<number, 5> run{};
    for (number i = 0; i != run.size(); ++i) run[i] = next_ + i;
    const auto last = run.begin() + std::min<std::ptrdiff_t>(5, last_ - next_);
    const stamp start = start_stamp();
    const auto rest = push_range(run.begin(), last);
    const stamp end = end_stamp();
    for (auto at = run.begin(); at != rest; ++at) {
      notes_.note(start, end, answer::push_success, next_++);
    }
    if (rest != last && Style == style::waiting) note_closed(start, end);
  }
  auto push_range(auto first, auto last) {
    if constexpr (Style == style::waiting) {
      return queue_.push_range(first, last);
    } else {
      return queue_.try_push_range(first, last);
    }
  }
  void note_closed(stamp start, stamp end) {
    ++closed_;
    notes_.note(start, end, answer::push_closed, 0);
  }

  typename way<Style, Queue>::in queue_;
  round_state& state_;
  scribe notes_;
  number next_;
  number last_;
  int closed_ = 0;
};

/// A consumer takes what comes until the queue is closed, or empty after the last push.
template <style Style, class Queue>
class consumer {
public:
  consumer(Queue& queue, round_state& state, thread_log& own)
      : queue_{queue}, state_{state}, notes_{own, state} {}

  void run() {
    for (number i = 0; !finished_; ++i) {
      const bool last_look = state_.producing.load(std::memory_order_acquire) == 0;
      if constexpr (Style == style::singles) {
        pop_one(last_look);
      } else if constexpr (Style == style::runs) {
        i % 4 == 0 ? pop_one(last_look) : pop_run();
      } else if constexpr (Style == style::handles) {
        i % 4 == 0 ? pop_run() : pop_one(last_look);
      } else if constexpr (Style == style::timed) {
        pop_one(last_look);
      } else {
        i % 8 == 0 ? pop_run() : pop_and_wait();
      }
    }
  }

private:
  void pop_one(bool last_look) {
    typename Queue::value_type value{};
    const stamp start = start_stamp();
    const queue_status status = pop_now(value);
    const stamp end = end_stamp();
    switch (status) {
    case queue_status::success: notes_.note(start, end, answer::pop_value, value); break;
    case queue_status::empty:
      notes_.note_refusal(start, end, answer::pop_empty);
      finished_ = last_look;
      break;
    case queue_status::closed: note_closed(start, end); break;
    case queue_status::busy: notes_.note_busy(); break;
    default: scribe::refuse(status);
    }
  }

  queue_status pop_now(typename Queue::value_type& into) {
    if constexpr (Style == style::timed) {
      const auto found = queue_.try_pop_for(moment);
      if (found) into = *found;
      return found.error() == queue_status::timeout ? queue_status::empty : found.error();
    } else {
      return queue_.try_pop(into);
    }
  }

  void pop_and_wait() {
    const stamp start = start_stamp();
    const auto value = queue_.pop();
    const stamp end = end_stamp();
    if (!value) return note_closed(start, end);
    notes_.note(start, end, answer::pop_value, *value);
  }

  void pop_run() {
    std::array<number, 5> run{};
    const stamp start = start_stamp();
    const std::size_t count = pop_some(run.begin(), run.size());
    const stamp end = end_stamp();
    for (std::size_t i = 0; i != count; ++i) notes_.note(start, end, answer::pop_value, run[i]);
    if (count == 0 && Style == style::waiting) note_closed(start, end);
  }
  std::size_t pop_some(auto out, std::size_t most) {
    if constexpr (Style == style::waiting) {
      return queue_.pop_n(out, most);
    } else {
      return queue_.try_pop_n(out, most);
    }
  }
  void note_closed(stamp start, stamp end) {
    finished_ = true;
    notes_.note(start, end, answer::pop_closed, 0);
  }

  typename way<Style, Queue>::out queue_;
  round_state& state_;
  scribe notes_;
  bool finished_ = false;
};

/// Closes, in one of the two ways.
template <class Queue>
void close(Queue& queue, const shape& how, thread_log& own) {
  std::vector<number> discarded;
  if (how.discards) discarded.reserve(how.capacity);
  const stamp start = start_stamp();
  if constexpr (requires { queue.close(mailroom::discard); }) {
    discarded_here = &discarded;
    how.discards ? queue.close(mailroom::discard) : queue.close();
    discarded_here = nullptr;
  } else {
    queue.close();
  }
  const stamp end = end_stamp();
  own.push_back({start, end, 0, answer::close});
  for (const number each : discarded) own.push_back({start, end, each, answer::pop_value});
  if (how.discards) own.push_back({start, end, 0, answer::pop_closed});
}

/// Runs one round over a new queue, and writes it over what `into` had. Says how often the answer
/// was busy.
template <style Style, class Queue>
std::uint64_t record(Queue& queue, const shape& how, history& into) {
  round_state state{how.producers};
  into.capacity = how.capacity;
  into.logs.resize(how.producers + how.consumers + 1);
  std::vector<std::function<void()>> bodies;
  for (std::size_t i = 0; i != how.consumers; ++i) {
    bodies.push_back([&, &own = into.logs[how.producers + i]] {
      consumer<Style, Queue>{queue, state, own}.run();
    });
  }
  for (std::size_t i = 0; i != how.producers; ++i) {
    const number first = static_cast<number>(i) * how.messages;
    bodies.push_back([&, first, &own = into.logs[i]] {
      producer<Style, Queue>{queue, state, own, first, how.messages}.run(how.closes);
    });
  }
  into.logs.back().clear();
  if constexpr (requires { queue.close(); }) {
    bodies.push_back([&, &own = into.logs.back()] {
      while (how.closes && !state.may_close.load()) std::this_thread::yield();
      if (how.closes) close(queue, how, own);
    });
  }
  test::run_together(std::move(bodies));
  return state.busy.load();
}

} // namespace linearizability

#endif // MAILROOM_TESTS_LINEARIZABILITY_RECORD_HPP
