// SPDX-License-Identifier: MIT
// One thread sends numbers to another, through each queue and through a locked deque.
//
// An iteration starts a consumer thread, sends `messages` numbers, and ends when the consumer has
// ended; to start and join the thread is part of the time, and small beside so many messages. A
// side that cannot go on yields. The consumer adds up what it gets: a wrong sum fails the run.

#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>

namespace {

using number = std::uint64_t;
using mailroom::queue_status;

constexpr std::size_t capacity = 1024;
constexpr number messages = 1 << 18;

/// The baseline: what one writes without a library, with the same bound.
class locked_deque {
public:
  explicit locked_deque(std::size_t limit) : limit_{limit} {}

  queue_status try_push(number value) {
    const std::lock_guard held{lock_};
    if (values_.size() == limit_) return queue_status::full;
    values_.push_back(value);
    return queue_status::success;
  }

  queue_status try_pop(number& into) {
    const std::lock_guard held{lock_};
    if (values_.empty()) return queue_status::empty;
    into = values_.front();
    values_.pop_front();
    return queue_status::success;
  }

private:
  std::size_t limit_;
  std::mutex lock_;
  std::deque<number> values_;
};

template <class Queue>
number receive_all(Queue& queue) {
  number sum = 0;
  number value = 0;
  for (number received = 0; received != messages; ++received) {
    while (queue.try_pop(value) != queue_status::success) std::this_thread::yield();
    sum += value;
  }
  return sum;
}

template <class Queue>
void one_to_one(benchmark::State& state) {
  Queue queue{capacity};
  for (auto _ : state) {
    number sum = 0;
    std::thread consumer{[&] { sum = receive_all(queue); }};
    for (number value = 1; value <= messages; ++value) {
      while (queue.try_push(value) != queue_status::success) std::this_thread::yield();
    }
    consumer.join();
    if (sum != messages * (messages + 1) / 2) {
      state.SkipWithError("the sum is wrong: messages were lost, doubled or damaged");
      break;
    }
  }
  state.SetItemsProcessed(state.iterations() * std::int64_t{messages});
}

BENCHMARK(one_to_one<locked_deque>)->Name("mutex_and_deque")->UseRealTime();
BENCHMARK(one_to_one<mailroom::mpmc_queue<number>>)->Name("mpmc_queue")->UseRealTime();
BENCHMARK(one_to_one<mailroom::spsc_queue<number>>)->Name("spsc_queue")->UseRealTime();

} // namespace

BENCHMARK_MAIN();
