// SPDX-License-Identifier: MIT
// Any number of threads at both ends, and slots that one of them has to itself for a while. Busy is
// an answer that says nothing about the order of the calls; what it may not be told for is asked
// beside.
#include "client.hpp"
#include "scenario.hpp"

#include <mailroom/queue/mpmc_ticket_queue.hpp>

#include <array>   // array
#include <cstdint> // uint64_t

namespace scenario {
namespace {

using queue = mailroom::mpmc_ticket_queue<unsigned>;
using mailroom::detail::atomic;
using enum std::memory_order;
constexpr std::uint64_t wrap = ~std::uint64_t{0}; // the position before 0

struct setting {
  std::size_t capacity = 1;
  std::uint64_t first = 0;
  unsigned passed = 0;
  unsigned inside = 0;
};

/// Pushes and pops, in any order, by `threads` threads of `calls` calls each.
model::program anything(unsigned threads, unsigned calls, setting with) {
  return [=] {
    client<queue> q{with.capacity, with.first, with.passed, with.inside};
    const auto thread = [&](unsigned index) {
      return [&, index] {
        for (unsigned i = 0; index < threads && i != calls; ++i) {
          if (model::any(2) == 0) {
            q.push(10 * index + i + 1);
          } else {
            q.pop();
          }
        }
      };
    };
    model::run({thread(0), thread(1), thread(2)});
    q.judge();
  };
}

/// The same with runs of messages, by one CAS and by several.
model::program runs(setting with) {
  return [=] {
    client<queue> q{with.capacity, with.first, with.passed, with.inside};
    model::run({[&] {
                  q.push_two(1, false);
                  q.push(3);
                },
                [&] {
                  switch (model::any(3)) {
                  case 0: q.pop_two(false); break;
                  case 1: q.pop_in_place(2); break;
                  default: q.consume(false); break;
                  }
                  q.pop();
                }});
    q.judge();
  };
}

/// Runs on the same side compete for positions.
model::program runs_compete(bool push, setting with) {
  return [=] {
    client<queue> q{with.capacity, with.first, with.passed, with.inside};
    model::run({[&] { push ? q.push_two(1, false) : q.pop_in_place(2); },
                [&] { push ? q.push_two(11, false) : q.pop_in_place(2); },
                [&] {
                  if (push) {
                    q.pop();
                  } else {
                    q.push(21);
                  }
                }});
    q.judge();
  };
}

/// A run in, then told full; a run out, then told empty: both see the runs in one order.
void runs_in_one_order() {
  client<queue> q{2, 0, 0, 1};
  model::run({[&] {
                const unsigned value = 1;
                const auto begin = model::this_moment();
                const bool is_in = q.queue.try_push_range(&value, &value + 1) != &value;
                model::require(is_in, "there is room");
                q.past.note_push(value, queue_status::success, begin);
                q.push(2);
              },
              [&] {
                q.pop_in_place(1);
                q.pop();
              }});
  q.judge();
}

/// Several producers, several consumers, one call each.
model::program one_each(unsigned producers, unsigned consumers, setting with) {
  return [=] {
    client<queue> q{with.capacity, with.first, with.passed, with.inside};
    const auto thread = [&](unsigned index) {
      return [&, index] {
        if (index < producers) {
          q.push(index + 1);
        } else if (index < producers + consumers) {
          q.pop();
        }
      };
    };
    model::run({thread(0), thread(1), thread(2), thread(3)});
    q.judge();
  };
}

/// who has pushed is not told empty, unless somebody else can have taken it.
void own_push_is_seen() {
  queue q{2};
  const auto use = [&](unsigned value) {
    model::require(q.try_push(value) == queue_status::success, "there is room");
    const auto answer = q.try_pop().error();
    model::require(answer == queue_status::success || answer == queue_status::busy,
                   "empty behind the own push");
  };
  model::run({[&] { use(1); }, [&] { use(2); }});
}

/// who has popped is not told full, unless somebody else can have used the room.
model::program own_pop_is_seen(std::size_t capacity) {
  return [=] {
    queue q{capacity};
    for (unsigned i = 0; i != capacity; ++i) (void)q.try_push(i);
    const auto use = [&](unsigned value) {
      model::require(q.try_pop().has_value(), "there is a message");
      const auto answer = q.try_push(value);
      model::require(answer == queue_status::success || answer == queue_status::busy,
                     "full behind the own pop");
    };
    if (capacity == 1) {
      model::run({[&] { use(1); }, [&] { (void)q.size_approx(); }});
    } else {
      model::run({[&] { use(1); }, [&] { use(2); }});
    }
  };
}

/// Busy is only told while somebody is in the middle of a call. Nobody is, where all that happened
/// is known.
void busy_has_a_reason() {
  queue q{1};
  atomic<unsigned> told;
  const auto pass = [&](unsigned value) {
    model::require(q.try_push(value) == queue_status::success, "nobody else pushes");
    model::require(q.try_pop().has_value(), "nobody else pops");
  };
  model::run({[&] {
                pass(1);
                told.store(1, release);
              },
              [&] {
                if (told.load(acquire) == 1) pass(2);
              }});
}

/// What happened before a push is seen by whoever takes its message, and a slot is used again.
model::program hands_on(setting with) {
  return [=] {
    queue q{with.capacity};
    model::plain data[2];
    const auto here = std::source_location::current();
    const auto take = [&] {
      unsigned value = 0;
      if (q.try_pop(value) == queue_status::success) data[value].write(here);
    };
    const auto put = [&](unsigned value) {
      data[value].write(here);
      (void)q.try_push(value);
    };
    model::run({[&] { put(0); }, [&] { put(1); },
                [&] {
                  take();
                  take();
                }});
  };
}

/// Whoever looks sees a size that was possible, and counts that only grow.
void looks() {
  queue q{2};
  model::run({[&] {
                (void)q.try_push(1U);
                (void)q.try_pop();
              },
              [&] { (void)q.try_push(2U); },
              [&] {
                const auto out = q.popped();
                const auto in = q.pushed();
                model::require(out <= in, "more came out than went in");
                model::require(q.popped() >= out && q.pushed() >= in, "a count went back");
                model::require(q.size_approx() <= 2, "more than fits");
              }});
}

/// Once sealed, it stays so; it is sealed only when empty; and whoever is told closed sees what
/// happened before.
model::program is_sealed(setting with) {
  return [=] {
    client<queue> q{with.capacity, with.first, with.passed};
    model::plain before;
    const auto here = std::source_location::current();
    bool pushed = false, sealed = false;
    model::run({[&] {
                  const auto answer = q.queue.try_push(1U);
                  pushed = answer == queue_status::success;
                  if (answer == queue_status::closed) before.read(here);
                },
                [&] {
                  before.write(here);
                  sealed = q.queue.seal();
                  if (!sealed) return;
                  const auto push = q.queue.try_push(2U);
                  model::require(push == queue_status::closed, "a push into the end");
                  const auto pop = q.queue.try_pop().error();
                  model::require(pop == queue_status::closed, "a pop behind it");
                },
                [&] {
                  if (q.queue.try_pop().error() == queue_status::closed) before.read(here);
                }});
    model::require(pushed || sealed, "neither got through");
    if (!sealed) {
      while (q.queue.try_pop()) {
      }
      model::require(q.queue.seal(), "it is empty");
    }
    model::require(q.queue.try_pop().error() == queue_status::closed, "sealed for ever");
    model::require(q.queue.pushed() == q.queue.popped(), "the counts agree at the end");
  };
}

/// Two that seal, beside one that uses the queue: what each sees of the other is true.
void two_seal() {
  queue q{1};
  model::plain before;
  const auto here = std::source_location::current();
  std::array<bool, 2> sealed{};
  model::run({[&] {
                before.write(here);
                sealed[0] = q.seal();
              },
              [&] {
                sealed[1] = q.seal();
                const auto answer = q.try_push(1U);
                if (sealed[1]) model::require(answer == queue_status::closed, "not for ever");
              },
              [&] {
                if (q.try_push(2U) == queue_status::success) (void)q.try_pop();
              }});
  const bool is_over = q.seal();
  model::require(q.try_pop().has_value() != is_over, "the message, or the end");
}

/// Whoever finds it sealed already sees what happened before the seal, however old the position is
/// that it finds first.
model::program is_sealed_already(bool is_used_before) {
  return [=] {
    queue q{1};
    model::plain before;
    atomic<unsigned> told;
    const auto here = std::source_location::current();
    model::run({[&] {
                  if (is_used_before) {
                    model::require(q.try_push(1U) == queue_status::success, "there is room");
                    model::require(q.try_pop().has_value(), "there is a message");
                  }
                  before.write(here);
                  model::require(q.seal(), "it is empty");
                  told.store(1, relaxed);
                },
                [&] {
                  if (told.load(relaxed) == 0) return;
                  if (q.seal()) before.read(here);
                }});
  };
}

/// A message that fails when it is told to.
struct fragile {
  explicit fragile(unsigned number) : value{number} {
    if (number == 0) throw number;
  }
  unsigned value;
};

/// A constructor that throws puts nothing in, and leaves no hole.
void throws() {
  mailroom::mpmc_ticket_queue<fragile> q{1};
  model::run({[&] {
                try {
                  (void)q.try_emplace(0U);
                } catch (unsigned) {
                }
                (void)q.try_emplace(1U);
              },
              [&] {
                (void)q.try_emplace(2U);
                (void)q.try_pop();
              }});
  while (q.try_pop()) {
  }
  model::require(q.try_pop().error() == queue_status::empty, "a hole");
  model::require(q.try_emplace(3U) == queue_status::success, "a slot is lost");
}

/// What is left is destroyed with the queue, once.
void is_destroyed() {
  queue q{2};
  model::run(
      {[&] { (void)q.try_push(1U); }, [&] { (void)q.try_push(2U); }, [&] { (void)q.try_pop(); }});
}

/// One tells the other: the answer may not be older than what was told.
model::program is_told(setting with) {
  return [=] {
    client<queue> q{with.capacity, with.first, with.passed, with.inside};
    atomic<unsigned> told;
    model::run({[&] {
                  q.push(1);
                  told.store(1, release);
                },
                [&] {
                  q.push(2);
                  if (told.load(acquire) == 1) q.pop();
                },
                [&] { q.pop(); }});
    q.judge();
  };
}

constexpr model::options weak{.accesses_are_weak = true};

/// Messages get through whole, once each, in the order of their producer, even if the positions
/// were only acquired and released. (The answers empty and full need more: see (D).)
model::program gets_through(setting with) {
  return [=] {
    client<queue> q{with.capacity, with.first, with.passed, with.inside};
    std::array<unsigned, 3> got{};
    const auto take = [&](unsigned& into) { (void)q.queue.try_pop(into); };
    model::run({[&] {
                  (void)q.queue.try_push(1U);
                  (void)q.queue.try_push(2U);
                },
                [&] {
                  take(got[0]);
                  take(got[1]);
                },
                [&] { take(got[2]); }});
    model::require(got[0] == 0 || got[1] == 0 || got[0] < got[1], "out of order");
    for (unsigned a = 0; a != 3; ++a) {
      for (unsigned b = 0; b != a; ++b) {
        model::require(got[a] == 0 || got[a] != got[b], "the same message twice");
      }
    }
  };
}

/// popped() read first is never above pushed().
void counts_in_order() {
  queue q{1};
  model::run({[&] { (void)q.try_push(1U); }, [&] { (void)q.try_pop(); },
              [&] {
                const auto out = q.popped();
                model::require(out <= q.pushed(), "more came out than went in");
              }});
}

/// A queue that is never full never says so.
model::program is_never_full(std::size_t capacity) {
  return [=] {
    queue q{capacity};
    const auto push = [&] {
      const auto answer = q.try_push(1U);
      model::require(answer != queue_status::full, "full, which it never was");
      return answer == queue_status::success;
    };
    model::run({[&] {
                  push();
                  (void)q.try_pop();
                  push();
                },
                [&] {
                  if (capacity > 2) push();
                }});
  };
}

} // namespace

void add_mpmc_ticket_queue(std::vector<scenario>& all) {
  const auto add = [&](const char* what, model::program body, depth when = depth::quick,
                       const model::options& how = {}) {
    all.push_back({std::string{"mpmc_ticket_queue: "} + what, std::move(body), how, when});
  };
  add("anything, 1 place, 2 threads, 2 calls", anything(2, 2, {1}));
  add("anything, 2 places, 2 threads, 2 calls", anything(2, 2, {2}));
  add("anything, 3 places of 4, 2 threads, 2 calls", anything(2, 2, {.capacity = 3, .inside = 2}));
  add("anything, 2 threads, positions wrap", anything(2, 2, {.capacity = 2, .first = wrap}));
  add("anything, 3 places of 4, 2 threads, positions wrap",
      anything(2, 2, {.capacity = 3, .first = wrap, .inside = 2}));
  add("anything, 3 threads, 1 call", anything(3, 1, {1}));
  add("anything, 3 threads, 1 call, 3 places of 4", anything(3, 1, {.capacity = 3, .inside = 2}));
  add("anything, 3 threads, 2 calls", anything(3, 2, {1}), depth::deep);
  add("anything, 2 threads, 3 calls", anything(2, 3, {2}), depth::deep);
  add("2 producers, 2 consumers", one_each(2, 2, {1}), depth::deep);
  add("3 producers, 1 consumer, 2 places", one_each(3, 1, {2}), depth::deep);
  add("1 producer, 2 consumers, full at first", one_each(1, 2, {.capacity = 1, .inside = 1}));
  add("2 producers, 1 consumer, 3 places of 4", one_each(2, 1, {.capacity = 3, .inside = 2}));
  add("runs, 1 place", runs({1}));
  add("runs, 2 places", runs({2}));
  add("runs, 3 places of 4", runs({.capacity = 3, .passed = 2}));
  add("runs in compete, 2 places", runs_compete(true, {2}), depth::deep);
  add("runs in compete, 3 places of 4", runs_compete(true, {.capacity = 3}), depth::deep);
  add("runs out compete, 2 places", runs_compete(false, {.capacity = 2, .inside = 2}), depth::deep);
  add("runs in one order", runs_in_one_order);
  add("R-01: a push of one's own is seen", own_push_is_seen);
  add("R-02: a pop of one's own is seen, 1 place", own_pop_is_seen(1));
  add("R-02: a pop of one's own is seen, 2 places", own_pop_is_seen(2));
  add("R-02: a pop of one's own is seen, 3 places of 4", own_pop_is_seen(3));
  add("busy has a reason", busy_has_a_reason);
  add("hands on what happened before, 1 place", hands_on({1}));
  add("hands on what happened before, 2 places", hands_on({2}));
  add("R-04: somebody looks", looks);
  add("is sealed", is_sealed({1}));
  add("is sealed, positions wrap", is_sealed({.capacity = 2, .first = wrap, .passed = 1}));
  add("two seal", two_seal);
  add("is sealed already", is_sealed_already(false));
  add("is sealed already, when it was used", is_sealed_already(true));
  add("constructors throw", throws);
  add("is destroyed with messages inside", is_destroyed);
  add("who is told finds it, 1 place", is_told({1}));
  add("who is told finds it, 2 places", is_told({2}));
  add("gets through on acquire and release alone", gets_through({1}), depth::quick, weak);
  add("gets through on acquire and release alone, 2 places", gets_through({2}), depth::quick, weak);
  add("counts in order on acquire and release alone", counts_in_order, depth::quick, weak);
  add("is never full on acquire and release alone", is_never_full(2), depth::quick, weak);
  add("is never full on acquire and release alone, 3 places of 4", is_never_full(3), depth::quick,
      weak);
  add("is sealed on acquire and release alone", is_sealed({1}), depth::quick, weak);
}

} // namespace scenario
