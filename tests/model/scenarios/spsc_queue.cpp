// SPDX-License-Identifier: MIT
// One producer, one consumer, and whoever only looks.
#include "client.hpp"
#include "scenario.hpp"

#include <mailroom/queue/spsc_queue.hpp>

#include <cstdint> // uint64_t
#include <string>  // string
#include <utility> // exchange, move

namespace scenario {
namespace {

/// In the model a line has room for two numbers (line_bytes), so these travel in lines,
using small = unsigned;

/// and these in the ring with two positions.
struct large {
  explicit large(unsigned number) : value{number} {}
  operator unsigned() const { return value; }
  unsigned value;
  unsigned padding = 0;
};

template <class T>
using queue = mailroom::spsc_queue<T>;
constexpr std::uint64_t wrap = ~std::uint64_t{0}; // the position before 0

/// Everything that a producer and a consumer can do, in any order.
template <class T>
model::program anything(std::size_t capacity, unsigned pushes, unsigned pops, std::uint64_t first,
                        unsigned inside = 0) {
  return [=] {
    client<queue<T>> q{capacity, first, 0, inside};
    model::run({[&] {
                  for (unsigned i = 0; i != pushes; ++i) {
                    if (model::any(2) == 0) {
                      q.push(2 * i + 1);
                    } else {
                      q.push_two(2 * i + 1);
                    }
                  }
                },
                [&] {
                  for (unsigned i = 0; i != pops; ++i) {
                    switch (model::any(3)) {
                    case 0: q.pop(); break;
                    case 1: q.pop_two(false); break;
                    default: q.consume(false); break;
                    }
                  }
                }});
    q.judge();
  };
}

/// Whoever looks sees a size that was possible, and counts that only grow.
template <class T>
void looks() {
  queue<T> q{1};
  model::run({[&] {
                (void)q.try_push(T{1U});
                (void)q.try_push(T{2U});
              },
              [&] {
                (void)q.try_pop();
                (void)q.try_pop();
              },
              [&] {
                const auto out = q.popped();
                const auto in = q.pushed();
                model::require(out <= in, "more came out than went in");
                model::require(in - out <= 2, "more is inside than was pushed");
                model::require(q.popped() >= out && q.pushed() >= in, "a count went back");
                model::require(q.size_approx() <= 1, "more than fits");
              }});
}

/// What happened before a push is seen by whoever takes its message, and what happened before a pop
/// by whoever uses its room.
template <class T>
void hands_on() {
  queue<T> q{1};
  model::plain before_push, before_pop;
  const auto here = std::source_location::current();
  model::run({[&] {
                before_push.write(here);
                (void)q.try_push(T{1U});
                if (q.try_push(T{2U}) == queue_status::success) before_pop.write(here);
              },
              [&] {
                before_pop.write(here);
                if (q.try_pop()) before_push.write(here);
              }});
}

/// Fails to be made of 0, and to be moved when it is told to.
struct fragile {
  static constexpr unsigned fails = 1U << 31;
  explicit fragile(unsigned number) : value{number} {
    if (number == 0) throw number;
  }
  fragile(fragile&& other) : value{other.value & ~fails} {
    if (std::exchange(other.value, value) != value) throw value;
  }
  fragile& operator=(fragile&&) = default;
  unsigned value;
};
struct large_fragile : fragile {
  using fragile::fragile;
  unsigned padding = 0;
};

/// A constructor that throws puts nothing in; a move that throws takes nothing out.
template <class T>
void throws() {
  queue<T> q{2};
  model::run({[&] {
                (void)q.try_emplace(1U);
                try {
                  (void)q.try_emplace(0U);
                } catch (unsigned) {
                }
                (void)q.try_emplace(2U);
              },
              [&] {
                if (T* const first = q.front()) {
                  model::require(first->value == 1, "the first is not first");
                  first->value |= fragile::fails;
                }
                try {
                  (void)q.try_pop();
                } catch (unsigned) {
                  model::require(q.front()->value == 1, "the message is still there");
                }
              }});
}

/// What is left is destroyed with the queue, once.
template <class T>
void is_destroyed() {
  queue<T> q{2};
  model::run({[&] {
                (void)q.try_push(T{1U});
                (void)q.try_push(T{2U});
              },
              [&] {
                if (q.front() != nullptr) q.pop_front();
              }});
}

/// Room that was told of is found, and so is a message.
template <class T>
void is_told() {
  queue<T> q{1};
  mailroom::detail::atomic<unsigned> told;
  using enum std::memory_order;
  model::run({[&] {
                model::require(q.try_push(T{1U}) == queue_status::success, "there was room");
                told.store(1, release);
                while (told.load(acquire) != 2) model::await_change();
                model::require(q.try_push(T{2U}) == queue_status::success, "full, behind the pop");
              },
              [&] {
                while (told.load(acquire) != 1) model::await_change();
                model::require(q.try_pop().has_value(), "empty, behind the push");
                told.store(2, release);
              }});
}

} // namespace

template <class T>
void add_for(std::vector<scenario>& all, const std::string& how) {
  const auto add = [&](const std::string& name, model::program program, depth when = depth::quick) {
    all.push_back({name + how, std::move(program), {}, when});
  };
  add("spsc_queue: anything, 1 place, 3 + 3 calls", anything<T>(1, 3, 3, 0));
  add("spsc_queue: anything, 2 places, 2 + 3 calls", anything<T>(2, 2, 3, 0));
  add("spsc_queue: anything, 2 places, full at first", anything<T>(2, 2, 2, 0, 2));
  add("spsc_queue: anything, 3 places of 4", anything<T>(3, 2, 2, 0, 2));
  add("spsc_queue: anything, positions wrap", anything<T>(2, 2, 2, wrap));
  add("spsc_queue: anything, 2 places, 3 + 4 calls", anything<T>(2, 3, 4, 0), depth::deep);
  add("spsc_queue: somebody looks", looks<T>);
  add("spsc_queue: hands on what happened before", hands_on<T>);
  add("spsc_queue: is destroyed with messages inside", is_destroyed<T>);
  add("spsc_queue: who is told finds it", is_told<T>);
}

void add_spsc_queue(std::vector<scenario>& all) {
  add_for<small>(all, "");
  add_for<large>(all, ", large");
  all.push_back({"spsc_queue: anything, 3 places, positions wrap in a line",
                 anything<small>(3, 3, 2, wrap - 1)});
  all.push_back({"spsc_queue: constructors and moves throw", throws<fragile>});
  all.push_back({"spsc_queue: constructors and moves throw, large", throws<large_fragile>});
}

} // namespace scenario
