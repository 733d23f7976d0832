// SPDX-License-Identifier: MIT
#ifndef MAILROOM_BENCH_HARNESS_PROGRAM_HPP
#define MAILROOM_BENCH_HARNESS_PROGRAM_HPP

// A program with some contenders in it: which cases they take part in, and how one sample is taken.
// The driver, which knows all programs, calls them by turns.

#include <bench/harness/exchanges.hpp>
#include <bench/harness/single.hpp>
#include <bench/harness/waiting.hpp>

#include <algorithm>  // any_of, max
#include <array>      // array
#include <cstddef>    // size_t
#include <cstdint>    // int64_t, uint64_t
#include <functional> // function
#include <memory>     // make_unique
#include <string>     // string, to_string
#include <utility>    // move
#include <vector>     // vector

#include <malloc.h> // mallinfo2

namespace bench {

/// One line of the list that a program prints.
struct run_case {
  facts who;
  std::string scenario;
  std::string cell;
  std::string variant;
  std::function<outcome(double milliseconds)> sample;
};

inline std::vector<run_case>& cases() {
  static std::vector<run_case> all;
  return all;
}

/// Runs `body(amount)` with growing amounts, which is the warm-up, until it is known how much takes
/// about so long; then once more with that.
template <class Body>
outcome measured(double milliseconds, std::uint64_t at_least, const Body& body) {
  const double wanted = milliseconds * 1e6;
  std::uint64_t amount = std::max<std::uint64_t>(at_least, 256);
  for (;; amount *= 4) {
    const std::int64_t begin = now();
    const outcome warm_up = body(amount);
    const auto taken = static_cast<double>(now() - begin);
    if (warm_up.wrong.any()) return warm_up;
    if (taken * 5 < wanted) continue;
    return body(static_cast<std::uint64_t>(static_cast<double>(amount) * wanted / taken) + 1);
  }
}

/// Where every thread has a core, both ways to wait are tried, and the better one counts; else all
/// have to yield.
inline std::vector<waiting> ways_to_wait(std::size_t threads) {
  if (threads > cores().size()) return {waiting::yield};
  return {waiting::spin, waiting::pause};
}
inline const char* name_of(waiting how) {
  constexpr std::array names{"spin", "pause", "yield"};
  return names[static_cast<std::size_t>(how)];
}

inline constexpr std::size_t usual_capacity = 1024;
inline constexpr std::array<std::size_t, 3> capacities{64, 1024, 65536};
inline constexpr std::size_t usual_batch = 64;

template <class Contender, std::size_t Bytes>
void enter_transport(std::string scenario, std::string cell, std::size_t capacity, shape form) {
  using queue = queue_of<Contender, message<Bytes>>;
  const std::size_t threads = form.producers + form.consumers;
  for (const waiting how : ways_to_wait(threads)) {
    form.how = how;
    cases().push_back({Contender::about, scenario, cell, name_of(how), [=](double milliseconds) {
                         const auto line = std::make_unique<queue>(capacity, threads + 1);
                         return measured(milliseconds, 2 * capacity, [&](std::uint64_t messages) {
                           return transport<message<Bytes>>(*line, form, messages);
                         });
                       }});
  }
}

template <class Contender, std::size_t Bytes>
void enter_one_to_one() {
  if constexpr (carries<Contender, message<Bytes>>) {
    for (const std::size_t capacity : capacities) {
      const std::string cell = std::to_string(Bytes) + " B, " + std::to_string(capacity);
      enter_transport<Contender, Bytes>("one_to_one", cell, capacity, {});
      if constexpr (takes_batches<queue_of<Contender, message<Bytes>>, message<Bytes>>) {
        enter_transport<Contender, Bytes>("one_to_one", cell + ", batches of 64", capacity,
                                          {.batch = usual_batch});
      }
    }
  }
}

/// How many producers and consumers there are in many_to_many: the usual, and twice as many of each
/// as there are cores.
inline std::vector<shape> crowds() {
  std::vector<shape> all{{1, 1}, {2, 2}, {4, 4}, {8, 8}, {4, 1}, {1, 4}};
  const std::size_t many = 2 * cores().size();
  const auto is_there = [many](const shape& one) {
    return one.producers == many && one.consumers == many;
  };
  if (std::none_of(all.begin(), all.end(), is_there)) all.push_back({many, many});
  return all;
}

template <class Contender>
void enter_many_to_many() {
  for (const shape& form : crowds()) {
    if (form.producers > 1 && Contender::about.producers == mailroom::arity::one) continue;
    if (form.consumers > 1 && Contender::about.consumers == mailroom::arity::one) continue;
    enter_transport<Contender, 8>(
        "many_to_many", std::to_string(form.producers) + ":" + std::to_string(form.consumers),
        usual_capacity, form);
  }
}

template <class Contender>
void enter_pairs() {
  using queue = queue_of<Contender, number>;
  for (const std::size_t threads : {2U, 4U, 8U}) {
    for (const waiting how : ways_to_wait(threads)) {
      cases().push_back({Contender::about, "pairs", std::to_string(threads) + " threads",
                         name_of(how), [=](double milliseconds) {
                           const auto line = std::make_unique<queue>(usual_capacity, threads + 1);
                           return measured(milliseconds, 0, [&](std::uint64_t messages) {
                             return pairs<number>(*line, threads, how, messages);
                           });
                         }});
    }
  }
}

template <class Contender>
void enter_ping_pong() {
  using queue = queue_of<Contender, number>;
  for (const waiting how : ways_to_wait(2)) {
    cases().push_back(
        {Contender::about, "ping_pong", "8 B", name_of(how), [=](double milliseconds) {
           const auto there = std::make_unique<queue>(usual_capacity, 3U);
           const auto back = std::make_unique<queue>(usual_capacity, 3U);
           return measured(milliseconds, 1000, [&](std::uint64_t count) {
             return ping_pong<number>(*there, *back, how, count);
           });
         }});
  }
}

template <class Contender>
void enter_burst() {
  using queue = queue_of<Contender, number>;
  for (const std::size_t capacity : {capacities[1], capacities[2]}) {
    cases().push_back({Contender::about, "burst", std::to_string(capacity) + " messages",
                       name_of(waiting::pause), [=](double milliseconds) {
                         const auto line = std::make_unique<queue>(capacity, 3U);
                         return measured(milliseconds, 2 * capacity, [&](std::uint64_t messages) {
                           return burst<number>(*line, capacity, waiting::pause, messages);
                         });
                       }});
  }
}

/// Bytes that this program has from malloc, which is below operator new.
inline std::size_t bytes_in_use() {
  const auto state = mallinfo2();
  return state.uordblks + state.hblkhd;
}

/// memory: makes a queue, and pushes until it is full, or has twice the capacity and so no bound.
///
/// Returns   the bytes for each message that was asked for, and how many messages fit
template <class Contender, std::size_t Bytes>
void enter_memory() {
  if constexpr (carries<Contender, message<Bytes>>) {
    using queue = queue_of<Contender, message<Bytes>>;
    for (const std::size_t capacity : capacities) {
      const std::string cell = std::to_string(Bytes) + " B, " + std::to_string(capacity);
      cases().push_back({Contender::about, "memory", cell, "", [=](double) {
                           const std::size_t before = bytes_in_use();
                           const auto line = std::make_unique<queue>(capacity, 2U);
                           auto&& out = producer_of(*line);
                           message<Bytes> value{};
                           write(value, 1);
                           std::size_t holds = 0;
                           while (holds != capacity && out.try_push(value)) ++holds;
                           const std::size_t bytes = bytes_in_use() - before;
                           while (holds != 2 * capacity && out.try_push(value)) ++holds;
                           outcome result;
                           result.ns = static_cast<double>(bytes) / static_cast<double>(capacity);
                           result.second = static_cast<double>(holds);
                           return result;
                         }});
    }
  }
}

/// Lets a contender take part in all that it can do.
template <class Contender>
void enter() {
  constexpr facts who = Contender::about;
  const bool is_private =
      who.producers == mailroom::arity::one && who.consumers == mailroom::arity::one;
  enter_single<Contender>();
  if (is_private || who.from == origin::baseline) {
    enter_one_to_one<Contender, 8>();
    enter_one_to_one<Contender, 64>();
    enter_one_to_one<Contender, 256>();
  }
  if (!is_private) enter_many_to_many<Contender>();
  if (who.producers == mailroom::arity::many && who.consumers == mailroom::arity::many) {
    enter_pairs<Contender>();
  }
  enter_ping_pong<Contender>();
  enter_burst<Contender>();
  if (!who.own_memory) {
    enter_memory<Contender, 8>();
    enter_memory<Contender, 64>();
  }
}

/// How many wait for how many in waiting_throughput.
inline constexpr std::array<shape, 3> waiting_crowds{{{1, 1}, {4, 1}, {4, 4}}};

template <class Contender>
void enter_waiting_throughput() {
  using queue = queue_of<Contender, number>;
  for (const shape& form : waiting_crowds) {
    if (form.producers > 1 && Contender::about.producers == mailroom::arity::one) continue;
    if (form.consumers > 1 && Contender::about.consumers == mailroom::arity::one) continue;
    const std::string cell = std::to_string(form.producers) + ":" + std::to_string(form.consumers);
    cases().push_back(
        {Contender::about, "waiting_throughput", cell, "", [=](double milliseconds) {
           const auto line =
               std::make_unique<queue>(usual_capacity, form.producers + form.consumers + 1);
           return measured(milliseconds, 2 * usual_capacity, [&](std::uint64_t messages) {
             return waiting_throughput<number>(*line, form, messages);
           });
         }});
  }
}

template <class Contender>
void enter_waiting_ping_pong(const std::string& cell, haste how) {
  using queue = queue_of<Contender, number>;
  cases().push_back({Contender::about, "waiting_ping_pong", cell, "", [=](double milliseconds) {
                       const auto there = std::make_unique<queue>(usual_capacity, 3U);
                       const auto back = std::make_unique<queue>(usual_capacity, 3U);
                       return measured(milliseconds, 0, [&](std::uint64_t count) {
                         return waiting_ping_pong<number>(*there, *back, how, count);
                       });
                     }});
}

/// Whatever costs a sleep: also the mark, which is no queue.
template <class Contender>
void enter_sleeping() {
  using queue = queue_of<Contender, number>;
  enter_waiting_ping_pong<Contender>("at once", haste::at_once);
  enter_waiting_ping_pong<Contender>("asleep", haste::when_asleep);
  cases().push_back({Contender::about, "waiting_push", "asleep", "", [=](double milliseconds) {
                       const auto line = std::make_unique<queue>(usual_capacity, 3U);
                       return measured(milliseconds, 0, [&](std::uint64_t count) {
                         return waiting_push<number>(*line, count);
                       });
                     }});
}

/// Lets a contender that waits take part in all that is asked about waiting.
template <class Contender>
void enter_waiting() {
  enter_waiting_single<unwaited<queue_of<Contender, number>>>(Contender::about);
  enter_waiting_throughput<Contender>();
  enter_sleeping<Contender>();
}

/// Each program has one: its contenders, and what else it takes part in.
void enter_all();

} // namespace bench

#endif // MAILROOM_BENCH_HARNESS_PROGRAM_HPP
