// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_FUZZ_BROADCAST_GAME_HPP
#define MAILROOM_TESTS_FUZZ_BROADCAST_GAME_HPP

// One thread plays a script on a broadcast_queue, its readers and their model, which must answer
// the same. Readers join, leave, and take the place of others at any time.
//
// A step is three bytes: what to do, with how many messages, and which operation of a message, or
// which allocation, fails. Handlers of consume_all go on with the script while they run: they may
// do everything but use their own reader.

#include <mailroom/core/status.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/queue/broadcast_queue.hpp>

#include <fuzz/broadcast_model.hpp>
#include <fuzz/messages.hpp>
#include <fuzz/pushes.hpp>
#include <fuzz/script.hpp>
#include <support/allocators.hpp>
#include <support/tracked.hpp>

#include <algorithm> // min
#include <array>     // array
#include <concepts>  // assignable_from, copy_constructible
#include <cstddef>   // size_t
#include <iterator>  // back_inserter
#include <new>       // bad_alloc
#include <optional>  // optional
#include <utility>   // exchange, move
#include <vector>    // vector

namespace fuzz {

/// Many producers of a lossless queue make the message before they take a place for it.
template <class T, mailroom::broadcast_mode Mode, class Allocator>
constexpr bool reads_first<mailroom::broadcast_queue<T, Mode, arity::many, Allocator>> = true;

template <class Queue, bool IsLossy>
class broadcast_game : pushes<Queue, broadcast_model> {
  using base = pushes<Queue, broadcast_model>;
  using T = typename Queue::value_type;
  using base::book_, base::fail_at_, base::first_, base::in_, base::log_, base::memory_fails_at_,
      base::model_, base::n_, base::queue_;

public:
  /// At most `readers` at a time.
  broadcast_game(Queue& queue, std::size_t readers, script& in, test::ledger& book,
                 test::allocation_log& log)
      : base{queue, broadcast_model{queue.capacity(), IsLossy}, in, book, log},
        most_readers_{readers}, built_{log.allocations} {}

  void play() {
    const bool leaves_rest = in_.one_in(2);
    while (!in_.is_over()) step();
    if (leaves_rest) return;
    for (std::size_t who = 0; who != readers_.size(); ++who) {
      while (model_.is_reader(who) && !model_.is_at_end(who)) consume_all(who);
    }
    check();
  }

private:
  static constexpr std::size_t nobody = broadcast_model::most_readers;

  void step() {
    const std::size_t what = in_.below(base::ways + 10);
    base::draw(IsLossy ? 3 * queue_.capacity() : queue_.capacity());
    if (what < base::ways) {
      base::push(what);
    } else if (what < base::ways + 2) {
      subscribe();
    } else if (const std::size_t who = idle_reader(nobody); who != nobody) {
      switch (what - base::ways) {
      case 2: leave(who); break;
      case 3: move_to_other(who); break;
      case 4: pop(who); break;
      case 5: pop_into(who); break;
      case 6: pop_n(who); break;
      case 7: pop_n_into_vector(who); break;
      case 8: consume_all(who); break;
      default: all_consume(); break;
      }
    }
    check();
  }

  void check() {
    expect(queue_.pushed() == first_ + model_.pushed(), "pushed");
    for (std::size_t who = 0; who != readers_.size(); ++who) {
      expect(readers_[who].has_value() == model_.is_reader(who), "who reads");
      if (!readers_[who]) continue;
      expect(readers_[who]->passed() == model_.passed(who), "passed");
      expect(readers_[who]->missed() == model_.missed(who), "missed");
      expect(readers_[who]->size_approx() == model_.ahead(who), "size_approx");
    }
    expect(book_.fault().empty(), book_.fault().c_str());
    if (is_counted<T>) {
      // A lonely producer has destroyed the oldest message before the new one's constructor throws.
      const std::size_t gone = model_.kept() - book_.alive();
      expect(gone == 0 || (gone == 1 && is_lonely), "messages alive");
    }
  }

  template <class F>
  bool pop_throws(F&& call) {
    memory_fails_at_ = 0;
    return base::throws(call);
  }

  // ---- Readers

  /// Some reader whose handler does not run, and who is not `other`.
  std::size_t idle_reader(std::size_t other) {
    std::array<std::size_t, broadcast_model::most_readers> found;
    std::size_t count = 0;
    for (std::size_t who = 0; who != readers_.size(); ++who) {
      if (readers_[who] && !is_busy_[who] && who != other) found[count++] = who;
    }
    return count == 0 ? nobody : found[in_.below(count)];
  }
  void subscribe() {
    const std::size_t count = model_.readers();
    if (count == most_readers_) return;
    std::size_t who = 0;
    while (readers_[who]) ++who;
    const bool allocates = !IsLossy && count == cursors_;
    bool lacked = false;
    log_.fail_at = memory_fails_at_ == 0 ? 0 : 1;
    try {
      readers_[who].emplace(queue_.subscribe());
      model_.join(who);
      if (allocates) cursors_ += mailroom::detail::cursors_together;
    } catch (const std::bad_alloc&) {
      lacked = true;
    }
    log_.fail_at = 0;
    expect(lacked == (allocates && memory_fails_at_ != 0), "a reader that needs memory");
    expect((log_.allocations - built_) * mailroom::detail::cursors_together == cursors_,
           "more memory than the readers need");
  }
  void leave(std::size_t who) {
    readers_[who].reset();
    model_.leave(who);
  }
  /// Into a place of its own, or into that of a reader who leaves by it.
  void move_to_other(std::size_t who) {
    const std::size_t to = in_.one_in(2) ? idle_reader(who) : nobody;
    if (to != nobody) {
      *readers_[to] = std::move(*readers_[who]);
      readers_[who].reset();
      model_.move(who, to);
    } else {
      auto moved = std::move(*readers_[who]);
      readers_[who].reset();
      readers_[who].emplace(std::move(moved));
    }
  }

  // ---- Pops

  void pop(std::size_t who) {
    if constexpr (std::copy_constructible<T>) {
      const queue_status right = model_.find(who);
      const bool threw = pop_throws([&] {
        const auto message = readers_[who]->try_pop();
        expect(message.error() == right, "the answer of a pop");
        if (message) passes(who, value_of(*message));
      });
      expect(!threw || right == queue_status::success, "a pop of nothing threw");
    }
  }
  void pop_into(std::size_t who) {
    if constexpr (std::assignable_from<T&, const T&>) {
      T into{-3};
      const queue_status right = model_.find(who);
      queue_status answer{};
      const bool threw = pop_throws([&] { answer = readers_[who]->try_pop(into); });
      expect(threw ? right == queue_status::success : answer == right, "the answer of a pop");
      if (threw || answer != queue_status::success) {
        expect(value_of(into) == -3, "the target of a pop");
      } else {
        passes(who, value_of(into));
      }
    }
  }
  void passes(std::size_t who, int value) {
    model_.expect_next(who, value);
    model_.release(who);
  }

  /// The reader as a sink sees it.
  struct seen {
    broadcast_model& model;
    std::size_t who;
    void expect_front(int value) { model.expect_next(who, value); }
  };
  void pop_n(std::size_t who) {
    const std::size_t there = std::min(n_, model_.until_gap(who));
    const std::size_t fail_at = std::exchange(fail_at_, 0);
    seen own{model_, who};
    std::size_t count = 0;
    const bool threw =
        pop_throws([&] { count = readers_[who]->try_pop_n(sink<T, seen>{&own, fail_at}, n_); });
    expect(threw == (fail_at != 0 && fail_at <= there), "the throw of an iterator");
    expect(threw || count == there, "how many were popped");
    end_run(who, threw || count == n_);
  }
  void pop_n_into_vector(std::size_t who) {
    if constexpr (std::copy_constructible<T>) {
      std::vector<T> out;
      out.reserve(n_);
      const std::size_t there = std::min(n_, model_.until_gap(who));
      std::size_t count = 0;
      const bool threw =
          pop_throws([&] { count = readers_[who]->try_pop_n(std::back_inserter(out), n_); });
      expect(threw ? out.size() + 1 == fail_at_ : count == there, "how many were popped");
      expect(threw || out.size() == there, "how many came");
      for (const T& message : out) model_.expect_next(who, value_of(message));
      end_run(who, threw || count == n_);
    }
  }
  void consume_all(std::size_t who) {
    const std::size_t fail_at = std::exchange(fail_at_, 0);
    std::size_t calls = 0;
    std::size_t count = 0;
    is_busy_[who] = true;
    const bool threw = pop_throws([&] {
      count = readers_[who]->consume_all([&](const T& message) {
        model_.expect_next(who, value_of(message));
        const int value = value_of(message);
        ++calls;
        consume_one();
        expect(value_of(message) == value, "a message that changed under its reader");
        if (calls == fail_at) throw test::boom{};
      });
    });
    is_busy_[who] = false;
    expect(threw == (fail_at != 0 && calls == fail_at), "the throw of a handler");
    expect(threw || count == calls, "how many were consumed");
    expect(calls <= queue_.capacity(), "more than the queue holds");
    end_run(who, threw || calls == queue_.capacity());
  }
  void all_consume() {
    for (std::size_t who = 0; who != readers_.size(); ++who) {
      if (readers_[who] && !is_busy_[who]) consume_all(who);
    }
  }
  /// Inside a handler the script may go on.
  void consume_one() {
    if (depth_ == 3 || !in_.one_in(4)) return;
    ++depth_;
    step();
    --depth_;
  }
  /// A run that was not cut short has met the end or a gap, behind which the reader now is.
  void end_run(std::size_t who, bool was_cut) {
    if (!was_cut) {
      expect(model_.find(who) != queue_status::success, "a run that ended before its time");
    }
    model_.release(who);
  }

  static constexpr bool is_lonely = mailroom::queue_facts<Queue>::producers == arity::one;

  const std::size_t most_readers_;
  const std::size_t built_; // allocations by the constructor
  std::size_t cursors_ = 0; // for which there is memory
  std::size_t depth_ = 0;   // handlers that run
  std::array<std::optional<typename Queue::reader>, broadcast_model::most_readers> readers_;
  std::array<bool, broadcast_model::most_readers> is_busy_{};
};

} // namespace fuzz

#endif // MAILROOM_TESTS_FUZZ_BROADCAST_GAME_HPP
