// SPDX-License-Identifier: MIT
#ifndef MAILROOM_BENCH_HARNESS_WAITING_HPP
#define MAILROOM_BENCH_HARNESS_WAITING_HPP

// How threads meet at a queue that waits: waiting_throughput, waiting_ping_pong and waiting_push.
//
// Whoever waits does so inside the queue, in its own way. Most look for a while before they sleep,
// and in a ping-pong they need not sleep at all then. Where it is asked what sleeping costs, both
// sides hold their messages back until the other one is certainly asleep; the time until then does
// not count. The kernel is asked how often they have really slept.

#include <bench/harness/exchanges.hpp>

#include <algorithm>          // max
#include <chrono>             // milliseconds, nanoseconds
#include <condition_variable> // condition_variable
#include <cstddef>            // size_t
#include <cstdint>            // int64_t, uint64_t
#include <functional>         // function
#include <mutex>              // lock_guard, mutex, unique_lock
#include <numeric>            // lcm
#include <thread>             // thread
#include <utility>            // move
#include <vector>             // vector

#include <sys/resource.h> // getrusage

namespace bench {

/// Calls `ring` if it lives too long, and then again and again: who waits in vain is let go.
class alarm_clock {
public:
  explicit alarm_clock(std::function<void()> ring)
      : ring_{std::move(ring)}, thread_{[this] { watch(); }} {}
  alarm_clock(const alarm_clock&) = delete;
  alarm_clock& operator=(const alarm_clock&) = delete;
  ~alarm_clock() {
    {
      const std::lock_guard held{lock_};
      is_over_ = true;
    }
    over_.notify_one();
    thread_.join();
  }

private:
  void watch() {
    std::unique_lock held{lock_};
    std::chrono::nanoseconds span{patience::limit};
    while (!over_.wait_for(held, span, [this] { return is_over_; })) {
      ring_();
      span = std::chrono::milliseconds{5};
    }
  }

  std::function<void()> ring_;
  std::mutex lock_;
  std::condition_variable over_;
  bool is_over_ = false;
  std::thread thread_;
};

/// How often the calling thread has gone to sleep.
class sleeps {
public:
  sleeps() : before_{all()} {}
  std::uint64_t since() const { return all() - before_; }

private:
  static std::uint64_t all() {
    rusage usage{};
    getrusage(RUSAGE_THREAD, &usage);
    return static_cast<std::uint64_t>(usage.ru_nvcsw);
  }
  std::uint64_t before_;
};

/// Stays awake until whoever waits elsewhere is certainly asleep.
inline void let_others_fall_asleep() {
  constexpr std::int64_t longer_than_anybody_spins = 100'000;
  const std::int64_t begin = now();
  while (now() - begin < longer_than_anybody_spins) mailroom::detail::relax();
}

/// What is still in a queue when all is over. What only ends a wait has no number.
template <class T, class Queue>
void take_what_was_sent(Queue& queue, account& into, std::uint64_t at_most) {
  for (T value{}; at_most != 0 && queue.try_pop(value); --at_most) {
    if (read(value) == 0) continue;
    ++into.got.count;
    into.got.sum += read(value);
  }
}

/// waiting_throughput: as transport, but whoever cannot go on waits in the queue.
///
/// Returns   the nanoseconds for each message
template <class T, class Queue>
outcome waiting_throughput(Queue& queue, const shape& form, std::uint64_t messages) {
  const std::uint64_t unit = std::lcm(form.producers, form.consumers);
  messages = (messages + unit - 1) / unit * unit;
  const std::uint64_t each = messages / form.producers;
  const std::uint64_t share = messages / form.consumers;

  const auto produce = [&](std::size_t sender, account& mine) {
    T value{};
    mine.times.start();
    for (number next = first_number(sender); mine.sent != each; ++mine.sent) {
      write(value, ++next);
      if (!queue.push(value)) break;
    }
    mine.has_waited_in_vain = mine.sent != each;
  };
  const auto consume = [&](auto book, account& mine) {
    T value{};
    bool all = true;
    mine.times.start();
    for (std::uint64_t part = 0; part != parts::count; ++part) {
      for (std::uint64_t left = parts::share(share, part); all && left != 0; --left) {
        all = queue.pop(value);
        if (all) book.enter(read(value));
      }
      mine.times.end_of_part(part);
    }
    mine.got = book.close();
    mine.has_waited_in_vain = !all;
  };
  std::vector<account> accounts(form.producers + form.consumers);
  std::vector<std::function<void()>> bodies; // by turns, so that a pair gets two cores
  for (std::size_t i = 0; i != std::max(form.producers, form.consumers); ++i) {
    if (i < form.producers) {
      account& mine = accounts[bodies.size()];
      bodies.emplace_back([&, i] { produce(i, mine); });
    }
    if (i < form.consumers) {
      account& mine = accounts[bodies.size()];
      bodies.emplace_back([&] {
        form.is_private() ? consume(private_book{1}, mine)
                          : consume(shared_book{form.producers}, mine);
      });
    }
  }
  {
    const alarm_clock alarm{[&] { queue.end(); }};
    run_pinned(bodies);
  }
  take_what_was_sent<T>(queue, accounts.front(), messages);
  return transported(accounts, form, each);
}

/// When a message was sent and came, there and back.
struct trip {
  std::int64_t asked = 0;
  std::int64_t arrived = 0;
  std::int64_t answered = 0;
  std::int64_t back = 0;
};

/// Whether a message is sent at once, or only when who waits for it is certainly asleep.
enum class haste : unsigned char { at_once, when_asleep };

/// waiting_ping_pong: a message there through one queue, and back through another one. What the
/// sides hold it back for does not count.
///
/// Returns   the nanoseconds of a round trip: the mean of their middle half, and their median; and
///           how many of the waits were asleep
template <class T, class Queue>
outcome waiting_ping_pong(Queue& there, Queue& back, haste how, std::uint64_t count) {
  outcome result;
  faults echo;
  std::vector<trip> trips(count);
  std::uint64_t slept[2] = {};

  const auto ask = [&] {
    private_book book{1};
    const sleeps mine;
    T value{};
    for (std::uint64_t i = 0; i != count; ++i) {
      if (how == haste::when_asleep) let_others_fall_asleep();
      write(value, first_number(0) + i + 1);
      trips[i].asked = now();
      if (!there.push(value) || !back.pop(value)) break;
      trips[i].back = now();
      book.enter(read(value));
    }
    slept[0] = mine.since();
    const receipt& got = book.close();
    result.wrong = got.wrong;
    result.wrong.lost |= got.count != count;
  };
  const auto answer = [&] {
    const sleeps mine;
    T value{};
    for (std::uint64_t i = 0; i != count && !echo.lost; ++i) {
      echo.lost = !there.pop(value);
      if (how == haste::when_asleep) {
        trips[i].arrived = now();
        let_others_fall_asleep();
        trips[i].answered = now();
      }
      echo.lost = echo.lost || !back.push(value);
    }
    slept[1] = mine.since();
  };
  {
    const alarm_clock alarm{[&] {
      there.end();
      back.end();
    }};
    run_pinned({ask, answer});
  }
  result.wrong |= echo;
  account rest;
  take_what_was_sent<T>(there, rest, count);
  take_what_was_sent<T>(back, rest, count);
  result.wrong.doubled |= rest.got.count != 0;

  std::vector<std::int64_t> times;
  for (const trip& one : trips) {
    times.push_back(one.back - one.asked - (one.answered - one.arrived));
  }
  result.ns = middle_mean(times);
  result.second = quantile(times, 0.5);
  result.third = static_cast<double>(slept[0] + slept[1]) / static_cast<double>(2 * count);
  return result;
}

/// waiting_push: a push to a consumer that is asleep, again and again.
///
/// Returns   the nanoseconds of the push: the mean of the middle half; the median time from its
///           beginning until the consumer has the message; and how many of the waits were asleep
template <class T, class Queue>
outcome waiting_push(Queue& queue, std::uint64_t count) {
  outcome result;
  flag taken;
  std::vector<std::int64_t> begun(count);
  std::vector<std::int64_t> pushes(count);
  std::vector<std::int64_t> trips(count);
  std::uint64_t slept = 0;

  const auto produce = [&] {
    patience waits{waiting::pause};
    T value{};
    for (std::uint64_t i = 0; i != count; ++i) {
      let_others_fall_asleep();
      write(value, first_number(0) + i + 1);
      begun[i] = now();
      if (!queue.push(value)) return;
      pushes[i] = now() - begun[i];
      if (!taken.await(i + 1, waits)) return;
    }
  };
  const auto consume = [&] {
    private_book book{1};
    const sleeps mine;
    T value{};
    for (std::uint64_t i = 0; i != count && queue.pop(value); ++i) {
      trips[i] = now();
      book.enter(read(value));
      taken.set(i + 1);
    }
    slept = mine.since();
    const receipt& got = book.close();
    result.wrong = got.wrong;
    result.wrong.lost |= got.count != count;
  };
  {
    const alarm_clock alarm{[&] { queue.end(); }};
    run_pinned({produce, consume});
  }
  account rest;
  take_what_was_sent<T>(queue, rest, count);
  result.wrong.doubled |= rest.got.count != 0;

  for (std::uint64_t i = 0; i != count; ++i) trips[i] -= begun[i];
  result.ns = middle_mean(pushes);
  result.second = quantile(trips, 0.5);
  result.third = static_cast<double>(slept) / static_cast<double>(count);
  return result;
}

} // namespace bench

#endif // MAILROOM_BENCH_HARNESS_WAITING_HPP
