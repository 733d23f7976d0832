// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_FUZZ_MAILBOX_GAME_HPP
#define MAILROOM_TESTS_FUZZ_MAILBOX_GAME_HPP

// One thread plays a script on a mailbox and on its model, which must answer the same.
//
// A step is three bytes: what to do, with how many messages, and which operation of a message fails.
// What would wait for ever is not called; a wait that is over already, by its deadline or its stop
// token, is. Coroutines do wait: see errands.hpp.

#include <mailroom/core/concepts.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/wait.hpp>
#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/mailbox/select.hpp>

#include <fuzz/errands.hpp>
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

/// Selects and coroutines are played where threads sleep, once over each queue: they take long to
/// compile.
template <class Mailbox>
constexpr bool is_waited_in = false;
template <class Queue>
constexpr bool is_waited_in<mailroom::mailbox<test::tracked, Queue, mailroom::wait_policy::park>> =
    true;

template <class Mailbox>
class mailbox_game {
  using T = typename Mailbox::value_type;
  static constexpr bool keeps_what_fails =
      mailroom::queue_facts<typename Mailbox::queue_type>::consumers == mailroom::arity::one;

public:
  /// `told` is what on_drop gets, if there is one.
  mailbox_game(Mailbox& box, overflow on_full, script& in, test::ledger& book,
               std::vector<int>* told)
      : box_{box}, model_{box.capacity(), on_full, told == nullptr ? losses::untold : losses::told},
        in_{in}, book_{book}, on_drop_told_{told}, errands_{box, model_} {}

  /// Returns   what on_drop should be told of by the destructor
  std::vector<int> play() {
    for (; !in_.is_over(); check()) step();
    errands_.end();
    return model_.told_in_the_end();
  }

private:
  void step() {
    const std::size_t what = in_.below(32);
    n_ = in_.below(std::min(box_.capacity(), std::size_t{10}) + 4);
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
    if (what < 25) return end();
    if (what < 28) return select();
    wait_in_coroutine(what);
  }

  void check() {
    expect(model_.agrees(box_.stats()), "the statistics");
    expect(box_.size_approx() == model_.size(), "size_approx");
    expect(box_.is_closed() == model_.is_closed(), "is_closed");
    expect(book_.fault().empty(), book_.fault().c_str());
    errands_.check();
    expect(!is_counted<T> || book_.alive() == model_.size() + errands_.messages(),
           "messages alive");
    if (on_drop_told_ != nullptr) {
      expect(std::exchange(*on_drop_told_, {}) == model_.take_told(), "what on_drop was told");
    }
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
      const bool was_copied = right == queue_status::success || is_handed_over(right);
      expect(was_copied && std::is_lvalue_reference_v<U>, "a push that threw");
      return false;
    }
    expect(answer == right, "the answer of a push");
    (void)model_.push(value);
    expect(told_ == (way == 1 ? model_.dropped() - dropped : 0), "how many were dropped");
    return answer == queue_status::success || is_handed_over(answer);
  }
  /// Has on_drop got the message of a push that was not taken?
  bool is_handed_over(queue_status answer) const {
    return answer == queue_status::dropped && model_.tells();
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
      in[i] = answer == queue_status::success || is_handed_over(answer);
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
    if (errands_.any_push_waits()) return; // it would take some of theirs too
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

  // ---- The end

  void end() {
    switch (in_.below(16)) {
    case 1: box_.close(); return model_.close();
    case 2:
      box_.close(mailroom::discard);
      model_.discard();
      return expect(box_.is_drained(), "is_drained");
    case 3: return wait_for_end();
    default: expect(box_.is_drained() == (model_.is_closed() && model_.is_empty()), "is_drained");
    }
  }
  void wait_for_end() {
    using namespace std::chrono;
    const bool is_over = model_.is_empty();
    queue_status right = queue_status::timeout;
    queue_status answer{};
    switch (in_.below(4)) {
    case 0: answer = box_.close_and_wait_for(nanoseconds{0}); break;
    case 1: answer = box_.close_and_wait_until(system_clock::time_point{}); break;
    case 2:
      right = queue_status::stopped;
      answer = box_.close_and_wait_for(hours{1}, stopped{});
      break;
    default:
      if (!is_over) return;
      box_.close_and_wait();
      answer = queue_status::closed;
    }
    model_.close();
    expect(answer == (is_over ? queue_status::closed : right), "the answer of a wait for the end");
  }

  // ---- Select

  /// What a look at one case answers: success, empty or closed.
  queue_status pop_is_ready() const { return model_.pop_answer(); }
  queue_status push_is_ready() const {
    if (model_.is_closed()) return queue_status::closed;
    return model_.room() != 0 ? queue_status::success : queue_status::empty;
  }
  void select() {
    if constexpr (is_waited_in<Mailbox>) {
      const int value = next_++;
      T message{value};
      const queue_status pop = pop_is_ready(), push = push_is_ready();
      const std::size_t popping = n_ % 2, pushing = 1 - popping; // which is which case
      mailroom::select_result found{9, queue_status::busy};
      bool failed = false;
      fail_at_ = fail_at_ % 2; // of the handler
      const auto take = [&](T&& got) {
        model_.expect_front(value_of(got));
        failed = std::exchange(fail_at_, 0) != 0;
        if (failed) throw test::boom{};
      };
      const auto put = [&] { model_.put(value); };
      const auto call = [&](auto&&... cases) { found = call_select(cases...); };
      try {
        if (popping == 0) {
          call(mailroom::on_pop(box_, take), mailroom::on_push(box_, std::move(message), put));
        } else {
          call(mailroom::on_push(box_, std::move(message), put), mailroom::on_pop(box_, take));
        }
      } catch (const test::boom&) {
        expect(failed && pop == queue_status::success, "a select that threw");
        return expect_argument(message, value, false);
      }
      expect_argument(message, value, found && found.index == pushing);
      expect_found(found, found.index == popping ? pop : push, pop, push);
    }
  }
  /// Two cases, and perhaps one that is over.
  mailroom::select_result call_select(auto& first, auto& second) {
    using namespace std::chrono;
    in_order_ = false;
    over_ = queue_status::empty;
    switch (in_.below(4)) {
    case 0: return mailroom::try_select(first, second);
    case 1:
      over_ = queue_status::stopped;
      return mailroom::select(first, second, mailroom::on_stop(stopped{}),
                              mailroom::after(nanoseconds{0}));
    case 2:
      over_ = queue_status::timeout;
      in_order_ = true;
      return mailroom::select_in_order(first, second, mailroom::at(steady_clock::time_point{}));
    default:
      over_ = queue_status::timeout;
      return mailroom::select(first, second, mailroom::after(nanoseconds{-1}));
    }
  }
  void expect_found(mailroom::select_result found, queue_status chosen, queue_status pop,
                    queue_status push) {
    const bool any = pop == queue_status::success || push == queue_status::success;
    const bool all_out = pop == queue_status::closed && push == queue_status::closed;
    if (any) {
      expect(found && found.index < 2 && chosen == queue_status::success, "the choice of a select");
      const bool both = pop == push;
      return expect(!in_order_ || !both || found.index == 0, "the order of a select");
    }
    expect(found.status == (all_out ? queue_status::closed : over_), "the answer of a select");
  }

  // ---- Coroutines

  void wait_in_coroutine(std::size_t what) {
    if constexpr (is_waited_in<Mailbox>) {
      switch (what) {
      case 28: return errands_.pop(in_.one_in(2) ? goes_on::here : goes_on::in_turn);
      case 29:
      case 30: return errands_.push(next_++, in_.one_in(2) ? goes_on::here : goes_on::in_turn);
      default: return errands_.meddle(in_);
      }
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
  std::vector<int>* const on_drop_told_;
  errands<Mailbox> errands_;
  bool in_order_ = false; // of the last select
  queue_status over_{};   // and what it answers when nothing is ready
};

} // namespace fuzz

#endif // MAILROOM_TESTS_FUZZ_MAILBOX_GAME_HPP
