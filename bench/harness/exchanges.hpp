// SPDX-License-Identifier: MIT
#ifndef MAILROOM_BENCH_HARNESS_EXCHANGES_HPP
#define MAILROOM_BENCH_HARNESS_EXCHANGES_HPP

// The other ways in which threads meet at queues: pairs, ping_pong and burst.

#include <bench/harness/transport.hpp>

#include <algorithm>  // max, min, nth_element, sort
#include <cstddef>    // ptrdiff_t, size_t
#include <cstdint>    // int64_t, uint64_t
#include <functional> // function
#include <limits>     // numeric_limits
#include <numeric>    // accumulate
#include <vector>     // vector

namespace bench {

/// pairs: each of `threads` threads pushes one message, then pops one, again and again. Some more
/// messages are inside all the time, so that both ends are fought for, and nobody finds it empty.
///
/// Returns   the nanoseconds for each push and pop
template <class T, class Queue>
outcome pairs(Queue& queue, std::size_t threads, waiting how, std::uint64_t messages) {
  constexpr std::uint64_t inside = 32;
  const std::uint64_t each = messages / threads + 1;
  start_line filled{threads};
  std::vector<account> accounts(threads);

  const auto body = [&](std::size_t me) {
    auto&& out = producer_of(queue);
    auto&& in = consumer_of(queue);
    patience waits{how};
    shared_book book{threads};
    T value{};
    account& mine = accounts[me];
    number next = first_number(me);
    bool all = true;
    for (std::uint64_t i = 0; i != inside; ++i) {
      write(value, ++next);
      all = all && push(out, value, waits, i);
      mine.sent += all ? 1 : 0;
    }
    filled.arrive();
    mine.times.start();
    for (std::uint64_t part = 0; part != parts::count; ++part) {
      const std::uint64_t share = parts::share(each, part);
      for (std::uint64_t i = 0; all && i != share; ++i) {
        write(value, ++next);
        all = push(out, value, waits, next);
        if (!all) break;
        ++mine.sent;
        all = pop(in, value, waits, next);
        if (all) book.enter(read(value));
      }
      mine.times.end_of_part(part);
    }
    mine.got = book.close();
    mine.has_waited_in_vain = !all;
  };
  std::vector<std::function<void()>> bodies;
  for (std::size_t me = 0; me != threads; ++me) bodies.emplace_back([&body, me] { body(me); });
  run_pinned(bodies);

  outcome result;
  std::int64_t begin = std::numeric_limits<std::int64_t>::max();
  std::int64_t end = 0;
  for (const account& one : accounts) {
    begin = std::min(begin, one.times.first());
    end = std::max(end, one.times.last());
    result.disturbed |= threads <= cores().size() && one.times.one_is_far_longer();
  }
  take_the_rest<T>(queue, accounts.front(), 2 * threads * (each + inside));
  result.ns = static_cast<double>(end - begin) / static_cast<double>(threads * each);
  result.wrong = balance(accounts, threads, each + inside);
  return result;
}

/// Of `times` the one below which that part of them lies.
inline double quantile(std::vector<std::int64_t>& times, double part) {
  if (times.empty()) return 0;
  const auto at = static_cast<std::ptrdiff_t>(part * static_cast<double>(times.size() - 1));
  std::nth_element(times.begin(), times.begin() + at, times.end());
  return static_cast<double>(times[static_cast<std::size_t>(at)]);
}

/// Of `times` the mean of the middle half: as robust as the median, but finer than the clock.
inline double middle_mean(std::vector<std::int64_t>& times) {
  if (times.empty()) return 0;
  std::sort(times.begin(), times.end());
  const auto quarter = static_cast<std::ptrdiff_t>(times.size() / 4);
  const auto sum = std::accumulate(times.begin() + quarter, times.end() - quarter, std::int64_t{0});
  return static_cast<double>(sum) / static_cast<double>(times.end() - times.begin() - 2 * quarter);
}

/// Keeps the length of each round trip; the clock is read once for each.
class round_trips {
public:
  explicit round_trips(std::uint64_t count) {
    times_.reserve(count);
    last_ = now();
  }
  void end_of_one() {
    const std::int64_t time = now();
    times_.push_back(time - last_);
    last_ = time;
  }
  void answer(outcome& result) {
    result.ns = middle_mean(times_);
    result.second = quantile(times_, 0.5);
    result.third = quantile(times_, 0.99);
  }

private:
  std::vector<std::int64_t> times_;
  std::int64_t last_ = 0;
};

/// ping_pong: a message there through one queue, and back through another one.
///
/// Returns   the nanoseconds of a round trip: the mean of their middle half, their median and 99th
///           percentile
template <class T, class Queue>
outcome ping_pong(Queue& there, Queue& back, waiting how, std::uint64_t count) {
  outcome result;
  faults echo;
  const auto ask = [&] {
    auto&& out = producer_of(there);
    auto&& in = consumer_of(back);
    patience waits{how};
    private_book book{1};
    round_trips times{count};
    T value{};
    for (std::uint64_t i = 1; i <= count; ++i) {
      write(value, first_number(0) + i);
      if (!push(out, value, waits, i) || !pop(in, value, waits, i)) break;
      book.enter(read(value));
      times.end_of_one();
    }
    times.answer(result);
    const receipt& got = book.close();
    result.wrong = got.wrong;
    result.wrong.lost |= got.count != count;
  };
  const auto answer = [&] {
    auto&& in = consumer_of(there);
    auto&& out = producer_of(back);
    patience waits{how};
    T value{};
    for (std::uint64_t i = 0; i != count && !echo.lost; ++i) {
      echo.lost = !pop(in, value, waits, i) || !push(out, value, waits, i);
    }
  };
  run_pinned({ask, answer});
  result.wrong |= echo;
  account rest;
  take_the_rest<T>(there, rest, count);
  take_the_rest<T>(back, rest, count);
  result.wrong.doubled |= rest.got.count != 0;
  return result;
}

/// burst: one thread fills the queue up while the other one waits for it to end; then that one
/// empties it while the first one waits. Never both at once.
///
/// Returns   the nanoseconds for each message in the median burst: both together, the filling, the
///           emptying
template <class T, class Queue>
outcome burst(Queue& queue, std::size_t capacity, waiting how, std::uint64_t messages) {
  const std::uint64_t bursts = messages / capacity + 1;
  flag filled;
  flag emptied;
  std::vector<std::uint64_t> sizes(bursts);
  std::vector<std::int64_t> filling(bursts);
  std::vector<std::int64_t> emptying(bursts);
  std::uint64_t total = 0;
  faults wrong;

  const auto fill = [&] {
    auto&& out = producer_of(queue);
    patience waits{how};
    T value{};
    number next = first_number(0);
    for (std::uint64_t i = 0; i != bursts; ++i) {
      const std::int64_t begin = now();
      std::uint64_t size = 0;
      for (; size != capacity; ++size) {
        write(value, next + 1);
        if (!out.try_push(value)) break;
        ++next;
      }
      filling[i] = now() - begin;
      sizes[i] = size;
      filled.set(i + 1);
      if (!emptied.await(i + 1, waits)) return;
    }
  };
  const auto empty = [&] {
    auto&& in = consumer_of(queue);
    patience waits{how};
    private_book book{1};
    T value{};
    for (std::uint64_t i = 0; i != bursts && !wrong.lost; ++i) {
      if (!filled.await(i + 1, waits)) break;
      const std::int64_t begin = now();
      for (std::uint64_t left = sizes[i]; left != 0 && !wrong.lost; --left) {
        wrong.lost = !pop(in, value, waits, total);
        if (!wrong.lost) book.enter(read(value));
        ++total;
      }
      emptying[i] = now() - begin;
      wrong.doubled |= in.try_pop(value);
      emptied.set(i + 1);
    }
    wrong |= book.close().wrong;
    wrong.lost |= total == 0 || book.close().count != total;
  };
  run_pinned({fill, empty});

  outcome result;
  const auto size = static_cast<double>(std::max<std::uint64_t>(sizes.front(), 1));
  result.second = quantile(filling, 0.5) / size;
  result.third = quantile(emptying, 0.5) / size;
  result.ns = result.second + result.third;
  result.wrong = wrong;
  return result;
}

} // namespace bench

#endif // MAILROOM_BENCH_HARNESS_EXCHANGES_HPP
