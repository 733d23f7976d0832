// SPDX-License-Identifier: MIT
// The queues by themselves.
#include "worlds.hpp"

#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/queue/mpmc_ticket_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <support/positions.hpp>

namespace test {
namespace {

/// A number in a message that does not fit into a line.
struct large {
  large(int number = 0) : value{number} {} // NOLINT(google-explicit-constructor): it is a number
  operator int() const { return value; }
  int value;
  int padding[3] = {};
};

template <class T>
using spsc = mailroom::spsc_queue<T>;
using mpmc = mailroom::mpmc_queue<int>;
using tickets = mailroom::mpmc_ticket_queue<int>;

template <class Box>
using deed = void (*)(world<Box>&);

/// Who is there beside the victim of a world.
template <class Box>
using others = std::vector<company> (*)(const std::shared_ptr<world<Box>>&, const state&);

template <class Box>
finding examine_in_all_states(const std::string& name, const char* promised, deed<Box> victim,
                              others<Box> companies, std::string (*fault)(world<Box>&)) {
  std::vector<scenery> states;
  for (const state& at : all_states()) {
    states.push_back([=] {
      const auto made = world_at<Box>(at);
      return scene{[=] { victim(*made); }, companies(made, at), {}, [=] { return fault(*made); }};
    });
  }
  return examine(name, promised, states);
}

// ---- One producer, one consumer

template <class T>
std::string spsc_fault(world<spsc<T>>& all) {
  return all.fault();
}

template <class T>
bool is_a_size(const world<spsc<T>>& all) {
  return all.box.size_approx() <= all.box.capacity();
}

/// The consumer's operations. All that was there before must come out, whatever the producer is in
/// the middle of; then each call must return.
template <class T>
std::vector<company> consumers(const std::shared_ptr<world<spsc<T>>>& all, const state& at) {
  const auto all_of_it = [all, at](auto take) {
    return part{[=, left = at.inside]() mutable {
      const std::size_t taken = take(*all);
      left -= std::min(left, taken);
      return left == 0;
    }};
  };
  return {{"try_pop", {}, {all_of_it([](auto& of) { return of.drain(); })}},
          {"try_pop_n", {}, {all_of_it([](auto& of) { return of.pop_n(2); })}},
          {"consume_all", {}, {all_of_it([](auto& of) { return of.consume_all(); })}},
          {"size_approx", {}, {{[all] { return is_a_size(*all); }}}}};
}

/// The producer's: all the room that was there before must be had.
template <class T>
std::vector<company> producers(const std::shared_ptr<world<spsc<T>>>& all, const state& at) {
  const auto all_room = [all, at](auto put) {
    return part{[=, left = at.capacity - at.inside]() mutable {
      const std::size_t done = put(*all);
      left -= std::min(left, done);
      return left == 0;
    }};
  };
  return {{"try_push", {}, {all_room([](auto& of) { return of.fill(); })}},
          {"try_push_range", {}, {all_room([](auto& of) { return of.push_range(2); })}},
          {"size_approx", {}, {{[all] { return is_a_size(*all); }}}}};
}

template <class T>
std::vector<company> both_sides(const std::shared_ptr<world<spsc<T>>>& all, const state& at) {
  const auto carry = [all, at] {
    (void)all->fill();
    return all->drain() == at.capacity;
  };
  return {{"push and pop", {}, {{carry}}}};
}

template <class T>
void show_and_drop(world<spsc<T>>& all) {
  if (const T* const first = all.box.front(); first != nullptr) {
    all.book.out(*first);
    all.box.pop_front();
  }
}

// ---- Many of both

std::string mpmc_fault(world<mpmc>& all) {
  const std::string found = all.fault();
  if (!found.empty()) return found;
  return test_access::each_cell_is_in_one_place(all.box) ? "" : "a cell is lost, or in two places";
}

std::string tickets_fault(world<tickets>& all) { return all.fault(); }

/// Fills it to the brim and empties it to the ground: exactly its capacity must come out, whatever
/// the victim is in the middle of. Once it is sealed every call must say so.
template <class Box, class Fill, class Drain>
part carry(const std::shared_ptr<world<Box>>& all, Fill fill, Drain drain) {
  return {[=] {
    (void)fill(*all);
    const std::size_t out = drain(*all);
    return out == all->box.capacity() || all->pop() == queue_status::closed;
  }};
}

/// Carries one message, and takes one away where there is no room.
template <class Box>
bool hand_over(world<Box>& all) {
  queue_status status = all.push();
  if (status == queue_status::full) (void)all.pop();
  return status == queue_status::success || status == queue_status::closed;
}

template <class Box>
bool empty_and_seal(world<Box>& all) {
  (void)all.drain();
  return all.box.seal() && all.push() == queue_status::closed;
}

template <class Box>
std::vector<company> anybody(const std::shared_ptr<world<Box>>& all, const state&) {
  const auto fill = [](auto& of) { return of.fill(); };
  const auto drain = [](auto& of) { return of.drain(); };
  const auto in_runs = [](auto& of) {
    std::size_t count = 0;
    while (const std::size_t some = of.push_range(2)) count += some;
    return count;
  };
  const auto out_runs = [](auto& of) {
    std::size_t count = 0;
    while (const std::size_t some = of.pop_n(2)) count += some;
    return count;
  };
  const auto consume = [](auto& of) { return of.consume_all(); };
  std::vector<company> made{
      {"try_push and try_pop", {}, {carry(all, fill, drain)}},
      {"try_push_range and try_pop_n", {}, {carry(all, in_runs, out_runs)}},
      {"consume_all", {}, {carry(all, fill, consume)}},
      {"seal", {}, {{[all] { return empty_and_seal(*all); }}}},
      {"size_approx", {}, {{[all] { return all->box.size_approx() <= all->box.capacity(); }}}}};
  // Where a call may be told busy two are too many: they may stop each other for a moment.
  if constexpr (mailroom::queue_facts<Box>::push_progress != mailroom::progress::blocking) {
    const part other{[all] { return hand_over(*all); }};
    made.push_back({"two others", {}, {other, other}});
  }
  return made;
}

/// The books are written between the operations.
void use_handles(world<mpmc>& all) {
  mpmc::producer in{all.box};
  const int message = all.book.fresh();
  if (in.try_push(message) == queue_status::success) all.book.in(message);
  mpmc::consumer out{all.box};
  if (const auto taken = out.try_pop()) all.book.out(*taken);
}

void push_by_force(world<mpmc>& all) {
  int message = all.book.fresh();
  const auto status = all.box.force_push(std::move(message), [&](int&& old) { all.book.out(old); });
  if (status == queue_status::success) all.book.in(message);
}

template <class T>
void examine_spsc_queue_of(const std::string& name, std::vector<finding>& all) {
  const auto add = [&](const char* operation, deed<spsc<T>> victim, others<spsc<T>> there) {
    all.push_back(examine_in_all_states<spsc<T>>(name + operation, "wait-free", victim, there,
                                                 spsc_fault<T>));
  };
  add("try_push", [](auto& of) { (void)of.push(); }, consumers<T>);
  add("try_push_range", [](auto& of) { (void)of.push_range(3); }, consumers<T>);
  add("try_pop", [](auto& of) { (void)of.pop(); }, producers<T>);
  add("try_pop_n", [](auto& of) { (void)of.pop_n(2); }, producers<T>);
  add("consume_all", [](auto& of) { (void)of.consume_all(); }, producers<T>);
  add("front, pop_front", show_and_drop<T>, producers<T>);
  add("size_approx", [](auto& of) { (void)of.box.size_approx(); }, both_sides<T>);
}

template <class Box>
void examine_queue_of_many(const std::string& name, const char* promised, const char* looking,
                           std::string (*fault)(world<Box>&), std::vector<finding>& all) {
  const auto add = [&](const char* operation, const char* as, deed<Box> victim) {
    all.push_back(examine_in_all_states<Box>(name + operation, as, victim, anybody<Box>, fault));
  };
  add("try_push", promised, [](auto& of) { (void)of.push(); });
  add("try_push_range", promised, [](auto& of) { (void)of.push_range(3); });
  add("try_pop", promised, [](auto& of) { (void)of.pop(); });
  add("try_pop_n", promised, [](auto& of) { (void)of.pop_n(2); });
  add("consume_all", promised, [](auto& of) { (void)of.consume_all(); });
  add("seal", "lock-free", [](auto& of) { (void)of.box.seal(); });
  add("size_approx", looking, [](auto& of) { (void)of.box.size_approx(); });
}

} // namespace

std::vector<finding> examine_spsc_queue() {
  std::vector<finding> all;
  examine_spsc_queue_of<int>("spsc_queue ", all);
  examine_spsc_queue_of<large>("spsc_queue, large messages ", all);
  return all;
}

std::vector<finding> examine_mpmc_queue() {
  std::vector<finding> all;
  examine_queue_of_many<mpmc>("mpmc_queue ", "lock-free", "lock-free", mpmc_fault, all);
  const auto add = [&](const char* name, deed<mpmc> victim) {
    all.push_back(examine_in_all_states<mpmc>("mpmc_queue " + std::string{name}, "lock-free",
                                              victim, anybody<mpmc>, mpmc_fault));
  };
  add("producer, consumer", use_handles);
  add("try_claim, commit", [](auto& of) {
    const int message = of.book.fresh();
    if (of.box.try_claim(message)->commit() == queue_status::success) of.book.in(message);
  });
  add("try_receive", [](auto& of) {
    if (auto taken = of.box.try_receive()) of.book.out(**taken);
  });
  add("force_push", push_by_force);
  return all;
}

std::vector<finding> examine_mpmc_ticket_queue() {
  std::vector<finding> all;
  examine_queue_of_many<tickets>("mpmc_ticket_queue ", "blocking", "wait-free", tickets_fault, all);
  return all;
}

} // namespace test
