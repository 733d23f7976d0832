// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_CONTRACT_QUEUE_SCRIPTS_HPP
#define MAILROOM_TESTS_CONTRACT_QUEUE_SCRIPTS_HPP

// Random scripts of operations, run on a queue and on a std::deque that plays the same game. What
// fails is made smaller by leaving halves of it out, for as long as it still fails.

#include <mailroom/core/status.hpp>

#include <contract/queue_flavors.hpp>
#include <support/positions.hpp>
#include <support/tracked.hpp>

#include <algorithm>   // min
#include <cstddef>     // size_t, ptrdiff_t
#include <cstdint>     // uint32_t, uint64_t
#include <deque>       // deque
#include <iterator>    // make_move_iterator
#include <random>      // mt19937
#include <span>        // span
#include <string>      // string, to_string
#include <string_view> // string_view
#include <utility>     // move
#include <vector>      // vector

namespace contract {

enum class op : unsigned char {
  push_copy,
  push_move,
  emplace,
  push_throwing,
  push_range,
  move_range,
  range_throwing,
  pop,
  pop_into,
  pop_n,
  pop_n_throwing,
  consume_all,
  consume_throwing,
  seal,
  sizes,
};
inline constexpr int op_count = 15;
inline constexpr std::string_view op_names[op_count] = {
    "push_copy",        "push_move", "emplace",  "push_throwing", "push_range",     "move_range",
    "range_throwing",   "pop",       "pop_into", "pop_n",         "pop_n_throwing", "consume_all",
    "consume_throwing", "seal",      "sizes"};

struct step {
  op what;
  std::size_t n; // how many, or which one throws
};
using script = std::vector<step>;

inline script random_script(std::mt19937& random, std::size_t capacity, std::size_t length) {
  script steps;
  const auto most = static_cast<std::uint32_t>(std::min<std::size_t>(capacity, 12) + 3);
  for (std::size_t i = 0; i != length; ++i) {
    auto what = static_cast<op>(random() % op_count);
    if (what == op::seal && random() % 8 != 0) what = op::push_move; // a seal ends the game
    steps.push_back({what, random() % most});
  }
  return steps;
}

inline std::string to_text(const script& steps) {
  std::string text;
  for (const step& one : steps) {
    text += op_names[static_cast<std::size_t>(one.what)];
    text += "(" + std::to_string(one.n) + ") ";
  }
  return text;
}

/// A queue and its model, which do the same; `wrong` says where they first differed.
template <class Queue>
class game {
public:
  game(Queue& queue, test::ledger& book) : queue_{queue}, book_{book} {}

  std::string play(const script& steps) {
    for (std::size_t i = 0; i != steps.size() && wrong_.empty(); ++i) {
      take_step(steps[i]);
      expect(queue_.size_approx() == model_.size(), "size_approx");
      expect(book_.alive() == model_.size(), "messages alive");
      if (!wrong_.empty()) wrong_ += " in step " + std::to_string(i);
    }
    for (const int value : drain(queue_)) expect_front(value);
    expect(model_.empty(), "the rest");
    expect(book_.fault().empty(), book_.fault().c_str());
    return wrong_;
  }

private:
  queue_status push_answer() const {
    if (sealed_) return queue_status::closed;
    return model_.size() == queue_.capacity() ? queue_status::full : queue_status::success;
  }
  queue_status pop_answer() const {
    if (sealed_) return queue_status::closed;
    return model_.empty() ? queue_status::empty : queue_status::success;
  }
  std::size_t room() const { return sealed_ ? 0 : queue_.capacity() - model_.size(); }

  void expect(bool right, const char* what) {
    if (!right && wrong_.empty()) wrong_ = what;
  }
  void expect_front(int value) {
    expect(!model_.empty() && model_.front() == value, "order");
    if (!model_.empty()) model_.pop_front();
  }
  void expect_pushed(queue_status status, int value) {
    expect(status == push_answer(), "the answer of a push");
    if (push_answer() == queue_status::success) model_.push_back(value);
  }

  void take_step(step one) {
    switch (one.what) {
    case op::push_copy: return push_copy();
    case op::push_move: return push_move();
    case op::emplace: return expect_pushed(queue_.try_emplace(next_), next_), void(++next_);
    case op::push_throwing: return push_throwing();
    case op::push_range: return push_range(one.n);
    case op::move_range: return move_range(one.n);
    case op::range_throwing: return range_throwing(one.n);
    case op::pop: return pop();
    case op::pop_into: return pop_into();
    case op::pop_n: return pop_n(one.n);
    case op::pop_n_throwing: return pop_n_throwing(one.n);
    case op::consume_all: return consume_all();
    case op::consume_throwing: return consume_throwing(one.n);
    case op::seal: return seal();
    case op::sizes:
      return expect(queue_.pushed() - queue_.popped() == model_.size(), "pushed and popped");
    }
  }

  void push_copy() {
    const test::tracked message{next_++};
    expect_pushed(queue_.try_push(message), message.value());
  }
  void push_move() {
    const int value = next_++;
    test::tracked message{value};
    const queue_status status = queue_.try_push(std::move(message));
    const bool kept = message.value() == value;
    expect(kept == (status != queue_status::success), "the argument");
    expect_pushed(status, value);
  }
  void push_throwing() {
    book_.fail_at(1);
    bool threw = false;
    try {
      expect(queue_.try_emplace(-5) == push_answer(), "the answer of a push");
    } catch (const test::boom&) {
      threw = true;
    }
    book_.fail_at(0);
    expect(threw == (push_answer() == queue_status::success), "the throw");
  }
  void push_range(std::size_t n) {
    std::vector<int> run = numbers(next_, n);
    next_ += static_cast<int>(n);
    const auto taken =
        static_cast<std::size_t>(queue_.try_push_range(run.begin(), run.end()) - run.begin());
    expect(taken == std::min(n, room()), "how many fitted");
    model_.insert(model_.end(), run.begin(), run.begin() + static_cast<std::ptrdiff_t>(taken));
  }
  void move_range(std::size_t n) {
    auto run = messages<test::tracked>(next_, n);
    const std::size_t fits = std::min(n, room());
    const std::span<test::tracked> rest = queue_.try_move_range(run);
    expect(rest.size() == n - fits, "the length of the rest");
    for (std::size_t i = 0; i != n; ++i) {
      const int value = next_++;
      expect(run[i].value() == (i < fits ? test::moved_from : value), "the rest");
      if (i < fits) model_.push_back(value);
    }
  }
  void range_throwing(std::size_t n) {
    const auto run = messages<test::tracked>(next_, n + 1);
    const bool must_throw = n < room();
    bool threw = false;
    book_.fail_at(static_cast<int>(n) + 1);
    try {
      queue_.try_push_range(run.begin(), run.end());
    } catch (const test::boom&) {
      threw = true;
    }
    book_.fail_at(0);
    expect(threw == must_throw, "the throw");
    const std::size_t fits = std::min(n, room());
    for (std::size_t i = 0; i != fits; ++i) model_.push_back(next_ + static_cast<int>(i));
    next_ += static_cast<int>(n) + 1;
  }
  void pop() {
    const auto answer = pop_answer();
    const auto message = queue_.try_pop();
    expect(message.error() == answer, "the answer of a pop");
    if (message) expect_front(message->value());
  }
  void pop_into() {
    const auto answer = pop_answer();
    test::tracked message{-3};
    expect(queue_.try_pop(message) == answer, "the answer of a pop");
    if (answer == queue_status::success) {
      expect_front(message.value());
    } else {
      expect(message.value() == -3, "the target");
    }
  }
  void pop_n(std::size_t n) {
    std::vector<int> out;
    const std::size_t there = std::min(n, model_.size());
    expect(queue_.try_pop_n(reader{&out}, n) == there, "how many were there");
    expect(out.size() == there, "how many came");
    for (const int value : out) expect_front(value);
  }
  void pop_n_throwing(std::size_t n) {
    std::vector<int> out;
    const bool must_throw = n < model_.size();
    bool threw = false;
    try {
      queue_.try_pop_n(reader{&out, static_cast<int>(n) + 1}, n + 1);
    } catch (const test::boom&) {
      threw = true;
    }
    expect(threw == must_throw, "the throw");
    for (const int value : out) expect_front(value);
    // Whether the message that could not be handed over is lost is each queue's own choice.
    if (threw && queue_.size_approx() + 1 == model_.size()) model_.pop_front();
  }
  void consume_all() {
    const std::size_t there = model_.size();
    const std::size_t count =
        queue_.consume_all([this](test::tracked&& message) { expect_front(message.value()); });
    expect(count == there, "how many were consumed");
    expect(model_.empty(), "what was left");
  }
  void consume_throwing(std::size_t n) {
    const bool must_throw = n < model_.size();
    bool threw = false;
    std::size_t calls = 0;
    try {
      queue_.consume_all([&](test::tracked&& message) {
        expect_front(message.value());
        if (calls++ == n) throw test::boom{};
      });
    } catch (const test::boom&) {
      threw = true;
    }
    expect(threw == must_throw, "the throw");
  }
  void seal() {
    if constexpr (can_be_sealed<Queue>) {
      sealed_ = sealed_ || model_.empty();
      expect(queue_.seal() == sealed_, "the answer of a seal");
    }
  }

  Queue& queue_;
  test::ledger& book_;
  std::deque<int> model_;
  std::string wrong_;
  int next_ = 0;
  bool sealed_ = false;
};

/// Plays a script on a new queue; says what was wrong, or nothing.
template <class Size>
std::string play(const Size& size, std::uint64_t first, const script& steps) {
  test::ledger book;
  std::string wrong;
  {
    auto queue = size.starting_at(first);
    wrong = game{queue, book}.play(steps);
  }
  if (wrong.empty() && !book.is_balanced()) wrong = "the end";
  return wrong;
}

/// Leaves halves, quarters, ... out of a script that fails, as long as what remains fails too.
template <class Fails>
script shrunk(script steps, const Fails& fails) {
  for (std::size_t piece = steps.size() / 2; piece != 0;) {
    bool smaller = false;
    for (std::size_t at = 0; at + piece <= steps.size();) {
      script rest{steps};
      const auto begin = rest.begin() + static_cast<std::ptrdiff_t>(at);
      rest.erase(begin, begin + static_cast<std::ptrdiff_t>(piece));
      if (fails(rest)) {
        steps = std::move(rest);
        smaller = true;
      } else {
        at += piece;
      }
    }
    if (!smaller) piece /= 2;
  }
  return steps;
}

} // namespace contract

#endif // MAILROOM_TESTS_CONTRACT_QUEUE_SCRIPTS_HPP
