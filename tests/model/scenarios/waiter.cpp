// SPDX-License-Identifier: MIT
// The waiting of the mailboxes, alone: threads wait for tickets that others hand out.
#include "scenario.hpp"
#include "stop_source.hpp"

#include <mailroom/core/clock.hpp>
#include <mailroom/mailbox/event_count.hpp>

#include <chrono> // steady_clock

namespace scenario {
namespace {

using mailroom::never_stop;
using mailroom::queue_status;
using mailroom::detail::atomic;
using mailroom::detail::no_deadline;
using mailroom::detail::steady_deadline;
using model::require;
using model::run;
using enum std::memory_order;
using event = mailroom::detail::event_count<mailroom::wait_policy::park>;

constexpr std::chrono::steady_clock::time_point soon{std::chrono::hours{1}};

/// Tickets, and those who wait for one.
struct counter {
  atomic<unsigned> tickets;
  event handed_out;

  queue_status take() {
    unsigned seen = tickets.load(acquire);
    while (seen != 0) {
      if (tickets.compare_exchange(seen, seen - 1, acq_rel, acquire)) return queue_status::success;
    }
    return queue_status::empty;
  }
  template <class Deadline, class Token>
  bool wait(const Deadline& deadline, const Token& token) {
    return handed_out.await(deadline, token, [&] { return take(); }) == queue_status::success;
  }
  void wait() { require(wait(no_deadline{}, never_stop{}), "a wait without end has no other end"); }
  void hand_out() {
    (void)tickets.fetch_add(1, seq_cst);
    handed_out.notify_one();
  }
};

void one_waits() {
  counter all;
  run({[&] { all.wait(); }, [&] { all.hand_out(); }});
}

/// Two sleepers, two notifications, one after the other.
void two_wait() {
  counter all;
  run({[&] { all.wait(); }, [&] { all.wait(); },
       [&] {
         all.hand_out();
         all.hand_out();
       }});
}

/// The same from two threads.
void two_hand_out() {
  counter all;
  run({[&] {
         all.wait();
         all.wait();
       },
       [&] { all.hand_out(); }, [&] { all.hand_out(); }});
}

/// All that wait are woken by one call.
void all_are_woken() {
  counter all;
  run({[&] { all.wait(); }, [&] { all.wait(); },
       [&] {
         (void)all.tickets.fetch_add(2, seq_cst);
         all.handed_out.notify_all();
       }});
}

/// W3: who gives up for being late has not taken another's wake-up along.
void late_one_hands_on() {
  counter all;
  run({[&] {
         if (all.wait(steady_deadline{soon}, never_stop{})) all.hand_out();
       },
       [&] { all.wait(); }, [&] { all.hand_out(); }});
}

void stopped_one_hands_on() {
  counter all;
  stop_source source;
  run({[&] {
         if (all.wait(no_deadline{}, stop_token{source})) all.hand_out();
       },
       [&] { all.wait(); },
       [&] {
         all.hand_out();
         source.request_stop();
       }});
}

/// A ticket that was there before the stop comes before it.
void stop_comes_last() {
  counter all;
  stop_source source;
  run({[&] {
         require(all.wait(no_deadline{}, stop_token{source}), "stopped, with a ticket there");
       },
       [&] {
         all.hand_out();
         source.request_stop();
       }});
}

/// W3: who leaves by an exception, without having looked, wakes the next.
void failing_one_hands_on() {
  counter all;
  run({[&] {
         try {
           unsigned looks = 0;
           (void)all.handed_out.await(steady_deadline{soon}, never_stop{}, [&] {
             if (++looks == 3) throw looks;
             return queue_status::empty;
           });
         } catch (unsigned) {
         }
       },
       [&] { all.wait(); }, [&] { all.hand_out(); }});
}

/// W3: nor has who leaves without having seen more than busy. Looks before it is a sleeper do not
/// count, so they are left out.
void busy_one_hands_on() {
  counter all;
  atomic<unsigned> in_the_middle{1};
  const auto wait = [&](const auto& deadline, auto take) {
    return all.handed_out.await(deadline, never_stop{}, [&, looks = 0U]() mutable {
      return ++looks < 2 ? queue_status::empty : take();
    });
  };
  run({[&] {
         const auto found = wait(steady_deadline{soon}, [&] {
           if (all.tickets.load(acquire) == 0) return queue_status::empty;
           return in_the_middle.load(acquire) != 0 ? queue_status::busy : queue_status::success;
         });
         if (found == queue_status::success) all.handed_out.notify_one();
       },
       [&] { (void)wait(no_deadline{}, [&] { return all.take(); }); },
       [&] {
         all.hand_out();
         in_the_middle.store(0, release);
       }});
}

/// A flag that is not published as notify_all wants it needs interrupt.
void interrupts() {
  atomic<unsigned> flag;
  event changed;
  run({[&] {
         (void)changed.await(no_deadline{}, never_stop{}, [&] {
           return flag.load(acquire) != 0 ? queue_status::success : queue_status::empty;
         });
       },
       [&] {
         flag.store(1, release);
         changed.interrupt();
       }});
}

/// W2: a state that ends without a wake-up is looked at again.
void busy_is_looked_at_again() {
  atomic<unsigned> state;
  event changed;
  run({[&] {
         (void)changed.await(no_deadline{}, never_stop{}, [&] {
           const unsigned seen = state.load(acquire);
           return seen == 0   ? queue_status::empty
                  : seen == 1 ? queue_status::busy
                              : queue_status::success;
         });
       },
       [&] {
         (void)state.fetch_add(1, seq_cst);
         changed.notify_one();
         state.store(2, release);
       }});
}

/// Who has waited has waited for what was done before.
void hands_on() {
  counter all;
  model::plain data;
  const auto here = std::source_location::current();
  run({[&] {
         all.wait();
         data.write(here);
       },
       [&] {
         data.write(here);
         all.hand_out();
       }});
}

} // namespace

void add_waiter(std::vector<scenario>& all) {
  const auto add = [&](const char* what, model::program body, model::options how = {},
                       depth when = depth::quick) {
    all.push_back({std::string{"event_count: "} + what, std::move(body), how, when});
  };
  add("W1: one waits", one_waits);
  add("W1: one waits, and wakes without a reason", one_waits, {.spurious = 2});
  add("two wait", two_wait);
  add("two hand out", two_hand_out);
  add("all are woken", all_are_woken);
  add("what was there comes before a stop", stop_comes_last);
  add("W3: a late one hands its wake-up on", late_one_hands_on);
  add("W3: a stopped one hands its wake-up on", stopped_one_hands_on);
  add("W3: a failing one hands its wake-up on", failing_one_hands_on);
  add("W3: one that saw only busy hands its wake-up on", busy_one_hands_on, {}, depth::deep);
  add("W2: busy is looked at again", busy_is_looked_at_again);
  add("an interrupt is never missed", interrupts);
  add("hands on what happened before", hands_on);
}

} // namespace scenario
