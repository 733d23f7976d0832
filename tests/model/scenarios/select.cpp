// SPDX-License-Identifier: MIT
// Threads that wait for the first of several: over counters, which take few steps, and over mailboxes.
#include "scenario.hpp"
#include "stop_source.hpp"

#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/mailbox/select.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <chrono> // hours

namespace scenario {
namespace {

using namespace mailroom;
using mailroom::detail::atomic;
using model::require;
using model::run;
using enum std::memory_order;

constexpr std::chrono::hours soon{1};

/// Tickets, in the place of a mailbox.
struct counter {
  using value_type = unsigned;
  using event = mailroom::detail::event_count<wait_policy::park>;

  atomic<unsigned> tickets;
  event not_empty_;
  mailroom::detail::visitors visitors_{mailroom::arity::many, mailroom::arity::many, ""};

  expected<unsigned, queue_status> try_pop() {
    unsigned seen = tickets.load(acquire);
    while (seen != 0) {
      if (tickets.compare_exchange(seen, seen - 1, acq_rel, acquire)) return 1U;
    }
    return unexpected{queue_status::empty};
  }
  bool pop() {
    return not_empty_.await(mailroom::detail::no_deadline{}, never_stop{},
                            [&] { return try_pop().error(); }) == queue_status::success;
  }
  void hand_out() {
    (void)tickets.fetch_add(1, seq_cst);
    not_empty_.notify_one();
  }
};

/// Says busy once it was touched, and then has what was wanted; it wakes only at the touch.
struct hesitant {
  using value_type = unsigned;
  using event = counter::event;

  atomic<unsigned> state;
  event not_empty_;
  mailroom::detail::visitors visitors_{mailroom::arity::many, mailroom::arity::many, ""};

  expected<unsigned, queue_status> try_pop() {
    const unsigned seen = state.load(acquire);
    if (seen == 2) return 1U;
    return unexpected{seen == 0 ? queue_status::empty : queue_status::busy};
  }
  void touch() {
    (void)state.fetch_add(1, seq_cst);
    not_empty_.notify_one();
    state.store(2, release);
  }
};

void nothing(unsigned&&) {}
auto select_one(counter& box) { return select_in_order(on_pop(box, nothing)); }
auto select_of(counter& a, counter& b) {
  return select_in_order(on_pop(a, nothing), on_pop(b, nothing));
}

void one_selects() {
  counter a, b;
  run({[&] { require(select_of(a, b).index == 1, "there is one in b"); }, [&] { b.hand_out(); }});
}

void two_select() {
  counter a;
  run({[&] { require(bool{select_one(a)}, "selected"); },
       [&] { require(bool{select_one(a)}, "selected"); },
       [&] {
         a.hand_out();
         a.hand_out();
       }});
}

/// One sleeps on the event, one has a place in its list.
void selects_beside_a_pop() {
  counter a;
  run({[&] { require(a.pop(), "popped"); }, [&] { require(bool{select_one(a)}, "selected"); },
       [&] {
         a.hand_out();
         a.hand_out();
       }});
}

/// W3: whoever is woken for one and takes another hands its wake-up on.
void takes_another() {
  counter a, b;
  run({[&] {
         if (select_of(b, a).index == 1) a.hand_out(); // the other one waits for that
       },
       [&] { require(bool{select_one(a)}, "selected"); },
       [&] {
         a.hand_out();
         b.hand_out();
       }});
}

/// The same both ways.
void take_from_each_other() {
  counter a, b;
  run({[&] { require(bool{select_of(a, b)}, "selected"); },
       [&] { require(bool{select_of(b, a)}, "selected"); },
       [&] {
         a.hand_out();
         b.hand_out();
       }});
}

/// All who wait are woken by one call.
void all_are_woken() {
  counter a;
  run({[&] { require(bool{select_one(a)}, "selected"); }, [&] { require(a.pop(), "popped"); },
       [&] {
         (void)a.tickets.fetch_add(2, seq_cst);
         a.not_empty_.notify_all();
       }});
}

/// The same where all have places in the list.
void all_in_the_list_are_woken() {
  counter a;
  run({[&] { require(bool{select_one(a)}, "selected"); },
       [&] { require(bool{select_one(a)}, "selected"); },
       [&] {
         (void)a.tickets.fetch_add(2, seq_cst);
         a.not_empty_.notify_all();
       }});
}

/// W2: a state that ends without a wake-up is looked at again.
void busy_is_looked_at_again() {
  hesitant a;
  run({[&] { require(bool{select_in_order(on_pop(a, nothing))}, "selected"); },
       [&] { a.touch(); }});
}

void late_one_hands_on() {
  counter a;
  run({[&] {
         if (select_in_order(on_pop(a, nothing), after(soon))) a.hand_out();
       },
       [&] { require(bool{select_one(a)}, "selected"); }, [&] { a.hand_out(); }});
}

void stopped_one_hands_on() {
  counter a;
  stop_source source;
  run({[&] {
         if (select_in_order(on_pop(a, nothing), on_stop(stop_token{source}))) a.hand_out();
       },
       [&] { require(bool{select_one(a)}, "selected"); },
       [&] {
         a.hand_out();
         source.request_stop();
       }});
}

/// A stop that comes while the thread wakes for something else is not missed.
void is_stopped() {
  counter a;
  stop_source source;
  run({[&] {
         const auto found = select_in_order(on_pop(a, nothing), on_stop(stop_token{source}));
         require(found.status == queue_status::stopped, "there is nothing but the stop");
       },
       [&] {
         a.not_empty_.notify_one();
         source.request_stop();
       }});
}

/// What was there before the stop comes before it.
void stop_comes_last() {
  counter a;
  stop_source source;
  run({[&] {
         require(bool{select_in_order(on_stop(stop_token{source}), on_pop(a, nothing))},
                 "stopped, with a ticket there");
       },
       [&] {
         a.hand_out();
         source.request_stop();
       }});
}

using over_spsc = mailbox<unsigned, spsc_queue<unsigned>>;
using over_mpmc = mailbox<unsigned>;

template <class Box>
void serves_two() {
  Box a{1}, b{1};
  run({[&] {
         unsigned sum = 0;
         const auto add = [&](unsigned value) { sum += value; };
         while (select_in_order(on_pop(a, add), on_pop(b, add))) {
         }
         require(sum == 3, "both came");
         require(a.is_drained() && b.is_drained(), "both are over");
       },
       [&] {
         require(a.push(1), "there is room");
         a.close();
         require(b.push(2), "there is room");
         b.close();
       }});
}

template <class Box>
void waits_for_room() {
  Box a{1};
  require(a.push(1), "there is room");
  run({[&] {
         unsigned value = 2;
         require(bool{select_in_order(on_push(a, value))}, "room comes");
       },
       [&] {
         require(a.pop() == 1, "the first");
         require(a.pop() == 2, "the second");
       }});
}

template <class Box>
void closes_before_a_push() {
  Box a{1};
  require(a.push(1), "there is room");
  run({[&] {
         unsigned value = 2;
         const auto found = select_in_order(on_push(a, value));
         require(found.status == queue_status::closed && value == 2, "no room comes");
       },
       [&] { a.close(); }});
}

} // namespace

void add_select(std::vector<scenario>& all) {
  const auto add = [&](const char* what, model::program body, model::options how = {},
                       depth when = depth::quick) {
    all.push_back({std::string{"select: "} + what, std::move(body), how, when});
  };
  add("one selects", one_selects);
  add("one selects, and wakes without a reason", one_selects, {.spurious = 2});
  add("two select", two_select);
  add("selects beside a pop", selects_beside_a_pop);
  add("all are woken", all_are_woken);
  add("W6: all in the list are woken", all_in_the_list_are_woken);
  add("W2: busy is looked at again", busy_is_looked_at_again);
  add("W3: who takes another hands its wake-up on", takes_another);
  add("W3: two take from each other", take_from_each_other, {}, depth::deep);
  add("W3: a late one hands its wake-up on", late_one_hands_on);
  add("W3: a stopped one hands its wake-up on", stopped_one_hands_on);
  add("is stopped while it wakes", is_stopped);
  add("what was there comes before a stop", stop_comes_last);
  add("serves two mailboxes over spsc_queue", serves_two<over_spsc>);
  add("waits for room", waits_for_room<over_spsc>);
  add("waits for room, over mpmc_queue", waits_for_room<over_mpmc>);
  add("a push is ended by close", closes_before_a_push<over_spsc>);
}

} // namespace scenario
