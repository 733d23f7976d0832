// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_FUZZ_QUEUE_GAME_HPP
#define MAILROOM_TESTS_FUZZ_QUEUE_GAME_HPP

// One thread plays a script on a queue and on its model, which must answer the same.
//
// A step is three bytes: what to do, with how many messages, and which operation of a message fails.
// Handlers of consume_all go on with the script while they run: they may do everything with an
// mpmc_queue, and push into an spsc_queue.

#include <mailroom/core/status.hpp>

#include <fuzz/messages.hpp>
#include <fuzz/queue_model.hpp>
#include <fuzz/script.hpp>
#include <support/positions.hpp>
#include <support/tracked.hpp>

#include <algorithm> // min
#include <concepts>  // copy_constructible
#include <cstddef>   // size_t
#include <cstdint>   // uint64_t
#include <iterator>  // back_inserter, default_sentinel
#include <span>      // span
#include <utility>   // exchange, move
#include <vector>    // vector

namespace fuzz {

template <class Queue>
class queue_game {
  using T = typename Queue::value_type;

public:
  queue_game(Queue& queue, std::uint64_t first, fuzz::script& in, test::ledger& book)
      : queue_{queue}, model_{queue.capacity(), !has_front<Queue>}, first_{first}, in_{in},
        book_{book} {}

  void play() {
    const bool leaves_rest = in_.one_in(2); // to the destructor
    while (!in_.is_over()) step();
    if (leaves_rest || model_.is_sealed()) return;
    queue_.consume_all([this](T&& message) { model_.expect_front(value_of(message)); });
    expect(model_.is_empty(), "the rest");
    if constexpr (has_seal<Queue>) {
      expect(mailroom::detail::test_access::each_cell_is_in_one_place(queue_), "the cells");
    }
  }

private:
  void step() {
    constexpr std::size_t pushes = 6;
    const std::size_t what = depth_ != 0 && has_front<Queue> ? in_.below(pushes) : in_.below(13);
    n_ = in_.below(queue_.capacity() + 4);
    fail_at_ = in_.below(24);
    if (fail_at_ > 8) fail_at_ = 0;
    switch (what) {
    case 0: push_copy(); break;
    case 1: push_move(); break;
    case 2: emplace(); break;
    case 3: push_range(); break;
    case 4: move_range(); break;
    case 5: push_stream(); break;
    case 6: pop(); break;
    case 7: pop_into(); break;
    case 8: pop_n(); break;
    case 9: pop_n_into_vector(); break;
    case 10: consume_all(); break;
    case 11: look_at_front(); break;
    default: seal(); break;
    }
    check();
  }

  void check() {
    expect(queue_.size_approx() == model_.size() + model_.held(), "size_approx");
    expect(queue_.pushed() == first_ + model_.pushed(), "pushed");
    expect(queue_.popped() + model_.held() == first_ + model_.popped(), "popped");
    expect(book_.fault().empty(), book_.fault().c_str());
    if (is_counted<T>) {
      expect(book_.alive() == model_.size() + depth_, "messages alive");
    }
  }

  template <class F>
  bool throws(F&& call) {
    return throws_at<T>(fail_at_, book_, call);
  }

  // ---- Pushes

  template <class F>
  bool push_by(int value, F&& call) {
    queue_status answer{};
    const bool threw = throws([&] { answer = call(); });
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
    if (throws([&] { taken = call(); })) {
      taken = static_cast<std::size_t>(queue_.pushed() - first_ - model_.pushed());
      expect(taken < fits && taken + 1 == fail_at_, "what was taken before the throw");
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

  // ---- Pops

  void pop() {
    if constexpr (has_pop<Queue>) {
      const bool threw = throws([&] {
        const auto message = queue_.try_pop();
        expect(message.error() == model_.pop_answer(), "the answer of a pop");
        if (message) model_.expect_front(value_of(*message));
      });
      expect(!threw || !model_.is_empty(), "a pop of nothing threw");
    }
  }
  void pop_into() {
    if constexpr (has_pop_into<Queue>) {
      T into{-3};
      const queue_status right = model_.pop_answer();
      queue_status answer{};
      const bool threw = throws([&] { answer = queue_.try_pop(into); });
      expect(threw ? right == queue_status::success : answer == right, "the answer of a pop");
      if (threw || answer != queue_status::success) {
        expect(value_of(into) == -3, "the target of a pop");
      } else {
        model_.expect_front(value_of(into));
      }
    }
  }
  void pop_n() {
    const std::size_t there = std::min(n_, model_.size());
    const std::size_t fail_at = std::exchange(fail_at_, 0);
    std::size_t count = 0;
    const bool threw =
        throws([&] { count = queue_.try_pop_n(sink<T, queue_model>{&model_, fail_at}, n_); });
    expect(threw == (fail_at != 0 && fail_at <= there), "the throw of an iterator");
    expect(threw || count == there, "how many were popped");
    if (threw) model_.lose_front();
  }
  void pop_n_into_vector() {
    std::vector<T> out;
    out.reserve(n_);
    const std::size_t there = std::min(n_, model_.size());
    std::size_t count = 0;
    const bool threw = throws([&] { count = queue_.try_pop_n(std::back_inserter(out), n_); });
    expect(threw ? out.size() + 1 == fail_at_ : count == there, "how many were popped");
    expect(threw || out.size() == there, "how many came");
    for (const T& message : out) model_.expect_front(value_of(message));
    if (threw) model_.lose_front();
  }
  void consume_all() {
    const std::size_t fail_at = std::exchange(fail_at_, 0);
    std::size_t calls = 0;
    std::size_t count = 0;
    const bool threw = throws([&] {
      count = queue_.consume_all([&](T&& message) {
        model_.expect_front(value_of(message));
        ++calls;
        consume_one();
        if (calls == fail_at) throw test::boom{};
      });
    });
    model_.free_slots();
    if (threw) return;
    expect(count == calls && calls <= queue_.capacity(), "how many were consumed");
    expect(model_.is_empty() || calls == queue_.capacity(), "what was left");
  }
  /// Inside a handler the script may go on; an spsc_queue gives the slots back afterwards.
  void consume_one() {
    model_.hold_slot();
    if (depth_ == 3 || !in_.one_in(4)) return;
    ++depth_;
    step();
    --depth_;
  }
  void look_at_front() {
    if constexpr (has_front<Queue>) {
      const T* const first = queue_.front();
      expect((first == nullptr) == model_.is_empty(), "front");
      if (first == nullptr) return;
      expect(value_of(*first) == model_.front(), "what front shows");
      if (n_ % 2 != 0) return;
      queue_.pop_front();
      model_.expect_front(model_.front());
    }
  }
  void seal() {
    if constexpr (has_seal<Queue>) {
      if (!in_.one_in(4)) return; // a seal ends the game
      expect(queue_.seal() == model_.seal(), "the answer of a seal");
    }
  }

  Queue& queue_;
  queue_model model_;
  const std::uint64_t first_;
  fuzz::script& in_;
  test::ledger& book_;
  std::size_t depth_ = 0;   // handlers that run
  std::size_t n_ = 0;       // of the step: how many
  std::size_t fail_at_ = 0; // and which operation fails
  int next_ = 0;
};

} // namespace fuzz

#endif // MAILROOM_TESTS_FUZZ_QUEUE_GAME_HPP
