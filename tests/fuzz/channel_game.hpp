// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_FUZZ_CHANNEL_GAME_HPP
#define MAILROOM_TESTS_FUZZ_CHANNEL_GAME_HPP

// One thread plays a script on the ends of a channel: some of either kind, which are copied, moved,
// emptied, used, and made from a weak_producer. The model of the mailbox is told when the last of a
// kind goes.

#include <mailroom/core/concepts.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/mailbox/channel.hpp>
#include <mailroom/mailbox/mailbox.hpp>

#include <fuzz/mailbox_model.hpp>
#include <fuzz/script.hpp>

#include <array>       // array
#include <cstddef>     // size_t
#include <type_traits> // conditional
#include <utility>     // exchange, move
#include <vector>      // vector

namespace fuzz {

template <class Queue>
class channel_game {
  using facts = mailroom::queue_facts<Queue>;
  using box = mailroom::mailbox<int, Queue>;
  static constexpr bool copies_producers = facts::producers == mailroom::arity::many;
  static constexpr bool copies_consumers = facts::consumers == mailroom::arity::many;

public:
  channel_game(mailroom::mailbox_options options, script& in)
      : channel_game{mailroom::channel<int, Queue>(
                         options, [this](int lost) noexcept { told_.push_back(lost); }),
                     options, in} {}

  /// Until the script is over, or the channel is.
  void play() {
    while (!in_.is_over() && (any(tx_) || any(rx_))) {
      step();
      check();
    }
    tx_ = {};
    rx_ = {};
    check();
  }

private:
  static constexpr std::size_t most = 4;
  template <class End>
  using ends = std::array<End, most>;

  channel_game(mailroom::channel_ends<box> made, mailroom::mailbox_options options, script& in)
      : in_{in}, model_{made.rx.box().capacity(), options.on_full, losses::told} {
    tx_[0] = std::move(made.tx);
    rx_[0] = std::move(made.rx);
  }

  template <class Ends>
  static bool any(const Ends& all) {
    for (const auto& each : all) {
      if (each) return true;
    }
    return false;
  }

  void step() {
    auto& tx = tx_[in_.below(most)];
    auto& rx = rx_[in_.below(most)];
    switch (in_.below(16)) {
    case 0: return change<copies_producers>(tx, tx_[in_.below(most)]);
    case 1: return change<copies_consumers>(rx, rx_[in_.below(most)]);
    case 2: return leave(tx);
    case 3: return leave(rx);
    case 4: return lock(tx);
    case 5: return iterate(rx);
    case 6:
    case 7:
    case 8: return pop(rx);
    default: push(tx);
    }
  }

  /// Makes an end from another, of the same kind.
  template <bool can_copy, class End>
  void change(End& into, End& from) {
    const bool was_there = static_cast<bool>(from);
    const bool is_same = &into == &from;
    if constexpr (can_copy) {
      if (!in_.one_in(4)) {
        into = from;
        return expect(static_cast<bool>(into) == was_there && static_cast<bool>(from) == was_there,
                      "the copy of an end");
      }
    }
    into = std::move(from);
    expect(static_cast<bool>(into) == was_there && (is_same || !from), "an end that was moved");
  }
  template <class End>
  void leave(End& one) {
    if (in_.one_in(3)) one = {};
  }
  void lock(mailroom::producer<box>& tx) {
    if constexpr (copies_producers) {
      if (in_.one_in(2)) {
        weak_ = tx;
      } else {
        const bool is_open = any(tx_) && knows_;
        tx = weak_.lock();
        return expect(static_cast<bool>(tx) == is_open, "a producer from a weak one");
      }
      knows_ = static_cast<bool>(tx);
    }
  }
  void push(mailroom::producer<box>& tx) {
    const queue_status right = tx ? model_.push_answer() : queue_status::closed;
    const int value = next_++;
    expect(tx.try_push(value) == right, "the answer of a producer");
    if (tx) (void)model_.push(value);
  }
  void pop(mailroom::consumer<box>& rx) {
    const queue_status right = rx ? model_.pop_answer() : queue_status::closed;
    const auto got = rx.try_pop();
    expect(got.error() == right, "the answer of a consumer");
    if (got) model_.expect_front(*got);
  }
  /// Takes as many as it looks at.
  void iterate(mailroom::consumer<box>& rx) {
    if (rx && model_.pop_waits()) return;
    for (const int each : rx) {
      model_.expect_front(each);
      if (model_.pop_waits() || in_.one_in(3)) break;
    }
  }

  /// When the last of a kind has gone, the channel is over.
  void check() {
    if (had_producers_ && !any(tx_)) model_.close();
    if (had_consumers_ && !any(rx_)) model_.discard();
    had_producers_ = any(tx_);
    had_consumers_ = any(rx_);
    expect(std::exchange(told_, {}) == model_.take_told(), "what on_drop was told");
    const auto agrees = [this](const auto& all) {
      for (const auto& each : all) {
        if (each) expect(model_.agrees(each.box().stats()), "the statistics");
      }
    };
    agrees(tx_);
    agrees(rx_);
  }

  script& in_;
  std::vector<int> told_; // before the ends: the mailbox tells it
  mailbox_model model_;
  ends<mailroom::producer<box>> tx_;
  ends<mailroom::consumer<box>> rx_;
  std::conditional_t<copies_producers, mailroom::weak_producer<box>, int> weak_{};
  bool knows_ = false; // weak_: the channel
  bool had_producers_ = true;
  bool had_consumers_ = true;
  int next_ = 0;
};

} // namespace fuzz

#endif // MAILROOM_TESTS_FUZZ_CHANNEL_GAME_HPP
