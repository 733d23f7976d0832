// SPDX-License-Identifier: MIT
// Nodes of the producers, one consumer, and who wakes it.
#include "scenario.hpp"

#include <mailroom/queue/intrusive_mpsc_queue.hpp>

#include <array>           // array
#include <source_location> // source_location
#include <string>          // string

namespace scenario {
namespace {

struct node : mailroom::intrusive_node {
  unsigned value = 0;
  model::plain watch;
};
using queue = mailroom::intrusive_mpsc_queue<node>;

/// Takes what there is, and notes in which order.
struct consumer {
  queue& from;
  std::array<unsigned, 8> got{};
  std::size_t count = 0;

  void note(node& one) {
    one.watch.write(std::source_location::current());
    got[count++] = one.value;
  }
  bool pop() {
    node* const one = from.try_pop();
    if (one != nullptr) note(*one);
    return one != nullptr;
  }
  void consume() {
    from.consume_all([this](node& one) { note(one); });
  }

  /// Each of the numbers once, those of one producer (10 * producer + i) in order.
  void judge(std::size_t expected) {
    while (pop()) {
    }
    model::require(count == expected, "a node is lost, or there twice");
    for (std::size_t i = 0; i != count; ++i) {
      for (std::size_t k = 0; k != i; ++k) {
        model::require(got[i] != got[k], "the same node twice");
        model::require(got[i] / 10 != got[k] / 10 || got[k] < got[i], "out of order");
      }
    }
  }
};

struct nodes {
  std::array<node, 8> all{};
  queue q;
  node& prepare(std::size_t index, unsigned value) {
    all[index].value = value;
    all[index].watch.write(std::source_location::current());
    return all[index];
  }
};

/// Producers, and a consumer that takes one by one or all at once.
model::program passes_on(unsigned producers, unsigned pushes, unsigned pops) {
  return [=] {
    nodes n;
    consumer end{n.q};
    const auto producer = [&](unsigned index) {
      return [&, index] {
        for (unsigned i = 0; index < producers && i != pushes; ++i) {
          n.q.push(n.prepare(2 * index + i, 10 * index + i + 1));
        }
      };
    };
    model::run({producer(0), producer(1), producer(2), [&] {
                  for (unsigned i = 0; i != pops; ++i) {
                    if (model::any(2) == 0) {
                      end.pop();
                    } else {
                      end.consume();
                    }
                  }
                }});
    end.judge(producers * pushes);
  };
}

/// A node that was taken may be pushed again at once, by whoever took it.
void is_used_again() {
  nodes n;
  consumer end{n.q};
  n.q.push(n.prepare(0, 1));
  std::size_t again = 0;
  model::run({[&] { n.q.push(n.prepare(1, 11)); }, [&] { n.q.push(n.prepare(2, 21)); },
              [&] {
                for (unsigned i = 0; i != 2; ++i) {
                  node* const one = n.q.try_pop();
                  if (one == nullptr) continue;
                  one->watch.write(std::source_location::current());
                  n.q.push(*one);
                  ++again;
                }
              }});
  while (end.pop()) {
  }
  model::require(end.count == 3, "a node is lost, or there twice");
}

/// Whoever ends the rest runs the actor until it rests again: never two at a time, and nothing is
/// left when all are done.
model::program runs_an_actor(unsigned senders, unsigned mails) {
  return [=] {
    nodes n;
    consumer actor{n.q};
    model::plain inside;
    const auto send = [&](unsigned index) {
      return [&, index] {
        for (unsigned i = 0; index < senders && i != mails; ++i) {
          if (!n.q.push(n.prepare(2 * index + i, 10 * index + i + 1))) continue;
          do {
            inside.write(std::source_location::current()); // a race, if two run
            actor.consume();
          } while (!n.q.try_rest());
        }
      };
    };
    model::run({send(0), send(1), send(2)});
    model::require(actor.count == senders * mails, "nobody runs the actor");
    actor.judge(senders * mails);
    model::require(n.q.push(n.prepare(7, 91)), "it is at rest");
  };
}

/// Empty is exact: a push that is known of is found.
void is_told() {
  nodes n;
  mailroom::detail::atomic<unsigned> told;
  using enum std::memory_order;
  model::run({[&] {
                n.q.push(n.prepare(0, 1));
                told.store(1, release);
              },
              [&] { n.q.push(n.prepare(1, 11)); },
              [&] {
                const bool knows = told.load(acquire) == 1;
                const bool rests = model::any(2) == 0;
                const bool found = rests ? !n.q.try_rest() : n.q.try_pop() != nullptr;
                model::require(!knows || found, "empty behind a push");
              }});
}

constexpr model::options weak{.accesses_are_weak = true};

} // namespace

void add_intrusive_mpsc_queue(std::vector<scenario>& all) {
  const auto add = [&](const char* what, model::program body, model::options how = {},
                       depth when = depth::quick) {
    all.push_back({std::string{"intrusive_mpsc_queue: "} + what, std::move(body), how, when});
  };
  add("1 producer, any pops", passes_on(1, 2, 3));
  add("2 producers, any pops", passes_on(2, 2, 2));
  add("3 producers, any pops", passes_on(3, 1, 2));
  add("3 producers of 2, any pops", passes_on(3, 2, 3), {}, depth::deep);
  add("a node is used again", is_used_again);
  add("2 senders run an actor", runs_an_actor(2, 2));
  add("3 senders run an actor", runs_an_actor(3, 1), weak);
  add("who is told finds it", is_told);
}

} // namespace scenario
