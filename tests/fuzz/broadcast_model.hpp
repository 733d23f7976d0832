// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_FUZZ_BROADCAST_MODEL_HPP
#define MAILROOM_TESTS_FUZZ_BROADCAST_MODEL_HPP

// What a broadcast_queue should answer, by a deque of all messages there ever were, of which each
// reader has seen those before its place.

#include <mailroom/core/status.hpp>

#include <fuzz/script.hpp>

#include <algorithm> // min
#include <array>     // array
#include <bit>       // bit_ceil
#include <cstddef>   // size_t
#include <cstdint>   // uint64_t
#include <deque>     // deque
#include <limits>    // numeric_limits
#include <optional>  // optional
#include <utility>   // exchange

namespace fuzz {

using mailroom::queue_status;

class broadcast_model {
public:
  static constexpr std::size_t most_readers = 20;

  broadcast_model(std::size_t capacity, bool lossy)
      : capacity_{capacity}, slots_{std::bit_ceil(capacity)}, lossy_{lossy} {}

  // ---- Pushes

  std::uint64_t pushed() const noexcept { return all_.size(); }

  /// How many messages fit. A reader holds producers back until it has given room back.
  std::size_t room() const {
    std::size_t room = std::numeric_limits<std::size_t>::max();
    if (lossy_) return room;
    for (const auto& each : places_) {
      if (each) room = std::min(room, capacity_ - (all_.size() - each->holds));
    }
    return room;
  }
  queue_status push_answer() const {
    return room() == 0 ? queue_status::full : queue_status::success;
  }
  void put(int value) { all_.push_back(value); }

  /// How many messages there are which no push has written over yet.
  std::size_t kept() const { return std::min(all_.size(), slots_); }

  // ---- Readers

  bool is_reader(std::size_t who) const noexcept { return places_[who].has_value(); }
  std::size_t readers() const noexcept {
    std::size_t count = 0;
    for (const auto& each : places_) {
      if (each) ++count;
    }
    return count;
  }
  void join(std::size_t who) { places_[who] = place{all_.size(), all_.size(), all_.size()}; }
  void leave(std::size_t who) noexcept { places_[who].reset(); }
  void move(std::size_t from, std::size_t to) noexcept {
    places_[to] = std::exchange(places_[from], std::nullopt);
  }

  std::uint64_t passed(std::size_t who) const { return places_[who]->at - places_[who]->joined; }
  std::uint64_t missed(std::size_t who) const { return places_[who]->missed; }
  std::size_t ahead(std::size_t who) const {
    return std::min(all_.size() - places_[who]->at, capacity_);
  }
  /// How many messages the reader can have before it meets a gap.
  std::size_t until_gap(std::size_t who) const {
    const std::size_t behind = all_.size() - places_[who]->at;
    return lossy_ && behind > slots_ ? 0 : behind;
  }
  bool is_at_end(std::size_t who) const { return places_[who]->at == all_.size(); }

  /// Looks for the next message; if it is gone the reader goes on to the oldest one.
  queue_status find(std::size_t who) {
    place& own = *places_[who];
    if (own.at == all_.size()) return queue_status::empty;
    if (!lossy_ || all_.size() - own.at <= slots_) return queue_status::success;
    own.missed += all_.size() - slots_ - own.at;
    own.at = all_.size() - slots_;
    return queue_status::lagged;
  }
  void expect_next(std::size_t who, int value) {
    expect(find(who) == queue_status::success, "a message that should not be there");
    expect(all_[places_[who]->at] == value, "the order");
    ++places_[who]->at;
  }
  void release(std::size_t who) noexcept { places_[who]->holds = places_[who]->at; }

private:
  struct place {
    std::size_t joined;
    std::size_t at;
    std::size_t holds; // this message and those behind it
    std::size_t missed = 0;
  };

  const std::size_t capacity_;
  const std::size_t slots_;
  const bool lossy_;
  std::deque<int> all_;
  std::array<std::optional<place>, most_readers> places_;
};

} // namespace fuzz

#endif // MAILROOM_TESTS_FUZZ_BROADCAST_MODEL_HPP
