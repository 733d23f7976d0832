// SPDX-License-Identifier: MIT
// Who waits for the end of a mailbox, and who brings it about: close_and_wait, and the last ends of
// a channel.
#include "worlds.hpp"

#include <mailroom/mailbox/channel.hpp>
#include <mailroom/mailbox/mailbox.hpp>

#include <utility> // move

namespace test {
namespace {

using box = mailroom::mailbox<int>;

// ---- close_and_wait

using shared = std::shared_ptr<world<box>>;

part carrying(const shared& all) {
  return {[all] { return all->fill(), all->drain(), true; }};
}
part to_the_end(const shared& all) {
  return {[all] {
    all->box.close();
    (void)all->drain();
    return all->pop() == queue_status::closed && all->box.is_drained();
  }};
}
part waiting_for_the_end(const shared& all) {
  return {[all] { return all->box.close_and_wait(), all->box.is_drained(); }, 1};
}

void wind_up(world<box>& all) {
  all.box.close();
  (void)all.drain();
}
std::string fault_of(world<box>& all) {
  (void)all.drain();
  return all.book.fault();
}

/// The victim is the one who waits.
scenery waits(state at) {
  return [=] {
    const shared all = world_at<box>(at);
    return scene{
        [=] { all->box.close_and_wait(); },
        {{"try_push and try_pop", {}, {carrying(all)}},
         {"a pop that waits for the end", {}, {to_the_end(all)}},
         {"close_and_wait, though another pops", {}, {waiting_for_the_end(all), to_the_end(all)}}},
        [=] { wind_up(*all); },
        [=] { return fault_of(*all); }};
  };
}

/// The victim takes the last message, and another waits for that.
scenery takes_the_last() {
  return [=] {
    const shared all = world_at<box>({2, 0, 1});
    const part waiting = waiting_for_the_end(all);
    const part close{[=] { return all->box.close(), true; }, 1};
    return scene{[=] { (void)all->pop(); },
                 {{"close_and_wait", {waiting}, {}},
                  {"close_and_wait, though another pops", {waiting}, {to_the_end(all)}},
                  {"close_and_wait, though another closes behind the pop", {waiting}, {close}}},
                 [=] { wind_up(*all); },
                 [=] { return fault_of(*all); }};
  };
}

// ---- The last ends of a channel

struct line {
  mailroom::channel_ends<box> ends = mailroom::channel<int>(1);
  mailroom::weak_producer<box> weak{ends.tx};
};

/// A consumer is told the end when the last producer has gone, not before.
scenery producer_goes() {
  return [] {
    const auto all = std::make_shared<line>();
    const part ask{[=] { return (void)all->weak.lock(), true; }};
    const part pop{[=] { return (void)all->ends.rx.try_pop(), true; }};
    const part end{[=] { return all->ends.rx.try_pop().error() == queue_status::closed; }, 1};
    const part sleep{[=] { return !all->ends.rx.pop(); }, 1};
    return scene{[=] { all->ends.tx = {}; },
                 {{"the pop that sleeps", {sleep}, {}},
                  {"a pop that waits for the end", {}, {end}},
                  {"lock of a weak_producer", {}, {ask}},
                  {"try_pop", {}, {pop}}},
                 {},
                 {}};
  };
}

/// How many steps it takes to go depends on whether the push that was woken has left by then; so
/// the company that counts comes last.
scenery consumer_goes(unsigned inside) {
  return [=] {
    const auto all = std::make_shared<line>();
    for (unsigned i = 0; i != inside; ++i) (void)all->ends.tx.try_push(1);
    const part push{[=] { return (void)all->ends.tx.try_push(2), true; }};
    const part end{[=] { return all->ends.tx.try_push(2) == queue_status::closed; }, 1};
    const part sleep{[=] { return all->ends.tx.push(2), all->ends.tx.push(3), true; }, 1};
    return scene{[=] { all->ends.rx = {}; },
                 {{"the push that sleeps", {sleep}, {}},
                  {"a push that waits to be refused", {}, {end}},
                  {"try_push", {}, {push}}},
                 {},
                 [=] {
                   const auto seen = all->ends.tx.box().stats();
                   return seen.discarded == seen.pushed ? std::string{} : "a message vanished";
                 }};
  };
}

} // namespace

std::vector<finding> examine_endings() {
  return {
      examine("mailbox close_and_wait", "blocking", {waits({2, 0, 0}), waits({2, 0, 1})}),
      examine("mailbox pop, another waits for the end", "blocking", {takes_the_last()}),
      examine("channel, the last producer goes", "wait-free", {producer_goes()}),
      examine("channel, the last consumer goes", "lock-free", {consumer_goes(0), consumer_goes(1)}),
  };
}

} // namespace test
