// SPDX-License-Identifier: MIT
#ifndef MAILROOM_DETAIL_SLOT_WORD_HPP
#define MAILROOM_DETAIL_SLOT_WORD_HPP

// What a slot of the slot-exchange ring says, in one word of 64 bits.
//
// Slot i serves the positions i, i + slots, i + 2 * slots, ... one after the other, and passes
// through two states for each of them. A word is the number of states passed, the phase, in its
// upper bits, and the index of the cell that the slot holds in its lower ones:
//
//      phase 2 * lap         empty: the position of that lap waits for its message
//      phase 2 * lap + 1     full:  its message is in the cell
//      phase 2 * lap + 2     empty: the message was taken; the next lap's position waits
//
//      | phase: 64 - index_bits                     | cell: index_bits |
//
// A phase only grows, so a word that a thread has seen cannot come back, nor be taken for another
// lap's, unless the thread stands still while the phase runs through half of its values. The cell
// gets no more bits than it needs, so that this takes at least 2^55 messages (2^60 from 32 slots
// on). Positions and phases may wrap.

#include <mailroom/detail/capacity.hpp>

#include <bit>     // bit_width, countr_zero
#include <cstddef> // size_t
#include <cstdint> // int64_t, uint64_t

namespace mailroom::inline MAILROOM_ABI::detail {

class slot_word {
public:
  using word = std::uint64_t;
  using position = std::uint64_t;

  /// For a ring of `slots` slots, a power of two, that share `cells` cells.
  constexpr slot_word(std::size_t slots, std::size_t cells) noexcept
      : slots_{slots}, index_bits_{static_cast<int>(std::bit_width(cells))},
        lap_shift_{index_bits_ + 1 - std::countr_zero(slots)},
        index_mask_{(word{1} << index_bits_) - 1} {}

  constexpr std::size_t slots() const noexcept { return slots_; }
  constexpr std::size_t slot_of(position at) const noexcept {
    return static_cast<std::size_t>(at) & (slots_ - 1);
  }

  /// The word of the slot that holds `cell` and waits for the message of position `at`.
  constexpr word empty(position at, std::size_t cell) const noexcept { return base(at) | cell; }

  /// The word of the slot that holds the message of position `at` in `cell`.
  constexpr word full(position at, std::size_t cell) const noexcept {
    return base(at) + one_phase() + cell;
  }

  /// The word that comes after `seen` in its slot, and holds `cell`.
  constexpr word next(word seen, std::size_t cell) const noexcept {
    return (seen | index_mask_) + 1 + cell;
  }

  /// `seen`, which is empty, as the last word of its slot: it holds no cell that exists.
  constexpr word sealed(word seen) const noexcept { return seen | index_mask_; }
  constexpr bool is_sealed(word seen) const noexcept { return cell(seen) == index_mask_; }

  /// The cell that the slot holds.
  constexpr std::size_t cell(word seen) const noexcept {
    return static_cast<std::size_t>(seen & index_mask_);
  }

  /// What the word says about position `at`:
  ///   below 0  the message of the lap before is still there
  ///   0        the position waits for its message
  ///   1        its message is there
  ///   2..      its message was taken; 3, 4, ... the same slot has gone on with later laps
  constexpr std::int64_t phase(word seen, position at) const noexcept {
    return static_cast<std::int64_t>(seen - base(at)) >> index_bits_;
  }

  /// Whether position `at` waits for its message and can have it: phase 0, and not sealed.
  constexpr bool has_room(word seen, position at) const noexcept {
    return seen - base(at) < index_mask_;
  }
  /// Whether the message of position `at` is there: phase 1.
  constexpr bool has_message(word seen, position at) const noexcept {
    return seen - base(at) - one_phase() < index_mask_;
  }

private:
  constexpr word base(position at) const noexcept {
    return (at & ~position{slots_ - 1}) << lap_shift_;
  }
  constexpr word one_phase() const noexcept { return index_mask_ + 1; }

  std::size_t slots_;
  int index_bits_; // so many that the largest index is not a cell: it says sealed
  int lap_shift_;  // from where a position counts laps to where the word does; never below 1
  word index_mask_;
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_DETAIL_SLOT_WORD_HPP
