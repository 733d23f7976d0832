// SPDX-License-Identifier: MIT
// Pushes a message to one reader or to 64, and one of them pops it: what there is to do for the
// others must not show. These read too, but outside of the function whose instructions are counted.
// Without arguments it prints the kinds of the queue, each with both numbers of readers.
#include <bench/harness/machine.hpp>

#include <mailroom/queue/broadcast_queue.hpp>

#include <cstddef> // size_t
#include <cstdint> // uint64_t
#include <cstdio>  // printf
#include <cstdlib> // strtoull
#include <string>  // string
#include <vector>  // vector

namespace {

using mailroom::arity;
using mailroom::broadcast_mode;
using message = std::uint64_t;

/// So many fit, and are pushed before the other readers read: for that many pushes the producer has
/// to look at them once. The counts that are compared are multiples of it.
constexpr std::size_t capacity = 1000;

/// Fills the ring up, while `in` follows.
template <class Queue>
[[gnu::noinline]] bool push_and_pop(Queue& queue, typename Queue::reader& in) {
  message value = 0;
  bool done = true;
  for (message i = 0; i != capacity; ++i) {
    done = queue.try_push(i) == mailroom::queue_status::success && done;
    bench::share(queue);
    done = in.try_pop(value) == mailroom::queue_status::success && value == i && done;
    bench::share(in);
  }
  return done;
}

template <broadcast_mode Mode, arity Producers>
int run(std::size_t readers, unsigned long long count) {
  mailroom::broadcast_queue<message, Mode, Producers> queue{capacity};
  std::vector<typename decltype(queue)::reader> all;
  for (std::size_t i = 0; i != readers; ++i) all.push_back(queue.subscribe());
  for (; count >= capacity; count -= capacity) {
    if (!push_and_pop(queue, all[0])) return 1;
    for (std::size_t i = 1; i != readers; ++i) {
      if (all[i].consume_all([](const message&) {}) != capacity) return 1;
    }
  }
  return 0;
}

int run(const std::string& kind, std::size_t readers, unsigned long long count) {
  if (kind == "lossless,one") return run<broadcast_mode::lossless, arity::one>(readers, count);
  if (kind == "lossless,many") return run<broadcast_mode::lossless, arity::many>(readers, count);
  if (kind == "lossy,one") return run<broadcast_mode::lossy, arity::one>(readers, count);
  if (kind == "lossy,many") return run<broadcast_mode::lossy, arity::many>(readers, count);
  return 2;
}

} // namespace

int main(int count, char** words) {
  if (count == 3) {
    const std::string way = words[1];
    const std::size_t split = way.rfind(',');
    return run(way.substr(0, split), std::strtoull(way.c_str() + split + 1, nullptr, 10),
               std::strtoull(words[2], nullptr, 10));
  }
  std::printf("lossless,one,1;lossless,one,64;lossless,many,1;lossless,many,64;"
              "lossy,one,1;lossy,one,64;lossy,many,1;lossy,many,64");
  return 0;
}
