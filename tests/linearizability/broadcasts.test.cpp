// SPDX-License-Identifier: MIT
// Real runs of broadcasts: some producers, readers that stay, and one that comes and goes. What
// they have seen must be explained by one order of all messages. MAILROOM_LIN_OPERATIONS is ten
// times as many as are read in all: 10^7 if it is not set.

#include <mailroom/queue/broadcast_queue.hpp>

#include <linearizability/orders.hpp>

#include <doctest/doctest.h>
#include <support/positions.hpp>
#include <support/seed.hpp>
#include <support/threads.hpp>

#include <algorithm>  // min
#include <array>      // array
#include <atomic>     // atomic
#include <chrono>     // duration, steady_clock
#include <cstddef>    // size_t
#include <cstdint>    // uint32_t, uint64_t
#include <cstdio>     // printf, fflush
#include <cstdlib>    // getenv, strtod
#include <functional> // function
#include <iterator>   // back_inserter
#include <random>     // mt19937
#include <string>     // string, to_string
#include <thread>     // this_thread
#include <utility>    // move, swap
#include <vector>     // vector

namespace {

using linearizability::order_checker;
using linearizability::testimony;
using linearizability::ticket;
using mailroom::arity;
using mailroom::broadcast_mode;
using mailroom::queue_status;

/// A ticket three times, to be seen whole or not at all.
struct letter {
  std::array<ticket, 3> copies;
  explicit letter(ticket one = {}) : copies{one, one, one} {}
  bool is_whole() const { return copies[0] == copies[1] && copies[1] == copies[2]; }
};

template <broadcast_mode Mode, arity Producers>
using queue_of = mailroom::broadcast_queue<letter, Mode, Producers>;

double wanted_messages() {
  const char* const wanted = std::getenv("MAILROOM_LIN_OPERATIONS");
  const double count = wanted == nullptr ? 0 : std::strtod(wanted, nullptr);
  return (count > 0 ? count : 1e8) / 10;
}

/// Reads in all ways, and writes down what it has seen.
template <class Queue>
class reader {
public:
  reader(Queue& queue, std::uint32_t seed) : own_{queue.subscribe()}, random_{seed} {}

  /// Until `over` was true and there is nothing left, or `most` messages have come.
  void read(const std::atomic<bool>& over, std::size_t most) {
    while (seen_.seen.size() < most) {
      const bool last_look = over.load();
      const auto before = own_.passed();
      bool nothing = false;
      switch (random_() % 4) {
      case 0: {
        letter into;
        const auto missed = own_.missed();
        const auto status = own_.try_pop(into);
        if (status == queue_status::success) note(before, into);
        is_right_ = is_right_ && (status == queue_status::lagged) == (own_.missed() != missed);
        nothing = status == queue_status::empty;
        break;
      }
      case 1: {
        std::vector<letter> run;
        own_.try_pop_n(std::back_inserter(run), 1 + random_() % 9);
        for (std::size_t i = 0; i != run.size(); ++i) note(before + i, run[i]);
        break;
      }
      case 2: {
        std::uint64_t at = before;
        const auto count = own_.consume_all([&](const letter& each) { note(at++, each); });
        is_right_ = is_right_ && count == at - before;
        break;
      }
      default:
        if (const auto found = own_.try_pop()) note(before, *found);
      }
      if (nothing && last_look) return;
      if (own_.passed() == before) std::this_thread::yield();
    }
  }

  testimony tell(bool to_the_end) {
    seen_.passed = own_.passed();
    seen_.missed = own_.missed();
    seen_.to_the_end = to_the_end;
    return std::move(seen_);
  }
  bool is_right() const { return is_right_; }

private:
  void note(std::uint64_t behind, const letter& one) {
    is_right_ = is_right_ && one.is_whole();
    seen_.seen.push_back({behind, one.copies[0]});
  }

  typename Queue::reader own_;
  std::mt19937 random_;
  testimony seen_;
  bool is_right_ = true; // so far
};

struct shape {
  std::size_t producers;
  std::size_t readers;
  std::size_t capacity;
  std::uint32_t messages; // of each producer
};

template <class Queue>
void produce(Queue& queue, std::uint32_t id, std::uint32_t count, std::uint32_t seed) {
  std::mt19937 random{seed};
  for (std::uint32_t sent = 0; sent != count;) {
    const auto before = sent;
    if (random() % 2 == 0) {
      if (queue.try_emplace(ticket{id, sent + 1}) == queue_status::success) ++sent;
    } else {
      std::array<letter, 4> run;
      for (std::uint32_t i = 0; i != 4; ++i) run[i] = letter{{id, sent + 1 + i}};
      const auto most = std::min<std::ptrdiff_t>(4, count - sent);
      sent += static_cast<std::uint32_t>(queue.try_push_range(run.begin(), run.begin() + most) -
                                         run.begin());
    }
    if (sent == before || random() % 64 == 0) std::this_thread::yield();
  }
}

/// One run. Adds up what was read.
template <class Queue>
std::string check_round(const shape& how, bool is_lossy, std::uint32_t seed,
                        std::uint64_t& messages) {
  const test::watchdog guard{"a broadcast to " + std::to_string(how.readers) + ", capacity " +
                             std::to_string(how.capacity)};
  auto queue = test::test_access::starting_at<Queue>(how.capacity, std::uint64_t{0} - seed % 2000);
  std::vector<reader<Queue>> stay;
  for (std::uint32_t i = 0; i != how.readers; ++i) stay.emplace_back(queue, seed + i);
  std::vector<testimony> all;
  std::atomic<bool> over{false};
  std::atomic<bool> right{true};
  std::atomic<std::size_t> producing{how.producers};
  std::vector<std::function<void()>> bodies;
  for (std::uint32_t id = 0; id != how.producers; ++id) {
    bodies.push_back([&, id] {
      produce(queue, id, how.messages, seed + 100 + id);
      if (producing.fetch_sub(1) == 1) over.store(true);
    });
  }
  for (auto& each : stay) {
    bodies.push_back([&] { each.read(over, ~std::size_t{0}); });
  }
  bodies.push_back([&] {
    std::mt19937 random{seed + 200};
    while (!over.load()) {
      reader<Queue> guest{queue, static_cast<std::uint32_t>(random())};
      guest.read(over, 1 + random() % 40);
      right.store(right.load() && guest.is_right());
      all.push_back(guest.tell(false));
    }
  });
  test::run_together(bodies);
  for (auto& each : stay) {
    right.store(right.load() && each.is_right());
    all.push_back(each.tell(true));
  }
  for (const auto& each : all) messages += each.seen.size();
  if (!right.load()) return "a message in two halves, or a status that is not true";
  std::vector<std::uint32_t> sent(how.producers, how.messages);
  return order_checker{sent, is_lossy}.check(all);
}

template <broadcast_mode Mode, arity Producers>
void check_rounds(const char* name) {
  const double share = wanted_messages() / 4;
  const auto begin = std::chrono::steady_clock::now();
  std::uint64_t messages = 0;
  std::mt19937 random{test::seed()};
  for (std::size_t round = 0; static_cast<double>(messages) < share; ++round) {
    constexpr std::size_t capacities[] = {1000, 8, 3, 64, 2, 1};
    const shape how{Producers == arity::one ? 1 : 1 + random() % 3, 1 + random() % 3,
                    capacities[round % 6],
                    static_cast<std::uint32_t>(std::min(20'000.0, 100 + share / 20))};
    const auto seed = static_cast<std::uint32_t>(random());
    INFO(how.producers, " producers, ", how.readers, " readers, capacity ", how.capacity, ", seed ",
         seed);
    REQUIRE(check_round<queue_of<Mode, Producers>>(how, Mode == broadcast_mode::lossy, seed,
                                                   messages) == "");
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  std::printf("broadcast, %s: %llu messages read, %.1f s\n", name,
              static_cast<unsigned long long>(messages), taken.count());
  std::fflush(stdout);
}

// ---- Testimonies for the checker

testimony has_seen(std::uint32_t first, std::uint32_t last) {
  testimony one;
  for (std::uint32_t i = first; i <= last; ++i) one.seen.push_back({one.passed++, {0, i}});
  return one;
}

std::string judge(std::vector<testimony> all, bool is_lossy = false,
                  std::vector<std::uint32_t> sent = {5}) {
  return order_checker{std::move(sent), is_lossy}.check(all);
}

} // namespace

TEST_CASE("broadcasts: the checker passes what one order explains") {
  CHECK(judge({has_seen(1, 5), has_seen(3, 5), has_seen(1, 5)}) == "");
  auto left = has_seen(2, 3);
  left.to_the_end = false;
  CHECK(judge({left, has_seen(1, 5)}) == "");
  testimony gap;
  gap.seen = {{0, {0, 1}}, {3, {0, 4}}, {4, {0, 5}}};
  gap.passed = 5, gap.missed = 2;
  CHECK(judge({gap}, true) == "");
  CHECK(judge({gap, has_seen(2, 5)}, true) == "");
  testimony two;
  two.seen = {{0, {1, 1}}, {1, {0, 1}}, {2, {1, 2}}};
  two.passed = 3;
  CHECK(judge({two, two}, false, {1, 2}) == "");
}

TEST_CASE("broadcasts: the checker notices what no order explains") {
  CHECK(judge({has_seen(2, 5)}) == "a message was lost");
  CHECK(judge({has_seen(1, 4)}) != "");
  CHECK(judge({has_seen(1, 6)}) == "message 6 of producer 0 was never sent");
  auto twice = has_seen(1, 5);
  twice.seen[3].message.number = 3;
  CHECK(judge({twice}) == "message 3 of producer 0 came twice");
  auto swapped = has_seen(1, 5);
  std::swap(swapped.seen[1].message, swapped.seen[2].message);
  CHECK(judge({swapped}) == "message 2 of producer 0 came late");
  CHECK(judge({has_seen(1, 5), swapped}) != "");
  auto left = has_seen(2, 4);
  left.to_the_end = false;
  left.seen[2].message.number = 5;
  CHECK(judge({left, has_seen(1, 5)}) == "message 5 of producer 0 for one, message 4 of producer "
                                         "0 for another");
  auto untold = has_seen(1, 5);
  untold.seen.erase(untold.seen.begin() + 2);
  CHECK(judge({untold}, true) == "got and missed are not all it passed");
  untold.missed = 1;
  CHECK(judge({untold}) == "a reader missed a message");
  CHECK(judge({untold}, true) == "");
  testimony miscounted;
  miscounted.seen = {{0, {0, 1}}, {2, {0, 4}}, {3, {0, 5}}}; // it missed two, and was told of one
  miscounted.passed = 4, miscounted.missed = 1;
  CHECK(judge({has_seen(1, 5), miscounted}, true) != "");
  testimony one, other;
  one.seen = {{0, {0, 1}}, {1, {1, 1}}};
  other.seen = {{0, {1, 1}}, {1, {0, 1}}};
  one.passed = other.passed = 2;
  CHECK(judge({one}, false, {1, 1}) == "");
  CHECK(judge({one, other}, false, {1, 1}) != "");
}

TEST_CASE("broadcasts: every reader of a lossless one sees a run of one order") {
  check_rounds<broadcast_mode::lossless, arity::one>("lossless, one producer");
  check_rounds<broadcast_mode::lossless, arity::many>("lossless, many producers");
}

TEST_CASE("broadcasts: every reader of a lossy one sees that too, but for the gaps it is told of") {
  check_rounds<broadcast_mode::lossy, arity::one>("lossy, one producer");
  check_rounds<broadcast_mode::lossy, arity::many>("lossy, many producers");
}
