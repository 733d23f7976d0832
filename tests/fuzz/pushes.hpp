// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_FUZZ_PUSHES_HPP
#define MAILROOM_TESTS_FUZZ_PUSHES_HPP

// What the games of all queues of messages share: every way to push, with messages and memory that
// fail; and what a script may do with which queue.

#include <mailroom/core/concepts.hpp>
#include <mailroom/core/status.hpp>

#include <fuzz/messages.hpp>
#include <fuzz/script.hpp>
#include <support/allocators.hpp>
#include <support/tracked.hpp>

#include <algorithm> // min
#include <concepts>  // copy_constructible, derived_from
#include <cstddef>   // size_t
#include <cstdint>   // uint64_t
#include <iterator>  // default_sentinel
#include <new>       // bad_alloc
#include <span>      // span
#include <utility>   // move
#include <vector>    // vector

namespace fuzz {

using mailroom::arity;
using mailroom::queue_status;

template <class Queue>
concept has_push_move = requires(Queue& queue, typename Queue::value_type&& message) {
  queue.try_push(std::move(message));
};
template <class Queue>
concept has_move_range = requires(Queue& queue, std::span<typename Queue::value_type> messages) {
  queue.try_move_range(messages);
};

/// Is a message moved into this queue, and can one see it? Where the move may fail, mpmc_queue
/// takes a copy.
template <class Queue, class T = typename Queue::value_type,
          class Facts = mailroom::queue_facts<Queue>>
constexpr bool shows_move = is_counted<T> && !std::derived_from<T, test::copy_only> &&
                            (Facts::producers == arity::one || Facts::consumers == arity::one ||
                             mailroom::nothrow_message<T>);

/// Does a push of a range read an element before it asks whether there is room?
template <class Queue>
constexpr bool reads_first = !mailroom::queue_facts<Queue>::bounded;

/// A game says what else there is to do, and what is checked after each step.
template <class Queue, class Model>
class pushes {
protected:
  using T = typename Queue::value_type;

  pushes(Queue& queue, const Model& model, script& in, test::ledger& book,
         test::allocation_log& log)
      : queue_{queue}, model_{model}, first_{queue.pushed()}, in_{in}, book_{book}, log_{log} {}

  /// What a step is told besides what to do: about how many messages, and what fails.
  void draw(std::size_t reach) {
    n_ = in_.below(reach + 4);
    fail_at_ = in_.below(24);
    memory_fails_at_ = fail_at_ > 8 && fail_at_ < 12 ? fail_at_ - 8 : 0;
    if (fail_at_ > 8) fail_at_ = 0;
  }

  static constexpr std::size_t ways = 6;
  void push(std::size_t way) {
    switch (way) {
    case 0: return push_copy();
    case 1: return push_move();
    case 2: return emplace();
    case 3: return push_range();
    case 4: return move_range();
    default: return push_stream();
    }
  }

  /// Lets what is to fail fail during the call. Says whether the call threw.
  template <class F>
  bool throws(F&& call) {
    bool lacked = false;
    log_.fail_at = memory_fails_at_;
    const bool threw = throws_at<T>(fail_at_, book_, [&] {
      try {
        call();
      } catch (const std::bad_alloc&) {
        lacked = true;
      }
    });
    log_.fail_at = 0;
    lacked_memory_ = lacked;
    return threw || lacked;
  }

  Queue& queue_;
  Model model_;
  const std::uint64_t first_;
  script& in_;
  test::ledger& book_;
  test::allocation_log& log_;
  std::size_t n_ = 0;               // of the step: how many
  std::size_t fail_at_ = 0;         // which operation of a message fails
  std::size_t memory_fails_at_ = 0; // and which allocation
  bool lacked_memory_ = false;
  int next_ = 0;

private:
  template <class F>
  bool push_throws(F&& call) {
    const bool threw = throws(call);
    expect(!lacked_memory_ || !mailroom::queue_facts<Queue>::bounded, "a push that needs memory");
    return threw;
  }
  template <class F>
  bool push_by(int value, F&& call) {
    queue_status answer{};
    const bool threw = push_throws([&] { answer = call(); });
    expect(threw ? model_.push_answer() == queue_status::success : answer == model_.push_answer(),
           "a push");
    if (threw || answer != queue_status::success) return false;
    model_.put(value);
    return true;
  }
  void push_copy() {
    if constexpr (std::copy_constructible<T>) {
      const T message{next_++};
      push_by(value_of(message), [&] { return queue_.try_push(message); });
    }
  }
  void push_move() {
    if constexpr (has_push_move<Queue>) {
      const int value = next_++;
      T message{value};
      const bool is_in = push_by(value, [&] { return queue_.try_push(std::move(message)); });
      expect_argument(message, value, is_in);
    }
  }
  void expect_argument(const T& message, int value, bool is_in) {
    expect(value_of(message) == (is_in && shows_move<Queue> ? test::moved_from : value),
           "an argument");
  }
  void emplace() {
    const int value = next_++;
    push_by(value, [&] { return queue_.try_emplace(value); });
  }

  /// A run of `n` messages, of which `call` pushes as many as it says.
  template <class F>
  std::size_t push_run(std::size_t n, F&& call) {
    const std::size_t fits = std::min(n, model_.room());
    std::size_t taken = 0;
    if (push_throws([&] { taken = call(); })) {
      taken = static_cast<std::size_t>(queue_.pushed() - first_ - model_.pushed());
      expect(taken < fits || (reads_first<Queue> && taken == fits), "a throw beyond the room");
      expect(lacked_memory_ || taken + 1 == fail_at_, "what was taken before the throw");
    } else {
      expect(taken == fits, "how many fitted");
    }
    for (std::size_t i = 0; i != taken; ++i) model_.put(next_ + static_cast<int>(i));
    next_ += static_cast<int>(n);
    return taken;
  }
  void push_range() {
    if constexpr (std::copy_constructible<T>) {
      const std::vector<T> run = messages<T>(next_, n_);
      push_run(n_, [&] {
        return static_cast<std::size_t>(queue_.try_push_range(run.begin(), run.end()) -
                                        run.begin());
      });
    }
  }
  void move_range() {
    if constexpr (has_move_range<Queue>) {
      std::vector<T> run = messages<T>(next_, n_);
      const int from = next_;
      const std::size_t taken = push_run(n_, [&] {
        const std::span<T> rest = queue_.try_move_range(run);
        expect(rest.data() + rest.size() == run.data() + n_, "the rest is the end of the run");
        return n_ - rest.size();
      });
      for (std::size_t i = 0; i != n_; ++i) {
        expect_argument(run[i], from + static_cast<int>(i), i < taken);
      }
    }
  }
  void push_stream() {
    const bool ends_badly = in_.one_in(2) && n_ != 0;
    if (ends_badly) fail_at_ = n_; // the stream before the message
    const int end = next_ + static_cast<int>(n_);
    push_run(n_, [&] {
      const stream rest =
          queue_.try_push_range(stream{next_, end, ends_badly}, std::default_sentinel);
      return n_ - static_cast<std::size_t>(end - rest.at);
    });
  }
};

} // namespace fuzz

#endif // MAILROOM_TESTS_FUZZ_PUSHES_HPP
