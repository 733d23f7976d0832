// SPDX-License-Identifier: MIT
// The queues without a bound: many producers, one consumer.
#include "worlds.hpp"

#include <mailroom/queue/intrusive_mpsc_queue.hpp>
#include <mailroom/queue/mpsc_queue.hpp>

#include <algorithm> // min

namespace test {
namespace {

using mailroom::queue_status;

/// Makes the intrusive queue look like the others: it owns its nodes here.
class intrusive {
public:
  using value_type = int;

  intrusive() = default;
  intrusive(const intrusive&) = delete;
  intrusive& operator=(const intrusive&) = delete;
  ~intrusive() {
    consume_all([](int&&) {});
  }

  queue_status try_push(int value) {
    queue_.push(*new node{value});
    return queue_status::success;
  }
  mailroom::expected<int, queue_status> try_pop() {
    node* const one = queue_.try_pop();
    if (one == nullptr) return mailroom::unexpected{queue_status::empty};
    const int value = one->value;
    delete one;
    return {int{value}};
  }
  template <class F>
  std::size_t consume_all(F&& handler) {
    return queue_.consume_all([&handler](auto& one) {
      handler(int{one.value});
      delete &one;
    });
  }
  bool try_rest() { return queue_.try_rest(); }

private:
  struct node : mailroom::intrusive_node {
    int value;
    explicit node(int number) noexcept : value{number} {}
  };
  mailroom::intrusive_mpsc_queue<node> queue_;
};

using mpsc = mailroom::mpsc_queue<int>;
template <class Box>
using shared = std::shared_ptr<world<Box>>;
template <class Box>
using deed = void (*)(world<Box>&);

/// Where a queue stands when the victim begins; its blocks have two slots.
std::vector<state> states_without_bound() {
  std::vector<state> all;
  for (std::size_t passed = 0; passed != 5; ++passed) {
    for (std::size_t inside = 0; inside != 4; ++inside) all.push_back({0, passed, inside});
  }
  return all;
}

template <class Box>
shared<Box> unbounded_at(const state& at) {
  auto made = std::make_shared<world<Box>>();
  for (std::size_t i = 0; i != at.passed; ++i) (void)made->push(), (void)made->pop();
  for (std::size_t i = 0; i != at.inside; ++i) (void)made->push();
  return made;
}

/// Once nobody is at work: it still carries messages, in its order, and nothing was lost.
template <class Box>
std::string fault_of(world<Box>& all) {
  all.drain();
  for (int i = 0; i != 9; ++i) {
    if (all.push() == queue_status::closed) return all.book.fault();
  }
  return all.drain() == 9 ? all.book.fault() : "it does not carry what is pushed";
}

/// The consumer, beside a victim that pushes. What was inside before must come out; what is pushed
/// while the victim stands still may be hidden behind it.
template <class Box>
std::vector<company> the_consumer(const shared<Box>& all, const state& at) {
  const auto all_of_it = [all, at](auto take) {
    return part{[=, left = at.inside]() mutable {
      left -= std::min(left, take(*all));
      return left == 0;
    }};
  };
  const auto one_behind = [all, left = at.inside, pushed = false]() mutable {
    if (!pushed) pushed = all->push() == queue_status::success, left += 1;
    while (left != 0 && all->pop() == queue_status::success) --left;
    if (left != 0) return false;
    pushed = false;
    return true;
  };
  std::vector<company> made{
      {"try_pop", {}, {all_of_it([](auto& of) { return of.drain(); })}},
      {"consume_all", {}, {all_of_it([](auto& of) { return of.consume_all(); })}},
      {"another push", {}, {{[all] { return all->push() == queue_status::success; }}}},
      {"a pop of what is pushed behind", {}, {{one_behind, 1}}}};
  if constexpr (std::is_same_v<Box, mpsc>) {
    made.push_back({"try_pop_n", {}, {all_of_it([](auto& of) { return of.pop_n(2); })}});
    made.push_back({"seal", {}, {{[all] { return all->box.seal() || true; }}}});
  }
  return made;
}

/// Producers, beside a victim that is the consumer.
template <class Box>
std::vector<company> the_producers(const shared<Box>& all, const state&) {
  const part push{[all] { return all->push() != queue_status::busy; }};
  return {{"try_push", {}, {push}}, {"two that push", {}, {push, push}}};
}

template <class Box>
finding examine_unbounded(const std::string& name, const char* promised, deed<Box> victim,
                          std::vector<company> (*companies)(const shared<Box>&, const state&)) {
  std::vector<scenery> states;
  for (const state& at : states_without_bound()) {
    states.push_back([=] {
      const auto made = unbounded_at<Box>(at);
      return scene{
          [=] { victim(*made); }, companies(made, at), {}, [=] { return fault_of<Box>(*made); }};
    });
  }
  return examine(name, promised, states);
}

} // namespace

std::vector<finding> examine_mpsc_queue() {
  std::vector<finding> all;
  const auto pushes = [&](const char* name, deed<mpsc> victim) {
    all.push_back(examine_unbounded<mpsc>("mpsc_queue " + std::string{name}, "lock-free", victim,
                                          the_consumer<mpsc>));
  };
  const auto pops = [&](const char* name, deed<mpsc> victim) {
    all.push_back(examine_unbounded<mpsc>("mpsc_queue " + std::string{name}, "wait-free", victim,
                                          the_producers<mpsc>));
  };
  pushes("try_push", [](auto& of) { (void)of.push(); });
  pushes("try_push_range", [](auto& of) { (void)of.push_range(3); });
  pops("try_pop", [](auto& of) { (void)of.pop(); });
  pops("try_pop_n", [](auto& of) { (void)of.pop_n(2); });
  pops("consume_all", [](auto& of) { (void)of.consume_all(); });
  pops("seal", [](auto& of) { (void)of.box.seal(); });
  pops("size_approx", [](auto& of) { (void)of.box.size_approx(); });
  return all;
}

std::vector<finding> examine_intrusive_mpsc_queue() {
  std::vector<finding> all;
  const auto add = [&](const char* name, const char* promised, deed<intrusive> victim,
                       auto companies) {
    all.push_back(examine_unbounded<intrusive>("intrusive_mpsc_queue " + std::string{name},
                                               promised, victim, companies));
  };
  add("push", "lock-free", [](auto& of) { (void)of.push(); }, the_consumer<intrusive>);
  add("try_pop", "wait-free", [](auto& of) { (void)of.pop(); }, the_producers<intrusive>);
  add(
      "consume_all", "wait-free", [](auto& of) { (void)of.consume_all(); },
      the_producers<intrusive>);
  add("try_rest", "wait-free", [](auto& of) { (void)of.box.try_rest(); }, the_producers<intrusive>);
  return all;
}

} // namespace test
