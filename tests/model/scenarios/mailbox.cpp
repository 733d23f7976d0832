// SPDX-License-Identifier: MIT
// Threads that sleep, are woken, are stopped, are too late, and are told that it is over.
#include "scenario.hpp"
#include "stop_source.hpp"

#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/queue/mpmc_ticket_queue.hpp>
#include <mailroom/queue/mpsc_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <array>      // array
#include <chrono>     // steady_clock
#include <functional> // function
#include <optional>   // optional
#include <string>     // string

namespace scenario {
namespace {

using mailroom::overflow;
using mailroom::queue_status;
using model::require;
using model::run;
using mpmc = mailroom::mpmc_queue<unsigned>;
using ticket = mailroom::mpmc_ticket_queue<unsigned>;
using mpsc = mailroom::mpsc_queue<unsigned>;
using spsc = mailroom::spsc_queue<unsigned>;
template <class Queue, class Wait = mailroom::wait_policy::park>
using box_of = mailroom::mailbox<unsigned, Queue, Wait>;

/// Some time from now: the search decides when it has come.
constexpr std::chrono::steady_clock::time_point soon{std::chrono::hours{1}};

// ---- Push and pop wait for each other

template <class Box>
void passes_on() {
  Box box{1};
  run({[&] {
         require(box.push(1U), "an open box takes it");
         require(box.push(2U), "an open box takes it");
       },
       [&] {
         require(box.pop() == 1U, "the first");
         require(box.pop() == 2U, "the second");
       }});
}

/// The same with one message, and with one place: short enough where busy makes the search long.
template <class Box>
void passes_one_on() {
  Box box{1};
  run({[&] { require(box.push(1U), "an open box takes it"); },
       [&] { require(box.pop() == 1U, "the message"); }});
}

template <class Box>
void passes_room_on() {
  Box box{1};
  require(box.push(1U), "there is room");
  run({[&] { require(box.push(2U), "there will be room"); },
       [&] { require(box.pop() == 1U, "the first"); }});
  require(box.pop() == 2U, "the second");
}

template <class Box>
void two_consumers() {
  Box box{2};
  const auto take = [&] { require(box.pop().has_value(), "one for each"); };
  run({take, take, [&] {
         require(box.push(1U), "there is room");
         require(box.push(2U), "there is room");
       }});
}

template <class Box>
void two_producers() {
  Box box{1};
  require(box.push(1U), "there is room");
  const auto put = [&] { require(box.push(2U), "there will be room"); };
  run({put, put, [&] {
         require(box.pop() == 1U, "the first");
         require(box.pop() == 2U, "the second");
       }});
}

/// A run of messages wakes as many as it has messages for.
template <class Box>
void runs_wake_all() {
  Box box{2};
  const auto take = [&] { require(box.pop().has_value(), "one for each"); };
  run({take, take, [&] {
         const std::array<unsigned, 2> both{1, 2};
         require(box.push_range(both.begin(), both.end()) == both.end(), "both are in");
       }});
}

struct sink {
  using difference_type = std::ptrdiff_t;
  unsigned* count;
  sink& operator*() noexcept { return *this; }
  sink& operator++() noexcept { return *this; }
  sink operator++(int) noexcept { return *this; }
  sink& operator=(unsigned) noexcept {
    ++*count;
    return *this;
  }
};

template <class Box>
void runs_make_room_for_all() {
  Box box{2};
  require(box.push(1U) && box.push(2U), "there is room");
  const auto put = [&] { require(box.push(3U), "there will be room"); };
  run({put, put, [&] {
         unsigned count = 0;
         while (count < 2) (void)box.pop_n(sink{&count}, 2);
       }});
}

// ---- The end

/// Everything that went in before the end comes out before it.
template <class Box>
void closes_behind_a_push() {
  Box box{1};
  run({[&] {
         require(box.push(1U), "an open box takes it");
         box.close();
       },
       [&] {
         require(box.pop() == 1U, "what was in");
         require(!box.pop(), "the end");
       }});
  require(box.is_drained(), "nothing is left");
}

/// The end comes from a third thread: a push that succeeded is delivered, one that failed is not.
template <class Box>
void closes_during_a_push() {
  Box box{1};
  bool is_in = false;
  unsigned taken = 0;
  run({[&] { is_in = box.push(1U); },
       [&] {
         while (box.pop()) ++taken;
       },
       [&] { box.close(); }});
  require(taken == (is_in ? 1U : 0U), "delivered what was not taken in, or the other way round");
  require(box.is_drained() && box.try_pop().error() == queue_status::closed, "it is over");
  require(box.try_push(2U) == queue_status::closed, "a push behind the end");
}

/// Whoever waits for room is told.
template <class Box>
void closes_before_a_sleeping_push() {
  Box box{1};
  require(box.push(1U), "there is room");
  run({[&] { require(!box.push(2U), "there is no room"); }, [&] { box.close(); }});
  require(box.pop() == 1U && !box.pop(), "what was in, and the end");
}

/// What happened before close() is seen by whoever is told of it.
template <class Box>
model::program close_hands_on(std::function<bool(Box&)> is_told) {
  return [=] {
    Box box{1};
    model::plain data;
    const auto here = std::source_location::current();
    run({[&] {
           data.write(here);
           box.close();
         },
         [&] {
           if (is_told(box)) data.write(here);
         }});
  };
}

/// A message that was pushed is not overlooked by who finds the end.
void end_overlooks_nothing() {
  box_of<spsc> box{1};
  bool is_in = false, is_out = false, is_closed = false;
  run({[&] { is_in = box.try_push(1U) == queue_status::success; },
       [&] {
         box.close();
         const auto got = box.try_pop();
         is_out = got.has_value();
         is_closed = got.error() == queue_status::closed;
       }});
  require(!(is_in && is_closed), "closed, with a message inside");
  require(!is_out || is_in, "a message from nowhere");
}

/// Once over, always over, whoever asks.
template <class Box>
void stays_over() {
  Box box{1};
  bool is_in = false, was_over = false;
  run({[&] { is_in = box.try_push(1U) == queue_status::success; },
       [&] {
         box.close();
         was_over = box.is_drained();
         require(!was_over || box.is_drained(), "it was over, and is not any more");
         require(!was_over || box.try_pop().error() == queue_status::closed,
                 "over, and not closed");
       }});
  require(!(is_in && was_over), "over, with a message inside");
  require(box.is_drained() == !is_in, "over without having delivered");
}

/// Several find the end at once.
template <class Box>
void two_find_the_end() {
  Box box{1};
  box.close();
  const auto see = [&] { require(!box.pop(), "the end"); };
  run({see, see, [&] { require(!box.push(1U), "a push behind the end"); }});
}

/// Whoever waits for the end is told when the last message is taken; where pops are not published,
/// by the pop behind it.
template <class Box>
void last_pop_ends_the_wait() {
  Box box{1};
  require(box.push(1U), "there is room");
  run({[&] {
         box.close_and_wait();
         require(box.is_drained(), "it is over");
       },
       [&] {
         require(box.pop() == 1U, "what was in");
         if (!mailroom::queue_facts<typename Box::queue_type>::bounded) {
           require(!box.pop(), "the end");
         }
       }});
}

/// The same for who consumes in place, and never asks for a message behind the last.
template <class Box>
void consumer_ends_the_wait() {
  Box box{1};
  require(box.push(1U), "there is room");
  run({[&] {
         box.close_and_wait();
         require(box.is_drained(), "it is over");
       },
       [&] {
         unsigned seen = 0;
         while (!box.is_drained()) {
           (void)box.consume_all([&](unsigned&& each) { seen = each; });
           (void)box.consume_all([&](unsigned&& each) { seen = each; });
           if (!box.is_closed()) break;
         }
         require(seen == 1U, "what was in");
       }});
}

template <class Box>
void two_wait_for_the_end() {
  Box box{1};
  require(box.push(1U), "there is room");
  const auto wait = [&] { box.close_and_wait(); };
  run({wait, wait, [&] { require(box.pop() == 1U, "what was in"); }});
}

/// Somebody who only asks has ended the queue before the pop that would have.
void asked_before_the_end() {
  box_of<mpsc> box{1};
  require(box.push(1U), "there is room");
  run({[&] { box.close_and_wait(); },
       [&] {
         require(box.pop() == 1U, "what was in");
         require(!box.pop(), "the end");
       },
       [&] { (void)box.is_drained(); }});
}

/// A push makes room by taking the last message out, and comes too late for its own.
void discarded_before_the_end() {
  box_of<mpmc> box{{.capacity = 1, .on_full = overflow::drop_oldest}};
  require(box.push(1U), "there is room");
  run({[&] {
         (void)box.push(2U);
         (void)box.try_pop(); // which of the two is inside, if any
       },
       [&] { box.close_and_wait(); }});
}

/// W2: a push that is refused wakes nobody, so whoever waits for the end does not sleep on it.
template <class Box>
void end_waits_out_a_push() {
  Box box{1};
  run({[&] {
         if (box.try_push(1U) != queue_status::success) return;
         require(box.pop() == 1U, "it is in");
         if (!mailroom::queue_facts<typename Box::queue_type>::bounded) (void)box.pop();
       },
       [&] {
         box.close_and_wait();
         require(box.is_drained(), "it is over");
       }});
}

/// W2: nor does who pops.
template <class Box>
void pop_waits_out_a_push() {
  Box box{1};
  bool is_in = false, is_out = false;
  run({[&] { is_in = box.try_push(1U) == queue_status::success; },
       [&] {
         box.close();
         is_out = box.pop().has_value();
       }});
  require(is_in == is_out, "delivered what was not taken in, or the other way round");
}

/// What is discarded is what was taken in.
template <class Box>
void discards_during_a_push() {
  Box box{1};
  bool is_in = false;
  run({[&] { is_in = box.push(1U); }, [&] { box.close(mailroom::discard); }});
  require(box.stats().discarded == (is_in ? 1U : 0U), "discarded what was not taken in");
  require(box.is_drained() && box.try_pop().error() == queue_status::closed, "it is over");
}

// ---- Being late, and being stopped

/// A pop that gives up has not taken the wake-up along that another one needs.
template <class Box>
void late_pop_hands_on() {
  Box box{1};
  bool is_taken = false;
  run({[&] {
         is_taken = box.try_pop_until(soon).has_value();
         if (is_taken) require(box.push(2U), "for the other");
       },
       [&] { require(box.pop().has_value(), "a message for the other"); },
       [&] { require(box.push(1U), "there is room"); }});
}

void late_push_hands_on() {
  box_of<mpmc> box{1};
  require(box.push(1U), "there is room");
  run({[&] {
         const auto answer = box.try_push_until(2U, soon);
         if (answer == queue_status::success) require(box.pop().has_value(), "for the other");
       },
       [&] { require(box.push(3U), "there will be room"); },
       [&] { require(box.pop().has_value(), "there is a message"); }});
}

/// What was too late for a deadline is still there; what was not is delivered.
template <class Box>
void late_pop_loses_nothing() {
  Box box{1};
  bool is_taken = false;
  run({[&] {
         const auto got = box.try_pop_until(soon);
         is_taken = got.has_value();
         require(is_taken || got.error() == queue_status::timeout, "a message or too late");
       },
       [&] { require(box.push(1U), "there is room"); }});
  require(box.try_pop().has_value() != is_taken, "the message is gone");
}

template <class Box>
void late_push_keeps_its_message() {
  Box box{1};
  require(box.push(1U), "there is room");
  queue_status answer{};
  run({[&] { answer = box.try_push_until(2U, soon); },
       [&] { require(box.pop() == 1U, "the first"); }});
  require(box.try_pop().has_value() == (answer == queue_status::success), "in, or not");
}

void stopped_pop_hands_on() {
  box_of<mpmc> box{1};
  stop_source source;
  run({[&] {
         if (box.pop(stop_token{source})) require(box.push(2U), "for the other");
       },
       [&] { require(box.pop().has_value(), "a message for the other"); },
       [&] {
         require(box.push(1U), "there is room");
         source.request_stop();
       }});
}

template <class Box>
void stop_ends_a_pop() {
  Box box{1};
  stop_source source;
  run({[&] { require(!box.pop(stop_token{source}), "nothing came"); },
       [&] { source.request_stop(); }});
}

template <class Box>
void stop_ends_a_push() {
  Box box{1};
  require(box.push(1U), "there is room");
  stop_source source;
  run({[&] { require(!box.push(2U, stop_token{source}), "no room came"); },
       [&] { source.request_stop(); }});
  require(box.pop() == 1U && box.size_approx() == 0, "the second is not in");
}

// ---- Policies

/// Each message is delivered or counted: one is inside, two come, and one is taken if `takes`.
model::program drops(overflow policy, unsigned takes) {
  return [=] {
    box_of<mpmc> box{{.capacity = 1, .on_full = policy}};
    require(box.try_push(0U) == queue_status::success, "there is room");
    std::array<std::size_t, 2> dropped{};
    unsigned taken = 0;
    run({[&] { (void)box.try_push(1U, dropped[0]); }, [&] { (void)box.try_push(2U, dropped[1]); },
         [&] {
           for (unsigned i = 0; i != takes; ++i) taken += box.try_pop().has_value() ? 1U : 0U;
         }});
    while (box.try_pop()) ++taken;
    require(taken + dropped[0] + dropped[1] == 3, "a message is neither delivered nor counted");
    require(box.stats().dropped == dropped[0] + dropped[1], "told and counted differently");
  };
}

/// A policy that drops ends with the box.
void drop_oldest_sees_the_end() {
  box_of<mpmc> box{{.capacity = 1, .on_full = overflow::drop_oldest}};
  require(box.try_push(1U) == queue_status::success, "there is room");
  queue_status answer{};
  std::size_t dropped = 0;
  run({[&] { answer = box.try_push(2U, dropped); }, [&] { box.close(); }});
  unsigned left = 0;
  while (box.try_pop()) ++left;
  require(left + dropped == (answer == queue_status::success ? 2U : 1U), "a message is gone");
}

/// Where the kernel offers fences for all threads.
model::program with_fence_for_all(model::program body) {
  return [body = std::move(body)] {
    mailroom::detail::kernel_has_fence_for_all = true;
    body();
  };
}

/// One message, one sleep.
void hands_one_over() {
  box_of<spsc> box{1};
  run({[&] { require(box.pop() == 1U, "the message"); },
       [&] { require(box.push(1U), "there is room"); }});
}

template <class Box>
void add_for(std::vector<scenario>& all, const std::string& over) {
  const auto add = [&](const char* what, model::program body, model::options how = {},
                       depth when = depth::quick) {
    all.push_back({"mailbox over " + over + ": " + what, std::move(body), how, when});
  };
  using facts = mailroom::queue_facts<typename Box::queue_type>;
  constexpr bool is_short = facts::push_progress != mailroom::progress::blocking;
  constexpr depth when = is_short ? depth::quick : depth::deep;
  add("passes on", passes_on<Box>, {}, when);
  add("passes on, sleepers wake without a reason", passes_on<Box>, {.spurious = 1}, when);
  if (!is_short) {
    add("passes one on", passes_one_on<Box>);
    add("passes one on, sleepers wake without a reason", passes_one_on<Box>, {.spurious = 1});
    add("passes room on", passes_room_on<Box>);
    add("passes room on, sleepers wake without a reason", passes_room_on<Box>, {.spurious = 1});
  }
  add("R-32: closes behind a push", closes_behind_a_push<Box>);
  add("R-30: closes during a push", closes_during_a_push<Box>);
  add("R-05: stays over", stays_over<Box>);
  add("the last pop ends the wait for the end", last_pop_ends_the_wait<Box>);
  add("who consumes in place ends the wait for the end", consumer_ends_the_wait<Box>);
  add("W2: the end waits out a push", end_waits_out_a_push<Box>);
  add("W2: a pop waits out a push that is refused", pop_waits_out_a_push<Box>);
  add("discards during a push", discards_during_a_push<Box>);
  add("close hands on to a push",
      close_hands_on<Box>([](Box& box) { return box.try_push(1U) == queue_status::closed; }));
  add("close hands on to a pop",
      close_hands_on<Box>([](Box& box) { return box.try_pop().error() == queue_status::closed; }));
  add("close hands on to who asks", close_hands_on<Box>([](Box& box) { return box.is_closed(); }));
  add("a late pop loses nothing", late_pop_loses_nothing<Box>);
  add("R-37: a stop ends a pop", stop_ends_a_pop<Box>);
  if constexpr (facts::bounded) {
    add("closes before a sleeping push", closes_before_a_sleeping_push<Box>);
    add("a late push keeps its message", late_push_keeps_its_message<Box>);
    add("a stop ends a push", stop_ends_a_push<Box>);
  }
}

} // namespace

void add_mailbox(std::vector<scenario>& all) {
  using mailroom::wait_policy::spin;
  using mailroom::wait_policy::yield;
  add_for<box_of<mpmc>>(all, "mpmc_queue");
  add_for<box_of<ticket>>(all, "mpmc_ticket_queue");
  add_for<box_of<mpsc>>(all, "mpsc_queue");
  add_for<box_of<spsc>>(all, "spsc_queue");
  const auto add = [&](const char* what, model::program body, depth when = depth::quick) {
    all.push_back({std::string{"mailbox: "} + what, std::move(body), {}, when});
  };
  add("hands one over, fences for all", with_fence_for_all(hands_one_over));
  add("passes on, fences for all", with_fence_for_all(passes_on<box_of<spsc>>), depth::deep);
  add("closes behind a push, fences for all",
      with_fence_for_all(closes_behind_a_push<box_of<spsc>>));
  add("closes during a push, fences for all",
      with_fence_for_all(closes_during_a_push<box_of<spsc>>), depth::deep);
  add("stays over, fences for all", with_fence_for_all(stays_over<box_of<spsc>>));
  add("a late pop loses nothing, fences for all",
      with_fence_for_all(late_pop_loses_nothing<box_of<spsc>>));
  add("a stop ends a pop, fences for all", with_fence_for_all(stop_ends_a_pop<box_of<spsc>>));
  add("closes before a sleeping push, fences for all",
      with_fence_for_all(closes_before_a_sleeping_push<box_of<spsc>>));
  add("a late push keeps its message, fences for all",
      with_fence_for_all(late_push_keeps_its_message<box_of<spsc>>));
  add("two consumers are both woken, over mpmc_ticket_queue", two_consumers<box_of<ticket>>,
      depth::deep);
  add("two producers are both woken, over mpmc_ticket_queue", two_producers<box_of<ticket>>,
      depth::deep);
  add("a run wakes two consumers, over mpmc_ticket_queue", runs_wake_all<box_of<ticket>>,
      depth::deep);
  add("a run makes room for two producers, over mpmc_ticket_queue",
      runs_make_room_for_all<box_of<ticket>>, depth::deep);
  add("two find the end, over mpmc_ticket_queue", two_find_the_end<box_of<ticket>>);
  add("a late pop hands its wake-up on, over mpmc_ticket_queue", late_pop_hands_on<box_of<ticket>>,
      depth::deep);
  add("passes on, waiting by yield", passes_on<box_of<mpmc, yield>>);
  add("passes on, waiting by spin, over spsc_queue", passes_on<box_of<spsc, spin>>);
  add("closes during a push, waiting by yield", closes_during_a_push<box_of<spsc, yield>>);
  add("R-27: two consumers are both woken", two_consumers<box_of<mpmc>>, depth::deep);
  add("R-29: two producers are both woken", two_producers<box_of<mpmc>>, depth::deep);
  add("a run wakes two consumers", runs_wake_all<box_of<mpmc>>, depth::deep);
  add("a run makes room for two producers", runs_make_room_for_all<box_of<mpmc>>, depth::deep);
  add("two find the end", two_find_the_end<box_of<mpmc>>);
  add("W3: two wait for the end", two_wait_for_the_end<box_of<mpmc>>, depth::deep);
  add("the end that somebody else has found, over mpsc_queue", asked_before_the_end);
  add("drop_oldest ends the wait for the end", discarded_before_the_end);
  add("the end overlooks nothing, over spsc_queue", end_overlooks_nothing);
  add("R-38: a late pop hands its wake-up on", late_pop_hands_on<box_of<mpmc>>, depth::deep);
  add("a late push hands its wake-up on", late_push_hands_on, depth::deep);
  add("a stopped pop hands its wake-up on", stopped_pop_hands_on, depth::deep);
  add("drop_oldest delivers or counts", drops(overflow::drop_oldest, 0));
  add("drop_newest delivers or counts", drops(overflow::drop_newest, 0));
  add("drop_oldest delivers or counts, while one takes", drops(overflow::drop_oldest, 1),
      depth::deep);
  add("drop_oldest sees the end", drop_oldest_sees_the_end);
}

} // namespace scenario
