// SPDX-License-Identifier: MIT
#include <mailroom/queue/intrusive_mpsc_queue.hpp>

#include <doctest/doctest.h>
#include <support/print.hpp>
#include <support/threads.hpp>

#include <array>       // array
#include <atomic>      // atomic
#include <cstddef>     // size_t
#include <memory>      // unique_ptr, make_unique
#include <string>      // string
#include <thread>      // this_thread
#include <type_traits> // is_copy_constructible, ...
#include <vector>      // vector

namespace {

struct job : mailroom::intrusive_node {
  int value = 0;
  std::string text;
  job() = default;
  explicit job(int number) : value{number} {}
};
using queue = mailroom::intrusive_mpsc_queue<job>;

std::vector<int> drain(queue& from) {
  std::vector<int> values;
  from.consume_all([&values](job& one) { values.push_back(one.value); });
  return values;
}

} // namespace

TEST_CASE("intrusive_mpsc_queue: its facts are lock-free pushes and wait-free pops") {
  using facts = mailroom::queue_facts<queue>;
  static_assert(facts::producers == mailroom::arity::many);
  static_assert(facts::consumers == mailroom::arity::one);
  static_assert(facts::order == mailroom::ordering::fifo);
  static_assert(facts::push_progress == mailroom::progress::lock_free);
  static_assert(facts::pop_progress == mailroom::progress::wait_free);
  static_assert(!facts::bounded);
}

TEST_CASE("intrusive_mpsc_queue: it stays where it is, and its calls throw nothing") {
  static_assert(!std::is_copy_constructible_v<queue>);
  static_assert(!std::is_move_constructible_v<queue>);
  static_assert(std::is_nothrow_default_constructible_v<queue>);
  queue jobs;
  job one;
  static_assert(noexcept(jobs.push(one)));
  static_assert(noexcept(jobs.try_pop()));
  static_assert(noexcept(jobs.try_rest()));
}

TEST_CASE("intrusive_mpsc_queue: producers and consumer do not share a cache line") {
  static_assert(sizeof(queue) >= 2 * mailroom::detail::cache_line);
  static_assert(sizeof(mailroom::intrusive_node) == sizeof(void*));
}

TEST_CASE("intrusive_mpsc_queue: nodes come out themselves, in the order they went in") {
  queue jobs;
  std::array<job, 5> all;
  CHECK(jobs.try_pop() == nullptr);
  for (auto& one : all) jobs.push(one);
  CHECK(jobs.try_pop() == &all[0]);
  CHECK(jobs.try_pop() == &all[1]);
  jobs.push(all[0]); // the node is the caller's again
  CHECK(jobs.try_pop() == &all[2]);
  CHECK(jobs.try_pop() == &all[3]);
  CHECK(jobs.try_pop() == &all[4]);
  CHECK(jobs.try_pop() == &all[0]);
  CHECK(jobs.try_pop() == nullptr);
}

TEST_CASE("intrusive_mpsc_queue: consume_all hands over all that is there, older nodes first") {
  queue jobs;
  std::vector<job> all;
  for (int i = 0; i != 9; ++i) all.emplace_back(i);
  for (int i = 0; i != 4; ++i) jobs.push(all[static_cast<std::size_t>(i)]);
  CHECK(jobs.try_pop() == &all[0]); // has taken 1, 2 and 3 along
  for (int i = 4; i != 9; ++i) jobs.push(all[static_cast<std::size_t>(i)]);
  CHECK(drain(jobs) == std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8});
  CHECK(drain(jobs).empty());
}

TEST_CASE("intrusive_mpsc_queue: a handler may destroy its node, and push it or others again") {
  queue jobs;
  for (int i = 0; i != 3; ++i) jobs.push(*std::make_unique<job>(i).release());
  job again{7};
  int sum = 0;
  CHECK(jobs.consume_all([&](job& one) {
    const std::unique_ptr<job> owned{&one};
    sum += one.value;
    if (owned->value == 1) jobs.push(again);
  }) == 3);
  CHECK(sum == 3);
  int rounds = 0;
  CHECK(jobs.consume_all([&](job& one) {
    if (rounds++ == 0) jobs.push(one);
  }) >= 1);
  while (jobs.try_pop() != nullptr) ++rounds;
  CHECK(rounds == 2);
}

TEST_CASE("intrusive_mpsc_queue: a handler that throws costs its own node") {
  queue jobs;
  std::array<job, 3> all{job{0}, job{1}, job{2}};
  for (auto& one : all) jobs.push(one);
  CHECK_THROWS_AS(jobs.consume_all([](job& one) {
    if (one.value == 1) throw 1;
  }),
                  int);
  CHECK(drain(jobs) == std::vector<int>{2});
}

TEST_CASE("intrusive_mpsc_queue: exactly the push that ends a rest is told so") {
  queue jobs;
  std::array<job, 4> all;
  CHECK(jobs.push(all[0])); // a new queue is at rest
  CHECK_FALSE(jobs.push(all[1]));
  CHECK_FALSE(jobs.try_rest());
  CHECK(jobs.try_pop() == &all[0]);
  CHECK_FALSE(jobs.try_rest()); // one is in hand
  CHECK(jobs.try_pop() == &all[1]);
  CHECK_FALSE(jobs.push(all[2])); // empty, but not at rest
  CHECK_FALSE(jobs.try_rest());   // one has come
  CHECK(jobs.try_pop() == &all[2]);
  CHECK(jobs.try_rest());
  CHECK(jobs.try_rest());
  CHECK(jobs.try_pop() == nullptr);
  CHECK(jobs.push(all[3]));
  CHECK(jobs.try_pop() == &all[3]);
}

TEST_CASE("intrusive_mpsc_queue: what is inside at the end is left to its owner") {
  job one{5};
  {
    queue jobs;
    jobs.push(one);
  }
  CHECK(one.value == 5);
  queue other;
  other.push(one);
  CHECK(other.try_pop() == &one);
}

TEST_CASE("intrusive_mpsc_queue: a copy of a node that is inside is in no queue") {
  queue jobs;
  std::array<job, 3> all{job{0}, job{1}, job{2}};
  for (auto& one : all) jobs.push(one);
  job copy{all[1]};
  all[1] = job{11}; // leaves the link alone
  queue other;
  other.push(copy);
  CHECK(drain(other) == std::vector<int>{1});
  CHECK(drain(jobs) == std::vector<int>{0, 11, 2});
}

TEST_CASE("intrusive_mpsc_queue: every node of many producers arrives once, in order") {
  const test::watchdog guard{"intrusive_mpsc_queue: many producers"};
  constexpr int each = 20'000;
  std::array<std::vector<job>, 3> all;
  for (int who = 0; who != 3; ++who) {
    for (int i = 0; i != each; ++i) all[static_cast<std::size_t>(who)].emplace_back(who << 24 | i);
  }
  queue jobs;
  int next[3] = {};
  bool in_order = true;
  const auto push = [&](std::size_t who) {
    return [&, who] {
      for (auto& one : all[who]) {
        one.text = "built before the push";
        jobs.push(one);
      }
    };
  };
  test::run_together({push(0), push(1), push(2), [&] {
                        for (int count = 0; count != 3 * each;) {
                          job* const one = jobs.try_pop();
                          if (one == nullptr) {
                            std::this_thread::yield();
                            continue;
                          }
                          ++count;
                          in_order = in_order &&
                                     (one->value & 0xFFFFFF) == next[one->value >> 24]++ &&
                                     one->text == "built before the push";
                        }
                      }});
  CHECK(in_order);
  CHECK(jobs.try_pop() == nullptr);
}

TEST_CASE("intrusive_mpsc_queue: senders run an actor one at a time, and leave nothing behind") {
  const test::watchdog guard{"intrusive_mpsc_queue: an actor"};
  constexpr std::size_t each = 20'000;
  std::array<std::vector<job>, 3> all;
  for (auto& some : all) some.resize(each);
  queue inbox;
  std::size_t handled = 0; // no atomic: a race, if two run
  std::atomic<int> inside{0};
  std::atomic<bool> wrong{false};
  const auto send = [&](std::size_t who) {
    return [&, who] {
      for (auto& mail : all[who]) {
        if (!inbox.push(mail)) continue;
        if (inside.fetch_add(1) != 0) wrong.store(true);
        for (;;) {
          handled += inbox.consume_all([](job&) {});
          inside.fetch_sub(1);
          if (inbox.try_rest()) break;
          inside.fetch_add(1);
        }
      }
    };
  };
  test::run_together({send(0), send(1), send(2)});
  CHECK(handled == 3 * each);
  CHECK_FALSE(wrong.load());
}
