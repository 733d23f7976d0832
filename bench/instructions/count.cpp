// SPDX-License-Identifier: MIT
// Pushes a message and pops it again, so often: callgrind counts the difference that more of it
// makes. Without arguments it prints the ways in which the queue can be used.
#include <bench/contenders/ours.hpp>

#include <named.hpp>

#include <cstdio>  // printf
#include <cstdlib> // strtoull
#include <string>  // string

namespace {

volatile bench::number somewhere = 0;

template <class Contender>
int push_and_pop(unsigned long long count) {
  typename Contender::template queue<bench::number> queue{1024, 1};
  auto&& out = bench::producer_of(queue);
  auto&& in = bench::consumer_of(queue);
  bench::number sum = 0;
  bench::number value = 0;
  for (unsigned long long i = 0; i != count; ++i) {
#if defined(MAILROOM_BENCH_SLOWER)
    sum += somewhere + somewhere + somewhere;
#endif
    if (!out.try_push(i)) return 1;
    bench::share(queue);
    if (!in.try_pop(value)) return 1;
    bench::share(queue);
    sum += value;
  }
  somewhere = sum;
  return 0;
}

template <class Named>
int run(const std::string& way, unsigned long long count) {
  if constexpr (bench::has_handles<Named>) {
    if (way == "handles") return push_and_pop<bench::ours_by_handles<Named>>(count);
  }
  return push_and_pop<bench::ours<Named>>(count);
}

} // namespace

int main(int count, char** words) {
  if (count == 3) return run<bench::named>(words[1], std::strtoull(words[2], nullptr, 10));
  std::printf(bench::has_handles<bench::named> ? "plain;handles" : "plain");
  return 0;
}
