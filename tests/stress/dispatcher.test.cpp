// SPDX-License-Identifier: MIT
// Publishers, subscribers, and those who come and go, all at once. MAILROOM_STRESS_SECONDS says for
// how long.

#include <mailroom/topic/dispatcher.hpp>

#include <doctest/doctest.h>
#include <support/print.hpp>
#include <support/seed.hpp>
#include <support/threads.hpp>

#include <algorithm>  // min
#include <array>      // array
#include <atomic>     // atomic
#include <chrono>     // seconds
#include <cstddef>    // size_t
#include <cstdint>    // uint32_t, uint64_t
#include <functional> // function
#include <memory>     // make_unique, unique_ptr
#include <optional>   // optional
#include <random>     // mt19937
#include <string>     // string, to_string
#include <thread>     // this_thread
#include <utility>    // move
#include <vector>     // vector

namespace {

using mailroom::overflow;
using mailroom::publish_result;
using mailroom::queue_status;
using mailroom::subscription_options;

/// Who published it, and its number among his messages to that topic.
struct message {
  std::uint32_t publisher;
  std::uint64_t number;
};

using dispatcher = mailroom::dispatcher<message>;
using subscription = mailroom::subscription<message>;
using delivery = mailroom::delivery<message>;

constexpr std::size_t publishers = 4;

/// What arrived at one subscription that is read by one thread at a time.
struct journal {
  std::array<std::uint64_t, publishers> next{}; // the number that is expected
  std::uint64_t received = 0;
  std::uint64_t faults = 0; // out of order, twice, or not at all
  std::uint64_t gaps = 0;   // not there, but in order
  std::uint64_t missed = 0; // as the deliveries tell

  void note(const message& one) {
    std::uint64_t& expected = next[one.publisher];
    if (one.number < expected) ++faults;
    if (one.number > expected) gaps += one.number - expected;
    expected = one.number + 1;
    ++received;
  }
  void note(const delivery& one) {
    note(one.value);
    missed += one.missed;
  }
};

/// What publishers were told, all together.
struct told {
  std::atomic<std::uint64_t> matched{0};
  std::atomic<std::uint64_t> delivered{0};
  std::atomic<std::uint64_t> dropped{0};

  void add(const publish_result& one) {
    matched.fetch_add(one.matched, std::memory_order_relaxed);
    delivered.fetch_add(one.delivered, std::memory_order_relaxed);
    dropped.fetch_add(one.dropped, std::memory_order_relaxed);
  }
};

using sent_counts = std::array<std::uint64_t, publishers>;

/// Publishes as publisher `who` until it is told to end, by handle if `who` is even, else by name.
/// Returns   how many messages
template <class End>
std::uint64_t publish_until(dispatcher& hub, const char* name, std::uint32_t who, told& sum,
                            End&& is_over) {
  auto handle = hub.topic(name);
  std::uint64_t number = 0;
  while (!is_over()) {
    const message next{who, number++};
    sum.add(who % 2 == 0 ? handle.publish(next) : hub.publish(name, next));
  }
  return number;
}

std::chrono::seconds limit() {
  return std::chrono::seconds{60 + 4 * static_cast<int>(test::stress_seconds())};
}

/// A number that is different in each test of a run.
std::mt19937 chance(std::uint32_t salt) { return std::mt19937{test::seed() + salt}; }

} // namespace

TEST_CASE(
    "dispatcher stress: who stays gets every message once, in order, whoever comes and goes") {
  INFO("MAILROOM_TEST_SEED=" << test::seed());
  const test::watchdog dog{"dispatcher stress: who stays", limit()};
  const test::time_box box{300};
  dispatcher hub;
  auto popped = hub.subscribe("s.*", {.capacity = 8});
  auto ran = hub.subscribe(">", {.capacity = 64});
  auto member_a = hub.subscribe("s.a", {.capacity = 4, .group = "g"});
  auto member_b = hub.subscribe("s.>", {.capacity = 16, .group = "g"});
  std::array<journal, publishers> direct_journals; // one for each publisher: it runs in his thread
  const auto direct = hub.on("s.*", [&](const message& one) { //
    direct_journals[one.publisher].note(one);
  });

  std::atomic<bool> publishing{true};
  std::atomic<std::size_t> left{publishers};
  told sum;
  sent_counts sent{};
  std::atomic<std::uint64_t> by_churn{0}; // handled by handlers that come and go
  std::vector<std::function<void()>> bodies;
  for (std::uint32_t who = 0; who != publishers; ++who) {
    bodies.emplace_back([&, who] {
      sent[who] =
          publish_until(hub, who < 2 ? "s.a" : "s.b", who, sum, [&] { return box.is_over(); });
      if (left.fetch_sub(1) == 1) {
        publishing = false;
        hub.close();
      }
    });
  }
  journal by_pop;
  journal by_run;
  journal by_a;
  journal by_b;
  bodies.emplace_back([&] {
    while (const auto one = popped.pop()) by_pop.note(*one);
  });
  bodies.emplace_back([&] {
    CHECK(ran.run([&](const delivery& one) { by_run.note(one); }) == queue_status::closed);
  });
  bodies.emplace_back([&] {
    while (const auto one = member_a.pop()) by_a.note(*one);
  });
  bodies.emplace_back([&] { (void)member_b.run([&](const message& one) { by_b.note(one); }); });
  // Those who come and go: handlers that are cancelled from outside, from inside, or destroyed.
  for (std::uint32_t c = 0; c != 2; ++c) {
    bodies.emplace_back([&, c] {
      auto random = chance(c);
      while (publishing) {
        const char* const filter = random() % 2 == 0 ? "s.a" : ">";
        const auto how = random() % 3;
        subscription own;
        std::atomic<bool> may_cancel{false};
        own = hub.on(filter, [&](const message&) {
          by_churn.fetch_add(1);
          if (may_cancel) own.cancel();
        });
        if (how == 0) own.cancel();
        if (how == 1) {
          may_cancel = true;
          while (publishing && own.is_active()) std::this_thread::yield();
        }
      }
    });
  }
  test::run_together(std::move(bodies));

  std::uint64_t all = 0;
  for (const std::uint64_t each : sent) all += each;
  MESSAGE(all << " messages, " << by_churn.load() << " to handlers that came and went");
  for (const journal* each : {&by_pop, &by_run}) {
    CHECK(each->next == sent);
    CHECK(each->received == all);
    CHECK(each->faults == 0);
    CHECK(each->gaps == 0);
    CHECK(each->missed == 0);
  }
  std::uint64_t direct_received = 0;
  for (std::size_t who = 0; who != publishers; ++who) {
    CHECK(direct_journals[who].next[who] == sent[who]);
    CHECK(direct_journals[who].faults + direct_journals[who].gaps == 0);
    direct_received += direct_journals[who].received;
  }
  CHECK(direct_received == all);
  CHECK(by_a.faults + by_b.faults == 0);
  CHECK(by_a.received + by_b.received == all); // the group: each message once
  CHECK(by_a.gaps + by_b.gaps > 0);            // and shared
  CHECK(sum.delivered.load() == 4 * all + by_churn.load());
  CHECK(sum.matched.load() == sum.delivered.load());
  CHECK(sum.dropped.load() == 0);
}

TEST_CASE("dispatcher stress: what a lossy mailbox received and missed is what was sent to it") {
  const test::watchdog dog{"dispatcher stress: lossy", limit()};
  const test::time_box box{200};
  dispatcher hub;
  struct lossy {
    overflow policy;
    subscription sub;
    journal seen;
  };
  std::vector<lossy> readers;
  for (const overflow policy : {overflow::reject, overflow::drop_newest, overflow::drop_oldest}) {
    readers.push_back({policy, hub.subscribe("s.*", {.capacity = 5, .on_full = policy}), {}});
  }
  std::atomic<std::size_t> left{publishers};
  told sum;
  sent_counts sent{};
  std::vector<std::function<void()>> bodies;
  for (std::uint32_t who = 0; who != publishers; ++who) {
    bodies.emplace_back([&, who] {
      sent[who] =
          publish_until(hub, who < 2 ? "s.a" : "s.b", who, sum, [&] { return box.is_over(); });
      if (left.fetch_sub(1) == 1) hub.close();
    });
  }
  for (auto& each : readers) {
    bodies.emplace_back([&each] {
      for (int i = 0; const auto one = each.sub.pop(); ++i) {
        each.seen.note(*one);
        if (i % 64 == 0) std::this_thread::yield();
      }
    });
  }
  test::run_together(std::move(bodies));

  std::uint64_t all = 0;
  for (const std::uint64_t each : sent) all += each;
  std::uint64_t received = 0;
  std::uint64_t missed = 0;
  for (auto& each : readers) {
    CAPTURE(static_cast<int>(each.policy));
    CHECK(each.seen.faults == 0);
    received += each.seen.received;
    missed += each.sub.missed();
    // What was lost behind the last message that arrived was never told with one.
    CHECK(each.seen.missed <= each.sub.missed());
    if (each.policy == overflow::reject) {
      CHECK(each.sub.missed() == 0);
    } else {
      CHECK(each.seen.received + each.sub.missed() == all);
    }
  }
  MESSAGE(all << " messages, " << received << " received in three mailboxes, " << missed
              << " missed, the rest refused");
  CHECK(sum.matched.load() == 3 * all);
  CHECK(sum.dropped.load() == missed);
  // drop_oldest delivers a message, and may drop it later.
  CHECK(sum.delivered.load() == received + readers[2].sub.missed());
}

TEST_CASE("dispatcher stress: R-41: closed in the middle, what was delivered is received") {
  INFO("MAILROOM_TEST_SEED=" << test::seed());
  const test::watchdog dog{"dispatcher stress: close", limit()};
  const test::time_box box{200};
  auto random = chance(7);
  int rounds = 0;
  std::uint64_t all = 0;
  for (; !box.is_over(); ++rounds) {
    auto hub = std::make_unique<dispatcher>();
    std::vector<subscription> subs;
    for (int i = 0; i != 3; ++i) {
      const std::size_t capacity = 1 + random() % 4;
      subs.push_back(hub->subscribe("s.*", {.capacity = capacity, .group = i < 2 ? "" : "g"}));
    }
    subs.push_back(hub->subscribe("s.>", {.capacity = 1, .group = "g"}));
    std::atomic<std::uint64_t> handled{0};
    const auto direct = hub->on(">", [&](const message&) { handled.fetch_add(1); });
    told sum;
    std::atomic<std::uint64_t> received{0};
    std::atomic<std::uint64_t> faults{0};
    std::atomic<bool> is_closed{false};
    const auto pause = random() % 8;
    std::vector<std::function<void()>> bodies;
    for (std::uint32_t who = 0; who != 3; ++who) {
      bodies.emplace_back([&, who, handle = hub->topic(who == 0 ? "s.a" : "s.b")]() mutable {
        // By handle: whoever publishes by name must not outlive the dispatcher.
        for (std::uint64_t number = 0; !is_closed; ++number) sum.add(handle.publish({who, number}));
        const auto late = handle.publish({who, 0});
        if (late.matched != 0) faults.fetch_add(1);
      });
    }
    for (auto& each : subs) {
      bodies.emplace_back([&] {
        journal seen;
        while (const auto one = each.pop()) seen.note(*one);
        if (each.pop() || each.is_active()) faults.fetch_add(1);
        faults.fetch_add(seen.faults);
        received.fetch_add(seen.received);
      });
    }
    bodies.emplace_back([&] {
      for (std::uint32_t i = 0; i != pause; ++i) std::this_thread::yield();
      hub.reset();
      is_closed = true;
    });
    test::run_together(std::move(bodies));
    REQUIRE(faults.load() == 0);
    REQUIRE(sum.delivered.load() == received.load() + handled.load());
    REQUIRE(sum.matched.load() == sum.delivered.load());
    all += received.load();
  }
  MESSAGE(rounds << " rounds, " << all << " messages received");
}

TEST_CASE("dispatcher stress: a publisher is never left waiting for one who has gone") {
  INFO("MAILROOM_TEST_SEED=" << test::seed());
  const test::watchdog dog{"dispatcher stress: block and cancel", limit()};
  const test::time_box box{150};
  dispatcher hub;
  std::atomic<std::size_t> left{publishers};
  std::atomic<bool> publishing{true};
  std::atomic<std::uint64_t> cancelled{0};
  told sum;
  std::vector<std::function<void()>> bodies;
  for (std::uint32_t who = 0; who != publishers; ++who) {
    bodies.emplace_back([&, who] {
      (void)publish_until(hub, who % 3 == 0 ? "s.a" : "s.b", who, sum,
                          [&] { return box.is_over(); });
      if (left.fetch_sub(1) == 1) publishing = false;
    });
  }
  for (std::uint32_t c = 0; c != 3; ++c) {
    bodies.emplace_back([&, c] {
      auto random = chance(100 + c);
      while (publishing) {
        subscription_options options{.capacity = 1 + random() % 2};
        if (random() % 2 == 0) options.group = random() % 2 == 0 ? "g" : "h";
        auto sub = hub.subscribe(random() % 2 == 0 ? "s.*" : "s.b", options);
        const auto rest = random() % 4;
        for (std::uint32_t i = 0; i != rest && publishing; ++i) {
          (void)sub.try_pop(); // takes some, and leaves the publishers waiting
          std::this_thread::yield();
        }
        cancelled.fetch_add(1);
      }
    });
  }
  test::run_together(std::move(bodies));
  MESSAGE(cancelled.load() << " subscriptions came and went, with " << sum.delivered.load()
                           << " deliveries");
  CHECK(sum.dropped.load() == 0);
  CHECK(sum.matched.load() == sum.delivered.load());
  CHECK(hub.publish("s.b", {0, 0}).matched == 0);
}

TEST_CASE(
    "dispatcher stress: R-40: what a handler uses may be destroyed when cancel has returned") {
  const test::watchdog dog{"dispatcher stress: barrier", limit()};
  const test::time_box box{150};
  constexpr int canary = 0x5eed;
  struct state { // plain, so that a sanitizer sees a use that comes too late
    int life = canary;
    int uses = 0;
    ~state() { life = 0; }
  };
  dispatcher hub;
  std::atomic<std::size_t> left{2};
  std::atomic<bool> publishing{true};
  std::atomic<int> faults{0};
  std::atomic<int> rounds{0};
  told sum;
  std::vector<std::function<void()>> bodies;
  for (std::uint32_t who = 0; who != 2; ++who) {
    bodies.emplace_back([&, who] {
      const char* const name = who == 0 ? "s.a" : "s.b";
      (void)publish_until(hub, name, who, sum, [&] { return box.is_over(); });
      if (left.fetch_sub(1) == 1) publishing = false;
    });
  }
  for (std::uint32_t c = 0; c != 2; ++c) {
    const char* const filter = c == 0 ? "s.a" : "s.b"; // so one thread at a time uses the state
    bodies.emplace_back([&, filter] {
      while (publishing) {
        auto at = std::make_unique<state>();
        auto direct = hub.on(filter, [&faults, used = at.get()](const message&) {
          if (used->life != canary) faults.fetch_add(1);
          ++used->uses;
        });
        std::this_thread::yield();
        direct.cancel();
        at.reset();
        rounds.fetch_add(1);
      }
    });
  }
  test::run_together(std::move(bodies));
  MESSAGE(rounds.load() << " handlers came and went, with " << sum.delivered.load() << " calls");
  CHECK(faults == 0);
}
