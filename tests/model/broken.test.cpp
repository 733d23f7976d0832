// SPDX-License-Identifier: MIT
// Structures with a well-known fault are caught, and their repaired form is not.
#include "engine/checker.hpp"

#include <mailroom/detail/platform.hpp>

#include <doctest/doctest.h>

#include <array>   // array
#include <cstdint> // uint32_t

namespace {

using mailroom::detail::atomic;
using mailroom::detail::cell;
using mailroom::detail::fence;
using mailroom::detail::futex;
using mailroom::detail::never;
using model::order;
using model::require;
using model::run;
using enum std::memory_order;

/// A ticket ring: a position is taken first, and its slot filled afterwards. If `is_exact`, a pop
/// that finds the slot of its turn unfilled asks whether the position was taken, and waits.
///
/// Source: Vyukov's bounded MPMC queue.
template <bool is_exact>
class ticket_ring {
public:
  ticket_ring() {
    for (std::uint32_t i = 0; i != 2; ++i) slots_[i].turn.store(i, relaxed);
  }

  bool push(unsigned value) {
    std::uint32_t at = tail_.load(relaxed);
    for (;;) {
      slot& mine = slots_[at % 2];
      const auto ahead = static_cast<std::int32_t>(mine.turn.load(acquire) - at);
      if (ahead < 0) return false;
      if (ahead > 0) {
        at = tail_.load(relaxed);
      } else if (tail_.compare_exchange(at, at + 1, is_exact ? seq_cst : relaxed, relaxed)) {
        mine.value.construct(value);
        mine.turn.store(at + 1, release);
        return true;
      }
    }
  }

  bool pop(unsigned& value) {
    std::uint32_t at = head_.load(relaxed);
    for (;;) {
      slot& mine = slots_[at % 2];
      const auto ahead = static_cast<std::int32_t>(mine.turn.load(acquire) - at - 1);
      if (ahead < 0) {
        if (!is_exact) return false;
        fence(seq_cst);
        if (tail_.load(relaxed) == at) return false;
        model::await_change();
        at = head_.load(relaxed);
      } else if (ahead > 0) {
        at = head_.load(relaxed);
      } else if (head_.compare_exchange(at, at + 1, relaxed, relaxed)) {
        value = mine.value.value();
        mine.value.destroy();
        mine.turn.store(at + 2, release);
        return true;
      }
    }
  }

private:
  struct slot {
    atomic<std::uint32_t> turn;
    cell<unsigned> value;
  };
  std::array<slot, 2> slots_;
  atomic<std::uint32_t> tail_;
  atomic<std::uint32_t> head_;
};

/// A producer whose own push succeeded pops at once, while another producer is in the middle.
template <bool is_exact>
void push_then_pop() {
  ticket_ring<is_exact> ring;
  const auto use = [&](unsigned value) {
    require(ring.push(value), "there is room");
    unsigned found = 0;
    require(ring.pop(found), "empty, although the own message is in");
  };
  run({[&] { use(1); }, [&] { use(2); }});
}

/// A one-slot mailbox whose pusher publishes and then looks whether anybody sleeps.
void publish_then_look(order look, bool has_fence) {
  atomic<unsigned> message;
  atomic<unsigned> sleepers;
  futex epoch;
  run({[&] {
         message.store(1, release);
         if (has_fence) fence(seq_cst);
         if (sleepers.load(look) == 0) return;
         (void)epoch.word.fetch_add(1, release);
         futex_wake_one(epoch);
       },
       [&] {
         (void)sleepers.fetch_add(1, relaxed);
         fence(seq_cst);
         for (;;) {
           const auto before = epoch.word.load(acquire);
           if (message.load(acquire) == 1) return;
           (void)futex_wait(epoch, before, never);
         }
       }});
}

/// A linked queue of many producers; each node is made ready, then takes the place of the last one.
/// With a weaker exchange a node's own preparation may overtake the link that another thread made.
void linked_push(order take_place) {
  struct node {
    atomic<node*> next;
    unsigned value = 0;
  };
  node stub, a, b;
  atomic<node*> last{&stub};
  const auto push = [&](node& mine, unsigned value) {
    mine.value = value;
    mine.next.store(nullptr, relaxed);
    node* const before = last.exchange(&mine, take_place);
    before->next.store(&mine, release);
  };
  run({[&] { push(a, 1); }, [&] { push(b, 2); }});
  unsigned count = 0;
  for (node* at = stub.next.load(acquire); at != nullptr; at = at->next.load(acquire)) ++count;
  require(count == 2, "a node is lost");
}

/// Two flags and a turn. A turn that is only stored may be given before one that was given earlier.
void peterson(bool takes_turn) {
  std::array<atomic<unsigned>, 2> wants;
  atomic<unsigned> turn;
  model::plain data;
  const auto enter = [&](unsigned me) {
    wants[me].store(1, relaxed);
    if (takes_turn) {
      (void)turn.exchange(1 - me, acq_rel);
    } else {
      turn.store(1 - me, release);
    }
    fence(seq_cst);
    while (wants[1 - me].load(acquire) == 1 && turn.load(acquire) == 1 - me) model::await_change();
    data.write(std::source_location::current());
    wants[me].store(0, release);
  };
  run({[&] { enter(0); }, [&] { enter(1); }});
}

/// A writer marks what it is writing by an odd number; a reader believes what stands between two
/// equal even ones.
void sequence_lock(bool reader_fence) {
  atomic<unsigned> version, a, b;
  run({[&] {
         version.store(1, relaxed);
         fence(release);
         a.store(1, relaxed);
         b.store(1, relaxed);
         version.store(2, release);
       },
       [&] {
         const auto before = version.load(acquire);
         const auto first = a.load(relaxed);
         const auto second = b.load(relaxed);
         if (reader_fence) fence(acquire);
         if (before % 2 == 0 && version.load(relaxed) == before) {
           require(first == second, "torn");
         }
       }});
}

/// A stack of two nodes that are used again: the top that was seen may be another's by now.
void stack_with_reuse(bool has_count) {
  struct node {
    atomic<unsigned> below;
  };
  std::array<node, 3> nodes; // 1 and 2; 0 is nothing
  nodes[1].below.store(2, relaxed);
  atomic<unsigned> top{1};
  std::array<atomic<unsigned>, 3> owned;
  const unsigned step = has_count ? 16 : 0;
  const auto pop = [&]() -> unsigned {
    unsigned seen = top.load(acquire);
    while (seen % 16 != 0) {
      const unsigned below = nodes[seen % 16].below.load(relaxed);
      if (top.compare_exchange(seen, below + seen / 16 * 16 + step, acq_rel, acquire)) break;
    }
    const unsigned mine = seen % 16;
    if (mine != 0) require(owned[mine].exchange(1, relaxed) == 0, "two threads own one node");
    return mine;
  };
  const auto push = [&](unsigned mine) {
    owned[mine].store(0, relaxed);
    unsigned seen = top.load(relaxed);
    do {
      nodes[mine].below.store(seen % 16, relaxed);
    } while (!top.compare_exchange(seen, mine + seen / 16 * 16 + step, release, relaxed));
  };
  run({[&] {
         (void)pop();
         (void)pop();
       },
       [&] {
         const unsigned first = pop();
         (void)pop();
         if (first != 0) push(first);
       }});
}

bool is_caught(const model::program& body) {
  const auto found = model::check({.most_seconds = 60}, body);
  CAPTURE(found.message);
  CHECK((found.complete || !found.ok));
  return !found.ok;
}

} // namespace

TEST_SUITE_BEGIN("broken");

TEST_CASE("R-01: a ticket ring is told empty behind its own push, unless it looks twice") {
  CHECK(is_caught(push_then_pop<false>));
  CHECK_FALSE(is_caught(push_then_pop<true>));
}

TEST_CASE("R-07: publish, then look whether anybody waits, loses a wake-up without a fence") {
  CHECK(is_caught([] { publish_then_look(acquire, false); }));
  CHECK(is_caught([] { publish_then_look(seq_cst, false); }));
  CHECK_FALSE(is_caught([] { publish_then_look(acquire, true); }));
}

TEST_CASE("R-06: a node whose preparation may overtake its link is lost") {
  CHECK(is_caught([] { linked_push(relaxed); }));
  CHECK(is_caught([] { linked_push(acquire); }));
  CHECK(is_caught([] { linked_push(release); }));
  CHECK_FALSE(is_caught([] { linked_push(acq_rel); }));
}

TEST_CASE("Peterson's lock lets both in if the turn is stored and not exchanged") {
  CHECK(is_caught([] { peterson(false); }));
  CHECK_FALSE(is_caught([] { peterson(true); }));
}

TEST_CASE("a sequence lock tears without the reader's fence") {
  CHECK(is_caught([] { sequence_lock(false); }));
  CHECK_FALSE(is_caught([] { sequence_lock(true); }));
}

TEST_CASE("R-17: a stack that uses nodes again gives one to two threads, unless it counts") {
  CHECK(is_caught([] { stack_with_reuse(false); }));
  CHECK_FALSE(is_caught([] { stack_with_reuse(true); }));
}
