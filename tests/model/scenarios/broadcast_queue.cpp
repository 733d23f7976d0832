// SPDX-License-Identifier: MIT
// Producers, readers that are there from the beginning, and readers that come and go.
#include "client.hpp"
#include "scenario.hpp"

#include <mailroom/queue/broadcast_queue.hpp>

#include <array>    // array
#include <cstdint>  // uint64_t
#include <optional> // optional
#include <string>   // string
#include <utility>  // move

namespace scenario {
namespace {

using mailroom::arity;
using mailroom::broadcast_mode;
using model::require;
using model::run;
using enum std::memory_order;

constexpr auto lossless = broadcast_mode::lossless;
constexpr auto lossy = broadcast_mode::lossy;
constexpr std::uint64_t wrap = ~std::uint64_t{0}; // the position before 0

/// Two words, which must never be seen apart.
struct twin {
  std::size_t one;
  std::size_t other;
  explicit twin(unsigned number = 0) noexcept : one{number}, other{number} {}
};
unsigned number_of(const twin& both) {
  require(both.one == both.other, "half of one message and half of another");
  return static_cast<unsigned>(both.one);
}
unsigned number_of(unsigned value) { return value; }

template <broadcast_mode Mode, arity Producers>
using queue_of =
    mailroom::broadcast_queue<std::conditional_t<Mode == lossy, twin, unsigned>, Mode, Producers>;

template <class Queue>
Queue queue_at(std::size_t capacity, std::uint64_t first = 0) {
  return test::test_access::starting_at<Queue>(capacity, first);
}

template <class Queue>
bool push(Queue& queue, unsigned number) {
  return queue.try_push(typename Queue::value_type(number)) == queue_status::success;
}

/// A reader, and what it has seen: which message, and behind how many others.
template <class Queue>
class witness {
public:
  explicit witness(Queue& queue) : reader{queue.subscribe()} {}

  queue_status look() {
    const auto missed = reader.missed();
    const auto passed = reader.passed();
    const auto found = reader.try_pop();
    const auto status = found.error();
    const bool lagged = status == queue_status::lagged;
    if (found) note(passed, number_of(*found));
    require(lagged == (reader.missed() != missed), "missed() grows exactly when it lags");
    require(count_ + reader.missed() == reader.passed(), "got and missed are not all it passed");
    return status;
  }
  void consume() {
    const auto passed = reader.passed();
    const auto before = count_;
    const auto count = reader.consume_all(
        [&](const auto& each) { note(passed + (count_ - before), number_of(each)); });
    require(count == count_ - before, "it counts what it hands over");
    require(count_ + reader.missed() == reader.passed(), "got and missed are not all it passed");
  }

  /// After all threads have ended: reads what is left, and compares with the `total` messages that
  /// were put in, of which `order` knows those that others have seen.
  void judge(std::size_t total, std::array<unsigned, 8>& order) {
    while (look() != queue_status::empty) {
    }
    const auto first = total - static_cast<std::size_t>(reader.passed());
    require(first <= total, "more came out than went in");
    for (std::size_t i = 0; i != count_; ++i) {
      unsigned& known = order.at(first + seen_[i].behind);
      require(known == 0 || known == seen_[i].number, "another order, or not without a gap");
      known = seen_[i].number;
    }
  }
  std::size_t count() const { return count_; }

  typename Queue::reader reader;

private:
  struct sight {
    std::size_t behind;
    unsigned number;
  };
  void note(std::uint64_t behind, unsigned number) {
    require(count_ != seen_.size(), "more messages than were ever put in");
    seen_[count_++] = {static_cast<std::size_t>(behind), number};
  }

  std::array<sight, 8> seen_{};
  std::size_t count_ = 0;
};

/// The messages of a producer are 10 * its number + 1, 2, ...: they stand in this order.
void judge_order(const std::array<unsigned, 8>& order) {
  for (std::size_t i = 0; i != order.size(); ++i) {
    for (std::size_t k = i + 1; k != order.size(); ++k) {
      const bool same = order[i] != 0 && order[k] != 0 && order[i] / 10 == order[k] / 10;
      require(!same || order[i] < order[k], "a producer's messages are not in their order");
    }
  }
}

/// Pushes `count` messages, and counts what was taken.
template <class Queue>
void push_some(Queue& queue, unsigned producer, unsigned count, unsigned& taken) {
  for (unsigned i = 1; i <= count; ++i) {
    if (push(queue, 10 * producer + i)) ++taken;
  }
}

// ---- With one reader it is a queue like the others

/// A queue and the only reader, as one thing.
template <class Queue>
struct solo {
  using value_type = typename Queue::value_type;
  using allocator_type = typename Queue::allocator_type;

  solo(std::size_t capacity, const allocator_type&, std::uint64_t first)
      : queue{queue_at<Queue>(capacity, first)}, reader{queue.subscribe()} {}

  queue_status try_push(unsigned value) { return queue.try_push(value); }
  const unsigned* try_push_range(const unsigned* first, const unsigned* last) {
    return queue.try_push_range(first, last);
  }
  queue_status try_pop(unsigned& into) { return reader.try_pop(into); }
  auto try_pop() { return reader.try_pop(); }
  std::size_t try_pop_n(collector out, std::size_t max) { return reader.try_pop_n(out, max); }
  template <class F>
  std::size_t consume_all(F&& handler) {
    return reader.consume_all([&](const unsigned& each) { handler(unsigned{each}); });
  }
  std::size_t capacity() const { return queue.capacity(); }
  std::uint64_t pushed() const { return queue.pushed(); }
  std::uint64_t popped() const { return queue.pushed() - reader.size_approx(); }

  Queue queue;
  typename Queue::reader reader;
};

} // namespace
} // namespace scenario

template <class Queue>
struct mailroom::queue_facts<scenario::solo<Queue>> : mailroom::queue_facts<Queue> {};

namespace scenario {
namespace {

/// Everything that one producer and one reader can do, in any order.
template <arity Producers>
model::program anything(std::size_t capacity, unsigned pushes, unsigned pops,
                        std::uint64_t first = 0, unsigned inside = 0) {
  return [=] {
    client<solo<queue_of<lossless, Producers>>> q{capacity, first, 0, inside};
    run({[&] {
           for (unsigned i = 0; i != pushes; ++i) {
             // Only one producer publishes a run at once; many have no answer to judge behind busy.
             if (Producers == arity::many || model::any(2) == 0) {
               q.push(2 * i + 1);
             } else {
               q.push_two(2 * i + 1);
             }
           }
         },
         [&] {
           for (unsigned i = 0; i != pops; ++i) {
             switch (Producers == arity::many ? 0 : model::any(3)) {
             case 0: q.pop(); break;
             case 1: q.pop_two(false); break;
             default: q.consume(false); break;
             }
           }
         }});
    q.judge();
  };
}

// ---- Several readers

struct audience {
  std::size_t capacity;
  unsigned pushes;
  unsigned looks;
  std::uint64_t first = 0;
  unsigned passed = 0;            // messages before anybody reads
  unsigned other_pushes = pushes; // by a second producer
  bool threads_are_apart = true;
};

/// Two readers who see the same.
template <broadcast_mode Mode, arity Producers>
model::program two_readers(audience who) {
  return [=] {
    using queue = queue_of<Mode, Producers>;
    auto q = queue_at<queue>(who.capacity, who.first);
    witness<queue> one{q}, other{q};
    unsigned taken = 0;
    run({[&] { push_some(q, 0, who.pushes, taken); },
         [&] {
           for (unsigned i = 0; i != who.looks; ++i) (void)one.look();
         },
         [&] {
           for (unsigned i = 0; i != who.looks; ++i) other.consume();
         }});
    std::array<unsigned, 8> order{};
    one.judge(taken, order);
    other.judge(taken, order);
    judge_order(order);
    if (Mode == lossless) require(one.count() == taken, "a reader missed a message");
  };
}

/// One reads from the beginning, where `beside`; another one joins, reads, and leaves or stays.
template <broadcast_mode Mode, arity Producers>
model::program joins(audience who, bool beside) {
  return [=] {
    using queue = queue_of<Mode, Producers>;
    auto q = queue_at<queue>(who.capacity, who.first);
    unsigned taken = 0;
    push_some(q, 0, who.passed, taken);
    const unsigned before = taken;
    std::optional<witness<queue>> first, late;
    if (beside) first.emplace(q);
    run({[&] {
           for (unsigned i = before + 1; i <= before + who.pushes; ++i) {
             if (push(q, i)) ++taken;
             if (first) (void)first->look();
           }
         },
         [&] {
           late.emplace(q);
           for (unsigned i = 0; i != who.looks; ++i) (void)late->look();
         }});
    std::array<unsigned, 8> order{};
    late->judge(taken, order);
    if (first) first->judge(taken, order);
    judge_order(order);
    if (first && Mode == lossless) require(first->count() == taken - before, "one was missed");
    if (Mode == lossless) require(late->reader.missed() == 0, "a reader missed a message");
  };
}

/// Two join at the same time, where there may be somebody already.
template <arity Producers>
model::program two_join(audience who, bool beside) {
  return [=] {
    using queue = queue_of<lossless, Producers>;
    auto q = queue_at<queue>(who.capacity, who.first);
    unsigned taken = 0;
    std::optional<witness<queue>> first, second, third;
    if (beside) first.emplace(q);
    const auto join = [&](std::optional<witness<queue>>& late) {
      return [&] {
        late.emplace(q);
        for (unsigned i = 0; i != who.looks; ++i) (void)late->look();
      };
    };
    run({[&] { push_some(q, 0, who.pushes, taken); }, join(second), join(third)});
    std::array<unsigned, 8> order{};
    second->judge(taken, order);
    third->judge(taken, order);
    if (first) first->judge(taken, order);
    judge_order(order);
  };
}

/// A reader reads one message and leaves; another one joins, and may get the same cursor. The
/// producer has room from then on.
template <arity Producers>
model::program comes_and_goes(bool second) {
  return [=] {
    using queue = queue_of<lossless, Producers>;
    auto q = queue_at<queue>(1);
    std::optional<witness<queue>> leaves{std::in_place, q}, stays;
    unsigned taken = 0;
    push_some(q, 0, 1, taken);
    run({[&] {
           if (push(q, 2)) ++taken;
           if (push(q, 3)) ++taken;
         },
         [&] {
           require(leaves->look() == queue_status::success, "the message was there");
           leaves.reset();
         },
         [&] {
           if (!second) return;
           stays.emplace(q);
           (void)stays->look();
         }});
    std::array<unsigned, 8> order{};
    if (stays) stays->judge(taken, order);
    judge_order(order);
  };
}

/// A reader that has left holds nobody back any more, as whoever is told of it finds.
template <arity Producers>
void leaving_makes_room() {
  using queue = queue_of<lossless, Producers>;
  auto q = queue_at<queue>(1);
  std::optional<witness<queue>> idle{std::in_place, q};
  mailroom::detail::atomic<unsigned> told;
  unsigned taken = 0;
  push_some(q, 0, 1, taken);
  run({[&] {
         idle.reset();
         told.store(1, release);
       },
       [&] {
         const bool early = push(q, 2);
         while (told.load(acquire) != 1) model::await_change();
         if (!early) require(push(q, 3), "full, though nobody reads");
       }});
}

/// Who is told of a message finds it, and who is told of room.
template <broadcast_mode Mode, arity Producers>
void is_told() {
  using queue = queue_of<Mode, Producers>;
  auto q = queue_at<queue>(1);
  witness<queue> one{q};
  mailroom::detail::atomic<unsigned> told;
  run({[&] {
         require(push(q, 1), "there was room");
         told.store(1, release);
         while (told.load(acquire) != 2) model::await_change();
         require(push(q, 2), "full, behind the pop");
       },
       [&] {
         while (told.load(acquire) != 1) model::await_change();
         require(one.look() == queue_status::success, "not found, behind the push");
         require(one.look() == queue_status::empty, "nothing more was pushed");
         told.store(2, release);
       }});
}

/// Who is told of a reader pushes for it, and a reader that joins behind a push does not see it.
template <broadcast_mode Mode, arity Producers>
void is_told_of_a_reader() {
  using queue = queue_of<Mode, Producers>;
  auto q = queue_at<queue>(2);
  mailroom::detail::atomic<unsigned> told;
  std::optional<witness<queue>> late;
  run({[&] {
         require(push(q, 1), "there was room");
         told.store(1, release);
         while (told.load(acquire) != 2) model::await_change();
         require(push(q, 2), "there was room");
         told.store(3, release);
       },
       [&] {
         while (told.load(acquire) != 1) model::await_change();
         late.emplace(q);
         require(late->look() == queue_status::empty, "nothing was pushed since");
         told.store(2, release);
         while (told.load(acquire) != 3) model::await_change();
         const auto found = late->reader.try_pop();
         require(found && number_of(*found) == 2, "the first message since it has joined");
       }});
}

/// What happened before a push is seen by whoever reads its message, and what happened before a
/// pop by whoever uses its room.
template <broadcast_mode Mode, arity Producers>
void hands_on() {
  using queue = queue_of<Mode, Producers>;
  auto q = queue_at<queue>(1);
  witness<queue> one{q};
  model::plain before_push, before_pop;
  const auto here = std::source_location::current();
  run({[&] {
         before_push.write(here);
         (void)push(q, 1);
         if (Mode == lossless && push(q, 2)) before_pop.write(here);
       },
       [&] {
         if (Mode == lossless) before_pop.write(here);
         if (one.look() == queue_status::success) before_push.write(here);
       }});
}

// ---- Several producers

/// Each of two producers pushes, a reader reads.
template <broadcast_mode Mode>
model::program two_producers(audience who, bool beside) {
  return [=] {
    using queue = queue_of<Mode, arity::many>;
    mailroom::detail::threads_are_apart = who.threads_are_apart;
    auto q = queue_at<queue>(who.capacity, who.first);
    unsigned taken[] = {0, 0, 0};
    push_some(q, 2, who.passed, taken[2]);
    witness<queue> one{q};
    run({[&] { push_some(q, 0, who.pushes, taken[0]); },
         [&] { push_some(q, 1, who.other_pushes, taken[1]); },
         [&] {
           if (!beside) return;
           for (unsigned i = 0; i != who.looks; ++i) (void)one.look();
         }});
    std::array<unsigned, 8> order{};
    one.judge(taken[0] + taken[1] + taken[2], order);
    judge_order(order);
    if (Mode == lossless) require(one.count() == taken[0] + taken[1], "a message was missed");
  };
}

/// Nobody reads: producers come round to slots that others have not finished yet.
void nobody_reads() {
  using queue = queue_of<lossless, arity::many>;
  auto q = queue_at<queue>(1);
  const auto push_two = [&](unsigned number) {
    return [&q, number] {
      (void)q.try_push(number);
      (void)q.try_push(number + 1);
    };
  };
  run({push_two(1), push_two(11)});
  auto late = q.subscribe();
  require(push(q, 21), "nobody is at work");
  require(late.try_pop().value_or(0U) == 21, "the first message since it has joined");
}

/// What two threads hand on to each other they see in the order of the queue.
void own_message_is_behind() {
  using queue = queue_of<lossy, arity::many>;
  auto q = queue_at<queue>(2);
  witness<queue> one{q};
  unsigned taken[] = {0, 0};
  run({[&] { push_some(q, 0, 1, taken[0]); },
       [&] {
         const bool seen = one.look() == queue_status::success;
         push_some(q, 1, 1, taken[1]);
         const auto next = one.look();
         require(next == queue_status::success, "one's own message is not found");
         if (!seen) (void)one.look();
       }});
  std::array<unsigned, 8> order{};
  one.judge(2, order);
  judge_order(order);
}

// ---- What throws, and what is left

/// Cannot be made of 0.
struct fragile {
  unsigned value;
  explicit fragile(unsigned number) : value{number} {
    if (number == 0) throw number;
  }
};

/// Of what throws readers notice nothing.
template <arity Producers>
void throws() {
  using queue = mailroom::broadcast_queue<fragile, lossless, Producers>;
  auto q = queue_at<queue>(1);
  auto reader = q.subscribe();
  unsigned last = 0;
  const auto look = [&] {
    reader.consume_all([&](const fragile& each) {
      require(each.value > last, "a message that was not made, or twice the same");
      last = each.value;
    });
  };
  const auto fail = [&] {
    try {
      require(q.try_emplace(0U) == queue_status::full, "it cannot be made");
    } catch (unsigned) {
    }
  };
  run({[&] {
         (void)q.try_emplace(1U);
         fail();
         (void)q.try_emplace(2U);
         fail();
       },
       [&] {
         look();
         look();
       }});
  look();
  fail();
  require(q.try_emplace(3U) == queue_status::success, "there is room");
  look();
  require(last == 3, "the last message is there");
}

/// What is left is destroyed with the queue, once.
template <arity Producers>
void is_destroyed() {
  auto q = queue_at<queue_of<lossless, Producers>>(3);
  auto reader = q.subscribe();
  run({[&] {
         for (unsigned i = 0; i != 3; ++i) (void)push(q, i);
       },
       [&] { (void)reader.try_pop(); }});
}

} // namespace

void add_broadcast_queue(std::vector<scenario>& all) {
  const auto add = [&](const std::string& what, model::program body, depth when = depth::quick) {
    all.push_back({"broadcast_queue: " + what, std::move(body), {}, when});
  };
  constexpr auto one = arity::one;
  constexpr auto many = arity::many;

  add("anything, 1 place, 3 + 4 calls", anything<one>(1, 3, 4));
  add("anything, 1 place, 4 + 4 calls", anything<one>(1, 4, 4), depth::deep);
  add("anything, 2 places, 3 + 3 calls", anything<one>(2, 3, 3));
  add("anything, 3 places of 4, full at first", anything<one>(3, 2, 2, 0, 3));
  add("anything, positions wrap", anything<one>(2, 3, 3, wrap));
  add("stamped, 1 place, 4 + 4 calls", anything<many>(1, 4, 4));
  add("stamped, 3 places of 4, full at first", anything<many>(3, 4, 4, 0, 3));
  add("stamped, positions wrap", anything<many>(2, 4, 4, wrap));

  add("two readers, 1 place", two_readers<lossless, one>({1, 4, 3}));
  add("two readers, 2 places", two_readers<lossless, one>({2, 4, 2}));
  add("two readers, stamped, 1 place", two_readers<lossless, many>({1, 4, 2}));
  add("two readers, lossy, 1 place", two_readers<lossy, one>({1, 2, 2}));
  add("two readers, lossy, 2 places", two_readers<lossy, one>({2, 3, 2}));
  add("two readers, lossy, shared, 1 place", two_readers<lossy, many>({1, 2, 2}));

  add("one joins, 1 place", joins<lossless, one>({1, 4, 3}, false));
  add("one joins, 2 places", joins<lossless, one>({2, 5, 3}, false));
  add("one joins beside another, 1 place", joins<lossless, one>({1, 4, 3}, true));
  add("one joins beside another, 3 places", joins<lossless, one>({3, 4, 3}, true));
  add("one joins, stamped, 1 place", joins<lossless, many>({1, 4, 3}, false));
  add("one joins beside another, stamped", joins<lossless, many>({1, 3, 3}, true));
  add("one joins where others have passed, positions wrap",
      joins<lossless, one>({1, 3, 2, wrap, 1}, false));
  add("one joins, lossy, 1 place", joins<lossy, one>({1, 3, 3}, false));
  add("one joins beside another, lossy, 2 places", joins<lossy, many>({2, 3, 3}, true));

  add("two join, 1 place", two_join<one>({1, 2, 1}, false));
  add("two join beside another, 2 places", two_join<one>({2, 3, 1}, true));
  add("two join, stamped, 1 place", two_join<many>({1, 2, 1}, false));

  add("one comes and goes", comes_and_goes<one>(false));
  add("one goes, another comes", comes_and_goes<one>(true));
  add("one goes, another comes, stamped", comes_and_goes<many>(true));
  add("leaving makes room", leaving_makes_room<one>);
  add("leaving makes room, stamped", leaving_makes_room<many>);

  add("one is overtaken, 1 place", joins<lossy, one>({1, 4, 3, 0, 1}, true));
  add("one is overtaken, 2 places, positions wrap", joins<lossy, one>({2, 5, 3, wrap}, true));
  add("one is overtaken, shared, 1 place", joins<lossy, many>({1, 4, 3}, true));

  add("two producers, 1 place", two_producers<lossless>({1, 2, 3}, true));
  add("two producers, 2 places", two_producers<lossless>({2, 2, 2}, true));
  add("two producers, 3 places of 4, positions wrap",
      two_producers<lossless>({3, 3, 2, wrap}, false));
  add("two producers, lossy, 1 place", two_producers<lossy>({1, 2, 2}, true));
  add("two producers, lossy, 2 places", two_producers<lossy>({2, 2, 2}, true));
  add("two producers, lossy, hints move", two_producers<lossy>({2, 1, 3, 0, 5}, true));
  add("two producers, lossy, one spare place for both",
      two_producers<lossy>(
          {.capacity = 1, .pushes = 2, .looks = 2, .other_pushes = 1, .threads_are_apart = false},
          true));
  add("two producers, lossy, 3 + 3 calls", two_producers<lossy>({1, 3, 2}, true), depth::deep);
  add("two producers, 2 places, 3 + 3 calls", two_producers<lossless>({2, 3, 3}, true),
      depth::deep);
  add("nobody reads", nobody_reads);
  add("one's own message is behind", own_message_is_behind);

  add("who is told finds it", is_told<lossless, one>);
  add("who is told finds it, stamped", is_told<lossless, many>);
  add("who is told finds it, lossy", is_told<lossy, one>);
  add("who is told finds it, lossy, shared", is_told<lossy, many>);
  add("who is told of a reader", is_told_of_a_reader<lossless, one>);
  add("who is told of a reader, stamped", is_told_of_a_reader<lossless, many>);
  add("who is told of a reader, lossy", is_told_of_a_reader<lossy, one>);
  add("who is told of a reader, lossy, shared", is_told_of_a_reader<lossy, many>);
  add("hands on what happened before", hands_on<lossless, one>);
  add("hands on what happened before, stamped", hands_on<lossless, many>);
  add("hands on what happened before, lossy", hands_on<lossy, one>);
  add("hands on what happened before, lossy, shared", hands_on<lossy, many>);
  add("R-44: constructors throw", throws<one>);
  add("R-44: constructors throw, stamped", throws<many>);
  add("is destroyed with messages inside", is_destroyed<one>);
  add("is destroyed with messages inside, stamped", is_destroyed<many>);
}

} // namespace scenario
