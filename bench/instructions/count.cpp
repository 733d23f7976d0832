// SPDX-License-Identifier: MIT
// Pushes a message and pops it again, so often: callgrind counts the difference that more of it
// makes. Without arguments it prints the ways in which the queue can be used. With
// MAILROOM_BENCH_MAILBOX it is a mailbox over the queue, and the calls are those that wait if they
// must.
#include <bench/contenders/mailbox.hpp>
#include <bench/contenders/ours.hpp>

#include <named.hpp>

#include <cstdio>  // fputs, stdout
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

#if defined(MAILROOM_BENCH_MAILBOX)

struct unwaited_mailbox {
  template <class T>
  using queue = bench::unwaited<bench::mailbox_over<bench::named>::queue<T>>;
};

int run(const std::string& /*way*/, unsigned long long count) {
  return push_and_pop<unwaited_mailbox>(count);
}

constexpr const char* ways = "plain";

#else

template <class Named>
int run(const std::string& way, unsigned long long count) {
  if constexpr (bench::has_handles<Named>) {
    if (way == "handles") return push_and_pop<bench::ours_by_handles<Named>>(count);
  }
  return push_and_pop<bench::ours<Named>>(count);
}

int run(const std::string& way, unsigned long long count) { return run<bench::named>(way, count); }

constexpr const char* ways = bench::has_handles<bench::named> ? "plain;handles" : "plain";

#endif

} // namespace

int main(int count, char** words) {
  if (count == 3) return run(words[1], std::strtoull(words[2], nullptr, 10));
  std::fputs(ways, stdout);
  return 0;
}
