// SPDX-License-Identifier: MIT
// Any number of threads at both ends.
#include "client.hpp"
#include "scenario.hpp"

#include <mailroom/queue/mpmc_queue.hpp>

#include <array>   // array
#include <cstdint> // uint64_t
#include <utility> // move

namespace scenario {
namespace {

using queue = mailroom::mpmc_queue<unsigned>;
using mailroom::detail::atomic;
using enum std::memory_order;
constexpr std::uint64_t wrap = ~std::uint64_t{0}; // the position before 0
constexpr unsigned until_hints_move = 7;          // one more, and they do

struct setting {
  std::size_t capacity = 1;
  std::uint64_t first = 0;
  unsigned passed = 0;
  unsigned inside = 0;
  bool threads_are_apart = true;
};

/// Pushes and pops, in any order, by `threads` threads of `calls` calls each.
model::program anything(unsigned threads, unsigned calls, setting with) {
  return [=] {
    mailroom::detail::threads_are_apart = with.threads_are_apart;
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
    model::require(test::test_access::each_cell_is_in_one_place(q.queue),
                   "a cell is lost, or in two places");
  };
}

/// The same with runs of messages.
model::program runs(setting with) {
  return [=] {
    client<queue> q{with.capacity, with.first, with.passed, with.inside};
    model::run({[&] {
                  q.push_two(1);
                  q.push(3);
                },
                [&] {
                  if (model::any(2) == 0) {
                    q.pop_two(true);
                  } else {
                    q.consume(true);
                  }
                  q.pop();
                }});
    q.judge();
  };
}

/// Several producers, several consumers, one call each.
model::program one_each(unsigned producers, unsigned consumers, setting with) {
  return [=] {
    mailroom::detail::threads_are_apart = with.threads_are_apart;
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

/// who has pushed finds something, unless somebody else can have taken it.
void own_push_is_seen() {
  queue q{2};
  const auto use = [&](unsigned value) {
    model::require(q.try_push(value) == queue_status::success, "there is room");
    model::require(q.try_pop().has_value(), "empty behind the own push");
  };
  model::run({[&] { use(1); }, [&] { use(2); }});
}

/// who has popped finds room, unless somebody else can have used it.
model::program own_pop_is_seen(std::size_t capacity) {
  return [=] {
    queue q{capacity};
    for (unsigned i = 0; i != capacity; ++i) (void)q.try_push(i);
    const auto use = [&](unsigned value) {
      model::require(q.try_pop().has_value(), "there is a message");
      model::require(q.try_push(value) == queue_status::success, "full behind the own pop");
    };
    if (capacity == 1) {
      model::run({[&] { use(1); }, [&] { (void)q.size_approx(); }});
    } else {
      model::run({[&] { use(1); }, [&] { use(2); }});
    }
  };
}

/// What happened before a push is seen by whoever takes its message.
void hands_on() {
  queue q{1};
  model::plain data;
  const auto here = std::source_location::current();
  model::run({[&] {
                data.write(here);
                (void)q.try_push(1U);
              },
              [&] {
                if (q.try_pop()) data.write(here);
              },
              [&] { (void)q.try_pop(); }});
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

/// Once sealed, it stays so; and it is sealed only when empty.
model::program is_sealed(unsigned passed) {
  return [=] {
    client<queue> q{1, 0, passed};
    bool pushed = false, sealed = false;
    model::run(
        {[&] { pushed = q.queue.try_push(1U) == queue_status::success; },
         [&] {
           sealed = q.queue.seal();
           if (!sealed) return;
           model::require(q.queue.try_push(2U) == queue_status::closed, "a push into the end");
           model::require(q.queue.try_pop().error() == queue_status::closed, "a pop behind it");
         }});
    model::require(pushed || sealed, "neither got through");
    if (!sealed) sealed = q.queue.seal();
    model::require(sealed != q.queue.try_pop().has_value(), "the message, or the end");
  };
}

/// A message that says how often it lives, and fails when it is told to.
struct fragile {
  explicit fragile(unsigned number) : value{number} {
    if (number == 0) throw number;
  }
  unsigned value;
};

/// A constructor that throws puts nothing in, and loses no cell.
void throws() {
  mailroom::mpmc_queue<fragile> q{1};
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
  model::require(test::test_access::each_cell_is_in_one_place(q), "a cell is lost");
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

/// Messages get through whole, once each, in the order of their producer, even if the slots were
/// only acquired and released. (The answers empty and full need more: see (O) in the header.)
model::program gets_through(unsigned passed) {
  return [=] {
    queue q{1};
    for (unsigned i = 0; i != passed; ++i) {
      (void)q.try_push(i);
      (void)q.try_pop();
    }
    std::array<unsigned, 3> got{};
    const auto take = [&](unsigned& into) { (void)q.try_pop(into); };
    model::run({[&] {
                  (void)q.try_push(1U);
                  (void)q.try_push(2U);
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

/// popped() read first is never above pushed(), whichever hints the two begin at.
void counts_in_order() {
  queue q{1};
  for (unsigned i = 0; i != until_hints_move; ++i) {
    (void)q.try_push(i);
    (void)q.try_pop();
  }
  model::run({[&] {
                (void)q.try_push(1U);
                (void)q.try_pop();
              },
              [&] {
                const auto out = q.popped();
                model::require(out <= q.pushed(), "more came out than went in");
              }});
}

/// A queue that is never full never says so, whichever hint or bookmark a push begins at.
model::program is_never_full(bool threads_are_apart) {
  return [=] {
    mailroom::detail::threads_are_apart = threads_are_apart;
    queue q{2};
    for (unsigned i = 0; i + 1 != until_hints_move; ++i) {
      (void)q.try_push(i);
      (void)q.try_pop();
    }
    const auto push = [&] {
      model::require(q.try_push(1U) == queue_status::success, "full, which it never was");
    };
    model::run({[&] {
                  push();
                  (void)q.try_pop();
                  push();
                },
                push});
  };
}

/// Handles, which keep a cell and a place from call to call, beside calls without one.
model::program by_handles(setting with) {
  return [=] {
    mailroom::detail::threads_are_apart = with.threads_are_apart;
    client<queue> q{with.capacity, with.first, with.passed, with.inside};
    model::run({[&] {
                  queue::producer in{q.queue};
                  q.push_by(in, 1);
                  q.push_by(in, 2);
                },
                [&] {
                  queue::consumer out{q.queue};
                  q.pop_by(out);
                  q.pop_by(out);
                },
                [&] {
                  if (model::any(2) == 0) {
                    q.push(3);
                  } else {
                    q.pop();
                  }
                }});
    q.judge();
    model::require(test::test_access::each_cell_is_in_one_place(q.queue),
                   "a cell is lost, or in two places");
  };
}

/// A claim is filled after it was made and before it is committed, and a message is read where it
/// is while others go on.
model::program in_place(std::size_t capacity) {
  return [=] {
    queue q{capacity};
    std::array<unsigned, 2> got{};
    bool is_in = false;
    model::run({[&] {
                  auto made = q.try_claim(0U);
                  **made = 7;
                  is_in = made->commit() == queue_status::success;
                },
                [&] {
                  const bool other = q.try_push(8U) == queue_status::success;
                  model::require(other || capacity == 1, "there is room");
                  if (auto taken = q.try_receive()) got[0] = **taken;
                },
                [&] {
                  if (auto taken = q.try_receive()) got[1] = **taken;
                }});
    for (const unsigned each : got) model::require(each == 0 || each >= 7, "read half built");
    model::require(got[0] != got[1] || got[0] == 0, "the same message twice");
    unsigned left = 0;
    while (q.try_pop()) ++left;
    const unsigned taken = (got[0] != 0 ? 1U : 0U) + (got[1] != 0 ? 1U : 0U);
    model::require(capacity == 1 || left + taken == 2, "a message is lost");
    model::require(is_in || capacity == 1, "there was room");
    model::require(test::test_access::each_cell_is_in_one_place(q), "a cell is lost");
  };
}

/// Whatever is pushed by force is popped, handed to the sink, or left inside: once.
void pushes_by_force() {
  queue q{1};
  (void)q.try_push(1U);
  std::array<unsigned, 5> seen{};
  const auto force = [&](unsigned value) {
    model::require(q.force_push(std::move(value), [&](unsigned&& old) { ++seen[old]; }) ==
                       queue_status::success,
                   "a forced push has no reason to fail");
  };
  model::run({[&] { force(2); }, [&] { force(3); },
              [&] {
                if (const auto popped = q.try_pop()) ++seen[*popped];
              }});
  while (const auto popped = q.try_pop()) ++seen[*popped];
  for (unsigned value = 1; value != 4; ++value) {
    model::require(seen[value] == 1, "lost, or seen twice");
  }
  model::require(test::test_access::each_cell_is_in_one_place(q), "a cell is lost");
}

} // namespace

void add_mpmc_queue(std::vector<scenario>& all) {
  all.push_back({"mpmc_queue: anything, 1 place, 2 threads, 2 calls", anything(2, 2, {1})});
  all.push_back({"mpmc_queue: anything, 2 places, 2 threads, 2 calls", anything(2, 2, {2})});
  all.push_back({"mpmc_queue: anything, 3 places of 4, 2 threads, 2 calls",
                 anything(2, 2, {.capacity = 3, .inside = 2})});
  all.push_back({"mpmc_queue: anything, 2 threads, hints move",
                 anything(2, 2, {.capacity = 2, .passed = until_hints_move})});
  all.push_back({"mpmc_queue: anything, 2 threads, positions wrap",
                 anything(2, 2, {.capacity = 2, .first = wrap})});
  all.push_back({"mpmc_queue: anything, 2 threads, one spare place for both",
                 anything(2, 2, {.capacity = 2, .threads_are_apart = false})});
  all.push_back({"mpmc_queue: anything, 3 threads, 1 call", anything(3, 1, {1})});
  all.push_back({"mpmc_queue: anything, 3 threads, 1 call, hints move",
                 anything(3, 1, {.capacity = 1, .passed = until_hints_move})});
  all.push_back({"mpmc_queue: anything, 3 threads, 2 calls", anything(3, 2, {1}), {}, depth::deep});
  all.push_back({"mpmc_queue: anything, 2 threads, 3 calls", anything(2, 3, {2}), {}, depth::deep});
  all.push_back({"mpmc_queue: 2 producers, 2 consumers", one_each(2, 2, {1}), {}, depth::deep});
  all.push_back(
      {"mpmc_queue: 3 producers, 1 consumer, 2 places", one_each(3, 1, {2}), {}, depth::deep});
  all.push_back({"mpmc_queue: 1 producer, 2 consumers, full at first",
                 one_each(1, 2, {.capacity = 1, .inside = 1})});
  all.push_back({"mpmc_queue: 2 producers, 1 consumer, 3 places of 4",
                 one_each(2, 1, {.capacity = 3, .inside = 2})});
  all.push_back({"mpmc_queue: runs, 2 places", runs({2})});
  all.push_back({"mpmc_queue: runs, 3 places of 4, hints move",
                 runs({.capacity = 3, .passed = until_hints_move})});
  all.push_back({"mpmc_queue: R-01: a push of one's own is seen", own_push_is_seen});
  all.push_back({"mpmc_queue: R-02: a pop of one's own is seen, 1 place", own_pop_is_seen(1)});
  all.push_back({"mpmc_queue: R-02: a pop of one's own is seen, 2 places", own_pop_is_seen(2)});
  all.push_back(
      {"mpmc_queue: R-02: a pop of one's own is seen, 3 places of 4", own_pop_is_seen(3)});
  all.push_back({"mpmc_queue: hands on what happened before", hands_on});
  all.push_back({"mpmc_queue: R-04: somebody looks", looks});
  all.push_back({"mpmc_queue: is sealed", is_sealed(0)});
  all.push_back({"mpmc_queue: is sealed, hints move", is_sealed(until_hints_move)});
  all.push_back({"mpmc_queue: constructors throw", throws});
  all.push_back({"mpmc_queue: is destroyed with messages inside", is_destroyed});
  all.push_back({"mpmc_queue: who is told finds it, 1 place", is_told({1})});
  all.push_back({"mpmc_queue: who is told finds it, hints move",
                 is_told({.capacity = 2, .passed = until_hints_move})});
  all.push_back({"mpmc_queue: gets through on acquire and release alone", gets_through(0), weak});
  all.push_back({"mpmc_queue: gets through on acquire and release alone, hints move",
                 gets_through(until_hints_move), weak});
  all.push_back(
      {"mpmc_queue: counts in order on acquire and release alone", counts_in_order, weak});
  all.push_back(
      {"mpmc_queue: is never full on acquire and release alone", is_never_full(true), weak});
  all.push_back({"mpmc_queue: is never full on acquire and release alone, one spare place for both",
                 is_never_full(false), weak});
  all.push_back({"mpmc_queue: by handles, 1 place", by_handles({1})});
  all.push_back({"mpmc_queue: by handles, 2 places, hints move",
                 by_handles({.capacity = 2, .passed = until_hints_move})});
  all.push_back({"mpmc_queue: in place, 1 place", in_place(1)});
  all.push_back({"mpmc_queue: in place, 2 places", in_place(2)});
  all.push_back({"mpmc_queue: pushes by force", pushes_by_force});
}

} // namespace scenario
