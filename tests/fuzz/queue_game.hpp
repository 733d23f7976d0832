// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_FUZZ_QUEUE_GAME_HPP
#define MAILROOM_TESTS_FUZZ_QUEUE_GAME_HPP

// One thread plays a script on a queue and on its model, which must answer the same.
//
// A step is three bytes: what to do, with how many messages, and which operation of a message, or
// which allocation, fails. Numbers are drawn around what is special for the queue: its capacity, or
// a few of its blocks. Handlers of consume_all go on with the script while they run: they may do
// everything with a queue of many consumers, and push into the others.

#include <mailroom/core/concepts.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/detail/platform.hpp>

#include <fuzz/messages.hpp>
#include <fuzz/pushes.hpp>
#include <fuzz/queue_model.hpp>
#include <fuzz/script.hpp>
#include <support/allocators.hpp>
#include <support/positions.hpp>
#include <support/tracked.hpp>

#include <algorithm> // min
#include <cstddef>   // size_t
#include <iterator>  // back_inserter
#include <memory>    // construct_at, destroy_n
#include <span>      // span
#include <utility>   // exchange
#include <vector>    // vector

namespace fuzz {

template <class Queue>
class queue_game : pushes<Queue, queue_model> {
  using base = pushes<Queue, queue_model>;
  using T = typename Queue::value_type;
  using facts = mailroom::queue_facts<Queue>;
  /// Can a push that throws leave a slot that is skipped?
  static constexpr bool may_skip = !facts::bounded && !mailroom::nothrow_message<T>;
  using base::book_, base::fail_at_, base::first_, base::in_, base::log_, base::model_, base::n_,
      base::next_, base::queue_;

public:
  queue_game(Queue& queue, script& in, test::ledger& book, test::allocation_log& log)
      : base{queue, queue_model{queue.capacity(), slot_ends_of<Queue>}, in, book, log} {}

  void play() {
    const bool leaves_rest = in_.one_in(2); // to the destructor
    while (!in_.is_over()) step();
    if (leaves_rest || model_.is_sealed()) return;
    queue_.consume_all([this](T&& message) { model_.expect_front(value_of(message)); });
    expect(model_.is_empty(), "the rest");
    if constexpr (requires { Queue::spare_cells; }) {
      expect(mailroom::detail::test_access::each_cell_is_in_one_place(queue_), "the cells");
    }
  }

private:
  void step() {
    constexpr std::size_t steps = base::ways + 12;
    constexpr std::size_t for_handlers = facts::consumers == arity::one ? base::ways + 2 : steps;
    const std::size_t what = in_.below(depth_ == 0 ? steps : for_handlers);
    base::draw(reach());
    if (what < base::ways) base::push(what);
    switch (what - base::ways) {
    case 0: write_n(); break;
    case 1: seal(); break;
    case 2: pop(); break;
    case 3: pop_into(); break;
    case 4: pop_n(); break;
    case 5: pop_n_into_vector(); break;
    case 6: consume_all(); break;
    case 7: look_at_front(); break;
    case 8: read_piece(); break;
    case 9: claim(); break;
    case 10: receive(); break;
    case 11: push_by_force(); break;
    default: break;
    }
    check();
  }

  std::size_t reach() const {
    if constexpr (facts::bounded) {
      return queue_.capacity();
    } else {
      return std::min<std::size_t>(3 * test::test_access::block_slots<Queue>, 250);
    }
  }

  void check() {
    expect(queue_.size_approx() == model_.size() + model_.held(), "size_approx");
    expect(queue_.pushed() == first_ + model_.pushed(), "pushed");
    expect(queue_.popped() + model_.held() == first_ + model_.popped(), "popped");
    expect(book_.fault().empty(), book_.fault().c_str());
    if (is_counted<T>) {
      expect(book_.alive() == model_.size() + depth_, "messages alive");
    }
    if constexpr (!facts::bounded) check_memory();
  }

  /// Blocks are only allocated when there are none to spare, and only given back when there are too
  /// many of these.
  void check_memory() {
    using mailroom::detail::spare_blocks;
    constexpr std::size_t block = test::test_access::block_slots<Queue>;
    const std::size_t spare = log_.allocations == allocations_ ? spare_blocks : 0;
    expect(may_skip || log_.blocks <= model_.size() / block + 4 + spare, "memory without need");
    expect(log_.blocks >= std::min(blocks_, spare_blocks + 1), "memory that was not kept");
    allocations_ = log_.allocations;
    blocks_ = log_.blocks;
  }

  template <class F>
  bool pop_throws(F&& call) {
    const bool threw = base::throws(call);
    expect(!base::lacked_memory_, "a pop that needs memory");
    return threw;
  }

  // ---- Pieces

  void write_n() {
    if constexpr (has_pieces<Queue>) {
      const std::size_t most = std::min(n_, model_.room());
      std::size_t offered = 0;
      std::size_t count = 0;
      const bool threw = base::throws([&] {
        count = queue_.try_write_n(n_, [&](T* place, std::size_t room) {
          offered = room;
          return build_some(place, room);
        });
      });
      expect((offered == 0) == (most == 0) && offered <= most, "the room of a piece");
      expect(threw || count == (offered + 1) / 2, "how many were built");
      for (std::size_t i = 0; i != count; ++i) model_.put(next_++);
    }
  }
  /// Builds half as many messages as there is room for, or none.
  std::size_t build_some(T* place, std::size_t room) {
    const std::size_t wanted = (room + 1) / 2;
    std::size_t count = 0;
    try {
      for (; count != wanted; ++count) {
        std::construct_at(place + count, next_ + static_cast<int>(count));
      }
    } catch (...) {
      std::destroy_n(place, count);
      throw;
    }
    return wanted;
  }
  void read_piece() {
    if constexpr (has_pieces<Queue>) {
      const std::span<T> piece = queue_.readable();
      expect(piece.empty() == model_.is_empty() && piece.size() <= model_.size(), "a piece");
      for (std::size_t i = 0; i != piece.size(); ++i) {
        expect(value_of(piece[i]) == model_.front(i), "what a piece shows");
      }
      const std::size_t count = std::min(n_, piece.size());
      queue_.release(count);
      for (std::size_t i = 0; i != count; ++i) model_.expect_front(model_.front());
    }
  }

  // ---- Messages in place, and pushes by force

  void claim() {
    if constexpr (has_claims<Queue>) {
      const int value = next_++;
      queue_status answer{};
      const bool threw = pop_throws([&] {
        auto made = queue_.try_claim(value);
        expect(value_of(**made) == value, "what a claim shows");
        answer = made->commit();
      });
      if (threw) return;
      expect(answer == model_.push_answer(), "the answer of a commit");
      if (answer == queue_status::success) model_.put(value);
    }
  }
  void receive() {
    if constexpr (has_claims<Queue>) {
      auto taken = queue_.try_receive();
      expect(taken.error() == model_.pop_answer(), "the answer of a receive");
      if (taken) model_.expect_front(value_of(**taken));
    }
  }
  void push_by_force() {
    if constexpr (has_force<Queue>) {
      const std::size_t fail_at = std::exchange(fail_at_, 0);
      const int value = next_++;
      T message{value};
      const bool has_room = model_.room() != 0;
      std::size_t calls = 0;
      queue_status answer{};
      const bool threw = pop_throws([&] {
        answer = queue_.force_push(std::move(message), [&](T&& old) {
          model_.expect_front(value_of(old));
          if (++calls == fail_at) throw test::boom{};
        });
      });
      expect(calls == (has_room || model_.is_sealed() ? 0U : 1U), "how many were pushed out");
      const bool is_in = !threw && answer == queue_status::success;
      expect(is_in || threw || model_.is_sealed(), "the answer of a push by force");
      expect(is_in || value_of(message) == value, "the argument of a push by force");
      if (is_in) model_.put(value);
    }
  }

  // ---- Pops

  void pop() {
    if constexpr (has_pop<Queue>) {
      const bool threw = pop_throws([&] {
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
      const bool threw = pop_throws([&] { answer = queue_.try_pop(into); });
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
        pop_throws([&] { count = queue_.try_pop_n(sink<T, queue_model>{&model_, fail_at}, n_); });
    expect(threw == (fail_at != 0 && fail_at <= there), "the throw of an iterator");
    expect(threw || count == there, "how many were popped");
    if (threw) model_.lose_front();
  }
  void pop_n_into_vector() {
    std::vector<T> out;
    out.reserve(n_);
    const std::size_t there = std::min(n_, model_.size());
    std::size_t count = 0;
    const bool threw = pop_throws([&] { count = queue_.try_pop_n(std::back_inserter(out), n_); });
    expect(threw ? out.size() + 1 == fail_at_ : count == there, "how many were popped");
    expect(threw || out.size() == there, "how many came");
    for (const T& message : out) model_.expect_front(value_of(message));
    if (threw) model_.lose_front();
  }
  void consume_all() {
    const std::size_t fail_at = std::exchange(fail_at_, 0);
    const std::size_t there = model_.size();
    std::size_t calls = 0;
    std::size_t count = 0;
    const bool threw = pop_throws([&] {
      count = queue_.consume_all([&](T&& message) {
        model_.expect_front(value_of(message));
        ++calls;
        consume_one();
        if (calls == fail_at) throw test::boom{};
      });
    });
    model_.free_slots();
    if (threw) return;
    expect(count == calls, "how many were consumed");
    if constexpr (facts::bounded) {
      expect(calls <= queue_.capacity(), "more than the queue holds");
      expect(model_.is_empty() || calls == queue_.capacity(), "what was left");
    } else {
      expect(calls == there, "what was there at the call");
    }
  }
  /// Inside a handler the script may go on.
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
      bool answer = queue_.seal();
      if (!answer && may_skip && depth_ == 0 && model_.is_empty()) {
        expect(queue_.consume_all([](T&&) {}) == 0, "a message in an empty queue");
        answer = queue_.seal(); // the skipped slots are passed over now
      }
      expect(answer == model_.seal(), "the answer of a seal");
    }
  }

  std::size_t depth_ = 0;       // handlers that run
  std::size_t allocations_ = 0; // and blocks of memory, after the step before
  std::size_t blocks_ = 0;
};

} // namespace fuzz

#endif // MAILROOM_TESTS_FUZZ_QUEUE_GAME_HPP
