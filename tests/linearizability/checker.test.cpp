// SPDX-License-Identifier: MIT
// Who checks the checker: small histories with their verdicts, random ones with an exhaustive
// search, and real runs of queues that are broken on purpose. MAILROOM_TEST_SEED repeats the random
// ones.

#include <linearizability/broken_queues.hpp>
#include <linearizability/checker.hpp>
#include <linearizability/exhaustive.hpp>
#include <linearizability/history.hpp>
#include <linearizability/record.hpp>

#include <doctest/doctest.h>
#include <support/seed.hpp>
#include <support/threads.hpp>

#include <algorithm>        // find
#include <atomic>           // atomic
#include <cstddef>          // size_t
#include <cstdint>          // uint64_t
#include <initializer_list> // initializer_list
#include <string>           // string
#include <thread>           // this_thread
#include <vector>           // erase_if

namespace {

using namespace linearizability;
using enum answer;

/// Every operation in a thread of its own.
pattern verdict_on(std::size_t capacity, std::initializer_list<operation> operations) {
  history run{capacity, {}};
  for (const auto& one : operations) run.logs.push_back({one});
  return checker{}.check(run).what;
}

} // namespace

// ---- Small histories

TEST_CASE("linearizability: what is popped was pushed, once, and before") {
  CHECK(verdict_on(2, {{1, 2, 0, push_success}, {3, 4, 0, pop_value}}) == pattern::none);
  CHECK(verdict_on(2, {{1, 2, 0, push_success}, {3, 4, 1, pop_value}}) == pattern::fresh);
  CHECK(verdict_on(2, {{3, 4, 0, push_success}, {1, 2, 0, pop_value}}) == pattern::fresh);
  CHECK(verdict_on(2, {{1, 2, 0, push_success}, {3, 4, 0, pop_value}, {5, 6, 0, pop_value}}) ==
        pattern::repeated);
}

TEST_CASE("linearizability: what was pushed first is popped first") {
  const operation first{1, 2, 0, push_success};
  const operation second{3, 4, 1, push_success};
  CHECK(verdict_on(2, {first, second, {7, 8, 0, pop_value}, {5, 6, 1, pop_value}}) ==
        pattern::order);
  CHECK(verdict_on(2, {first, second, {5, 6, 1, pop_value}}) == pattern::order);
  CHECK(verdict_on(2, {first, second, {6, 8, 0, pop_value}, {5, 6, 1, pop_value}}) ==
        pattern::none); // equal stamps overlap
}

TEST_CASE("linearizability: empty is refuted by messages that take turns") {
  const operation empty{3, 8, 0, pop_empty};
  CHECK(verdict_on(2, {{1, 2, 0, push_success}, {9, 10, 0, pop_value}, empty}) ==
        pattern::false_empty);
  CHECK(verdict_on(2, {{1, 2, 0, push_success}, {6, 10, 0, pop_value}, empty}) == pattern::none);
  CHECK(verdict_on(2, {{1, 2, 0, push_success},
                       {4, 5, 1, push_success},
                       {6, 10, 0, pop_value},
                       {9, 11, 1, pop_value},
                       empty}) == pattern::false_empty);
}

TEST_CASE("linearizability: full needs a moment without room, and success one with room") {
  const operation first{1, 2, 0, push_success};
  CHECK(verdict_on(1, {first, {3, 4, 0, push_full}}) == pattern::none);
  CHECK(verdict_on(2, {first, {3, 4, 0, push_full}}) == pattern::false_full);
  CHECK(verdict_on(2, {first, {3, 4, 0, push_full}, {4, 5, 1, push_success}}) == pattern::none);
  CHECK(verdict_on(1, {first, {3, 4, 1, push_success}}) == pattern::overfull);
  CHECK(verdict_on(1, {first, {3, 6, 1, push_success}, {5, 7, 0, pop_value}}) == pattern::none);
  CHECK(verdict_on(1, {first, {3, 6, 1, push_success}, {7, 8, 0, pop_value}}) == pattern::overfull);
}

TEST_CASE("linearizability: closed is for ever, for everybody, and after the last message") {
  const operation close{10, 12, 0, answer::close};
  const operation told{13, 14, 0, pop_closed};
  CHECK(verdict_on(2, {close, told, {11, 13, 0, push_closed}}) == pattern::none);
  CHECK(verdict_on(2, {told}) == pattern::closed);
  CHECK(verdict_on(2, {close, {8, 9, 0, push_closed}}) == pattern::closed);
  CHECK(verdict_on(2, {close, {12, 16, 0, push_success}, {15, 17, 0, pop_value}}) == pattern::none);
  CHECK(verdict_on(2, {close, {13, 14, 0, push_success}}) == pattern::closed);
  CHECK(verdict_on(2, {close, {13, 14, 0, pop_empty}}) == pattern::closed);
  CHECK(verdict_on(2, {close, {1, 2, 0, push_success}, told}) == pattern::closed);
  CHECK(verdict_on(2, {close, {1, 2, 0, push_success}, told, {14, 15, 0, pop_value}}) ==
        pattern::none);
  CHECK(verdict_on(2, {close, {1, 2, 0, push_success}, told, {15, 16, 0, pop_value}}) ==
        pattern::closed);
}

// ---- Stamps

TEST_CASE("linearizability: what one thread stamps first, another does not stamp earlier") {
  stamp given = 0;
  std::atomic<unsigned> turn{0};
  std::uint64_t early[2] = {};
  const auto play = [&](unsigned self) {
    for (unsigned i = self; i < 40000; i += 2) {
      while (turn.load(std::memory_order_acquire) != i) std::this_thread::yield();
      if (end_stamp() < given) ++early[self];
      given = start_stamp();
      turn.store(i + 1, std::memory_order_release);
    }
  };
  test::run_together({[&] { play(0); }, [&] { play(1); }});
  CHECK(early[0] == 0);
  CHECK(early[1] == 0);
}

// ---- Against the exhaustive search

namespace {

struct comparison {
  int histories = 0;
  int impossible = 0;
  int false_alarms = 0;
  int misses = 0;
  int other_misses = 0; ///< that are impossible with endless room, too
  std::string example;  ///< of what must not be

  comparison& operator+=(const comparison& more) {
    histories += more.histories;
    impossible += more.impossible;
    false_alarms += more.false_alarms;
    misses += more.misses;
    other_misses += more.other_misses;
    if (example.empty()) example = more.example;
    return *this;
  }
};

/// The same history in a queue with endless room, whose answers full mean nothing.
history without_bound(history run) {
  run.capacity = endless;
  for (auto& log : run.logs) {
    std::erase_if(log, [](const operation& one) { return one.what == push_full; });
  }
  return run;
}

comparison compare(const mixture& kind, std::uint64_t seed, int count) {
  random_histories histories{seed};
  checker judge;
  comparison result;
  for (; result.histories != count; ++result.histories) {
    const history run = histories.next(kind);
    const verdict found = judge.check(run);
    const bool is_accused = found.what != pattern::none;
    const bool is_possible = exhaustive_search::is_linearizable(run);
    if (!is_possible) ++result.impossible;
    if (is_accused == !is_possible) continue;
    if (is_accused) ++result.false_alarms;
    if (!is_accused) ++result.misses;
    const bool is_other = !is_accused && !exhaustive_search::is_linearizable(without_bound(run));
    if (is_other) ++result.other_misses;
    if (is_accused || is_other || kind.two_threads) result.example = found.why + describe(run);
  }
  return result;
}

/// All capacities and both kinds of ends.
comparison compare_all(bool two_threads, std::initializer_list<std::size_t> sizes) {
  comparison all;
  std::uint64_t seed = test::seed();
  for (const std::size_t capacity : sizes) {
    for (const bool closes : {false, true}) {
      const mixture kind{closes ? 7U : 8U, capacity, closes, two_threads};
      all += compare(kind, ++seed, 60000);
    }
  }
  return all;
}

void report(const std::string& what, const comparison& all) {
  MESSAGE(what, ": ", all.histories, " random histories, ", all.impossible, " impossible, ",
          all.false_alarms, " false alarms, ", all.misses,
          " misses; MAILROOM_TEST_SEED=", test::seed());
}

} // namespace

TEST_CASE("linearizability: with endless room the checker and the search agree") {
  const comparison all = compare_all(false, {endless});
  report("endless room", all);
  INFO(all.example);
  CHECK(all.false_alarms == 0);
  CHECK(all.misses == 0);
  CHECK(all.impossible > all.histories / 20);
}

TEST_CASE("linearizability: with one producer and one consumer the checker and the search agree") {
  const comparison all = compare_all(true, {endless, 1, 2, 3});
  report("one producer, one consumer", all);
  INFO(all.example);
  CHECK(all.false_alarms == 0);
  CHECK(all.misses == 0);
  CHECK(all.impossible > all.histories / 20);
}

TEST_CASE(
    "linearizability: the checker accuses nobody falsely, and misses only what the bound makes "
    "impossible") {
  const comparison all = compare_all(false, {1, 2, 3});
  report("little room", all);
  INFO(all.example);
  CHECK(all.false_alarms == 0);
  CHECK(all.other_misses == 0);
  CHECK(all.misses < all.impossible / 20);
  CHECK(all.impossible > all.histories / 20);
}

// ---- Broken queues

namespace {

struct hunt {
  verdict found;
  std::uint64_t operations = 0;
};

/// Runs rounds with new queues until one is caught, or for a long time.
template <class Queue>
hunt hunt_for(const shape& how) {
  constexpr std::uint64_t patience = 5'000'000;
  const test::watchdog guard{"a broken queue"};
  history run;
  checker judge;
  hunt result;
  while (result.found.what == pattern::none && result.operations < patience) {
    Queue queue(how.capacity);
    (void)record<style::singles>(queue, how, run);
    result.operations += run.size();
    result.found = judge.check(run);
  }
  return result;
}

template <class Queue>
void catch_it(const std::string& name, std::initializer_list<pattern> expected, const shape& how) {
  const hunt result = hunt_for<Queue>(how);
  const bool is_expected =
      std::find(expected.begin(), expected.end(), result.found.what) != expected.end();
  MESSAGE(name, ": caught after ", result.operations, " operations: ", result.found.why);
  CHECK(is_expected);
}

} // namespace

TEST_CASE("linearizability: a queue behind a lock is not accused") {
  for (const bool closes : {false, true}) {
    for (int round = 0; round != 20; ++round) {
      faulty_queue<fault::none> queue(2);
      history run;
      (void)record<style::singles>(queue, {2, 2, 2, 2000, closes}, run);
      CHECK(checker{}.check(run).why == "");
    }
  }
}

TEST_CASE("linearizability: a queue that does one thing wrong is caught") {
  using enum pattern;
  const shape open{2, 2, 3, 2000, false};
  const shape closing{2, 2, 3, 2000, true};
  catch_it<faulty_queue<fault::early_full>>("full too early", {false_full}, open);
  catch_it<faulty_queue<fault::early_empty>>("empty too early", {false_empty}, open);
  catch_it<faulty_queue<fault::one_too_many>>("<= instead of <", {overfull}, open);
  catch_it<faulty_queue<fault::swaps>>("two messages swapped", {order}, open);
  catch_it<faulty_queue<fault::loses>>("a message lost", {order, false_empty, overfull}, open);
  catch_it<faulty_queue<fault::doubles>>("a message twice", {repeated}, open);
  catch_it<faulty_queue<fault::invents>>("a message from nowhere", {fresh}, open);
  catch_it<faulty_queue<fault::closed_early>>("closed before close", {closed}, closing);
  catch_it<faulty_queue<fault::admits_late>>("a push after closed", {closed}, closing);
  catch_it<faulty_queue<fault::empty_at_end>>("empty after closed", {closed}, closing);
  catch_it<faulty_queue<fault::forgets_at_end>>("closed with a message inside", {closed}, closing);
}

TEST_CASE("linearizability: a queue with a race is caught") {
  using enum pattern;
  catch_it<ticket_ring>("ticket ring", {false_empty, false_full}, {2, 2, 8, 20000, false});
  catch_it<late_count>("room counted late", {overfull}, {2, 2, 2, 2000, false});
  catch_it<shared_front>("a front for two", {repeated, order, false_empty, false_full, overfull},
                         {1, 2, 8, 2000, false});
}
