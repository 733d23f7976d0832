// SPDX-License-Identifier: MIT
// Thread 1 may stand still for ever, at any of its steps. All others must come to their end, and
// what they are promised must hold.
#include "scenario.hpp"

#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/queue/broadcast_queue.hpp>
#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/queue/mpmc_ticket_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>
#include <mailroom/topic/dispatcher.hpp>

#include <array>      // array
#include <functional> // function
#include <optional>   // optional
#include <string>     // string

namespace scenario {
namespace {

using mailroom::queue_status;
using model::require;
using model::run;
using mpmc = mailroom::mpmc_queue<unsigned>;
using ticket = mailroom::mpmc_ticket_queue<unsigned>;
using spsc = mailroom::spsc_queue<unsigned>;
template <class Queue>
using box_of = mailroom::mailbox<unsigned, Queue>;
using hub_of_numbers = mailroom::dispatcher<unsigned>;

struct sink {
  using difference_type = std::ptrdiff_t;
  sink& operator*() noexcept { return *this; }
  sink& operator++() noexcept { return *this; }
  sink operator++(int) noexcept { return *this; }
  sink& operator=(unsigned) noexcept { return *this; }
};

/// What the victim is in the middle of.
template <class Queue>
using victim = std::function<void(Queue&)>;

/// Never freed: a thread that stands still for ever stands on it.
template <class Object, class... Args>
Object& immortal(Args&&... args) {
  return *new Object(std::forward<Args>(args)...);
}

/// Somebody else fills and empties the queue meanwhile.
model::program beside_mpmc(victim<mpmc> does, std::size_t capacity, unsigned inside,
                           unsigned passed = 0) {
  return [=] {
    auto& queue = immortal<mpmc>(capacity);
    for (unsigned i = 0; i != passed; ++i) {
      require(queue.try_push(i) == queue_status::success && queue.try_pop(), "there is room");
    }
    for (unsigned i = 0; i != inside; ++i)
      require(queue.try_push(i) == queue_status::success, "there is room");
    run({[&] { does(queue); },
         [&] {
           for (unsigned round = 0; round != 2; ++round) {
             (void)queue.try_push(10U);
             (void)queue.try_pop();
           }
         }});
  };
}

/// A ring of tickets: others are told busy, or go on; never full or empty where it is not.
model::program beside_ticket(victim<ticket> does, bool victim_pushes, std::size_t capacity,
                             unsigned inside) {
  return [=] {
    auto& queue = immortal<ticket>(capacity);
    for (unsigned i = 0; i != inside; ++i)
      require(queue.try_push(i) == queue_status::success, "there is room");
    run({[&] { does(queue); },
         [&] {
           for (unsigned round = 0; round != 2; ++round) {
             const auto push = queue.try_push(10U);
             const auto pop = queue.try_pop().error();
             if (!victim_pushes) {
               // The victim takes at most as many as were there at first.
               require(push != queue_status::full || inside == capacity, "full, with room");
               require(pop != queue_status::busy, "behind whom?");
             } else if (push == queue_status::success) {
               require(pop != queue_status::empty, "empty behind the own push");
               require(push != queue_status::busy, "behind whom?");
             }
           }
           (void)queue.seal();
         }});
  };
}

model::program beside_spsc(victim<spsc> does, bool victim_produces, unsigned inside) {
  return [=] {
    auto& queue = immortal<spsc>(std::size_t{2});
    for (unsigned i = 0; i != inside; ++i)
      require(queue.try_push(i) == queue_status::success, "there is room");
    run({[&] { does(queue); },
         [&] {
           unsigned done = 0;
           for (unsigned i = 0; i != 2; ++i) {
             if (victim_produces) {
               done += queue.try_pop().has_value() ? 1U : 0U;
             } else {
               done += queue.try_push(10U) == queue_status::success ? 1U : 0U;
             }
           }
           require(done >= (victim_produces ? inside : 2 - inside), "what was there is not found");
         }});
  };
}

/// Others push and read, whatever one of the producers of a lossy broadcast is in the middle of.
void beside_lossy_push() {
  using queue = mailroom::broadcast_queue<unsigned, mailroom::broadcast_mode::lossy>;
  auto& all = immortal<queue>(std::size_t{2});
  auto& reader = immortal<queue::reader>(all.subscribe());
  run({[&] { (void)all.try_push(1U); },
       [&] {
         require(all.try_push(2U) == queue_status::success, "a push is stopped by another");
         auto found = reader.try_pop();
         if (found && *found == 1) found = reader.try_pop();
         require(found && *found == 2, "a message is hidden behind an unfinished one");
       }});
}

/// Who reads a lossless broadcast, or leaves it, stops no other reader, and no push there is room
/// for.
model::program beside_reader(bool leaves) {
  return [=] {
    using queue = mailroom::broadcast_queue<unsigned>;
    auto& all = immortal<queue>(std::size_t{2});
    auto& reader = immortal<std::optional<queue::reader>>(all.subscribe());
    auto& other = immortal<queue::reader>(all.subscribe());
    require(all.try_push(1U) == queue_status::success, "there is room");
    run({[&, leaves] {
           if (leaves) return reader.reset();
           (void)reader->try_pop();
         },
         [&] {
           require(all.try_push(2U) == queue_status::success, "there is room");
           require(other.try_pop().has_value() && other.try_pop().has_value(), "both are there");
         }});
  };
}

/// Calls that do not wait end, whatever the victim is doing to the mailbox.
template <class Box>
model::program beside_mailbox(std::function<void(Box&)> does, bool others_produce) {
  return [=] {
    auto& box = immortal<Box>(std::size_t{2});
    require(box.push(1U), "there is room");
    run({[&] { does(box); },
         [&] {
           if (others_produce) {
             (void)box.try_push(2U);
             (void)box.try_push(3U);
           } else {
             (void)box.try_pop();
             (void)box.try_pop();
           }
           (void)box.is_closed();
           box.close();
         }});
  };
}

/// A publisher reaches its subscribers, whatever the victim is doing to the dispatcher.
using meddler = std::function<void(hub_of_numbers&, mailroom::subscription<unsigned>&)>;
model::program beside_publish(meddler does, bool by_name) {
  return [=] {
    auto& hub = immortal<hub_of_numbers>();
    auto& handle = immortal<mailroom::topic<unsigned>>(hub.topic("a"));
    auto& other = immortal<mailroom::subscription<unsigned>>(hub.subscribe("a", {.capacity = 4}));
    auto& mine = immortal<mailroom::subscription<unsigned>>(hub.subscribe("a", {.capacity = 4}));
    run({[&] { does(hub, other); },
         [&] {
           const auto sent = by_name ? hub.publish("a", 1) : handle.publish(1);
           require(sent.delivered >= 1, "a subscriber is not reached");
           require(mine.try_pop().has_value(), "it has come");
         }});
  };
}

} // namespace

void add_parked(std::vector<scenario>& all) {
  const auto add = [&](const std::string& what, model::program body, depth when = depth::quick) {
    all.push_back({"stands still: " + what, std::move(body), {.parked = 1}, when});
  };
  const std::array<unsigned, 2> two{1, 2};
  const auto push = [](auto& queue) { (void)queue.try_push(1U); };
  const auto push_two = [two](auto& queue) { (void)queue.try_push_range(two.begin(), two.end()); };
  const auto pop = [](auto& queue) { (void)queue.try_pop(); };
  const auto pop_two = [](auto& queue) { (void)queue.try_pop_n(sink{}, 2); };
  const auto consume = [](auto& queue) { (void)queue.consume_all([](unsigned&&) {}); };

  add("mpmc_queue try_push", beside_mpmc(push, 2, 0));
  add("mpmc_queue try_push, 1 place", beside_mpmc(push, 1, 0));
  add("mpmc_queue try_push, 3 places of 4", beside_mpmc(push, 3, 2));
  add("mpmc_queue try_push, hints move", beside_mpmc(push, 1, 0, 7));
  add("mpmc_queue try_pop, hints move", beside_mpmc(pop, 2, 1, 7));
  add("mpmc_queue try_push_range", beside_mpmc(push_two, 2, 0));
  add("mpmc_queue try_pop", beside_mpmc(pop, 2, 1));
  add("mpmc_queue try_pop, full", beside_mpmc(pop, 2, 2));
  add("mpmc_queue try_pop_n", beside_mpmc(pop_two, 2, 2));
  add("mpmc_queue consume_all", beside_mpmc(consume, 2, 2));
  add("mpmc_queue try_push, try_pop by handles", beside_mpmc(
                                                     [](mpmc& queue) {
                                                       mpmc::producer in{queue};
                                                       mpmc::consumer out{queue};
                                                       (void)in.try_push(1U);
                                                       (void)out.try_pop();
                                                     },
                                                     2, 1));
  add("mpmc_queue try_claim, commit",
      beside_mpmc([](mpmc& queue) { (void)queue.try_claim(1U)->commit(); }, 2, 1));
  add("mpmc_queue try_receive", beside_mpmc([](mpmc& queue) { (void)queue.try_receive(); }, 2, 1));
  add("mpmc_queue force_push",
      beside_mpmc([](mpmc& queue) { (void)queue.force_push(1U, [](unsigned&&) {}); }, 1, 1));
  add("mpmc_queue size_approx", beside_mpmc([](mpmc& queue) { (void)queue.size_approx(); }, 2, 1));
  add("mpmc_ticket_queue try_push", beside_ticket(push, true, 2, 0));
  add("mpmc_ticket_queue try_push, 1 place", beside_ticket(push, true, 1, 0));
  add("mpmc_ticket_queue try_push, 3 places of 4", beside_ticket(push, true, 3, 1));
  add("mpmc_ticket_queue try_push_range", beside_ticket(push_two, true, 3, 0));
  add("mpmc_ticket_queue try_pop", beside_ticket(pop, false, 2, 1));
  add("mpmc_ticket_queue try_pop, full", beside_ticket(pop, false, 2, 2));
  add("mpmc_ticket_queue try_pop, 3 places of 4", beside_ticket(pop, false, 3, 2));
  add("mpmc_ticket_queue try_pop_n", beside_ticket(pop_two, false, 2, 2));
  add("mpmc_ticket_queue consume_all", beside_ticket(consume, false, 2, 2));
  add("mpmc_ticket_queue seal",
      beside_ticket([](ticket& queue) { (void)queue.seal(); }, true, 2, 0));
  add("lossy broadcast_queue try_push", beside_lossy_push);
  add("broadcast_queue try_pop", beside_reader(false));
  add("broadcast_queue leave", beside_reader(true));
  add("spsc_queue try_push", beside_spsc(push, true, 1));
  add("spsc_queue try_push_range", beside_spsc(push_two, true, 1));
  add("spsc_queue try_pop", beside_spsc(pop, false, 1));
  add("spsc_queue try_pop_n", beside_spsc(pop_two, false, 2));
  add("spsc_queue consume_all", beside_spsc(consume, false, 1));
  add("mailbox over mpmc_queue try_push", beside_mailbox<box_of<mpmc>>(push, true));
  add("mailbox over mpmc_queue try_push, others pop", beside_mailbox<box_of<mpmc>>(push, false));
  add("mailbox over mpmc_queue try_pop", beside_mailbox<box_of<mpmc>>(pop, true));
  add("mailbox over mpmc_queue close",
      beside_mailbox<box_of<mpmc>>([](auto& box) { box.close(); }, true));
  add("mailbox over mpmc_ticket_queue try_push", beside_mailbox<box_of<ticket>>(push, true));
  add("mailbox over mpmc_ticket_queue try_pop", beside_mailbox<box_of<ticket>>(pop, true));
  add("mailbox over spsc_queue try_push", beside_mailbox<box_of<spsc>>(push, false));
  add("mailbox over spsc_queue try_pop", beside_mailbox<box_of<spsc>>(pop, true));
  const meddler publishes = [](hub_of_numbers& hub, auto&) { (void)hub.publish("a", 7); };
  const meddler subscribes = [](hub_of_numbers& hub, auto& other) {
    other = hub.on("a", [](const unsigned&) {});
  };
  const meddler cancels = [](hub_of_numbers&, auto& other) { other.cancel(); };
  for (const bool by_name : {false, true}) {
    const std::string how = by_name ? ", others publish by name" : ", others publish by handle";
    add("publish" + how, beside_publish(publishes, by_name));
    add("subscribe" + how, beside_publish(subscribes, by_name), depth::deep);
    add("cancel" + how, beside_publish(cancels, by_name));
  }
}

} // namespace scenario
