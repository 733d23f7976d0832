// SPDX-License-Identifier: MIT
// Queues each of whose readers sees every message.
#include "worlds.hpp"

#include <mailroom/queue/broadcast_queue.hpp>

#include <array>    // array
#include <optional> // optional

namespace test {
namespace {

using mailroom::arity;
using mailroom::broadcast_mode;

/// A queue and two who read it, each with books of its own.
template <broadcast_mode Mode, arity Producers>
struct hall {
  using queue = mailroom::broadcast_queue<int, Mode, Producers>;
  static constexpr bool is_lossy = Mode == broadcast_mode::lossy;
  static constexpr bool is_shared = Producers == arity::many;

  explicit hall(const state& at) : box{at.capacity} {
    for (seat& each : seats) each.own.emplace(box.subscribe());
    for (std::size_t i = 0; i != at.passed; ++i) (void)push(), drain();
    for (std::size_t i = 0; i != at.inside; ++i) (void)push();
  }

  queue_status push() {
    const int message = numbers.fresh();
    const queue_status status = box.try_push(message);
    if (status == queue_status::success) note(message);
    return status;
  }
  void push_range() {
    std::array<int, 3> messages{};
    for (int& each : messages) each = numbers.fresh();
    const auto* const rest = box.try_push_range(messages.begin(), messages.end());
    for (const auto* each = messages.data(); each != rest; ++each) note(*each);
  }
  queue_status pop(std::size_t who) {
    const auto result = seats[who].own->try_pop();
    if (result) seats[who].book.out(*result);
    return result.error();
  }
  void pop_n(std::size_t who) {
    std::vector<int> messages;
    seats[who].own->try_pop_n(std::back_inserter(messages), 2);
    for (const int each : messages) seats[who].book.out(each);
  }
  void consume(std::size_t who) {
    seats[who].own->consume_all([&](int each) { seats[who].book.out(each); });
  }
  /// Until there is nothing, or somebody is in the way.
  void drain(std::size_t who) {
    for (;;) {
      const auto status = pop(who);
      if (status != queue_status::success && status != queue_status::lagged) return;
    }
  }
  void drain() {
    for (std::size_t who = 0; who != seats.size(); ++who) {
      if (seats[who].own) drain(who);
    }
  }

  /// Once nobody is at work: all see what is pushed, and know exactly what they have missed.
  std::string fault() {
    drain();
    if (push() != queue_status::success) return "a push is refused though all was read";
    drain();
    for (seat& each : seats) {
      if (each.own && each.book.lost() != static_cast<long>(each.own->missed())) {
        return "what was lost is not what was missed";
      }
    }
    return "";
  }

  queue box;
  struct seat {
    std::optional<typename queue::reader> own;
    books book;
  };
  std::array<seat, 2> seats;
  books numbers;

private:
  void note(int message) {
    for (seat& each : seats) each.book.in(message);
  }
};

template <class Hall>
using shared_hall = std::shared_ptr<Hall>;

// ---- What others do

/// All that was there before comes.
template <class Hall>
company reading(const shared_hall<Hall>& all, const state& at, std::size_t who) {
  const auto before = all->seats[who].own->passed();
  const auto read = [=] {
    all->drain(who);
    return all->seats[who].own->passed() - before >= at.inside;
  };
  return {"try_pop", {}, {{read}}};
}

/// All the room that was there before is had, but for `less`; where there is always room, more.
template <class Hall>
company writing(const shared_hall<Hall>& all, const state& at, std::size_t less) {
  const std::size_t room = Hall::is_lossy ? 20 : at.capacity - at.inside;
  const auto write = [all, left = room - std::min(room, less)]() mutable {
    while (left != 0 && all->push() == queue_status::success) --left;
    return left == 0;
  };
  return {"try_push", {}, {{write}}};
}

/// One comes in behind all that is there, and reaches a reader.
template <class Hall>
company carrying(const shared_hall<Hall>& all, std::size_t who) {
  const auto carry = [=] {
    all->drain();
    const auto end = all->box.pushed();
    if (all->push() != queue_status::success) return false;
    const auto before = all->seats[who].own->passed();
    all->drain(who);
    return all->box.pushed() > end && all->seats[who].own->passed() > before;
  };
  return {"push and pop", {}, {{carry}}};
}

template <class Hall>
company joining(const shared_hall<Hall>& all) {
  const auto come_and_go = [=] { return all->box.subscribe().passed() == 0; };
  return {"subscribe and leave", {}, {{come_and_go}}};
}

// ---- The victims

template <class Hall>
using deed = void (*)(Hall&);
template <class Hall>
using others = std::vector<company> (*)(const shared_hall<Hall>&, const state&);

/// Beside a producer: readers, those who come and go, and other producers.
template <class Hall>
std::vector<company> beside_a_push(const shared_hall<Hall>& all, const state& at) {
  std::vector<company> found{reading(all, at, 0), joining(all)};
  if constexpr (Hall::is_shared) {
    found.push_back(writing(all, at, 3)); // the victim may have claimed so many
    found.push_back(carrying(all, 0));
  }
  return found;
}

/// Beside a reader, the first one.
template <class Hall>
std::vector<company> beside_a_pop(const shared_hall<Hall>& all, const state& at) {
  return {reading(all, at, 1), joining(all), writing(all, at, 0)};
}

/// Beside one who is not a reader yet, or will not be one: nobody minds him.
template <class Hall>
std::vector<company> beside_a_change(const shared_hall<Hall>& all, const state& at) {
  return {reading(all, at, 1), joining(all), writing(all, at, 0), carrying(all, 1)};
}

template <class Hall>
class examination {
public:
  examination(std::string name, std::string promised, std::vector<finding>& into)
      : name_{std::move(name)}, promised_{std::move(promised)}, into_{into} {}

  void add(const char* what, const std::string& promised, deed<Hall> victim, others<Hall> there) {
    std::vector<scenery> states;
    for (const state& at : all_states()) {
      states.push_back([=] {
        const auto made = std::make_shared<Hall>(at);
        return scene{[=] { victim(*made); }, there(made, at), {}, [=] { return made->fault(); }};
      });
    }
    into_.push_back(examine(name_ + " " + what, promised, states));
  }

  void run() {
    add("try_push", promised_, [](Hall& of) { (void)of.push(); }, beside_a_push<Hall>);
    add("try_push_range", promised_, [](Hall& of) { of.push_range(); }, beside_a_push<Hall>);
    add("try_pop", promised_, [](Hall& of) { (void)of.pop(0); }, beside_a_pop<Hall>);
    add("try_pop_n", promised_, [](Hall& of) { of.pop_n(0); }, beside_a_pop<Hall>);
    add("consume_all", promised_, [](Hall& of) { of.consume(0); }, beside_a_pop<Hall>);
    add(
        "subscribe", "lock-free", [](Hall& of) { (void)of.box.subscribe(); },
        beside_a_change<Hall>);
    if constexpr (!Hall::is_lossy) { // where nobody minds readers, leaving is no step
      add("leave", "wait-free", [](Hall& of) { of.seats[0].own.reset(); }, beside_a_pop<Hall>);
    }
  }

private:
  std::string name_;
  std::string promised_;
  std::vector<finding>& into_;
};

} // namespace

std::vector<finding> examine_broadcasts() {
  using enum broadcast_mode;
  std::vector<finding> all;
  examination<hall<lossless, arity::one>>{"broadcast_queue of one", "wait-free", all}.run();
  examination<hall<lossless, arity::many>>{"broadcast_queue of many", "blocking", all}.run();
  examination<hall<lossy, arity::one>>{"lossy broadcast_queue of one", "wait-free", all}.run();
  examination<hall<lossy, arity::many>>{"lossy broadcast_queue of many", "lock-free", all}.run();
  return all;
}

} // namespace test
