// SPDX-License-Identifier: MIT
// Selectors, behind a descriptor and in a thread that sleeps: over counters, which take few steps,
// and over mailboxes.
#include "scenario.hpp"
#include "stop_source.hpp"

#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/mailbox/select.hpp>
#include <mailroom/mailbox/selector.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <optional> // optional

namespace scenario {
namespace {

using namespace mailroom;
using mailroom::detail::atomic;
using model::require;
using model::run;
using enum std::memory_order;

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
  void hand_out() {
    (void)tickets.fetch_add(1, seq_cst);
    not_empty_.notify_one();
  }
};

void nothing(unsigned&&) {}

/// What an event loop does, as long as somebody comes: it sleeps until the descriptor is readable,
/// and then takes all there is.
void serve(selector& all, const unsigned& taken, unsigned wanted) {
  while (taken < wanted) {
    all.native_handle()->poll();
    while (all.try_select() == queue_status::success) {
    }
  }
}

/// A thread that needs one ticket of `a`.
void take_one(counter& a) { require(bool{select_in_order(on_pop(a, nothing))}, "selected"); }

// ---- An event loop

void one_polls() {
  counter a, b;
  run({[&] {
         unsigned taken = 0;
         selector all;
         const auto first = all.add(on_pop(a, [&](unsigned) { ++taken; }));
         const auto second = all.add(on_pop(b, [&](unsigned) { ++taken; }));
         serve(all, taken, 1);
       },
       [&] { b.hand_out(); }});
}

/// The second may come at any moment: before the loop looks, while it lowers the descriptor, while
/// it carries out the first.
void two_come() {
  counter a, b;
  run({[&] {
         unsigned taken = 0;
         selector all;
         const auto first = all.add(on_pop(a, [&](unsigned) { ++taken; }));
         const auto second = all.add(on_pop(b, [&](unsigned) { ++taken; }));
         serve(all, taken, 2);
       },
       [&] { a.hand_out(); }, [&] { b.hand_out(); }});
}

/// One who takes one at a time, and goes to sleep between.
void one_at_a_time() {
  counter a;
  run({[&] {
         unsigned taken = 0;
         selector all;
         const auto one = all.add(on_pop(a, [&](unsigned) { ++taken; }));
         while (taken != 2) {
           all.native_handle()->poll();
           (void)all.try_select();
         }
       },
       [&] {
         a.hand_out();
         a.hand_out();
       }});
}

/// A loop that is quiet, and a thread that may be just falling asleep.
void thread_and_loop() {
  counter a;
  unsigned taken = 0;
  selector all;
  auto one = all.add(on_pop(a, [&](unsigned) { ++taken; }));
  (void)all.native_handle();
  (void)all.try_select();
  run({[&] {
         serve(all, taken, 1);
         one.cancel();
         if (taken == 2) a.hand_out(); // the other one waits for that
       },
       [&] { take_one(a); },
       [&] {
         a.hand_out();
         a.hand_out();
       }});
}

/// What was added while nothing came is ready too.
void is_added_late() {
  counter a, b;
  run({[&] {
         unsigned taken = 0;
         selector all;
         const auto first = all.add(on_pop(a, [&](unsigned) { ++taken; }));
         (void)all.native_handle();
         (void)all.try_select();
         const auto second = all.add(on_pop(b, [&](unsigned) { ++taken; }));
         serve(all, taken, 1);
       },
       [&] { b.hand_out(); }});
}

// ---- Wake-ups that are not used

/// W3: the loop takes one of `b`, and whoever waits for the one of `a` gets it, though the loop was
/// woken for it: its handler waits for that.
struct busy_loop {
  counter a, b, done;
  selector all;
  selector::registration first = all.add(on_pop(b, [this](unsigned) { take_one(done); }));
  selector::registration second = all.add(on_pop(a, [this](unsigned) { a.hand_out(); }));

  void go_round() {
    while (all.try_select() != queue_status::success) all.native_handle()->poll();
  }
  void take_one_of_a() {
    take_one(a);
    done.hand_out();
  }
};

void takes_another() {
  busy_loop it;
  run({[&] {
         (void)it.all.native_handle();
         it.go_round();
       },
       [&] { it.take_one_of_a(); },
       [&] {
         it.a.hand_out();
         it.b.hand_out();
       }});
}

/// The same with fewer steps: the loop wakes itself.
void wakes_itself() {
  busy_loop it;
  (void)it.all.native_handle();
  (void)it.all.try_select();
  run({[&] {
         it.a.hand_out();
         it.b.hand_out();
         it.go_round();
       },
       [&] { it.take_one_of_a(); }});
}

/// W3: a loop that looks once and ends, or cancels, hands on what it was woken for.
template <class End>
void ends(End end) {
  counter a;
  run({[&] {
         unsigned taken = 0;
         std::optional<selector> all{std::in_place};
         auto one = all->add(on_pop(a, [&](unsigned) { ++taken; }));
         (void)all->native_handle();
         (void)all->try_select();
         end(all, one);
         if (taken != 0) a.hand_out();
       },
       [&] { take_one(a); }, [&] { a.hand_out(); }});
}
void is_destroyed() {
  ends([](auto& all, auto&) { all.reset(); });
}
void is_cancelled() {
  ends([](auto&, auto& one) { one.cancel(); });
}

// ---- A thread

void one_sleeps() {
  counter a, b;
  run({[&] {
         selector all;
         const auto first = all.add(on_pop(a, nothing));
         const auto second = all.add(on_pop(b, nothing));
         require(all.select() == queue_status::success, "there is one in b");
       },
       [&] { b.hand_out(); }});
}

/// W3: as in a select.
void sleeper_takes_another() {
  counter a, b;
  run({[&] {
         bool is_of_a = false;
         selector all;
         const auto first = all.add(on_pop(b, nothing));
         const auto second = all.add(on_pop(a, [&](unsigned) { is_of_a = true; }));
         require(all.select() == queue_status::success, "selected");
         if (is_of_a) a.hand_out(); // the other one waits for that
       },
       [&] { take_one(a); },
       [&] {
         a.hand_out();
         b.hand_out();
       }});
}

void stopped_one_hands_on() {
  counter a;
  stop_source source;
  run({[&] {
         selector all;
         const auto one = all.add(on_pop(a, nothing));
         if (all.select(stop_token{source}) == queue_status::success) a.hand_out();
       },
       [&] { take_one(a); },
       [&] {
         a.hand_out();
         source.request_stop();
       }});
}

/// The loop has said that there is nothing, and then its thread sleeps; the loop goes on after it.
void sleeps_between() {
  counter a;
  run({[&] {
         unsigned taken = 0;
         selector all;
         const auto one = all.add(on_pop(a, [&](unsigned) { ++taken; }));
         (void)all.native_handle();
         (void)all.try_select();
         if (taken == 0) require(all.select() == queue_status::success, "the first");
         serve(all, taken, 2);
       },
       [&] {
         a.hand_out();
         a.hand_out();
       }});
}

// ---- Mailboxes

using over_spsc = mailbox<unsigned, spsc_queue<unsigned>>;
using over_mpmc = mailbox<unsigned>;

/// A loop that adds up what comes, to the end.
template <class Box>
struct summing {
  Box a{1}, b{1};
  unsigned sum = 0;

  void operator()() {
    const auto add = [this](unsigned value) { sum += value; };
    selector all;
    const auto first = all.add(on_pop(a, add));
    const auto second = all.add(on_pop(b, add));
    do {
      all.native_handle()->poll();
      while (all.try_select() == queue_status::success) {
      }
    } while (all.size() != 0);
    require(a.is_drained() && b.is_drained(), "both are over");
  }
};

template <class Box>
void serves_to_the_end() {
  summing<Box> it;
  it.b.close();
  run({[&] { it(); },
       [&] {
         require(it.a.push(1), "there is room");
         it.a.close();
       }});
  require(it.sum == 1, "it came");
}

template <class Box>
void serves_two() {
  summing<Box> it;
  run({[&] { it(); },
       [&] {
         require(it.a.push(1), "there is room");
         it.a.close();
         require(it.b.push(2), "there is room");
         it.b.close();
       }});
  require(it.sum == 3, "both came");
}

template <class Box>
void waits_for_room() {
  Box a{1};
  require(a.push(1), "there is room");
  run({[&] {
         unsigned value = 2;
         selector all;
         selector::registration one;
         one = all.add(on_push(a, value, [&] { one.cancel(); }));
         (void)all.native_handle();
         while (all.try_select() != queue_status::success) all.native_handle()->poll();
         require(all.size() == 0, "it is in");
       },
       [&] {
         require(a.pop() == 1, "the first");
         require(a.pop() == 2, "the second");
       }});
}

} // namespace

void add_selector(std::vector<scenario>& all) {
  const auto add = [&](const char* what, model::program body, model::options how = {},
                       depth when = depth::quick) {
    all.push_back({std::string{"selector: "} + what, std::move(body), how, when});
  };
  add("one polls", one_polls);
  add("two come while it polls", two_come);
  add("takes one at a time", one_at_a_time);
  add("a thread beside a loop", thread_and_loop, {}, depth::deep);
  add("one is added late", is_added_late);
  add("W3: who wakes itself and takes another hands its wake-up on", wakes_itself);
  add("W3: who takes another hands its wake-up on", takes_another, {}, depth::deep);
  add("W3: a selector that ends hands its wake-up on", is_destroyed);
  add("W3: a case that is cancelled hands its wake-up on", is_cancelled);
  add("one sleeps", one_sleeps);
  add("one sleeps, and wakes without a reason", one_sleeps, {.spurious = 2});
  add("W3: a sleeper that takes another hands its wake-up on", sleeper_takes_another, {},
      depth::deep);
  add("W3: a stopped one hands its wake-up on", stopped_one_hands_on);
  add("a thread sleeps where the loop was quiet", sleeps_between);
  add("serves a mailbox to its end, over spsc_queue", serves_to_the_end<over_spsc>);
  add("serves a mailbox to its end, over mpmc_queue", serves_to_the_end<over_mpmc>);
  add("serves two mailboxes over spsc_queue", serves_two<over_spsc>, {}, depth::deep);
  add("waits for room", waits_for_room<over_spsc>);
  add("waits for room, over mpmc_queue", waits_for_room<over_mpmc>);
}

} // namespace scenario
