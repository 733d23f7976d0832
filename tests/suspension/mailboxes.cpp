// SPDX-License-Identifier: MIT
// Mailboxes in which nobody sleeps.
#include "worlds.hpp"

#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/queue/spsc_queue.hpp>

namespace test {
namespace {

using mailroom::arity;
using over_mpmc = mailroom::mailbox<int>;
using over_spsc = mailroom::mailbox<int, mailroom::spsc_queue<int>>;

enum class intake : unsigned char { open, closed };

template <class Box>
using shared = std::shared_ptr<world<Box>>;

template <class Box>
using others = std::vector<company> (*)(const shared<Box>&, const state&);

// ---- What others do

/// Takes messages until it is told that there will be none, for ever.
template <class Box>
company to_the_end(const shared<Box>& all) {
  const auto end = [all] {
    all->box.close();
    (void)all->drain();
    return all->pop() == queue_status::closed && all->box.is_drained();
  };
  return {"a pop that waits for the end", {}, {{end}}};
}

template <class Box>
company closing(const shared<Box>& all) {
  const auto close = [all] {
    all->box.close();
    return all->box.is_closed() && all->box.stats().depth <= all->box.capacity();
  };
  return {"close", {}, {{close}}};
}

template <class Box>
bool push_one(world<Box>& all) {
  const int message = all.book.fresh();
  if (!all.box.push(message)) return all.box.is_closed();
  all.book.in(message);
  return true;
}

template <class Box>
bool pop_one(world<Box>& all) {
  const auto message = all.box.pop();
  if (message) all.book.out(*message);
  return message || all.box.is_closed();
}

/// Fills it and empties it: what comes out is its capacity, or it is closed.
template <class Box>
company carrying(const shared<Box>& all) {
  const auto carry = [all] {
    (void)all->fill();
    return all->drain() == all->box.capacity() || all->push() == queue_status::closed;
  };
  return {"try_push and try_pop", {}, {{carry}}};
}

template <class Box>
company waiting_carrying(const shared<Box>& all) {
  const auto carry = [all] {
    (void)all->drain();
    return push_one(*all) && pop_one(*all);
  };
  return {"push and pop", {}, {{carry}}};
}

/// Discards what is inside.
template <class Box>
company discarding(const shared<Box>& all) {
  const auto discard = [all] { return all->box.close(mailroom::discard), all->box.is_drained(); };
  return {"close(discard)", {}, {{discard}}};
}

template <class Box>
std::vector<company> anybody(const shared<Box>& all, const state&) {
  return {carrying(all), waiting_carrying(all), closing(all), to_the_end(all), discarding(all)};
}

/// All that was there before comes out.
std::vector<company> the_consumer(const shared<over_spsc>& all, const state& at) {
  const auto take = [all, left = at.inside]() mutable {
    left -= std::min(left, all->drain());
    return left == 0;
  };
  const part wait{[all] { return pop_one(*all); }, static_cast<int>(at.inside)};
  return {{"try_pop", {}, {{take}}},
          {"pop", {}, {wait}},
          closing(all),
          to_the_end(all),
          discarding(all)};
}

/// All the room that was there before is had, unless it is closed.
std::vector<company> the_producer(const shared<over_spsc>& all, const state& at) {
  const std::size_t room = at.capacity - at.inside;
  const auto put = [all, left = room]() mutable {
    left -= std::min(left, all->fill());
    return left == 0 || all->box.is_closed();
  };
  const part wait{[all] { return push_one(*all); }, static_cast<int>(room)};
  return {{"try_push", {}, {{put}}}, {"push", {}, {wait}}, closing(all)};
}

// ---- The victims

/// What was lost is what close(discard) counted.
template <class Box>
std::string fault_of(world<Box>& all) {
  const auto discarded = static_cast<long>(all.box.stats().discarded);
  if (discarded == 0) return all.fault();
  (void)all.drain();
  return all.book.lost() == discarded ? "" : "a message vanished";
}

template <class Box>
class examination {
public:
  examination(std::string box, std::vector<finding>& into) : box_{std::move(box)}, into_{into} {}

  /// `needs` says in which states the operation can be called at all.
  void add(const char* name, const char* promised, intake from, others<Box> there,
           void (*victim)(world<Box>&), bool (*needs)(const state&)) {
    std::vector<scenery> states;
    for (const state& at : all_states()) {
      if (at.capacity == 3 || !needs(at)) continue;
      states.push_back([=] { return at_work(world_at<Box>(at), at, from, there, victim); });
    }
    into_.push_back(examine(box_ + " " + name, promised, states));
  }

private:
  static scene at_work(const shared<Box>& all, const state& at, intake from, others<Box> there,
                       void (*victim)(world<Box>&)) {
    if (from == intake::closed) all->box.close();
    return {[=] { victim(*all); }, there(all, at), [=] { all->box.close(); },
            [=] { return fault_of(*all); }};
  }

  std::string box_;
  std::vector<finding>& into_;
};

bool always(const state&) { return true; }
bool with_room(const state& at) { return at.inside != at.capacity; }
bool with_message(const state& at) { return at.inside != 0; }

template <class Box>
void examine_box(const std::string& box, const char* promised, others<Box> of_push,
                 others<Box> of_pop, std::vector<finding>& into) {
  examination<Box> here{box, into};
  const auto try_push = [](world<Box>& of) { (void)of.push(); };
  const auto try_pop = [](world<Box>& of) { (void)of.pop(); };
  const auto push = [](world<Box>& of) { (void)push_one(of); };
  const auto pop = [](world<Box>& of) { (void)pop_one(of); };
  const auto close = [](world<Box>& of) { of.box.close(); };
  const auto is_drained = [](world<Box>& of) { (void)of.box.is_drained(); };
  here.add("try_push", promised, intake::open, of_push, try_push, always);
  here.add("try_pop", promised, intake::open, of_pop, try_pop, always);
  here.add("try_pop, closed", promised, intake::closed, of_pop, try_pop, always);
  here.add("push, with room", "blocking", intake::open, of_push, push, with_room);
  here.add("pop, with a message", "blocking", intake::open, of_pop, pop, with_message);
  here.add("close", "wait-free", intake::open, anybody<Box>, close, always);
  const bool is_ring = mailroom::queue_facts<typename Box::queue_type>::producers == arity::one;
  here.add(
      "close(discard)", is_ring ? "blocking" : "lock-free", intake::open, of_pop,
      [](world<Box>& of) { of.box.close(mailroom::discard); }, always);
  here.add("is_drained, closed", "lock-free", intake::closed, anybody<Box>, is_drained, always);
}

// ---- The oldest makes room

using dropping = world<over_mpmc>;

std::shared_ptr<dropping> dropping_box(const state& at) {
  const mailroom::mailbox_options options{.capacity = at.capacity,
                                          .on_full = mailroom::overflow::drop_oldest};
  auto made = std::make_shared<dropping>(options);
  for (std::size_t i = 0; i != at.passed; ++i) (void)made->push(), (void)made->pop();
  for (std::size_t i = 0; i != at.inside; ++i) (void)made->push();
  return made;
}

/// What was lost is what was counted.
std::string dropping_fault(dropping& all) {
  (void)all.drain();
  return all.book.lost() == static_cast<long>(all.box.stats().dropped) ? "" : "a message vanished";
}

scene drop_oldest(const state& at) {
  const auto all = dropping_box(at);
  const auto push = [all] { return all->push() == queue_status::success; };
  const auto carry = [all] {
    return all->push() == queue_status::success && all->pop() == queue_status::success;
  };
  return {[=] { (void)all->push(); },
          {{"try_push", {}, {{push}}},
           {"try_push and try_pop", {}, {{carry}}},
           closing(all),
           to_the_end(all),
           {"two others", {}, {{push}, {push}}}},
          {},
          [=] { return dropping_fault(*all); }};
}

} // namespace

std::vector<finding> examine_mailboxes() {
  std::vector<finding> all;
  examine_box<over_mpmc>("mailbox", "lock-free", anybody, anybody, all);
  std::vector<scenery> states;
  for (const state& at : all_states()) states.push_back([=] { return drop_oldest(at); });
  all.push_back(examine("mailbox try_push, drop_oldest", "lock-free", states));
  examine_box<over_spsc>("mailbox over spsc_queue", "wait-free", the_consumer, the_producer, all);
  return all;
}

} // namespace test
