// SPDX-License-Identifier: MIT
// Publishing, subscribing and cancelling at the same time.
#include "scenario.hpp"

#include <mailroom/detail/counted.hpp>
#include <mailroom/topic/dispatcher.hpp>
#include <mailroom/topic/name_table.hpp>
#include <mailroom/topic/snapshot.hpp>

#include <array>       // array
#include <optional>    // optional
#include <string>      // string, to_string
#include <string_view> // string_view
#include <utility>     // move

namespace scenario {
namespace {

using mailroom::overflow;
using mailroom::detail::atomic;
using mailroom::detail::counted;
using mailroom::detail::grace_period;
using mailroom::detail::make_counted;
using mailroom::detail::ref;
using mailroom::detail::snapshot;
using model::code_place;
using model::require;
using model::run;
using enum std::memory_order;

using hub_of_numbers = mailroom::dispatcher<unsigned>;
using subscription = mailroom::subscription<unsigned>;

void write(model::plain& object) { object.write(code_place::current()); }
void read(model::plain& object) { object.read(code_place::current()); }

// ---- References

struct object : counted {
  mutable model::plain data;
  ~object() override { write(data); }
};

/// The last one destroys, and sees what all others did.
void last_reference_destroys() {
  std::array<ref<object>, 2> own{make_counted<object>(), {}};
  own[1] = own[0];
  const auto let_go = [&](std::size_t index) {
    return [&own, index] {
      read(own[index]->data);
      own[index] = {};
    };
  };
  run({let_go(0), let_go(1)});
}

/// A reference is copied while another one ends.
void reference_is_copied() {
  std::array<ref<object>, 2> own{make_counted<object>(), {}};
  own[1] = own[0];
  run({[&] {
         const ref<object> more = own[0];
         own[0] = {};
         read(more->data);
       },
       [&] { own[1] = {}; }});
}

// ---- Snapshots

/// A reader gets an object that lives, and its newest if it was told of it.
model::program snapshot_is_replaced(unsigned readers, unsigned times) {
  return [=] {
    grace_period period;
    snapshot<object> place{make_counted<object>()};
    atomic<unsigned> told;
    const auto reader = [&] {
      const bool knows = told.load(acquire) == times;
      const auto found = place.load(period);
      read(found->data);
      require(!knows || place.is_current(found), "an old object, behind the replacement");
    };
    run({[&] {
           for (unsigned i = 0; i != times; ++i) {
             auto next = make_counted<object>();
             write(next->data);
             const auto old = place.replace(std::move(next));
             period.wait_for_readers();
           }
           told.store(times, release);
         },
         reader,
         [&] {
           if (readers == 2) reader();
         }});
  };
}

/// An object that is still current is used without being loaded again.
void snapshot_is_kept() {
  grace_period period;
  snapshot<object> place{make_counted<object>()};
  run({[&] {
         auto next = make_counted<object>();
         write(next->data);
         const auto old = place.replace(std::move(next));
         period.wait_for_readers();
       },
       [&] {
         auto held = place.load(period);
         if (!place.is_current(held)) held = place.load(period);
         read(held->data);
       }});
}

// ---- Names

struct named {
  explicit named(std::string_view given) : text{given} { write(data); }
  std::string_view name() const noexcept { return text; }
  std::string text;
  mutable model::plain data;
};

/// A name that was added is found, also when the table grows for it.
model::program name_is_found(std::size_t names_before) {
  return [=] {
    mailroom::detail::name_table<named> names;
    for (std::size_t i = 0; i != names_before; ++i) (void)names.add("n" + std::to_string(i));
    atomic<unsigned> told;
    run({[&] {
           (void)names.add("new");
           told.store(1, release);
         },
         [&] {
           const bool knows = told.load(acquire) == 1;
           const named* const found = names.find("new");
           require(!knows || found != nullptr, "a name is not found behind its addition");
           if (found != nullptr) read(found->data);
           if (names_before != 0) require(names.find("n0") != nullptr, "an old name is lost");
         }});
  };
}

// ---- Subscribing and publishing

/// What is published behind the return of subscribe is received.
void subscribe_is_seen() {
  hub_of_numbers hub;
  auto handle = hub.topic("a");
  subscription made;
  atomic<unsigned> told;
  bool was_told = false;
  mailroom::publish_result sent{};
  run({[&] {
         made = hub.subscribe("a", {.capacity = 1});
         told.store(1, release);
       },
       [&] {
         was_told = told.load(acquire) == 1;
         sent = handle.publish(7);
       }});
  require(!was_told || sent.delivered == 1, "published behind the subscription, and not received");
  require(made.try_pop().has_value() == (sent.delivered == 1), "delivered, or not");
}

/// The same for a name that nobody used before.
void subscribe_and_first_name() {
  hub_of_numbers hub;
  subscription made;
  mailroom::publish_result sent{};
  run({[&] { made = hub.subscribe("a", {.capacity = 1}); }, [&] { sent = hub.publish("a", 7); }});
  require(made.try_pop().has_value() == (sent.delivered == 1), "delivered, or not");
  require(hub.publish("a", 8).delivered == 1, "subscribed");
}

/// Behind a cancel nobody gets anything, and who is cancelled holds nobody up.
void cancel_releases_a_publisher() {
  hub_of_numbers hub;
  auto handle = hub.topic("a");
  auto slow = hub.subscribe("a", {.capacity = 1});
  require(handle.publish(1).delivered == 1, "there is room");
  run({[&] { (void)handle.publish(2); }, [&] { slow.cancel(); }});
  require(handle.publish(3).matched == 0, "nobody is left");
}

void cancel_ends_a_pop() {
  hub_of_numbers hub;
  auto waiting = hub.subscribe("a", {.capacity = 1});
  run({[&] { require(!waiting.pop(), "nothing came"); }, [&] { waiting.cancel(); }});
}

/// One member of a group gets it, whoever leaves meanwhile.
void group_delivers_once() {
  hub_of_numbers hub;
  auto handle = hub.topic("a");
  auto stays = hub.subscribe("a", {.capacity = 1, .group = "g"});
  auto leaves = hub.subscribe("a", {.capacity = 1, .group = "g"});
  mailroom::publish_result sent{};
  bool had_left = false;
  run({[&] { sent = handle.publish(1); },
       [&] {
         had_left = leaves.try_pop().has_value();
         leaves.cancel();
       }});
  require(sent.delivered <= 1 && sent.matched == 1, "one destination");
  require(!(stays.try_pop().has_value() && had_left), "two members have it");
}

// ---- Handlers

/// What a handler is made of: its end is a write, its call a read and a write of something else.
struct handler_state : counted {
  model::plain called;
  atomic<unsigned> calls;
  bool is_destroyed = false;
};
struct handler {
  ref<handler_state> state;
  mutable model::plain self;
  explicit handler(ref<handler_state> of) : state{std::move(of)} {}
  handler(handler&& other) noexcept : state{std::move(other.state)} {}
  ~handler() {
    write(self);
    if (state) state->is_destroyed = true;
  }
  void operator()(const unsigned&) const {
    read(self);
    write(state->called);
    (void)state->calls.fetch_add(1, relaxed);
  }
};

/// Behind cancel() no handler runs: whoever cancelled may use what the handler used.
void cancel_waits_for_a_handler() {
  hub_of_numbers hub;
  auto handle = hub.topic("a");
  const auto state = make_counted<handler_state>();
  auto direct = hub.on("a", handler{state});
  run({[&] { (void)handle.publish(1); },
       [&] {
         direct.cancel();
         write(state->called);
       }});
  require(state->is_destroyed, "a handler outlives its subscription");
}

/// The same with two who cancel.
model::program two_cancel(bool somebody_publishes) {
  return [=] {
    hub_of_numbers hub;
    auto handle = hub.topic("a");
    const auto state = make_counted<handler_state>();
    auto direct = hub.on("a", handler{state});
    run({[&] { direct.cancel(); }, [&] { direct.cancel(); },
         [&] {
           if (somebody_publishes) (void)handle.publish(1);
         }});
    require(state->is_destroyed, "a handler outlives its subscription");
  };
}

/// A handler that ends its own subscription, while another thread does so too.
void handler_cancels_itself() {
  hub_of_numbers hub;
  auto handle = hub.topic("a");
  const auto state = make_counted<handler_state>();
  subscription direct;
  unsigned calls = 0;
  direct = hub.on("a", [&direct, &calls, own = handler{state}](const unsigned&) {
    ++calls;
    direct.cancel();
  });
  run({[&] { (void)handle.publish(1); }, [&] { direct.cancel(); }});
  require(calls <= 1, "called behind its own end");
  require(state->is_destroyed, "a handler outlives its subscription");
}

/// Two publishers in the handler; each call ends the subscription.
void two_handlers_cancel() {
  hub_of_numbers hub;
  auto first = hub.topic("a");
  auto second = first;
  subscription direct;
  direct = hub.on("a", [&](const unsigned&) { direct.cancel(); });
  run({[&] { (void)first.publish(1); }, [&] { (void)second.publish(2); }});
  require(first.publish(3).matched == 0, "nobody is left");
}

struct nobody_else final : mailroom::detail::subscriber_list<unsigned> {
  nobody_else() noexcept : mailroom::detail::subscriber_list<unsigned>{{}} {}
  void remove(mailroom::detail::subscriber<unsigned>&) noexcept override {}
  void retire(mailroom::detail::subscriber<unsigned>&) noexcept override {}
};

/// Neither of two handlers that cancel waits for the other to leave: here they leave together.
void two_handlers_leave_together() {
  using mailroom::detail::subscriber;
  ref<subscriber<unsigned>> direct;
  atomic<unsigned> through;
  const auto leave = [&](const unsigned&) {
    direct->cancel();
    (void)through.fetch_add(1, relaxed);
    while (through.load(relaxed) != 2) model::await_change();
  };
  direct = make_counted<mailroom::detail::direct_subscriber<unsigned, decltype(leave)>>(
      mailroom::topic_filter{"a"}, make_counted<nobody_else>(), leave);
  const auto publish = [&] {
    mailroom::detail::envelope<unsigned> sent{1, 0, "a", 0};
    std::size_t dropped = 0;
    const auto answer = direct->offer(sent, mailroom::detail::transfer::copy, dropped);
    if (answer == mailroom::queue_status::closed) (void)through.fetch_add(1, relaxed);
  };
  run({publish, publish});
}

/// Behind drain() what was queued is handled: whoever drained may use what the handler used.
void drain_waits_for_a_run() {
  hub_of_numbers hub;
  auto queued = hub.subscribe("a", {.capacity = 2});
  (void)hub.publish("a", 1);
  (void)hub.publish("a", 2);
  atomic<unsigned> begun;
  model::plain used;
  run({[&] {
         (void)queued.run([&](const unsigned& value) {
           begun.store(1, release); // who knows that it has begun may wait for it
           if (value == 2) write(used);
         });
       },
       [&] {
         while (begun.load(acquire) == 0) model::await_change();
         queued.drain();
         write(used);
       }});
  require(!queued.try_pop().has_value(), "nothing is left");
}

/// Behind close() no handler runs.
void close_waits_for_a_handler() {
  hub_of_numbers hub;
  auto handle = hub.topic("a");
  const auto state = make_counted<handler_state>();
  const auto direct = hub.on("a", handler{state});
  run({[&] { (void)handle.publish(1); },
       [&] {
         hub.close();
         write(state->called);
       }});
  require(handle.publish(2).matched == 0, "closed");
}

/// close() and cancel() at once.
void close_and_cancel() {
  hub_of_numbers hub;
  const auto state = make_counted<handler_state>();
  auto direct = hub.on("a", handler{state});
  run({[&] { hub.close(); }, [&] { direct.cancel(); }});
  require(state->is_destroyed, "a handler outlives its subscription");
}

/// subscribe and close at once: subscribed and then closed, or never open.
void close_and_subscribe() {
  hub_of_numbers hub;
  subscription made;
  run({[&] { hub.close(); }, [&] { made = hub.subscribe("a", {.capacity = 1}); }});
  require(!made.is_active() && !made.pop(), "open behind the end");
}

/// What was lost is told, once.
void loss_is_told() {
  hub_of_numbers hub;
  auto handle = hub.topic("a");
  auto slow = hub.subscribe("a", {.capacity = 1, .on_full = overflow::drop_oldest});
  std::uint64_t told = 0;
  unsigned got = 0;
  const auto take = [&] {
    if (auto next = slow.try_pop()) {
      told += next->missed;
      ++got;
    }
  };
  std::size_t dropped = 0;
  run({[&] {
         for (unsigned i = 0; i != 2; ++i) dropped += handle.publish(i).dropped;
       },
       take});
  take();
  require(got + dropped == 2, "neither delivered nor counted");
  require(slow.missed() == dropped, "counted differently on the two sides");
  (void)handle.publish(9);
  take();
  require(told == dropped, "not all losses were told");
}

} // namespace

void add_topic(std::vector<scenario>& all) {
  const auto add = [&](const char* what, model::program body, depth when = depth::quick) {
    all.push_back({what, std::move(body), {}, when});
  };
  add("counted: the last reference destroys", last_reference_destroys);
  add("counted: a reference is copied", reference_is_copied);
  add("snapshot: is replaced once, 1 reader", snapshot_is_replaced(1, 1));
  add("snapshot: is replaced twice, 1 reader", snapshot_is_replaced(1, 2));
  add("snapshot: is replaced once, 2 readers", snapshot_is_replaced(2, 1));
  add("snapshot: is replaced twice, 2 readers", snapshot_is_replaced(2, 2), depth::deep);
  add("snapshot: is kept", snapshot_is_kept);
  add("name_table: a name is found", name_is_found(1));
  add("name_table: a name is found while the table grows", name_is_found(32));
  add("dispatcher: a subscription is seen", subscribe_is_seen);
  add("dispatcher: a subscription, and the first use of a name", subscribe_and_first_name);
  add("dispatcher: a cancel releases a publisher", cancel_releases_a_publisher);
  add("dispatcher: a cancel ends a pop", cancel_ends_a_pop);
  add("dispatcher: a group delivers once", group_delivers_once);
  add("dispatcher: a cancel waits for a handler", cancel_waits_for_a_handler);
  add("dispatcher: two cancel", two_cancel(false));
  add("dispatcher: two cancel, one publishes", two_cancel(true), depth::deep);
  add("dispatcher: a handler cancels itself", handler_cancels_itself);
  add("dispatcher: two handlers cancel", two_handlers_cancel, depth::deep);
  add("dispatcher: two handlers that cancel leave together", two_handlers_leave_together);
  add("dispatcher: a drain waits for a run", drain_waits_for_a_run);
  add("dispatcher: close waits for a handler", close_waits_for_a_handler);
  add("dispatcher: close and cancel", close_and_cancel);
  add("dispatcher: close and subscribe", close_and_subscribe);
  add("dispatcher: what was lost is told", loss_is_told);
}

} // namespace scenario
