// SPDX-License-Identifier: MIT
#ifndef MAILROOM_BENCH_HARNESS_FAN_OUT_HPP
#define MAILROOM_BENCH_HARNESS_FAN_OUT_HPP

// What a push costs when so many read it, measured by Google Benchmark in one thread: the ring is
// filled up, and then every reader reads all of it. Only the pushes are timed. The first of them
// finds the ring full as far as the producer knows, so what it has to ask the readers is in the
// figure: once in a ring, as it is where they keep up.

#include <bench/harness/benchmarks.hpp>
#include <bench/harness/machine.hpp>
#include <bench/harness/message.hpp>

#include <mailroom/core/status.hpp>

#include <array>   // array
#include <cstddef> // size_t
#include <cstdint> // int64_t
#include <string>  // string, to_string
#include <vector>  // vector

namespace bench {

inline constexpr std::array<std::size_t, 4> crowds_of_readers{1, 4, 16, 64};

/// Whether the reader finds just the messages behind `awaited`, up to `last`.
template <class Reader>
bool reads_all(Reader& in, number awaited, number last) {
  bool in_order = true;
  in.consume_all([&](const number& value) { in_order = (value == ++awaited) && in_order; });
  return in_order && awaited == last && in.missed() == 0;
}

template <class Queue>
void fan_out(benchmark::State& state, std::size_t readers) {
  constexpr std::size_t capacity = 1024;
  Queue line{capacity};
  std::vector<typename Queue::reader> all;
  for (std::size_t i = 0; i != readers; ++i) all.push_back(line.subscribe());
  number sent = 0;
  for (auto _ : state) {
    const number before = sent;
    bool taken = true;
    const std::int64_t begin = now();
    for (std::size_t i = 0; i != capacity; ++i) {
      taken = line.try_push(++sent) == mailroom::queue_status::success && taken;
    }
    const std::int64_t end = now();
    state.SetIterationTime(static_cast<double>(end - begin) / 1e9);
    if (!taken) state.SkipWithError("a message does not fit");
    for (auto& each : all) {
      if (!reads_all(each, before, sent)) state.SkipWithError("a message is not there");
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(capacity));
}

/// Takes part with a queue<T> that has try_push and subscribe.
template <class Contender>
void enter_fan_out() {
  using queue = queue_of<Contender, number>;
  for (const std::size_t readers : crowds_of_readers) {
    const std::string cell = std::to_string(readers) + (readers == 1 ? " reader" : " readers");
    enter_benchmark(Contender::about, "fan_out", cell, [readers](benchmark::State& state) {
      fan_out<queue>(state, readers);
    }).UseManualTime();
  }
}

} // namespace bench

#endif // MAILROOM_BENCH_HARNESS_FAN_OUT_HPP
