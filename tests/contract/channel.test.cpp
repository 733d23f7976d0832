// SPDX-License-Identifier: MIT
// What a channel must do over every queue: it lives and closes with its ends, and whoever waits at
// one of them is released when those at the other have gone. As many threads as the queue allows.

#include <mailroom/core/concepts.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/mailbox/channel.hpp>
#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/queue/mpmc_ticket_queue.hpp>
#include <mailroom/queue/mpsc_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <doctest/doctest.h>
#include <support/print.hpp>
#include <support/threads.hpp>
#include <support/waiting.hpp>

#include <atomic>      // atomic
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <functional>  // function
#include <memory>      // make_shared, shared_ptr
#include <thread>      // this_thread
#include <type_traits> // is_same
#include <utility>     // move
#include <vector>      // vector

namespace {

using mailroom::arity;
using mailroom::mailbox_options;
using mailroom::queue_facts;
using mailroom::queue_status;
using test::background;

/// The end that one thread has: a copy if there can be several, else the only one.
template <arity HowMany, class End>
std::shared_ptr<End> own(End& end) {
  if constexpr (HowMany == arity::many) {
    return std::make_shared<End>(end);
  } else {
    return std::make_shared<End>(std::move(end));
  }
}
template <class Queue>
auto own_producer(auto& ends) {
  return own<queue_facts<Queue>::producers>(ends.tx);
}
template <class Queue>
auto own_consumer(auto& ends) {
  return own<queue_facts<Queue>::consumers>(ends.rx);
}

template <class Queue>
inline constexpr int producers = queue_facts<Queue>::producers == arity::many ? 3 : 1;
template <class Queue>
inline constexpr int consumers = queue_facts<Queue>::consumers == arity::many ? 3 : 1;

} // namespace

#define MAILROOM_OVER_EVERY_QUEUE                                                                  \
  mailroom::mpmc_queue<int>, mailroom::mpmc_ticket_queue<int>, mailroom::mpsc_queue<int>,          \
      mailroom::spsc_queue<int>

TEST_CASE_TEMPLATE("channel: what was pushed is delivered after the last producer has gone", Queue,
                   MAILROOM_OVER_EVERY_QUEUE) {
  auto ends = mailroom::channel<int, Queue>(4);
  CHECK(ends.tx.push(1));
  CHECK(ends.tx.push(2));
  ends.tx = {};
  CHECK(ends.rx.box().is_closed());
  CHECK(ends.rx.pop() == 1);
  CHECK(ends.rx.pop() == 2);
  CHECK_FALSE(ends.rx.pop().has_value());
  CHECK(ends.rx.box().is_drained());
}

TEST_CASE_TEMPLATE("channel: when the last consumer has gone, what is inside is discarded", Queue,
                   MAILROOM_OVER_EVERY_QUEUE) {
  auto ends = mailroom::channel<int, Queue>(4);
  CHECK(ends.tx.push(1));
  CHECK(ends.tx.push(2));
  CHECK(ends.rx.pop() == 1);
  ends.rx = {};
  CHECK(ends.tx.try_push(3) == queue_status::closed);
  CHECK_FALSE(ends.tx.push(3));
  const auto stats = ends.tx.box().stats();
  CHECK(stats.discarded == 1);
  CHECK(stats.popped == 1);
  CHECK(stats.depth == 0);
}

TEST_CASE_TEMPLATE("channel: the last producer that goes wakes all pops that wait", Queue,
                   MAILROOM_OVER_EVERY_QUEUE) {
  const test::watchdog guard{"channel: the last producer against pops"};
  for (int round = 0; round != 20; ++round) {
    auto ends = mailroom::channel<int, Queue>(4);
    std::vector<std::function<void()>> bodies;
    std::atomic<int> told{0};
    for (int i = 0; i != consumers<Queue>; ++i) {
      bodies.emplace_back([&told, rx = own_consumer<Queue>(ends)] {
        while (rx->pop()) {
        }
        told.fetch_add(1);
      });
    }
    for (int i = 0; i != producers<Queue>; ++i) {
      bodies.emplace_back([round, tx = own_producer<Queue>(ends)] {
        for (int j = 0; j != round; ++j) std::this_thread::yield();
        *tx = {};
      });
    }
    ends.tx = {};
    test::run_together(std::move(bodies));
    CHECK(told.load() == consumers<Queue>);
  }
}

TEST_CASE_TEMPLATE("channel: the last consumer that goes releases all pushes that wait", Queue,
                   mailroom::mpmc_queue<int>, mailroom::mpmc_ticket_queue<int>,
                   mailroom::spsc_queue<int>) {
  const test::watchdog guard{"channel: the last consumer against pushes"};
  for (int round = 0; round != 20; ++round) {
    auto ends = mailroom::channel<int, Queue>(1);
    CHECK(ends.tx.push(0));
    std::vector<std::function<void()>> bodies;
    std::atomic<int> told{0};
    for (int i = 0; i != producers<Queue>; ++i) {
      bodies.emplace_back([&told, tx = own_producer<Queue>(ends)] {
        if (!tx->push(1)) told.fetch_add(1);
      });
    }
    for (int i = 0; i != consumers<Queue>; ++i) {
      bodies.emplace_back([round, rx = own_consumer<Queue>(ends)] {
        for (int j = 0; j != round; ++j) std::this_thread::yield();
        *rx = {};
      });
    }
    ends.rx = {};
    test::run_together(std::move(bodies));
    CHECK(told.load() == producers<Queue>);
  }
}

TEST_CASE_TEMPLATE("channel: whoever leaves when, what was accepted is received or discarded",
                   Queue, MAILROOM_OVER_EVERY_QUEUE) {
  const test::watchdog guard{"channel: everybody leaves"};
  for (int round = 0; round != 60; ++round) {
    std::atomic<std::uint64_t> accepted{0};
    std::atomic<std::uint64_t> received{0};
    std::atomic<std::uint64_t> discarded{0};
    {
      const auto count = [&](int) noexcept { discarded.fetch_add(1); };
      using box = mailroom::mailbox<int, Queue>;
      auto ends = mailroom::channel<int, Queue>(mailbox_options{.capacity = 3}, count);
      static_assert(std::is_same_v<decltype(ends), mailroom::channel_ends<box>>);
      std::vector<std::function<void()>> bodies;
      for (int i = 0; i != producers<Queue>; ++i) {
        bodies.emplace_back([&accepted, i, round, tx = own_producer<Queue>(ends)] {
          for (int j = 0; j != 20 + round * i && tx->push(j); ++j) accepted.fetch_add(1);
          *tx = {};
        });
      }
      for (int i = 0; i != consumers<Queue>; ++i) {
        bodies.emplace_back([&received, i, round, rx = own_consumer<Queue>(ends)] {
          for (int j = 0; j != round * (2 - i % 2) && rx->pop(); ++j) received.fetch_add(1);
          *rx = {};
        });
      }
      ends.tx = {};
      ends.rx = {};
      test::run_together(std::move(bodies));
    }
    CHECK(accepted.load() == received.load() + discarded.load());
  }
}

TEST_CASE_TEMPLATE("channel: what the ends have done before they leave is seen by who is told",
                   Queue, MAILROOM_OVER_EVERY_QUEUE) {
  // The thread sanitizer proves it: the plain variables would be races otherwise.
  for (int round = 0; round != 20; ++round) {
    auto ends = mailroom::channel<int, Queue>(4);
    std::vector<int> done(producers<Queue>, 0);
    std::vector<std::function<void()>> bodies;
    for (int i = 0; i != producers<Queue>; ++i) {
      bodies.emplace_back(
          [mine = &done[static_cast<std::size_t>(i)], tx = own_producer<Queue>(ends)] {
            *mine = 1;
            *tx = {};
          });
    }
    int sum = 0;
    bodies.emplace_back([&] {
      while (ends.rx.pop()) {
      }
      for (const int each : done) sum += each;
    });
    ends.tx = {};
    test::run_together(std::move(bodies));
    CHECK(sum == producers<Queue>);
  }
}
