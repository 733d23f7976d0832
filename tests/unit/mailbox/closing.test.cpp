// SPDX-License-Identifier: MIT

#include <mailroom/core/status.hpp>
#include <mailroom/mailbox/closing.hpp>
#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <doctest/doctest.h>
#include <support/print.hpp>
#include <support/threads.hpp>

#include <atomic>      // atomic
#include <thread>      // this_thread
#include <type_traits> // is_same

namespace {

using mailroom::mpmc_queue;
using mailroom::queue_status;
using mailroom::spsc_queue;
using mailroom::detail::closed_flag;
using mailroom::detail::closing;
using mailroom::detail::memory_order;
using mailroom::detail::sealable;
using mailroom::detail::sealed_end;
using mailroom::detail::watched_end;

static_assert(sealable<mpmc_queue<int>>);
static_assert(!sealable<spsc_queue<int>>);
static_assert(std::is_same_v<closing<mpmc_queue<int>>, sealed_end<mpmc_queue<int>>>);
static_assert(std::is_same_v<closing<mpmc_queue<int, 4>>, sealed_end<mpmc_queue<int, 4>>>);
static_assert(std::is_same_v<closing<spsc_queue<int>>, watched_end<spsc_queue<int>>>);

/// A queue, how it ends, and whether it was closed: the part of a mailbox that is tested here.
template <class Queue>
struct ending {
  Queue queue{4};
  closing<Queue> end;
  closed_flag closed;

  void close() { closed.store(1, memory_order::release); }

  queue_status push(int value) {
    const auto push = end.begin_push(closed);
    return push.is_open ? queue.try_push(value) : queue_status::closed;
  }

  /// As the pop of a mailbox does it.
  mailroom::expected<int, queue_status> pop() {
    auto result = queue.try_pop();
    if (!result && result.error() == queue_status::empty &&
        closed.load(memory_order::acquire) != 0) {
      result = end.last_pop(queue);
    }
    return result;
  }
};

} // namespace

TEST_CASE_TEMPLATE("closing: what is in the queue is delivered before it is over", Queue,
                   mpmc_queue<int>, spsc_queue<int>) {
  ending<Queue> box;
  CHECK(box.push(1) == queue_status::success);
  CHECK(box.push(2) == queue_status::success);
  box.close();
  CHECK(box.push(3) == queue_status::closed);
  CHECK_FALSE(box.end.is_over(box.queue));
  CHECK(box.end.last_pop(box.queue).value_or(-1) == 1);
  CHECK_FALSE(box.end.is_over(box.queue));
  CHECK(box.end.last_pop(box.queue).value_or(-1) == 2);
  for (int i = 0; i != 3; ++i) {
    CHECK(box.end.last_pop(box.queue).error() == queue_status::closed);
    CHECK(box.end.is_over(box.queue));
    CHECK(box.push(4) == queue_status::closed);
  }
}

TEST_CASE_TEMPLATE("closing: who asks whether it is over ends it, if it is", Queue, mpmc_queue<int>,
                   spsc_queue<int>) {
  ending<Queue> box;
  box.close();
  CHECK(box.end.is_over(box.queue));
  CHECK(box.end.last_pop(box.queue).error() == queue_status::closed);
  CHECK(box.end.is_over(box.queue));
}

TEST_CASE("sealed_end: a push that began before close, and comes late, is refused") {
  ending<mpmc_queue<int>> box;
  const auto push = box.end.begin_push(box.closed);
  CHECK(push.is_open);
  box.close();
  CHECK(box.end.last_pop(box.queue).error() == queue_status::closed);
  CHECK(box.queue.try_push(1) == queue_status::closed);
}

TEST_CASE("sealed_end: a push that began before close, and is in time, is delivered") {
  ending<mpmc_queue<int>> box;
  const auto push = box.end.begin_push(box.closed);
  box.close();
  CHECK(push.is_open);
  CHECK(box.queue.try_push(1) == queue_status::success);
  CHECK(box.end.last_pop(box.queue).value_or(-1) == 1);
  CHECK(box.end.last_pop(box.queue).error() == queue_status::closed);
}

TEST_CASE("watched_end: while a push is in progress nobody says closed") {
  ending<spsc_queue<int>> box;
  {
    const auto push = box.end.begin_push(box.closed);
    CHECK(push.is_open);
    box.close();
    CHECK(box.end.last_pop(box.queue).error() == queue_status::busy);
    CHECK_FALSE(box.end.is_over(box.queue));
    CHECK(box.queue.try_push(1) == queue_status::success);
    CHECK(box.end.last_pop(box.queue).error() == queue_status::busy);
  }
  CHECK_FALSE(box.end.is_over(box.queue));
  CHECK(box.end.last_pop(box.queue).value_or(-1) == 1);
  CHECK(box.end.last_pop(box.queue).error() == queue_status::closed);
  CHECK(box.end.is_over(box.queue));
}

TEST_CASE("watched_end: once it is over, a push that tries again does not hide it") {
  ending<spsc_queue<int>> box;
  box.close();
  CHECK(box.end.last_pop(box.queue).error() == queue_status::closed);
  const auto push = box.end.begin_push(box.closed);
  CHECK_FALSE(push.is_open);
  CHECK(box.end.last_pop(box.queue).error() == queue_status::closed);
  CHECK(box.end.is_over(box.queue));
}

TEST_CASE_TEMPLATE(
    "closing: R-05: every push that is accepted is delivered, however close the close", Queue,
    mpmc_queue<int>, spsc_queue<int>) {
  const test::watchdog guard{"closing: a race of push, close and pop"};
  for (int round = 0; round != 300; ++round) {
    ending<Queue> box;
    int accepted = 0;
    int received = 0;
    test::run_together(
        {[&] {
           queue_status answer = queue_status::success;
           while (answer != queue_status::closed) {
             answer = box.push(1);
             answer == queue_status::success ? void(++accepted) : std::this_thread::yield();
           }
         },
         [&] {
           queue_status answer = queue_status::success;
           while (answer != queue_status::closed) {
             answer = box.pop().error();
             answer == queue_status::success ? void(++received) : std::this_thread::yield();
           }
         },
         [&] {
           for (int i = 0; i != round % 20; ++i) std::this_thread::yield();
           box.close();
           while (!box.end.is_over(box.queue)) std::this_thread::yield();
         }});
    REQUIRE(accepted == received);
  }
}
