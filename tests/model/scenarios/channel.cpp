// SPDX-License-Identifier: MIT
// Ends that go while others push, pop, and ask for one more.
#include "scenario.hpp"

#include <mailroom/mailbox/channel.hpp>
#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/queue/mpsc_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <array>           // array
#include <source_location> // source_location
#include <string>          // string
#include <utility>         // move

namespace scenario {
namespace {

using mailroom::queue_status;
using model::require;
using model::run;
using mpmc = mailroom::mpmc_queue<unsigned>;
using mpsc = mailroom::mpsc_queue<unsigned>;
using spsc = mailroom::spsc_queue<unsigned>;

/// What was pushed is delivered, and then comes the end.
template <class Queue>
void producer_goes_behind_a_push() {
  auto ends = mailroom::channel<unsigned, Queue>(1);
  run({[&] {
         require(ends.tx.push(1U), "a channel with a consumer takes it");
         ends.tx = {};
       },
       [&] {
         require(ends.rx.pop() == 1U, "what was in");
         require(!ends.rx.pop(), "the end");
       }});
}

/// A push that waits is released by the last consumer, and what was taken in is discarded.
template <class Queue>
void consumer_goes_before_a_push() {
  auto ends = mailroom::channel<unsigned, Queue>(1);
  unsigned accepted = 0;
  run({[&] {
         while (accepted < 2 && ends.tx.push(1U)) ++accepted;
       },
       [&] { ends.rx = {}; }});
  require(ends.tx.box().stats().discarded == accepted, "lost, or from nowhere");
  require(ends.tx.try_push(3U) == queue_status::closed, "a push behind the end");
}

/// What every producer did before it went is seen by who is told that all have gone.
void producers_hand_on() {
  auto ends = mailroom::channel<unsigned>(1);
  std::array own{ends.tx, ends.tx};
  ends.tx = {};
  std::array<model::plain, 2> data;
  const auto here = std::source_location::current();
  const auto go = [&](std::size_t index) {
    return [&, index] {
      data[index].write(here);
      own[index] = {};
    };
  };
  run({go(0), go(1), [&] {
         if (ends.rx.try_pop().error() != queue_status::closed) return;
         for (auto& each : data) each.write(here);
       }});
}

/// The same the other way.
void consumers_hand_on() {
  auto ends = mailroom::channel<unsigned>(1);
  std::array own{ends.rx, ends.rx};
  ends.rx = {};
  std::array<model::plain, 2> data;
  const auto here = std::source_location::current();
  const auto go = [&](std::size_t index) {
    return [&, index] {
      data[index].write(here);
      own[index] = {};
    };
  };
  run({go(0), go(1), [&] {
         if (ends.tx.try_push(1U) != queue_status::closed) return;
         for (auto& each : data) each.write(here);
       }});
}

/// Whoever asks for one more producer gets one that can push, or is told that there is none.
void weak_meets_the_last() {
  auto ends = mailroom::channel<unsigned>(1);
  const mailroom::weak_producer weak{ends.tx};
  bool is_in = false;
  run({[&] { ends.tx = {}; },
       [&] {
         if (auto own = weak.lock()) {
           require(own.push(1U), "a channel with a producer is open");
           is_in = true;
         }
       }});
  require(ends.rx.try_pop().has_value() == is_in, "in, or not");
  require(ends.rx.try_pop().error() == queue_status::closed, "the end");
  require(!weak.lock(), "nobody comes back");
}

/// The last ends of both kinds go at once, and everything with them.
template <class Queue>
void all_go_at_once() {
  auto ends = mailroom::channel<unsigned, Queue>(1);
  require(ends.tx.push(1U), "there is room");
  run({[&] { ends.tx = {}; }, [&] { ends.rx = {}; }});
}

template <class Queue>
void add_for(std::vector<scenario>& all, const std::string& over) {
  const auto add = [&](const char* what, model::program body) {
    all.push_back({"channel over " + over + ": " + what, std::move(body)});
  };
  add("the producer goes behind a push", producer_goes_behind_a_push<Queue>);
  add("all go at once", all_go_at_once<Queue>);
  if constexpr (mailroom::queue_facts<Queue>::bounded) {
    add("the consumer goes before a push", consumer_goes_before_a_push<Queue>);
  }
}

} // namespace

void add_channel(std::vector<scenario>& all) {
  add_for<mpmc>(all, "mpmc_queue");
  add_for<mpsc>(all, "mpsc_queue");
  add_for<spsc>(all, "spsc_queue");
  const auto add = [&](const char* what, model::program body) {
    all.push_back({std::string{"channel: "} + what, std::move(body)});
  };
  add("producers hand on what they did", producers_hand_on);
  add("consumers hand on what they did", consumers_hand_on);
  add("a weak producer meets the last one", weak_meets_the_last);
}

} // namespace scenario
