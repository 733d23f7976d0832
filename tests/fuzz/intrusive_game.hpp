// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_FUZZ_INTRUSIVE_GAME_HPP
#define MAILROOM_TESTS_FUZZ_INTRUSIVE_GAME_HPP

// One thread plays a script on an intrusive_mpsc_queue and on a deque, which owns the nodes: a node
// that comes out is destroyed at once, or pushed again.
//
// A step is two bytes: what to do, and at which call the handler of consume_all throws.

#include <mailroom/queue/intrusive_mpsc_queue.hpp>

#include <fuzz/script.hpp>
#include <support/tracked.hpp>

#include <cstddef> // size_t
#include <deque>   // deque
#include <memory>  // make_unique, unique_ptr
#include <utility> // move

namespace fuzz {

class intrusive_game {
public:
  explicit intrusive_game(script& in) : in_{in} {}

  /// What is inside at the end outlives the queue.
  void play() {
    while (!in_.is_over()) step();
  }

private:
  struct job : mailroom::intrusive_node {};

  void step() {
    switch (in_.below(6)) {
    case 0:
    case 1:
    case 2: return push(std::make_unique<job>());
    case 3: return pop();
    case 4: return consume_all();
    default: return rest();
    }
  }

  void push(std::unique_ptr<job> own) {
    job& node = *own;
    inside_.push_back(std::move(own));
    expect(queue_.push(node) == rests_, "who ends the rest");
    rests_ = false;
  }
  std::unique_ptr<job> take(const job* node) {
    expect(!inside_.empty() && inside_.front().get() == node, "the order");
    std::unique_ptr<job> own = std::move(inside_.front());
    inside_.pop_front();
    return own;
  }

  void pop() {
    job* const node = queue_.try_pop();
    if (node == nullptr) return expect(inside_.empty(), "a pop of nothing");
    auto own = take(node);
    if (in_.one_in(3)) push(std::move(own));
  }
  /// Hands over all that is there at the call; perhaps also some that a handler pushes.
  void consume_all() {
    const std::size_t there = inside_.size();
    const std::size_t fail_at = in_.below(12);
    std::size_t calls = 0;
    std::size_t count = 0;
    bool threw = false;
    try {
      count = queue_.consume_all([&](job& node) {
        auto own = take(&node);
        ++calls;
        if (in_.one_in(4)) push(std::move(own));
        if (in_.one_in(4)) push(std::make_unique<job>());
        if (calls == fail_at) throw test::boom{};
      });
    } catch (const test::boom&) {
      threw = true;
    }
    expect(threw == (fail_at != 0 && calls >= fail_at), "the throw of a handler");
    if (!threw) expect(count == calls && calls >= there, "how many were consumed");
  }
  void rest() {
    const bool is_empty = inside_.empty();
    expect(queue_.try_rest() == is_empty, "the answer of a rest");
    rests_ = rests_ || is_empty;
  }

  script& in_;
  std::deque<std::unique_ptr<job>> inside_;
  mailroom::intrusive_mpsc_queue<job> queue_;
  bool rests_ = true;
};

} // namespace fuzz

#endif // MAILROOM_TESTS_FUZZ_INTRUSIVE_GAME_HPP
