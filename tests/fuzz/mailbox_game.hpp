// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_FUZZ_MAILBOX_GAME_HPP
#define MAILROOM_TESTS_FUZZ_MAILBOX_GAME_HPP

// One thread plays a script on a mailbox and on its model, which must answer the same.
//
// A step is three bytes: what to do, with how many messages, and which operation of a message fails.
// What would wait for ever is not called; a wait that is over already, by its deadline or its stop
// token, is.

#include <mailroom/core/concepts.hpp>
#include <mailroom/core/status.hpp>

#include <fuzz/mailbox_model.hpp>
#include <fuzz/messages.hpp>
#include <fuzz/script.hpp>
#include <support/tracked.hpp>

#include <algorithm>   // min
#include <chrono>      // hours, nanoseconds, steady_clock, system_clock
#include <concepts>    // copy_constructible, same_as
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <iterator>    // default_sentinel, make_move_iterator
#include <optional>    // optional
#include <type_traits> // is_lvalue_reference, is_nothrow_move_assignable
#include <utility>     // exchange, forward, move
#include <vector>      // vector

namespace fuzz {

template <class Mailbox>
class mailbox_game {
  using T = typename Mailbox::value_type;
  static constexpr bool keeps_what_fails =
      mailroom::queue_facts<typename Mailbox::queue_type>::consumers == mailroom::arity::one;

public:
  mailbox_game(Mailbox& box, overflow on_full, script& in, test::ledger& book)
      : box_{box}, model_{box.capacity(), on_full}, in_{in}, book_{book} {}

  void play() {
    for (; !in_.is_over(); check()) step();
  }

private:
  void step() {
    const std::size_t what = in_.below(24);
    n_ = in_.below(box_.capacity() + 4);
    fail_at_ = in_.below(24);
    if (fail_at_ > 8) fail_at_ = 0;
    if (what < 8) return push_moved();
    if (what < 12) return push_copy();
    if (what == 12) return emplace();
    if (what == 13) return push_range_of_copies();
    if (what == 14) return push_range_of_moved();
    if (what == 15) return push_stream();
    if (what < 20) return pop();
    if (what == 20) return pop_into();
    if (what == 21) return pop_n();
    if (what == 22) return run();
    end();
  }

  void check() {
    expect(model_.agrees(box_.stats()), "the statistics");
    expect(box_.size_approx() == model_.size(), "size_approx");
    expect(box_.is_closed() == model_.is_closed(), "is_closed");
    expect(book_.fault().empty(), book_.fault().c_str());
    expect(!is_counted<T> || book_.alive() == model_.size(), "messages alive");
  }

  template <class F>
  bool throws(F&& call) {
    return throws_at<T>(fail_at_, book_, call);
  }

  // ---- Pushes

  /// The status for a push that only says yes or no.
  static queue_status status_of(bool is_in, queue_status right) {
    if (is_in) return queue_status::success;
    return right == queue_status::success ? queue_status::full : right;
  }
  /// One of the ways to push; `right` becomes what it should answer.
  template <class U>
  queue_status push_by(std::size_t way, U&& message, queue_status& right) {
    using namespace std::chrono;
    const bool waits = model_.push_waits();
    switch (way) {
    case 0: return box_.try_push(std::forward<U>(message));
    case 1: return box_.try_push(std::forward<U>(message), told_);
    case 2:
      if (waits) right = queue_status::timeout;
      return box_.try_push_for(std::forward<U>(message), nanoseconds{0});
    case 3:
      if (waits) right = queue_status::timeout;
      return box_.try_push_until(std::forward<U>(message), system_clock::time_point{});
    case 4:
      if (waits) right = queue_status::stopped;
      return box_.try_push_for(std::forward<U>(message), hours{1}, stopped{});
    case 5: return status_of(box_.push(std::forward<U>(message), stopped{}), right);
    default:
      if (waits) return right;
      return status_of(box_.push(std::forward<U>(message)), right);
    }
  }
  template <class U>
  bool push_one(int value, U&& message) {
    const std::size_t way = in_.below(8);
    const std::uint64_t dropped = model_.dropped();
    queue_status right = model_.push_answer();
    queue_status answer{};
    told_ = 0;
    if (throws([&] { answer = push_by(way, std::forward<U>(message), right); })) {
      expect(right == queue_status::success && std::is_lvalue_reference_v<U>, "a push that threw");
      return false;
    }
    expect(answer == right, "the answer of a push");
    (void)model_.push(value);
    expect(told_ == (way == 1 ? model_.dropped() - dropped : 0), "how many were dropped");
    return answer == queue_status::success;
  }
  void push_moved() {
    const int value = next_++;
    T message{value};
    const bool is_in = push_one(value, std::move(message));
    expect_argument(message, value, is_in);
  }
  void push_copy() {
    if constexpr (std::copy_constructible<T>) {
      const int value = next_++;
      const T message{value};
      push_one(value, message);
      expect(value_of(message) == value, "an argument");
    }
  }
  static void expect_argument(const T& message, int value, bool is_in) {
    const int right = is_in && is_counted<T> ? test::moved_from : value;
    expect(value_of(message) == right, "an argument");
  }
  void emplace() {
    if (model_.push_waits()) return;
    const int value = next_++;
    bool is_in = false;
    if (throws([&] { is_in = box_.emplace(value); })) return;
    expect(is_in == (model_.push_answer() == queue_status::success), "the answer of an emplace");
    (void)model_.push(value);
  }

  /// Pushes a run of `n_` messages by `call`, which says how far it came. Says which are in.
  template <class F>
  std::vector<bool> push_run(F&& call) {
    const int first = std::exchange(next_, next_ + static_cast<int>(n_));
    std::vector<bool> in(n_, false);
    std::size_t reached = n_;
    const bool threw = throws([&] { reached = call(); });
    for (std::size_t i = 0; i != n_; ++i) {
      if (threw && model_.agrees(box_.stats())) return in; // those before the failure
      const queue_status answer = model_.push(first + static_cast<int>(i));
      in[i] = answer == queue_status::success;
      if (in[i] || answer == queue_status::dropped) continue;
      expect(!threw && reached == i, "where a range was refused");
      return in;
    }
    expect(!threw && reached == n_, "where a range ended");
    return in;
  }
  /// Not more than can be pushed without waiting.
  void shorten_run() {
    if (model_.blocks()) n_ = std::min(n_, model_.room());
  }
  void push_range_of_copies() {
    if constexpr (std::copy_constructible<T>) {
      shorten_run();
      const std::vector<T> run = messages<T>(next_, n_);
      push_run([&] {
        return static_cast<std::size_t>(box_.push_range(run.begin(), run.end()) - run.begin());
      });
    }
  }
  void push_range_of_moved() {
    shorten_run();
    std::vector<T> run = messages<T>(next_, n_);
    const int first = next_;
    const std::vector<bool> in = push_run([&] {
      const auto begin = std::make_move_iterator(run.begin());
      const auto end = std::make_move_iterator(run.end());
      return static_cast<std::size_t>(box_.push_range(begin, end) - begin);
    });
    for (std::size_t i = 0; i != n_; ++i) {
      expect_argument(run[i], first + static_cast<int>(i), in[i]);
    }
  }
  void push_stream() {
    if constexpr (std::same_as<T, int>) {
      shorten_run();
      const int end = next_ + static_cast<int>(n_);
      const stream all{next_, end, in_.one_in(2)};
      push_run([&] {
        const stream rest = box_.push_range(all, std::default_sentinel);
        return n_ - static_cast<std::size_t>(end - rest.at);
      });
    }
  }

  // ---- Pops

  void expect_popped(const mailroom::expected<T, queue_status>& message, queue_status right) {
    expect(message.error() == right, "the answer of a pop");
    if (message) model_.expect_front(value_of(*message));
  }
  void expect_popped(const std::optional<T>& message) {
    expect(message.has_value() != model_.is_empty(), "the answer of a pop");
    if (message) model_.expect_front(value_of(*message));
  }
  void pop() {
    using namespace std::chrono;
    switch (in_.below(6)) {
    case 0: return expect_popped(box_.try_pop(), model_.pop_answer());
    case 1:
      return expect_popped(box_.try_pop_for(nanoseconds{0}),
                           model_.pop_answer(queue_status::timeout));
    case 2:
      return expect_popped(box_.try_pop_until(steady_clock::time_point{}),
                           model_.pop_answer(queue_status::timeout));
    case 3:
      return expect_popped(box_.try_pop_for(hours{1}, stopped{}),
                           model_.pop_answer(queue_status::stopped));
    case 4: return expect_popped(box_.pop(stopped{}));
    default:
      if (!model_.pop_waits()) expect_popped(box_.pop());
    }
  }
  void pop_into() {
    if constexpr (std::is_nothrow_move_assignable_v<T>) {
      T into{-3};
      const queue_status answer = box_.try_pop(into);
      expect(answer == model_.pop_answer(), "the answer of a pop");
      if (answer != queue_status::success) return expect(value_of(into) == -3, "the target");
      model_.expect_front(value_of(into));
    }
  }
  void pop_n() {
    const std::size_t there = std::min(n_, model_.size());
    const std::size_t fail_at = std::exchange(fail_at_, 0);
    std::size_t count = 0;
    const bool threw = throws([&] {
      const sink<T, mailbox_model> out{&model_, fail_at};
      const bool waits = model_.pop_waits() && n_ != 0;
      count = waits || in_.one_in(2) ? box_.pop_n(out, n_, stopped{}) : box_.pop_n(out, n_);
    });
    expect(threw == (fail_at != 0 && fail_at <= there), "the throw of an iterator");
    expect(threw || count == there, "how many were popped");
    if (threw && (fail_at == 1 || !keeps_what_fails)) model_.lose_front();
  }
  /// The handler may push; as every push is in the script, that ends.
  void run() {
    const std::size_t fail_at = std::exchange(fail_at_, 0);
    std::size_t calls = 0;
    queue_status answer{};
    const auto handler = [&](T&& message) {
      model_.expect_front(value_of(message));
      if (in_.one_in(4)) push_moved();
      if (++calls == fail_at) throw test::boom{};
    };
    const bool threw = throws([&] {
      answer =
          model_.is_closed() && in_.one_in(2) ? box_.run(handler) : box_.run(handler, stopped{});
    });
    expect(threw == (fail_at != 0 && calls >= fail_at), "the throw of a handler");
    if (threw) return;
    expect(model_.is_empty(), "what was left");
    expect(answer == model_.pop_answer(queue_status::stopped), "the answer of a run");
  }

  void end() {
    if (in_.one_in(6)) {
      box_.close();
      model_.close();
    } else {
      expect(box_.is_drained() == (model_.is_closed() && model_.is_empty()), "is_drained");
    }
  }

  Mailbox& box_;
  mailbox_model model_;
  script& in_;
  test::ledger& book_;
  std::size_t n_ = 0;       // of the step: how many
  std::size_t fail_at_ = 0; // and which operation fails
  std::size_t told_ = 0;    // how many messages a push has said it discarded
  int next_ = 0;
};

} // namespace fuzz

#endif // MAILROOM_TESTS_FUZZ_MAILBOX_GAME_HPP
