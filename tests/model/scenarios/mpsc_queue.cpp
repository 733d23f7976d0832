// SPDX-License-Identifier: MIT
// Any number of producers, one consumer, and blocks of one or two slots that come and go.
#include "client.hpp"
#include "scenario.hpp"

#include <mailroom/queue/mpsc_queue.hpp>

#include <array>   // array
#include <cstddef> // byte
#include <cstdint> // uint64_t
#include <memory>  // allocator
#include <new>     // bad_alloc
#include <utility> // move

namespace scenario {
namespace {

using mailroom::detail::atomic;
using enum std::memory_order;

/// A message so large that each has a block of its own. A number shares one with another.
struct wide {
  unsigned value;
  std::byte rest[64];
  wide(unsigned number = 0) noexcept : value{number}, rest{} {}
  operator unsigned() const noexcept { return value; }
};

template <class T>
using queue = mailroom::mpsc_queue<T>;
static_assert(test::test_access::block_slots<queue<wide>> == 1);
static_assert(test::test_access::block_slots<queue<unsigned>> == 2);

struct setting {
  unsigned full = 0;   // before the threads begin, so many messages go in and out at once,
  unsigned passed = 0; // so many go through one by one,
  unsigned inside = 0; // and so many are left inside
  unsigned pops = 2;
};

/// A queue, and what it has answered: busy says nothing about the order of the calls.
template <class T>
class talk {
public:
  explicit talk(setting with = {}) : past{history::most} {
    for (unsigned i = 0; i != with.full; ++i) (void)q.try_push(i);
    for (unsigned i = 0; i != with.full; ++i) (void)q.try_pop();
    for (unsigned i = 0; i != with.passed; ++i) {
      model::require(q.try_push(1000U + i) == queue_status::success, "a push always succeeds");
      model::require(q.try_pop().has_value(), "there is a message");
    }
    for (unsigned i = 0; i != with.inside; ++i) push(100 + i);
  }

  void push(unsigned value) {
    const auto begin = model::this_moment();
    const auto answer = q.try_push(value);
    model::require(answer == queue_status::success, "a push always succeeds");
    past.note_push(value, answer, begin);
  }
  queue_status pop() {
    const auto begin = model::this_moment();
    T value{0};
    const auto answer = q.try_pop(value);
    if (answer != queue_status::busy) past.note_pop(value, answer, begin);
    return answer;
  }
  void push_two(unsigned value) {
    const auto begin = model::this_moment();
    const std::array<unsigned, 2> both{value, value + 1};
    model::require(q.try_push_range(both.begin(), both.end()) == both.end(), "both are in");
    const auto first = past.note_push(value, queue_status::success, begin);
    past.note_push(value + 1, queue_status::success, begin, first);
  }
  void pop_two() {
    const auto begin = model::this_moment();
    std::array<unsigned, 8> got{};
    std::size_t count = 0;
    (void)q.try_pop_n(collector{&got, &count}, 2);
    note_popped(got, count, begin);
  }
  void consume() {
    const auto begin = model::this_moment();
    std::array<unsigned, 8> got{};
    std::size_t count = 0;
    (void)q.consume_all([&](T&& each) { got[count++] = each; });
    note_popped(got, count, begin);
  }

  /// Takes out what is left, and asks whether the answers make sense.
  void judge() {
    queue_status last;
    while ((last = pop()) == queue_status::success) {
    }
    model::require(last == queue_status::empty, "nobody is in the middle of a push");
    past.judge();
    model::require(q.pushed() == q.popped(), "the counts agree at the end");
  }

  queue<T> q;
  history past;

private:
  void note_popped(const std::array<unsigned, 8>& got, std::size_t count,
                   const model::moment& begin) {
    auto last = history::none;
    for (std::size_t i = 0; i != count; ++i) {
      last = past.note_pop(got[i], queue_status::success, begin, last);
    }
  }
};

/// One producer and the consumer do anything, in any order.
template <class T>
model::program anything(unsigned pushes, unsigned pops, setting with = {}) {
  return [=] {
    talk<T> t{with};
    model::run({[&] {
                  for (unsigned i = 0; i != pushes; ++i) {
                    if (model::any(2) == 0) {
                      t.push(2 * i + 1);
                    } else {
                      t.push_two(2 * i + 1);
                    }
                  }
                },
                [&] {
                  for (unsigned i = 0; i != pops; ++i) {
                    switch (model::any(3)) {
                    case 0: (void)t.pop(); break;
                    case 1: t.pop_two(); break;
                    default: t.consume(); break;
                    }
                  }
                }});
    t.judge();
  };
}

/// Producers of `pushes` messages each, beside a consumer.
template <class T>
model::program many(unsigned producers, unsigned pushes, setting with = {}) {
  return [=] {
    talk<T> t{with};
    const auto producer = [&](unsigned index) {
      return [&, index] {
        for (unsigned i = 0; index < producers && i != pushes; ++i) t.push(10 * index + i + 1);
      };
    };
    const auto consumer = [&] {
      for (unsigned i = 0; i != with.pops; ++i) (void)t.pop();
    };
    model::run({producer(0), producer(1), producer(2), consumer});
    t.judge();
  };
}

/// The consumer of a queue is also one of its producers.
template <class T>
model::program own_push_is_seen(setting with = {}) {
  return [=] {
    talk<T> t{with};
    model::run({[&] {
                  t.push(1);
                  model::require(t.pop() != queue_status::empty, "empty behind the own push");
                  t.push(2);
                  (void)t.pop();
                },
                [&] { t.push(3); }});
    t.judge();
  };
}

/// The consumer leaves a block, and somebody begins to push where the hint was before.
model::program comes_late(setting with) {
  return [=] {
    talk<wide> t{with};
    model::run(
        {[&] {
           t.push(1);
           (void)t.pop();
           (void)t.pop(); // or sees that the next block is there, and gives the last one back
         },
         [&] { t.push(2); }});
    t.judge();
  };
}

/// What happened before a push is seen by whoever takes its message.
template <class T>
model::program hands_on(unsigned passed) {
  return [=] {
    talk<T> t{{.passed = passed}};
    model::plain data[2];
    const auto here = std::source_location::current();
    const auto take = [&] {
      T value{0};
      if (t.q.try_pop(value) == queue_status::success) data[value].write(here);
    };
    model::run({[&] {
                  data[0].write(here);
                  (void)t.q.try_push(0U);
                },
                [&] {
                  data[1].write(here);
                  (void)t.q.try_push(1U);
                },
                [&] {
                  take();
                  take();
                }});
  };
}

/// One tells the other: the answer may not be older than what was told.
template <class T>
void is_told() {
  talk<T> t;
  atomic<unsigned> told;
  model::run({[&] {
                t.push(1);
                told.store(1, release);
              },
              [&] {
                if (told.load(acquire) == 1) t.push(2);
              },
              [&] {
                (void)t.pop();
                if (told.load(acquire) == 1) {
                  model::require(t.pop() != queue_status::busy || t.q.size_approx() != 0, "told");
                }
              }});
  t.judge();
}

/// Whoever looks sees counts that only grow.
void looks() {
  queue<unsigned> q;
  model::run({[&] {
                (void)q.try_push(1U);
                (void)q.try_push(2U);
              },
              [&] {
                (void)q.try_pop();
                (void)q.try_pop();
              },
              [&] {
                const auto out = q.popped();
                const auto in = q.pushed();
                model::require(out <= in, "more came out than went in");
                model::require(q.popped() >= out && q.pushed() >= in, "a count went back");
                model::require(q.size_approx() <= 2, "more than was pushed");
              }});
}

/// Once sealed, it stays so; it is sealed only when empty; and whoever is told closed sees what
/// happened before the seal.
template <class T>
model::program is_sealed(bool by_consumer) {
  return [=] {
    queue<T> q;
    model::plain before;
    const auto here = std::source_location::current();
    bool pushed = false, sealed = false;
    model::run({[&] {
                  const auto answer = q.try_push(1U);
                  pushed = answer == queue_status::success;
                  if (!pushed) {
                    model::require(answer == queue_status::closed, "an end that is none");
                    before.read(here);
                    model::require(q.try_push(2U) == queue_status::closed, "a push into the end");
                  }
                },
                [&] {
                  if (!by_consumer) return;
                  before.write(here);
                  sealed = q.seal();
                  if (sealed) {
                    const auto answer = q.try_pop().error();
                    model::require(answer == queue_status::closed, "a pop behind the end");
                  } else {
                    const auto answer = q.try_pop().error();
                    model::require(answer == queue_status::success || answer == queue_status::busy,
                                   "neither sealed nor anything there");
                  }
                },
                [&] {
                  if (by_consumer) return;
                  before.write(here);
                  sealed = q.seal();
                },
                [&] {
                  if (by_consumer) return;
                  const auto answer = q.try_pop().error();
                  if (answer == queue_status::closed) before.read(here);
                }});
    model::require(pushed != sealed || (pushed && !by_consumer), "both, or neither");
    while (q.try_pop()) {
    }
    model::require(q.seal(), "empty, and nobody is in the way");
    model::require(q.try_push(3U) == queue_status::closed, "sealed for ever");
    model::require(q.pushed() == q.popped(), "the counts agree at the end");
  };
}

/// Whoever finds it sealed already sees what happened before the seal.
void is_sealed_already() {
  queue<unsigned> q;
  model::plain before;
  atomic<unsigned> told;
  const auto here = std::source_location::current();
  model::run({[&] {
                before.write(here);
                model::require(q.seal(), "it is empty");
                told.store(1, relaxed);
              },
              [&] {
                if (told.load(relaxed) == 0) return;
                model::require(q.seal(), "it was sealed");
                before.read(here);
              }});
}

/// The constructor, and the move, fail when they are told to.
struct fragile {
  unsigned value;
  bool fails = false;
  explicit fragile(unsigned number) : value{number} {
    if (number == 0) throw number;
  }
  fragile(fragile&& other) : value{other.value} {
    if (other.fails) {
      other.fails = false;
      throw value;
    }
  }
};

/// A constructor that throws in its slot leaves no hole, and no count.
model::program throws(bool moves_fail, bool is_watched) {
  return [=] {
    mailroom::mpsc_queue<fragile> q;
    unsigned got = 0;
    const auto take = [&] {
      try {
        if (auto message = q.try_pop()) got += message->value;
      } catch (unsigned) {
        if (auto message = q.try_pop()) got += message->value;
      }
    };
    model::run({[&] {
                  try {
                    (void)q.try_emplace(0U);
                    model::fail("the constructor did not throw");
                  } catch (unsigned) {
                  }
                  if (moves_fail) {
                    fragile source{9};
                    source.fails = true;
                    try {
                      (void)q.try_push(std::move(source));
                      model::fail("the move did not throw");
                    } catch (unsigned) {
                    }
                  }
                  if (moves_fail) (void)q.try_emplace(1U);
                },
                [&] {
                  if (!is_watched) (void)q.try_emplace(10U);
                },
                [&] { take(); },
                [&] {
                  if (!is_watched) return;
                  const auto out = q.popped();
                  const auto in = q.pushed();
                  model::require(out <= in && in <= 2, "what was never there is counted");
                }});
    if (is_watched) (void)q.try_emplace(10U);
    take();
    take();
    take();
    const unsigned whole = moves_fail ? 2 : 1;
    model::require(got == 10 + whole - 1, "a message is lost");
    model::require(q.pushed() == whole && q.popped() == whole, "what was never there is counted");
    model::require(q.try_pop().error() == queue_status::empty, "a hole");
    model::require(q.seal(), "a hole");
  };
}

/// An allocator whose allocations fail, from the n-th on, until it is told otherwise.
struct memory {
  unsigned left = 0;
};
template <class T>
struct scarce {
  using value_type = T;
  memory* source;
  explicit scarce(memory& from) noexcept : source{&from} {}
  template <class U>
  scarce(const scarce<U>& other) noexcept : source{other.source} {}
  T* allocate(std::size_t count) {
    if (source->left == 0) throw std::bad_alloc{};
    --source->left;
    return std::allocator<T>{}.allocate(count);
  }
  void deallocate(T* block, std::size_t count) noexcept {
    std::allocator<T>{}.deallocate(block, count);
  }
  friend bool operator==(const scarce&, const scarce&) = default;
};

/// Memory that ends stops the push that needs it, and nothing else.
template <class T>
model::program memory_ends(unsigned blocks) {
  return [=] {
    memory source{blocks};
    mailroom::mpsc_queue<T, scarce<T>> q{scarce<T>{source}};
    unsigned pushed = 0, failed = 0, taken = 0;
    std::array<unsigned, 2> in{}, no{};
    const auto producer = [&](unsigned index) {
      return [&, index] {
        for (unsigned i = 0; i != 2; ++i) {
          try {
            (void)q.try_push(T{index + 1});
            ++in[index];
          } catch (const std::bad_alloc&) {
            ++no[index];
          }
        }
      };
    };
    model::run({producer(0), producer(1), [&] {
                  if (q.try_pop()) ++taken;
                  if (q.try_pop()) ++taken;
                }});
    pushed = in[0] + in[1];
    failed = no[0] + no[1];
    while (q.try_pop()) ++taken;
    model::require(pushed + failed == 4 && taken == pushed, "a message is lost, or a hole");
    model::require(q.try_pop().error() == queue_status::empty, "a hole");
    model::require(q.pushed() == pushed, "a push that failed is counted");
    source.left = 9;
    model::require(q.try_push(T{5}) == queue_status::success, "there is memory again");
    model::require(q.try_pop().has_value(), "the queue goes on");
  };
}

/// What is left is destroyed with the queue, once, and all blocks with it.
template <class T>
model::program is_destroyed(setting with) {
  return [=] {
    talk<T> t{with};
    model::run({[&] { (void)t.q.try_push(1U); }, [&] { (void)t.q.try_push(2U); },
                [&] { (void)t.q.try_pop(); }});
  };
}

constexpr model::options weak{.accesses_are_weak = true};

} // namespace

void add_mpsc_queue(std::vector<scenario>& all) {
  const auto add = [&](const char* what, model::program body, model::options how = {},
                       depth when = depth::quick) {
    all.push_back({std::string{"mpsc_queue: "} + what, std::move(body), how, when});
  };
  add("anything, blocks of 1", anything<wide>(2, 2), {}, depth::deep);
  add("anything, blocks of 2", anything<unsigned>(2, 2));
  add("anything, blocks of 1, used before", anything<wide>(1, 2, {.passed = 2}));
  add("anything, blocks of 2, used before", anything<unsigned>(2, 2, {.passed = 3}));
  add("2 producers, blocks of 1", many<wide>(2, 1));
  add("2 producers, blocks of 1, on acquire and release alone", many<wide>(2, 1), weak);
  add("2 producers of 2, blocks of 1", many<wide>(2, 2, {.pops = 3}), {}, depth::deep);
  add("2 producers of 2, blocks of 2", many<unsigned>(2, 2, {.pops = 3}), {}, depth::deep);
  add("2 producers, blocks of 1, used before", many<wide>(2, 1, {.passed = 3}), {}, depth::deep);
  add("a producer comes late, blocks of 1", comes_late({.full = 4, .passed = 1}));
  add("a producer comes late, on acquire and release alone", comes_late({.full = 4, .passed = 1}),
      weak);
  add("2 producers, blocks of 2, used before", many<unsigned>(2, 1, {.passed = 3}));
  add("3 producers, blocks of 1", many<wide>(3, 1), {}, depth::deep);
  add("3 producers, blocks of 2", many<unsigned>(3, 1));
  add("R-01: a push of one's own is seen, blocks of 1", own_push_is_seen<wide>());
  add("R-01: a push of one's own is seen, blocks of 2", own_push_is_seen<unsigned>({.passed = 1}));
  add("hands on what happened before, blocks of 1", hands_on<wide>(0), weak);
  add("hands on what happened before, blocks of 2", hands_on<unsigned>(3), weak);
  add("who is told finds it, blocks of 1", is_told<wide>);
  add("who is told finds it, blocks of 2", is_told<unsigned>);
  add("R-04: somebody looks", looks);
  add("is sealed by the consumer", is_sealed<unsigned>(true));
  add("is sealed by somebody", is_sealed<wide>(false), weak);
  add("is sealed already", is_sealed_already);
  add("constructors throw", throws(false, false));
  add("constructors throw, somebody looks", throws(false, true));
  add("constructors and moves throw", throws(true, false), {}, depth::deep);
  add("memory ends, blocks of 1", memory_ends<wide>(2));
  add("memory ends, blocks of 2", memory_ends<unsigned>(1));
  add("is destroyed with messages inside, blocks of 1", is_destroyed<wide>({.passed = 2}), {},
      depth::deep);
  add("is destroyed with messages inside, blocks of 2", is_destroyed<unsigned>({.passed = 1}));
}

} // namespace scenario
