// SPDX-License-Identifier: MIT
// Coroutines that wait in mailboxes, and are resumed by the threads that wake them.
#include "scenario.hpp"
#include "stop_source.hpp"

#include <mailroom/mailbox/async.hpp>
#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/queue/mpmc_ticket_queue.hpp>
#include <mailroom/queue/mpsc_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <coroutine>       // coroutine_handle, suspend_never
#include <source_location> // source_location
#include <string>          // string
#include <utility>         // move

namespace scenario {
namespace {

using mailroom::queue_status;
using model::require;
using model::run;
using mpmc = mailroom::mpmc_queue<unsigned>;
using ticket = mailroom::mpmc_ticket_queue<unsigned>;
using mpsc = mailroom::mpsc_queue<unsigned>;
using spsc = mailroom::spsc_queue<unsigned>;
template <class Queue>
using box_of = mailroom::mailbox<unsigned, Queue>;

/// A coroutine that begins at once and is gone when it ends, so that whoever touches it later meets
/// freed memory. One that never ends is a leak.
struct alone {
  struct promise_type {
    alone get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() { model::fail("an exception in a coroutine"); }
  };
};

/// A token that is a race, if two threads run one awaiter without an order between them: it is
/// asked before every attempt.
class watched_token : public stop_token {
public:
  watched_token(stop_source& source, model::plain& looks) noexcept
      : stop_token{source}, looks_{&looks} {}
  bool stop_requested() const noexcept {
    looks_->write(std::source_location::current());
    return stop_token::stop_requested();
  }

private:
  model::plain* looks_;
};

/// What a coroutine waits with, and what became of it.
struct waiting {
  stop_source source;
  model::plain looks;
  bool is_over = false;
  bool is_done = false; // it has a message, or has put one in
  unsigned message = 0;

  watched_token token() noexcept { return {source, looks}; }
};

template <class Box>
alone pop(Box& box, waiting& how) {
  const auto got = co_await box.async_pop(how.token());
  how.looks.write(std::source_location::current());
  how.is_done = got.has_value();
  how.message = got.value_or(0);
  how.is_over = true;
}

/// Adds up what comes until the end.
template <class Box>
alone pop_all(Box& box, waiting& how) {
  while (const auto got = co_await box.async_pop(how.token())) how.message += *got;
  how.looks.write(std::source_location::current());
  how.is_over = true;
}

template <class Box>
alone push(Box& box, unsigned message, waiting& how) {
  how.message = message;
  how.is_done = co_await box.async_push(std::move(how.message), how.token());
  how.looks.write(std::source_location::current());
  how.is_over = true;
}

// ---- Without a mailbox, which takes few steps

using event = mailroom::detail::event_count<mailroom::wait_policy::park>;

/// Tickets. Whoever looks while somebody is in the middle is told busy.
struct counter {
  mailroom::detail::atomic<unsigned> tickets;
  mailroom::detail::atomic<unsigned> in_the_middle;
  event handed_out;

  queue_status take() {
    using enum std::memory_order;
    unsigned seen = tickets.load(acquire);
    while (seen != 0) {
      if (in_the_middle.load(acquire) != 0) return queue_status::busy;
      if (tickets.compare_exchange(seen, seen - 1, acq_rel, acquire)) return queue_status::success;
    }
    return queue_status::empty;
  }
  void hand_out() {
    (void)tickets.fetch_add(1, std::memory_order_seq_cst);
    handed_out.notify_one();
  }
};

class attempt {
public:
  using answer = bool;

  explicit attempt(counter& all) noexcept : all_{&all} {}
  queue_status operator()() {
    const queue_status status = all_->take();
    has_one_ = status == queue_status::success;
    return status;
  }
  answer take_answer() const noexcept { return has_one_; }
  mailroom::detail::wait_list& list() noexcept { return all_->handed_out.list(); }
  void order_before_attempt() noexcept { all_->handed_out.order_before_look(); }
  void enter(mailroom::detail::presence&) noexcept {}
  void count_wait() noexcept { all_->handed_out.count_wait(); }

private:
  counter* all_;
  bool has_one_ = false;
};

alone take(counter& all, waiting& how) {
  const bool got =
      co_await mailroom::detail::async_operation<attempt, watched_token>(attempt{all}, how.token());
  how.looks.write(std::source_location::current());
  how.is_done = got;
  how.is_over = true;
}

/// W2: a state that ends without a wake-up is looked at again.
void busy_is_looked_at_again() {
  counter all;
  waiting one;
  take(all, one);
  run({[&] {
         all.in_the_middle.store(1, std::memory_order_release);
         all.in_the_middle.store(0, std::memory_order_release);
       },
       [&] { all.hand_out(); }});
  require(one.is_over && one.is_done, "there is a ticket");
}

/// W3: who is stopped and has seen no more than busy leaves its wake-up to another.
void busy_one_hands_on() {
  counter all;
  all.in_the_middle.store(1, std::memory_order_release);
  waiting one;
  waiting other;
  take(all, one);
  take(all, other);
  run({[&] { one.source.request_stop(); }, [&] { all.hand_out(); },
       [&] { all.in_the_middle.store(0, std::memory_order_release); }});
  require(one.is_over && one.is_done != other.is_over, "the ticket is with one of them");
  if (other.is_over) return;
  all.hand_out();
  require(other.is_done, "one more");
}

// ---- One waits, one comes

template <class Box>
void push_wakes_a_pop() {
  Box box{1};
  waiting one;
  run({[&] { pop(box, one); }, [&] { require(box.push(1U), "there is room"); }});
  require(one.is_over && one.message == 1, "the message");
}

template <class Box>
void pop_wakes_a_push() {
  Box box{1};
  require(box.push(1U), "there is room");
  waiting one;
  run({[&] { push(box, 2, one); }, [&] { require(box.pop() == 1U, "the first"); }});
  require(one.is_over && one.is_done, "there was room");
  require(box.pop() == 2U, "the second");
}

/// A stop, and then a message: whichever is noticed first.
template <class Box>
void push_behind_a_stop() {
  Box box{1};
  waiting one;
  run({[&] { pop(box, one); },
       [&] {
         one.source.request_stop();
         require(box.push(1U), "there is room");
       }});
  require(one.is_over, "it ends");
  require(box.try_pop().has_value() != one.is_done, "the message is gone");
}

/// A coroutine and a thread, a message for each.
template <class Box>
void thread_and_coroutine() {
  Box box{2};
  waiting one;
  unsigned taken = 0;
  run({[&] { pop(box, one); }, [&] { taken = box.pop().value_or(0); },
       [&] {
         require(box.push(1U), "there is room");
         require(box.push(2U), "there is room");
       }});
  require(one.is_over && one.message + taken == 3, "one for each");
}

template <class Box>
void two_coroutines() {
  Box box{2};
  waiting one;
  waiting other;
  run({[&] {
         pop(box, one);
         pop(box, other);
       },
       [&] { require(box.push(1U), "there is room"); },
       [&] { require(box.push(2U), "there is room"); }});
  require(one.is_over && other.is_over && one.message + other.message == 3, "one for each");
}

/// Coroutines on both sides: each is resumed inside a call of the other.
template <class Box>
void both_wait() {
  Box box{1};
  waiting one;
  waiting other;
  waiting third;
  run({[&] {
         push(box, 1, one);
         push(box, 2, other);
       },
       [&] { pop(box, third); }});
  require(one.is_over && one.is_done, "the first is in");
  require(other.is_over && other.is_done, "the second is in");
  require(third.is_over && third.message == 1, "the first is out");
  require(box.pop() == 2U, "the second");
}

// ---- The end

template <class Box>
void close_ends_a_pop() {
  Box box{1};
  waiting one;
  run({[&] { pop(box, one); }, [&] { box.close(); }});
  require(one.is_over && !one.is_done, "the end");
}

template <class Box>
void close_ends_a_push() {
  Box box{1};
  require(box.push(1U), "there is room");
  waiting one;
  run({[&] { push(box, 2, one); }, [&] { box.close(); }});
  require(one.is_over && !one.is_done && one.message == 2, "its message stays with it");
  require(box.pop() == 1U && !box.pop(), "what was in, and the end");
}

/// W6: all of them.
template <class Box>
void close_ends_all() {
  Box box{1};
  waiting one;
  waiting other;
  pop(box, one);
  pop(box, other);
  unsigned taken = 0;
  bool is_in = false;
  run({[&] { is_in = box.try_push(1U) == queue_status::success; }, [&] { box.close(); }});
  require(one.is_over && other.is_over, "the end, for both");
  taken = (one.is_done ? 1U : 0U) + (other.is_done ? 1U : 0U);
  require(taken == (is_in ? 1U : 0U), "delivered what was not taken in, or the other way round");
}

/// What was in before the end comes out before it.
template <class Box>
void closes_behind_a_push() {
  Box box{1};
  waiting one;
  run({[&] { pop_all(box, one); },
       [&] {
         require(box.push(1U), "there is room");
         box.close();
       }});
  require(one.is_over && one.message == 1, "the message, and the end");
}

// ---- Being stopped

template <class Box>
void stop_ends_a_pop() {
  Box box{1};
  waiting one;
  run({[&] { pop(box, one); }, [&] { one.source.request_stop(); }});
  require(one.is_over && !one.is_done, "stopped");
}

template <class Box>
void stop_ends_a_push() {
  Box box{1};
  require(box.push(1U), "there is room");
  waiting one;
  run({[&] { push(box, 2, one); }, [&] { one.source.request_stop(); }});
  require(one.is_over && !one.is_done && one.message == 2, "its message stays with it");
  require(box.pop() == 1U && !box.try_pop(), "what was in");
}

/// A message that was there before the stop comes before it.
template <class Box>
void stop_comes_last() {
  Box box{1};
  waiting one;
  run({[&] { pop(box, one); },
       [&] {
         require(box.push(1U), "there is room");
         one.source.request_stop();
       }});
  require(one.is_over && one.message == 1, "stopped, with a message there");
}

/// A stop and a message at once: the message is taken, or still there.
template <class Box>
void stop_loses_nothing() {
  Box box{1};
  waiting one;
  run({[&] { pop(box, one); }, [&] { one.source.request_stop(); },
       [&] { require(box.push(1U), "there is room"); }});
  require(one.is_over, "it ends");
  require(box.try_pop().has_value() != one.is_done, "the message is gone");
}

/// The same with a thread that pops: the wake-up may find nothing.
template <class Box>
void stolen_message() {
  Box box{1};
  waiting one;
  bool is_taken = false;
  run({[&] { pop(box, one); },
       [&] {
         require(box.push(1U), "there is room");
         is_taken = box.try_pop().has_value();
         one.source.request_stop();
       }});
  require(one.is_over && one.is_done != is_taken, "one of them has it");
}

// ---- Wake-ups are used or handed on

/// Two wait. One is stopped: it has not taken along the wake-up that the other one needs.
template <class Box>
void stopped_one_hands_on() {
  Box box{1};
  waiting one;
  waiting other;
  pop(box, one);
  pop(box, other);
  run({[&] { one.source.request_stop(); }, [&] { require(box.push(1U), "there is room"); }});
  require(one.is_over && one.is_done != other.is_over, "the message is with one of them");
  if (!other.is_over) box.close();
}

/// The same with a third that looks just now.
template <class Box>
void newcomer_hands_on() {
  Box box{2};
  waiting one;
  waiting other;
  pop(box, one);
  run({[&] { pop(box, other); },
       [&] {
         require(box.push(1U), "there is room");
         require(box.push(2U), "there is room");
       }});
  require(one.is_over && other.is_over && one.message + other.message == 3, "one for each");
}

template <class Box>
void stopped_push_hands_on() {
  Box box{1};
  require(box.push(1U), "there is room");
  waiting one;
  waiting other;
  push(box, 2, one);
  push(box, 3, other);
  run({[&] { one.source.request_stop(); }, [&] { require(box.pop() == 1U, "the first"); }});
  require(one.is_over && one.is_done != other.is_over, "the room is taken by one of them");
  if (!other.is_over) box.close();
}

template <class Box>
void add_for(std::vector<scenario>& all, const std::string& over) {
  const auto add = [&](const char* what, model::program body, depth when = depth::quick) {
    all.push_back({"async over " + over + ": " + what, std::move(body), {}, when});
  };
  using facts = mailroom::queue_facts<typename Box::queue_type>;
  constexpr bool is_short = facts::push_progress != mailroom::progress::blocking;
  constexpr depth when = is_short ? depth::quick : depth::deep;
  add("a push wakes a pop", push_wakes_a_pop<Box>);
  add("close ends a pop", close_ends_a_pop<Box>);
  add("a stop ends a pop", stop_ends_a_pop<Box>);
  add("a stop comes last", stop_comes_last<Box>);
  add("a push behind a stop", push_behind_a_stop<Box>);
  add("a stop loses nothing", stop_loses_nothing<Box>);
  add("closes behind a push", closes_behind_a_push<Box>, when);
  if constexpr (facts::bounded) {
    add("a pop wakes a push", pop_wakes_a_push<Box>);
    add("close ends a push", close_ends_a_push<Box>);
    add("a stop ends a push", stop_ends_a_push<Box>);
    add("both wait", both_wait<Box>, when);
  }
  if constexpr (facts::consumers == mailroom::arity::many) {
    add("a message is stolen", stolen_message<Box>);
    add("a thread and a coroutine", thread_and_coroutine<Box>, depth::deep);
    add("two coroutines", two_coroutines<Box>, depth::deep);
    add("W6: close ends all who wait", close_ends_all<Box>, when);
    add("W3: a stopped one hands its wake-up on", stopped_one_hands_on<Box>);
    add("W3: a newcomer hands its wake-up on", newcomer_hands_on<Box>);
    add("W3: a stopped push hands its wake-up on", stopped_push_hands_on<Box>);
  }
}

} // namespace

void add_async(std::vector<scenario>& all) {
  all.push_back({"async: W2: busy is looked at again", busy_is_looked_at_again});
  all.push_back({"async: W3: one that saw only busy hands its wake-up on", busy_one_hands_on});
  add_for<box_of<mpmc>>(all, "mpmc_queue");
  add_for<box_of<ticket>>(all, "mpmc_ticket_queue");
  add_for<box_of<mpsc>>(all, "mpsc_queue");
  add_for<box_of<spsc>>(all, "spsc_queue");
}

} // namespace scenario
