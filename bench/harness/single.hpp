// SPDX-License-Identifier: MIT
#ifndef MAILROOM_BENCH_HARNESS_SINGLE_HPP
#define MAILROOM_BENCH_HARNESS_SINGLE_HPP

// What a queue costs the only thread that uses it, measured by Google Benchmark: push_pop by turns,
// and fill_drain, which fills half of the queue up before it empties it. waiting_single is the same
// through the calls that wait if they have to, which they never have.

#include <bench/harness/benchmarks.hpp>

#include <bit>     // bit_ceil
#include <cstddef> // size_t
#include <cstdint> // int64_t
#include <memory>  // make_unique

namespace bench {

/// So many messages in, and out again, by turns. Some peers need a capacity that is a power of two.
template <class Queue>
void in_and_out(benchmark::State& state, std::size_t size) {
  const auto line = std::make_unique<Queue>(std::bit_ceil(2 * size), 1U);
  auto&& out = producer_of(*line);
  auto&& in = consumer_of(*line);
  number sent = 0;
  number awaited = 0;
  number value = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; i != size; ++i) {
      if (!out.try_push(++sent)) state.SkipWithError("a message does not fit");
    }
    for (std::size_t i = 0; i != size; ++i) {
      if (!in.try_pop(value) || value != ++awaited) state.SkipWithError("a message is not there");
      benchmark::DoNotOptimize(value);
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(size));
}

template <class Contender>
void enter_single() {
  using queue = queue_of<Contender, number>;
  enter_benchmark(Contender::about, "single", "push_pop",
                  [](benchmark::State& state) { in_and_out<queue>(state, 1); });
  enter_benchmark(Contender::about, "single", "fill_drain",
                  [](benchmark::State& state) { in_and_out<queue>(state, 512); });
}

/// Queue is unwaited, or a bare queue to compare with.
template <class Queue>
void enter_waiting_single(const facts& who) {
  enter_benchmark(who, "waiting_single", "push_pop",
                  [](benchmark::State& state) { in_and_out<Queue>(state, 1); });
  enter_benchmark(who, "waiting_single", "fill_drain",
                  [](benchmark::State& state) { in_and_out<Queue>(state, 512); });
}

} // namespace bench

#endif // MAILROOM_BENCH_HARNESS_SINGLE_HPP
